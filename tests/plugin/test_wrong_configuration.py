"""Wrong configuration: one message with the offender and the next step, exit status 4, and nothing made."""

from __future__ import annotations

import re

import pytest

ROOT = "ROOT"  # the project's folder, in expected messages


def refusal(project, *args: str) -> str:
    """Run pytest, which is to stop for its configuration; return the message."""
    result = project.run(*args)
    output = "\n".join((*result.outlines, *result.errlines))
    assert result.ret == 4, output
    assert not re.search(r"Traceback|INTERNALERROR|^E  ", output, re.MULTILINE), output
    assert project.runs == []
    (found,) = re.findall(r"^ERROR: (.*(?:\n  .*)*)", output, re.MULTILINE)
    return found.replace(str(project.path), ROOT)


CASES = {
    "unknown-mode": (["--evals-mode", "lenient"], "unknown mode 'lenient': one of strict, gate, report"),
    "unknown-metric": (
        ["--evals-thresholds", "faithfullness=0.7"],
        "unknown metric 'faithfullness' in a threshold, did you mean 'faithfulness'?",
    ),
    "threshold-without-value": (
        ["--evals-thresholds", "faithfulness"],
        "threshold 'faithfulness': write METRIC=VALUE, such as faithfulness=0.7",
    ),
    "threshold-too-high": (
        ["--evals-thresholds", "faithfulness=70"],
        "threshold faithfulness = 70 is outside 0..1",
    ),
    "budget-no-number": (["--evals-max-unscored", "10%"], "evals_max_unscored = 10%: not a number"),
    "unknown-pipeline": (
        ["--evals-pipelines", "baseline,base_line"],
        "unknown pipeline 'base_line': there is no fixture of that name; did you mean 'baseline'?",
    ),
    "unknown-pipeline-without-hint": (
        ["--evals-pipelines", "graph"],
        "unknown pipeline 'graph': there is no fixture of that name",
    ),
    "wrong-pipeline-in-the-ini-file": (
        ["-o", "evals_pipelines=baselin"],
        "unknown pipeline 'baselin': there is no fixture of that name; did you mean 'baseline'?",
    ),
    "no-pipelines": (
        ["--evals-pipelines", ","],
        "no pipelines: give --evals-pipelines NAME, or set evals_pipelines in the ini file",
    ),
    "no-questions": (
        ["-o", "evals_questions="],
        "no questions: give --evals-questions GLOB, or --evals-generate N to have them written, or set "
        "evals_questions in the ini file",
    ),
    "glob-without-files": (
        ["--evals-questions", "questions.jsonl", "--evals-questions", "more/*.yaml"],
        '1 pattern without a question file under ROOT:\n  "ROOT/more/*.yaml"',
    ),
    "wrong-questions": (
        ["--evals-questions", "*.jsonl"],
        "4 problems in question files:\n"
        "  empty.jsonl: no questions in it\n"
        "  wrong.jsonl:2: invalid JSON at column 8: Expecting value\n"
        '  wrong.jsonl:3: duplicate id "good" (first at questions.jsonl:1)\n'
        '  wrong.jsonl:4: unknown key "answer" (did you mean "answerable"?)',
    ),
    "unknown-metric-of-a-question": (
        ["--evals-questions", "tone.json"],
        "question t: unknown metric 'tone' in a threshold: known are faithfulness, relevancy, refusal, "
        "context_relevancy, context_recall, correctness, citation_precision, citation_recall",
    ),
}


@pytest.fixture
def wrong_files(project):
    """Write question files that are wrong, next to the good one."""
    project.write("empty.jsonl", "\n")
    project.write(
        "wrong.jsonl",
        '{"id": "fine", "question": "Why?"}\n{"id": }\n{"id": "good", "question": "Why?"}\n'
        '{"id": "a", "question": "Why?", "answer": "So."}\n',
    )
    project.write("tone.json", '[{"id": "t", "question": "Why?", "thresholds": {"tone": 0.5}}]')


@pytest.mark.parametrize(("args", "message"), CASES.values(), ids=CASES)
def test_wrong_configuration(project, wrong_files, args, message):
    """One message, in whole."""
    assert refusal(project, *args) == message


@pytest.mark.parametrize("case", ["unknown-mode", "unknown-pipeline", "no-questions", "wrong-questions"])
def test_in_parallel(project, wrong_files, case):
    """The message is the same in parallel, where only the workers know it."""
    args, message = CASES[case]
    assert refusal(project, *args, "-n", "2") == message


def test_no_pipeline_named(project, how):
    """The default is the bundled pipelines; who has one of his own is told how to name it."""
    conftest = (project.path / "conftest.py").read_text("utf-8")
    project.write("conftest.py", conftest.replace("def baseline()", "def mine()"))
    project.write("pytest.ini", project.read("pytest.ini").replace("evals_pipelines = baseline\n", ""))
    assert refusal(project, *how) == (
        "test_it.py::test_answer asks the pipeline 'baseline', which is bundled and answers from documents: "
        "name a fixture of your own with --evals-pipelines NAME, or evals_pipelines in the ini file; or give "
        "the bundled one documents with --evals-docs PATH"
    )


BROKEN = {
    "no-pipeline": (
        "baseline",
        'return "a text"',
        "fixture 'baseline' gave str, which is no pipeline: return pipeline_from(function), "
        "pipeline_from_query_engine(engine), or an object with a name, a fingerprint and an async "
        "answer(question)",
    ),
    "pipeline-without-its-model": (
        "baseline",
        'raise ModelError("there is no model small: fetch it with `rag-evals models fetch small`.")',
        "there is no model small: fetch it with `rag-evals models fetch small`.",
    ),
    "judge-without-its-model": (
        "judge",
        'raise ModelError("there is no model small.")',
        "there is no model small.",
    ),
    "no-judge": (
        "judge",
        'return "strict"',
        "fixture 'judge' gave str, which is no judge: return an object with a name, a fingerprint and "
        "an async score(question, answer), such as those of rag_evals.testing",
    ),
    "usage": ("judge", 'raise UsageError("no documents")', "no documents"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_fixture_that_finds_the_configuration_wrong(project, case):
    """One message for the whole session, not an error a question; it stops before the first question."""
    message = break_fixture(project, case)
    assert refusal(project) == message


@pytest.mark.parametrize("how", [("-n", "2"), ("-p", "no:xdist")], ids=["xdist", "without-xdist"])
def test_such_a_fixture_in_parallel(project, how):
    """The message is the same whoever runs the fixture."""
    message = break_fixture(project, "pipeline-without-its-model")
    assert refusal(project, *how) == message


def break_fixture(project, case: str) -> str:
    """Put a fixture that is wrong before many questions; return the message that is to come."""
    fixture, body, message = BROKEN[case]
    project.append(
        "conftest.py",
        f"""
from rag_evals.evals.base.errors import UsageError
from rag_evals.rag.errors import ModelError

@pytest.fixture(scope="session")
def {fixture}():
    {body}
""",
    )
    project.ask(**{f"q{n}": "faithfulness=0.9" for n in range(8)})
    return message


def test_other_errors_of_fixtures_are_pytests(project):
    """A fixture that breaks for a reason of its own is pytest's error, with its traceback."""
    project.append(
        "conftest.py",
        """
@pytest.fixture(scope="session")
def judge():
    raise ZeroDivisionError("own")
""",
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    assert result.ret == 1
    assert [line["outcome"] for line in project.evaluations] == ["unscored"]
    result.stdout.fnmatch_lines(["E       ZeroDivisionError: own"])


def test_other_sessions_are_not_troubled(project):
    """A session that evaluates nothing runs, however wrong the evals configuration is."""
    project.write("test_it.py", "def test_other():\n    pass\n")
    result = project.run("--evals-mode", "lenient", "--evals-questions", "gone.jsonl")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
