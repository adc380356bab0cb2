"""Criteria and checks of a project's own: metrics of its runs in every respect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.cli.main import main

from tests.servers.openai import LoopbackOpenAI, graded

ROOT = Path(__file__).parents[2]
PLAIN = """
def test_it(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""
PIPELINE = """
import pytest
from rag_evals import Check, Criterion, Score, contains
from rag_evals.testing import FakeJudge, FakePipeline

ANSWERS = {
    "What is it?": "It costs 20 EUR.",
    "What does it cost?": "It costs a lot of money, more than anybody has.",
}

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(ANSWERS, name="baseline")
"""
JUDGE = """
@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8, "refusal": 0.7})
"""
CHECKS = '''
def short(question, answer):
    """The answer is longer than 40 characters."""
    return len(answer.text) <= 40

@pytest.fixture(scope="session")
def evals_criteria():
    return [contains("EUR", name="has_price"), short]
'''
CRITERION = """
@pytest.fixture(scope="session")
def evals_criteria():
    return [Criterion("names_price", asks="Does the reply name the price?")]
"""
ON_SERVER = """
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

@pytest.fixture(scope="session")
def judge(evals_settings):
    known = evals_settings.known
    scorer = ChoiceScorer(RemoteLLM("m", "{url}"), criteria=known.criteria)
    return CalibratedJudge(scorer, metrics=evals_settings.metrics, known=known)
"""


@pytest.fixture
def checked(project):
    """A project with a judge, and two checks of its own; an answer passes both, the other one none."""
    project.write("conftest.py", PIPELINE + JUDGE + CHECKS)
    project.write("test_it.py", PLAIN)
    project.ask(good="What is it?", bad="What does it cost?")
    return project


@pytest.fixture
def server() -> Iterator[LoopbackOpenAI]:
    """A model that takes "EUR" for a price."""

    def answer(body: dict[str, Any]) -> Any:
        share = 0.9 if "EUR" in str(body) else 0.1
        return graded({"yes": share, "no": 1.0 - share})

    with LoopbackOpenAI(answer) as running:
        yield running


@pytest.fixture
def asked(project, server):
    """A project with a criterion, which a judge on a server is asked."""
    project.write("conftest.py", PIPELINE + CRITERION + ON_SERVER.format(url=server.url))
    project.write("test_it.py", PLAIN)
    project.ask(good="What is it?", bad="What does it cost?")
    return project


def values(project) -> dict[str, dict[str, float | None]]:
    """Return the values of the latest run."""
    run = project.last_run
    lines = map(json.loads, (run / "records.jsonl").read_text("utf-8").splitlines())
    return {
        line["question_id"]: {metric: s["value"] for metric, s in line["scores"].items()}
        for line in lines
        if line["type"] == "evaluation"
    }


def problem(result: pytest.RunResult) -> str:
    """Return the one line that says what is wrong with the configuration."""
    assert result.ret == 4
    (line,) = [line for line in (*result.outlines, *result.errlines) if line.startswith("ERROR: ")]
    return line.removeprefix("ERROR: ")


# --- checks ---


def test_checks_are_metrics(checked, how, errors):
    """What the project lists is scored beside the defaults, held to 0.5, recorded and shown."""
    result = checked.run(*how)
    result.assert_outcomes(passed=1, failed=1)
    judged = {"faithfulness": 0.9, "relevancy": 0.8, "refusal": 0.7}
    assert values(checked) == {
        "good": {**judged, "has_price": 1.0, "short": 1.0},
        "bad": {**judged, "has_price": 0.0, "short": 0.0},
    }
    assert errors(result) == [
        'rag_evals.evals.base.errors.BreachError: has_price 0.00 < 0.50: not in the answer: "EUR"',
        "short 0.00 < 0.50: The answer is longer than 40 characters.",
    ]
    head = checked.lines[0]
    assert head["metrics"] == ["faithfulness", "relevancy", "refusal", "has_price", "short"]
    assert head["criteria"]["has_price"] == {"contains": ["EUR"], "matches_case": False}
    assert list(head["criteria"]["short"]) == ["function", "source"]
    (table,) = [line for line in result.outlines if line.startswith("pipeline  questions")]
    assert table.split() == [
        *("pipeline", "questions", "passed", "failed", "unscored", "faithfulness", "relevancy", "refusal"),
        *("has_price", "short", "s/question", "tokens/question"),
    ]


def test_checks_alone_load_no_model(project, how, monkeypatch):
    """There is no judge fixture, no model and no network: nothing of it is wanted, nor asked for by auto."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(project.path / "none"))
    project.write("conftest.py", PIPELINE + CHECKS)
    project.write("test_it.py", PLAIN)
    project.ask(good="What is it?")
    options = ("--evals-metrics=has_price", "--evals-offline", "--evals-judge=auto")
    result = project.run_apart(*options, *how)
    result.assert_outcomes(passed=1)
    assert values(project) == {"good": {"has_price": 1.0}}
    starts = ("plan:", "judge:")
    assert not [line for line in result.outlines if "choice" in line or line.startswith(starts)]
    assert [line["name"] for line in project.lines if line["type"] == "judge"] == ["checks alone"]


def test_a_check_is_made_anew(checked):
    """Answers and verdicts are taken from the cache; a check that changed counts as it is now."""
    checked.run()
    checked.write("conftest.py", checked.read("conftest.py").replace("<= 40", "<= 4"))
    checked.run()
    assert values(checked)["good"]["short"] == 0.0
    lines = map(json.loads, (checked.last_run / "records.jsonl").read_text("utf-8").splitlines())
    assert [line["cached"] for line in lines if line["type"] == "evaluation"] == [["answer", "scores"]] * 2


SHORT = "short.mean >= 0.1"


def test_thresholds_and_gates(checked, how):
    """Options, marks and question files hold checks as any metric; so does a condition."""
    checked.ask(good="What is it?", bad={"question": "What does it cost?", "thresholds": {"short": 0}})
    checked.write(
        "test_it.py", f"import pytest\npytestmark = pytest.mark.evals(has_price=0, gate='{SHORT}')\n" + PLAIN
    )
    result = checked.run("--evals-thresholds", "has_price=1", "--evals-gate", "has_price.mean >= 0.9", *how)
    result.assert_outcomes(passed=2)
    assert any(f"] {SHORT} " in line for line in result.outlines)
    (row,) = [line for line in result.outlines if "] has_price.mean >= 0.9 " in line]
    assert row.split()[:6] == ["INCONCLUSIVE", "[baseline]", "has_price.mean", ">=", "0.9", "0.50"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--evals-metrics", "has_prise"], "unknown metric 'has_prise', did you mean 'has_price'?"),
        (
            ["--evals-thresholds", "has_prise=1"],
            "unknown metric 'has_prise' in a threshold, did you mean 'has_price'?",
        ),
        (
            ["--evals-gate", "has_prise.mean >= 1"],
            "condition 'has_prise.mean >= 1', character 1: unknown metric or measure 'has_prise', did you "
            "mean 'has_price'?",
        ),
    ],
)
def test_a_typo(checked, options, said):
    """What is meant is said as for any metric."""
    assert problem(checked.run(*options)) == said


def test_what_workers_find_wrong(checked):
    """Only they see the list: the session ends with their word all the same."""
    result = checked.run("--evals-thresholds", "has_prise=1", "-n", "2")
    said = "unknown metric 'has_prise' in a threshold, did you mean 'has_price'?"
    assert problem(result) == said
    assert checked.runs == []


def test_a_judge_without_the_criterion(project, how):
    """A judge of the project's own that gives no score of a criterion leaves it unscored, with that cause."""
    project.write("conftest.py", PIPELINE + JUDGE + CRITERION)
    project.write("test_it.py", PLAIN)
    project.ask(good="What is it?")
    result = project.run("-rs", *how)
    result.assert_outcomes(skipped=1)
    reason = "fake gives no score of it: criteria are put to the judge of --evals-judge"
    assert any(f"names_price unscored: {reason}" in line for line in result.outlines)


# --- criteria ---


def test_a_criterion_is_judged(asked, server, how, errors):
    """By the probability of yes against no, in the project's words; the same again is from the cache."""
    for count in (2, 2):
        result = asked.run("--evals-metrics", "names_price", *how)
        result.assert_outcomes(passed=1, failed=1)
        assert {key: round(one["names_price"], 6) for key, one in values(asked).items()} == {
            "good": 0.9,
            "bad": 0.1,
        }
        assert errors(result) == [
            "rag_evals.evals.base.errors.BreachError: names_price 0.10 < 0.50: "
            '"It costs a lot of money, more than anybody has." gets a no for "Does the reply name the price?"'
        ]
        bodies = [body for body in server.bodies if "Reply: It costs" in json.dumps(body)]
        assert len(bodies) == count
    assert "Does the reply name the price? Answer yes or no." in json.dumps(bodies[0])


def test_a_changed_criterion_is_judged_anew(asked, server):
    """What is asked is part of a score's identity; other metrics keep theirs."""
    asked.run("--evals-metrics", "names_price")
    seen = len(server.bodies)
    asked.write("conftest.py", asked.read("conftest.py").replace("name the price", "name a price"))
    asked.run("--evals-metrics", "names_price")
    assert len(server.bodies) == seen + 2 + 1  # and the first question to a server
    assert "name a price" in json.dumps(server.bodies[-1])


def test_a_comparison_says_that_a_criterion_changed(checked):
    """Before any number: what is compared is not the same."""
    checked.run("--evals-baseline", "main", "--evals-update-baseline", "--evals-mode", "gate")
    checked.write("conftest.py", checked.read("conftest.py").replace('"EUR", name', '"costs", name'))
    result = checked.run("--evals-baseline", "main", "--evals-mode", "gate")
    assert any(
        "criteria changed (has_price): their scores are not comparable" in line for line in result.outlines
    )


def test_reports(checked, capsys):
    """JUnit, the HTML page and the plan have them as any metric."""
    checked.run("--junit-xml", "junit.xml", "--evals-html", "report.html")
    assert "evals.has_price:test_it.py::test_it[baseline-bad]" in checked.read("junit.xml")
    assert "has_price" in checked.read("report.html")
    assert "not in the answer: &#34;EUR&#34;" in checked.read("report.html")
    for command in (["report", "latest", "--format", "markdown"], ["compare", "latest", "latest"]):
        assert main([*command, "--home", ".rag-evals"]) == 0
        assert "has_price" in capsys.readouterr().out


def test_a_run_goes_on_with_the_same_criteria(checked):
    """One that was interrupted is not continued with others."""
    checked.run("-x")
    run = checked.runs[0]
    lines = (run / "records.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[:-1]), "utf-8")
    checked.write("conftest.py", checked.read("conftest.py").replace('"EUR", name', '"USD", name'))
    said = problem(checked.run("--evals-continue", run.name))
    assert said == f"run {run.name} cannot go on, as it was asked for something else:"


# --- where they are from ---


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that offers criteria: one that works, one of another name, one that is broken."""
    folder = tmp_path / "site"
    about = folder / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "theirs_criteria.py").write_text(
        "from rag_evals import contains\n"
        'PRICE = contains("EUR", name="theirs_price")\n'
        'open(__file__ + ".loaded", "w").close()\n'
    )
    (folder / "theirs_broken.py").write_text("raise OSError('no such library')\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[rag_evals.criteria]\ntheirs_price = theirs_criteria:PRICE\nother = theirs_criteria:PRICE\n"
        "broken = theirs_broken:PRICE\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    return folder


def test_a_package_offers_criteria(checked, installed, how):
    """They are asked for by name, and loaded only then."""
    checked.run_apart(*how).assert_outcomes(passed=1, failed=1)
    assert not (installed / "theirs_criteria.py.loaded").exists()
    checked.run_apart("--evals-metrics", "theirs_price,short", *how).assert_outcomes(passed=1, failed=1)
    assert values(checked)["good"] == {
        **{"faithfulness": 0.9, "relevancy": 0.8, "refusal": 0.7},
        **{"theirs_price": 1.0, "short": 1.0},
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "broken",
            "criterion broken of theirs (theirs_broken:PRICE) cannot be loaded: OSError: no such library",
        ),
        (
            "other",
            "criterion other of theirs has the name theirs_price: its entry point has to be called the same",
        ),
        ("theirs_prise", "unknown metric 'theirs_prise', did you mean 'theirs_price'?"),
    ],
)
def test_a_package_that_offers_nothing(checked, installed, name, said):
    """What is wrong is said in one line, with the package."""
    assert problem(checked.run("--evals-metrics", name)) == said


RULE = "its name has to be one word of letters, digits and underscores that does not begin with a digit"
BEFORE = "it is called before any fixture is there, as names of metrics have to be known then"


@pytest.mark.parametrize(
    ("fixture", "said"),
    [
        (
            "():\n    return 3",
            " gave a number (3): return a list, each of it a Criterion, a check such as contains(...), or a "
            "function of the question and the answer",
        ),
        ("(tmp_path):\n    return []", f" takes tmp_path: {BEFORE}; it may take pytestconfig, or nothing"),
        ("():\n    yield []", " is a generator or async: return the list"),
        ("():\n    raise OSError('no disk')", " raised OSError: no disk"),
        (
            "():\n    return [Criterion('faithfulness', asks='Is it?')]",
            ", number 1: faithfulness is a bundled metric: give it another name",
        ),
        (
            "():\n    return [Criterion('latency', asks='Is it?')]",
            ", number 1: latency is a word that means something else beside metrics: give it another name",
        ),
        (
            "():\n    return [contains('a'), contains('b')]",
            ", number 2: there is a metric contains already: give one of the two another name, such as "
            "contains_2",
        ),
        (
            "():\n    return [Criterion('a b', asks='Is it?')]",
            f': criterion "a b": {RULE}, such as names_price',
        ),
        (
            "():\n    return [lambda question, answer: True]",
            f', number 1: check "<lambda>": {RULE}, such as names_price; write Check(NAME, function)',
        ),
    ],
)
def test_wrong_lists(project, fixture, said):
    """One line with the place, and pytest's exit code for usage; nothing is evaluated."""
    project.write(
        "conftest.py", f'{PIPELINE}{JUDGE}\n@pytest.fixture(scope="session")\ndef evals_criteria{fixture}'
    )
    line = len(f"{PIPELINE}{JUDGE}".splitlines()) + 2
    assert problem(project.run()) == f"evals_criteria (conftest.py:{line}){said}"
    assert project.runs == []


def test_two_lists(checked, how):
    """A run has one list: another one further down is refused, with both places."""
    checked.write(
        "sub/conftest.py",
        CHECKS.replace("def short", "import pytest\nfrom rag_evals import contains\ndef short"),
    )
    checked.write("sub/test_sub.py", PLAIN.replace("test_it", "test_sub"))
    said = problem(checked.run(*how))
    assert re.sub(r":\d+\)", ":N)", said) == (
        "two lists of criteria in one run: sub/test_sub.py::test_sub has evals_criteria (sub/conftest.py:N); "
        "test_it.py::test_it has evals_criteria (conftest.py:N): a run has one, give the fixture "
        "evals_criteria in a conftest.py above both"
    )


def test_a_list_of_no_evaluation_is_left_alone(project):
    """Where nothing evaluates, the function is not called."""
    project.append("conftest.py", "@pytest.fixture\ndef evals_criteria():\n    raise OSError\n")
    project.write("test_it.py", "def test_plain():\n    pass\n")
    project.run().assert_outcomes(passed=1)
