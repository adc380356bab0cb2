"""Which threshold holds: the question's own, else the mark's, the command line's, the ini file's."""

from __future__ import annotations

import pytest

MARKED = """
import pytest

pytestmark = pytest.mark.evals(relevancy=0.3, faithfulness=0.3)

@pytest.mark.evals(relevancy=0.4)
def test_marked(evaluate, pipeline, question):
    evaluate(pipeline, question).result()

@pytest.mark.asyncio
async def test_module(evaluate, pipeline, question):
    await evaluate(pipeline, question)
"""


def thresholds(project) -> dict[str, dict[str, float]]:
    return {
        line["test"].partition("::")[2]: {metric: s["threshold"] for metric, s in line["scores"].items()}
        for line in project.evaluations
    }


def test_precedence(project):
    """Ini file < command line < mark (the nearest that names the metric) < question."""
    project.append("pytest.ini", "evals_thresholds = faithfulness=0.1 relevancy=0.1 refusal=0.1")
    project.write(
        "test_plain.py",
        "def test_plain(evaluate, pipeline, question):\n    evaluate(pipeline, question).result()\n",
    )
    project.write("test_it.py", MARKED)
    answer = "faithfulness=0.9 relevancy=0.9"
    project.ask(a=answer, b={"question": answer, "thresholds": {"relevancy": 0.5}})
    result = project.run("--evals-thresholds", "relevancy=0.2")
    result.assert_outcomes(passed=6)
    assert thresholds(project) == {
        "test_plain[baseline-a]": {"faithfulness": 0.1, "relevancy": 0.2},
        "test_plain[baseline-b]": {"faithfulness": 0.1, "relevancy": 0.5},
        "test_module[baseline-a]": {"faithfulness": 0.3, "relevancy": 0.3},
        "test_module[baseline-b]": {"faithfulness": 0.3, "relevancy": 0.5},
        "test_marked[baseline-a]": {"faithfulness": 0.3, "relevancy": 0.4},
        "test_marked[baseline-b]": {"faithfulness": 0.3, "relevancy": 0.5},
    }
    # The first line has those of the run as a whole.
    assert project.lines[0]["thresholds"] == {"faithfulness": 0.1, "relevancy": 0.2, "refusal": 0.1}


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        ("relevance=0.5", "unknown metric 'relevance' in a threshold, did you mean 'relevancy'?"),
        ("relevancy=2", "threshold relevancy = 2 is outside 0..1"),
        ("relevancy='0.5'", "threshold relevancy = '0.5' is not a number"),
    ],
)
def test_wrong_mark(project, how, mark, problem):
    """A wrong threshold in a mark is one line with the test's name, before anything runs."""
    project.write("test_it.py", MARKED.replace("relevancy=0.4", mark))
    result = project.run(*how)
    assert result.ret == 4
    (line,) = [line for line in (*result.outlines, *result.errlines) if line.startswith("ERROR: ")]
    assert line == f"ERROR: test_it.py::test_marked: {problem}"
    assert project.runs == []


def test_the_mark_is_declared(project):
    """`pytest --markers` says what the mark does; with --strict-markers it is known."""
    result = project.run("--markers")
    assert (
        "@pytest.mark.evals(gate, **thresholds): an evaluation; keyword arguments set thresholds for this "
        "test, such as evals(faithfulness=0.8); gate='pass_rate >= 0.9', or a list: what all tests so marked "
        "are held to"
    ) in result.outlines
