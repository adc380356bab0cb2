"""Which questions meet which pipelines, in which order and under which names."""

from __future__ import annotations

OTHER = """
@pytest.fixture(scope="session")
def other():
    return FakePipeline(answer, name="other")
"""

BOTH = """
async def test_async(evaluate, pipeline, question):
    (await evaluate(pipeline, question)).require()

def test_plain(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""


def collected(result) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_ids_and_order(project):
    """Every question meets every pipeline; pipelines vary slowest, over all tests, so each loads once."""
    project.append("conftest.py", OTHER)
    project.write("test_it.py", BOTH)
    project.ask(experts=project_question(), größe=project_question())
    result = project.run("--evals-pipelines", "other,baseline", "--collect-only", "-q")
    assert collected(result) == [
        "test_it.py::test_async[other-experts]",
        r"test_it.py::test_async[other-gr\xf6\xdfe]",
        "test_it.py::test_plain[other-experts]",
        r"test_it.py::test_plain[other-gr\xf6\xdfe]",
        "test_it.py::test_async[baseline-experts]",
        r"test_it.py::test_async[baseline-gr\xf6\xdfe]",
        "test_it.py::test_plain[baseline-experts]",
        r"test_it.py::test_plain[baseline-gr\xf6\xdfe]",
    ]


def project_question() -> str:
    return "faithfulness=0.9 relevancy=0.8"


def test_async_and_plain_tests_run(project, how):
    """Async tests await, plain ones call `result()`; both run serially, in parallel and without xdist."""
    project.append("conftest.py", OTHER)
    project.write("test_it.py", BOTH)
    project.ask(a=project_question(), b=project_question())
    result = project.run("--evals-pipelines", "baseline", "--evals-pipelines", "other", *how)
    result.assert_outcomes(passed=8)
    assert result.ret == 0
    assert sorted(line["test"] for line in project.evaluations) == sorted(
        f"test_it.py::{test}[{pipeline}-{question}]"
        for test in ("test_async", "test_plain")
        for pipeline in ("baseline", "other")
        for question in ("a", "b")
    )


def test_header_says_what_is_about_to_happen(project):
    """Below the count of tests stands what is evaluated, in which mode, against which thresholds."""
    result = project.run("--evals-thresholds", "relevancy=0.75", "--evals-mode", "report")
    assert result.outlines[result.outlines.index("collected 1 item") + 1] == (
        "evals: 1 evaluation, mode report, faithfulness, relevancy >= 0.75, refusal"
    )


def test_fixtures_of_others_are_left_alone(project):
    """Fixtures called `question` and `pipeline` in tests that evaluate nothing are their owner's."""
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture
        def question():
            return "mine"

        @pytest.fixture(params=["x", "y"])
        def pipeline(request):
            return request.param

        def test_mine(pipeline, question):
            assert (pipeline in "xy", question) == (True, "mine")

        @pytest.mark.parametrize("question", ["theirs"])
        def test_theirs(question):
            assert question == "theirs"
        """.replace("\n        ", "\n"),
    )
    result = project.run("-v")
    result.assert_outcomes(passed=3)
    assert [line.split()[0] for line in collected(result)] == [
        "test_it.py::test_mine[x]",
        "test_it.py::test_mine[y]",
        "test_it.py::test_theirs[theirs]",
    ]
    assert project.runs == []


def test_questions_of_a_test_of_its_own(project):
    """A test that parametrizes `question` itself is asked those, and needs no question file."""
    (project.path / "questions.jsonl").unlink()
    project.write(
        "test_it.py",
        """
        import pytest
        from rag_evals import Question

        @pytest.mark.parametrize("question", [Question("own", "faithfulness=0.9")], ids=["own"])
        def test_own(evaluate, pipeline, question):
            evaluate(pipeline, question).result().require()
        """.replace("\n        ", "\n"),
    )
    result = project.run("-v")
    result.assert_outcomes(passed=1)
    assert [line.split()[0] for line in collected(result)] == ["test_it.py::test_own[baseline-own]"]


def test_mark_parametrizes_without_the_fixture(project):
    """The marker alone parametrizes `question` and `pipeline`, for tests that look at answers themselves."""
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.evals
        async def test_answer(pipeline, question):
            assert (await pipeline.answer(question.question)).text == question.question
        """.replace("\n        ", "\n"),
    )
    result = project.run("-v")
    result.assert_outcomes(passed=1)
    assert [line.split()[0] for line in collected(result)] == ["test_it.py::test_answer[baseline-good]"]
    assert project.runs == []


def test_pipeline_of_a_function(project, summary):
    """A user's own function is a pipeline; its fixture's name is its name in ids, records and reports."""
    project.append(
        "conftest.py",
        """
from rag_evals import pipeline_from

@pytest.fixture(scope="session")
def mine():
    async def ask(question):
        return question, ["Two of eight experts."]
    return pipeline_from(ask)

@pytest.fixture(scope="session")
def yours():
    def ask(question):
        return "faithfulness=0.25 relevancy=none", []
    return pipeline_from(ask)
""",
    )
    result = project.run("-v", "--evals-pipelines", "mine,yours")
    result.assert_outcomes(passed=1, failed=1)
    assert [line.split()[0] for line in collected(result)[:2]] == [
        "test_it.py::test_answer[mine-good]",
        "test_it.py::test_answer[yours-good]",
    ]
    assert [(line["pipeline"], line["contexts"]) for line in project.evaluations] == [
        (
            "mine",
            [
                {
                    "text": "Two of eight experts.",
                    "document": "",
                    "page": None,
                    "start": None,
                    "end": None,
                    "score": None,
                }
            ],
        ),
        ("yours", []),
    ]
    assert [line["name"] for line in project.lines if line["type"] == "pipeline"] == ["mine", "yours"]
    assert [line.split()[0] for line in summary(result)[-3:-1]] == ["mine", "yours"]
