"""Retrieval scored by itself: the suite of a user's own pipelines, its gate, its reports."""

from __future__ import annotations

import re

import pytest
from rag_evals.evals.runs.trace_lines import load_traces

CONFTEST = """
import pytest
from rag_evals.evals.runs.trace_lines import load_traces
from rag_evals import Context, pipeline_from
from rag_evals.rag.answer import Retrieval, Span
from rag_evals.rag.identity import digest
from rag_evals.testing import FakeJudge

TEXT = "Returns take 30 days. Delivery takes two days. Gifts are wrapped."
PLACES = {"returns": (0, 21), "delivery": (22, 46), "gifts": (47, 65)}

def context(name):
    start, end = PLACES[name]
    return Context(TEXT[start:end], "shop.md", start=start, end=end)

class Shop:
    '''Searches by the first letters of words; answers with a model that must not be asked.'''
    name = "shop"
    fingerprint = "shop-1"
    searching = "search-1"

    async def answer(self, question):
        raise AssertionError("nothing is to be answered")

    async def search(self, question):
        if "no-disk" in question:
            raise OSError("no disk")
        found = [context(name) for name in PLACES if name[0] in question]
        candidates = tuple(one.places[0] for one in reversed(found))
        return Retrieval(tuple(found[:2]), {"retrieve": 0.1}, stages={"candidates": candidates})

@pytest.fixture(scope="session")
def shop():
    return Shop()

@pytest.fixture(scope="session")
def plain():
    return pipeline_from(lambda question: (question, [context("gifts")]), name="plain")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.9})
"""
TEST = """
def test_found(evaluate_retrieval, pipeline, question):
    evaluate_retrieval(pipeline, question).result().require()
"""
ANSWERS = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""


def source(start: int, end: int, **more: object) -> dict[str, object]:
    return {"document": "shop.md", "start": start, "end": end, **more}


QUESTIONS = {
    "returns": {"question": "r?", "sources": [source(0, 21)]},
    "both": {"question": "rd?", "sources": [source(0, 21), source(22, 46)]},
    "lost": {"question": "rdg?", "sources": [source(47, 65)]},
    "unknown": {"question": "r?", "answerable": False},
    "sourceless": {"question": "d?", "reference": "Two days."},
}


@pytest.fixture
def shop(project):
    """A project with a pipeline that searches, and tests of retrieval alone."""
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", TEST)
    project.ask(**QUESTIONS)
    return project


def table(result: pytest.RunResult) -> list[str]:
    """Return the table of retrieval, with two blanks between its cells."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if line.startswith("retrieval "))
    end = next(n for n, line in enumerate(lines[start:], start) if not line.strip())
    return [re.sub(" {2,}", "  ", line) for line in lines[start:end]]


def test_each_question_with_sources_is_a_test(shop, how):
    """One without sources, or that the documents do not answer, is none; a miss says what was lost where."""
    result = shop.run("--evals-pipelines=shop", *how)
    result.assert_outcomes(passed=2, failed=1)
    said = result.stdout.str()
    assert "retrieval.recall@8 0.00 < 0.50: shop.md (characters 47 to 65) is not among the 2 passages" in said
    assert "candidates" in said.partition("is not among the 2 passages")[2].partition("\n")[0]
    assert table(result) == [
        "retrieval  stage  questions  recall@8  ndcg@10  mrr  unjudged@10",
        "shop  candidates  3  1.00  1.00  1.00  0.22",
        "shop  result  3  0.67  0.67  0.67  0.33",
    ]


def test_the_record_has_scores_stages_and_no_answer(shop, how):
    """Each line has what each stage gave; nothing was answered or judged by a model."""
    shop.run("--evals-pipelines=shop", "--evals-mode=report", *how)
    lines = {line["question_id"]: line for line in shop.evaluations}
    assert set(lines) == {"returns", "both", "lost"}
    lost = lines["lost"]
    assert (lost["answer"], lost["tokens"]["evaluated"]) == ("", 0)
    assert [span["start"] for span in lost["retrieved"]["candidates"]] == [47, 22, 0]
    assert [context["start"] for context in lost["contexts"]] == [0, 22]
    assert {name: score["value"] for name, score in lost["scores"].items()} == {
        "retrieval.recall@8": 0.0,
        "retrieval.ndcg@10": 0.0,
        "retrieval.mrr": 0.0,
    }


def test_what_fails_counts_as_not_found(shop):
    """A search that raises has found nothing: it is in every mean, with its cause."""
    shop.ask(returns=QUESTIONS["returns"], broken={"question": "no-disk r?", "sources": [source(0, 21)]})
    result = shop.run("--evals-pipelines=shop", "--evals-mode=report")
    assert table(result)[-1] == "shop  result  2  0.50  0.50  0.50  0.00"
    assert "broken: pipeline shop raised OSError: no disk" in result.stdout.str()


def test_a_pipeline_that_only_answers(shop):
    """Its contexts are what it found; a model is asked then."""
    result = shop.run("--evals-pipelines=plain", "--evals-mode=report")
    assert table(result)[1:] == ["plain  result  3  0.33  0.33  0.33  0.67"]


def test_both_in_one_run(shop):
    """Answers and retrieval of the same questions are counted apart, and decided apart."""
    shop.append("test_it.py", ANSWERS)
    result = shop.run(
        "--evals-pipelines=plain",
        "--evals-mode=gate",
        "--evals-judge-floor=0",
        "--evals-gate=retrieval.recall@8 <= 0.9",
        "--evals-gate=faithfulness.min >= 0.9",
        "--evals-gate=[tag:none] retrieval.mrr.p90 > 0",
    )
    rows = [re.sub(" {2,}", "  ", line) for line in result.outlines]
    assert "PASS  [plain] faithfulness.min >= 0.9  0.90  counted  4" in rows
    assert any(row.startswith("INCONCLUSIVE  [plain] retrieval.recall@8.mean <= 0.9  0.33") for row in rows)
    assert "INCONCLUSIVE  [tag:none] retrieval.mrr.p90 > 0  -  -  0  no evaluation is in its scope" in rows
    assert "plain  5  4  0  1  0.90  0.90  -  0.0  0" in rows


@pytest.mark.parametrize(("part", "passed"), [("retrieval", 3), ("answers", 5)])
def test_only_a_part(shop, part, passed):
    """The conditions on the other part are none of this run."""
    shop.append("test_it.py", ANSWERS)
    result = shop.run(
        "--evals-pipelines=plain",
        f"--evals-only={part}",
        "--evals-mode=gate",
        "--evals-judge-floor=0",
        "--evals-gate=retrieval.recall@8.min >= 0",
        "--evals-gate=relevancy.min >= 0.5",
    )
    result.assert_outcomes(passed=passed, deselected=8 - passed)
    assert result.outlines.count("gate: PASS") == 1


def test_compared_with_a_baseline(shop):
    """The same run again passes by identity; one that finds less has flips."""
    project = shop
    project.run("--evals-pipelines=shop", "--evals-mode=report")
    result = project.run("--evals-pipelines=shop", "--evals-mode=report", "--evals-baseline=latest")
    assert "- shop: PASS by identity: pipeline, judge and every answer are the baseline's" in result.outlines
    worse = CONFTEST.replace("found[:2]", "found[1:2]").replace("search-1", "search-2")
    project.write("conftest.py", worse.replace("shop-1", "shop-2"))
    result = project.run("--evals-pipelines=shop", "--evals-mode=report", "--evals-baseline=latest")
    rows = [re.sub(" {2,}", "  ", line) for line in result.outlines]
    assert any(re.match(r"\w+  shop  retrieval.recall@8  3  0.667  0.167  -0.500", row) for row in rows)
    assert not any("pass_rate" in row for row in rows)


def test_a_run_that_goes_on(shop):
    """What was found before the session ended is not searched again."""
    shop.append(
        "conftest.py",
        "def pytest_runtest_teardown(item):\n    if 'both' in item.name: raise KeyboardInterrupt",
    )
    shop.run_apart("--evals-pipelines=shop", "--evals-mode=report")
    shop.write("conftest.py", CONFTEST)
    result = shop.run_apart("--evals-pipelines=shop", "--evals-mode=report", "--evals-continue=latest")
    result.assert_outcomes(passed=3)
    assert sorted(line["question_id"] for line in shop.evaluations) == ["both", "lost", "returns"]


def test_thresholds_and_marks(shop):
    """Metrics of retrieval have thresholds like others."""
    shop.write(
        "test_it.py",
        "import pytest\n@pytest.mark.evals(**{'retrieval.mrr': 0.9}, gate='retrieval.mrr.min >= 0.1')" + TEST,
    )
    result = shop.run("--evals-pipelines=shop", "--evals-thresholds=retrieval.ndcg@10=0.1", "-k", "lost")
    said = result.stdout.str()
    for breach in ("recall@8 0.00 < 0.50", "ndcg@10 0.00 < 0.10", "mrr 0.00 < 0.90"):
        assert f"retrieval.{breach}: shop.md" in said
    assert "BLOCK    [shop] retrieval.mrr.min >= 0.1" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--evals-retrieval-metrics=retrieval.recal@8"],
            'unknown metric "retrieval.recal@8", did you mean "retrieval.recall@8"?',
        ),
        (
            ["--evals-retrieval-metrics=retrieval.hit@0"],
            '"retrieval.hit@0": k is 0, and passages are counted from 1',
        ),
        (["--evals-tau=0"], "tau = 0: it is the share of a source to be covered, above 0 and at most 1"),
        (["--evals-only=both"], "unknown evals_only 'both': one of retrieval, answers"),
        (
            ["--evals-gate=retrieval.recall@x >= 0.9"],
            "condition 'retrieval.recall@x >= 0.9', character 1: \"retrieval.recall@x\": k is a whole number "
            'up to 999999, not "x"',
        ),
    ],
)
def test_wrong_options(shop, options, said):
    """One line, and pytest's usage status."""
    result = shop.run("--evals-pipelines=shop", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str() + result.stdout.str()


def test_no_question_has_a_source(shop):
    """Answers are evaluated all the same, and it is said; where nothing else is, it is an error."""
    shop.ask(sourceless=QUESTIONS["sourceless"])
    why = "retrieval is scored by the sources of questions (docs/questions.md), and no question has one"
    result = shop.run("--evals-pipelines=plain")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: there is nothing to evaluate: {why}" in result.stderr.str() + result.stdout.str()
    shop.append("test_it.py", ANSWERS)
    result = shop.run("--evals-pipelines=plain", "--evals-mode=report", "--evals-max-unscored=1")
    result.assert_outcomes(passed=1, skipped=1)
    assert f"test_it.py::test_found is left out: {why}" in result.stdout.str() + result.stderr.str()


def test_the_reports_have_it(shop):
    """HTML, JUnit and Markdown name the figures and each question's."""
    shop.run("--evals-pipelines=shop", "--evals-mode=report", "--evals-html=r.html", "--junitxml=r.xml")
    page = shop.read("r.html")
    assert "recall of shop over the number of passages" in page
    assert '<th scope="row">shop</th><td>candidates</td>' in page
    assert '<th scope="col">by tau</th>' in page
    assert 'evals.retrieval.recall@8:test_it.py::test_found[shop-returns]" value="1' in shop.read("r.xml")


def test_traces_of_both_are_kept_apart(shop):
    """A question whose answer is evaluated as well has a trace of each."""
    shop.append("test_it.py", ANSWERS)
    shop.run("--evals-pipelines=plain", "--evals-mode=report", "--evals-traces", "-k", "both")
    (run,) = shop.runs
    assert sorted(load_traces(run)) == [("plain", "both", 0, False), ("plain", "both", 0, True)]


def test_weights_and_biases(shop, server, monkeypatch):
    """Rows have columns for what was asked of retrieval, the summary its means with intervals."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    shop.append("test_it.py", ANSWERS)
    shop.run_apart(
        "--evals-pipelines=plain", "--evals-mode=report", "--evals-wandb=rag", "--evals-tracker-wait=60"
    )
    (run,) = server.runs.values()
    assert (run.summary["n"], run.summary["n_retrieval"]) == (5, 3)
    assert run.summary["retrieval.mrr_mean"] == pytest.approx(1 / 3)
    assert run.summary["pass_rate"] == 1.0
    table = run.tables[run.history[-1]["evaluations"]["path"]]
    mrr = table["columns"].index("retrieval.mrr")
    assert sorted(str(row[mrr]) for row in table["data"]) == ["0.0", "0.0", "1.0", *["None"] * 5]


def test_documents_are_told_apart(shop):
    """Where sources are in several documents the report has the figures of each."""
    shop.ask(
        returns=QUESTIONS["returns"],
        other={"question": "d?", "sources": [{"document": "other.md", "start": 0, "end": 9}]},
    )
    shop.run("--evals-pipelines=shop", "--evals-mode=report", "--evals-html=r.html")
    rows = re.findall(r'<tr><th scope="row">(\w+\.md)</th>(.*?)</tr>', shop.read("r.html"))
    cells = {document: re.findall("<td>(.*?)</td>", row) for document, row in rows}
    assert cells == {
        "other.md": ["shop", "1", "0.00", "0.00", "0.00"],
        "shop.md": ["shop", "1", "1.00", "1.00", "1.00"],
    }


def test_sources_beyond_their_documents(shop):
    """They are named before anything is searched: they would count as not found."""
    shop.write("docs/shop.md", "Returns take 30 days. Delivery takes two days. Gifts are wrapped.")
    shop.ask(
        returns=QUESTIONS["returns"],
        beyond={"question": "r?", "sources": [source(60, 99)]},
        other={"question": "r?", "sources": [{"document": "shop.mdd", "page": 1}]},
    )
    result = shop.run("--evals-pipelines=shop", "--evals-docs=docs")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stdout.str()
    assert "sources stand beyond their documents, or in none: correct them, or leave them out:" in said
    assert 'beyond: character 99 of "shop.md", whose text has 65' in said
    assert 'other: "shop.mdd" is not among the 1 document (did you mean "shop.md"?)' in said


def test_retrieval_comes_first(shop):
    """Of each pipeline, in the places of the tests that evaluate; others stay where they are."""
    shop.write("test_it.py", "def test_first(): pass\n" + ANSWERS + TEST + "\ndef test_last(): pass\n")
    result = shop.run("--evals-pipelines=plain", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "test_it.py::test_first",
        *(f"test_it.py::test_found[plain-{name}]" for name in ("returns", "both", "lost")),
        *(f"test_it.py::test_answer[plain-{name}]" for name in QUESTIONS),
        "test_it.py::test_last",
    ]
