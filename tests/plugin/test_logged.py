"""Answers that are there already: each line of a log is a test, and nothing but the judge is loaded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.questions.load import load_questions

# The judge reads its scores from the answer, and writes down what it really judges.
CONFTEST = """
import os
import pytest
from rag_evals.testing import FakeJudge

def scores(question, answer):
    with open("judged.txt", "a") as file:
        print(question.id, file=file)
    words = answer.text.split()
    pairs = (word.split("=") for word in words if "=" in word)
    return {metric: float(value) for metric, value in pairs}

class Judge(FakeJudge):
    def __init__(self):
        super().__init__(scores)
        from rag_evals.rag.profile import Profile
        self.profile = Profile()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""
GOOD = "faithfulness=0.9 relevancy=0.8"
BAD = "faithfulness=0.1 relevancy=0.8"
LOG = ("--evals-answers", "log.jsonl")


def line(name: str | None, answer: str = GOOD, **more: object) -> dict:
    named = {} if name is None else {"id": name}
    return {**named, "question": f"What of {name}?", "answer": answer, "contexts": ["Some."], **more}


@pytest.fixture
def project(project, monkeypatch):
    """No pipeline, no question file, no models, no documents: a log, and a judge."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(project.path / "no-models"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    project.write("conftest.py", CONFTEST)
    return project


def log(project, *lines: object, name: str = "log.jsonl") -> None:
    project.write(name, "".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))


def judged(project) -> list[str]:
    file = project.path / "judged.txt"
    return sorted(file.read_text("utf-8").split()) if file.exists() else []


def ids(project) -> list[str]:
    return sorted(line["question_id"] for line in project.evaluations)


def said(result: pytest.RunResult) -> list[str]:
    """Return what is said of the log: before the first test, but in a run with workers, and at the end."""
    found = [line for line in result.outlines if line.startswith("answers: ")]
    expected = list(dict.fromkeys(found))
    assert found in (expected, expected * 2)
    return expected


def test_each_line_is_a_test(project, how):
    """Answers are judged as they stand there; what the log says beside them is in the record."""
    log(
        project,
        line("a", model="big", time="2026-03-01", trace="t1", feedback="down", seconds=2.5, user="u"),
        line("b", BAD, tokens={"read": 10, "written": 4}, metadata={"api_key": "abcdefgh1234"}),
    )
    result = project.run(*LOG, *how)
    result.assert_outcomes(passed=1, failed=1)
    assert [line.strip() for line in result.outlines if "faithfulness 0.10" in line]
    first, second = sorted(project.evaluations, key=lambda e: e["question_id"])
    assert first["logged"] == {
        "model": "big",
        "time": "2026-03-01",
        "trace": "t1",
        "feedback": "down",
        "metadata": {"user": "u"},
    }
    assert (first["pipeline"], first["answer"], first["seconds"]["answer"]) == ("logged", GOOD, 2.5)
    assert first["contexts"][0]["text"] == "Some."
    assert second["logged"] == {"metadata": {"api_key": "***"}}
    assert second["tokens"]["stages"]["answer"] == {"evaluated": 10, "reused": 0, "generated": 4}
    assert project.lines[0]["answers"].items() >= {"lines": 2, "drawn": 2}.items()
    assert [*(project.path / "no-models").glob("*")] == []


def test_the_bundled_suite_is_unchanged(project, how):
    """`pytest --pyargs rag_evals.evals` judges the log; without sources, retrieval is left out."""
    log(project, line("a"), line("b"))
    project.path.joinpath("test_it.py").unlink()
    result = project.run("--pyargs", "rag_evals.evals", *LOG, *how)
    result.assert_outcomes(passed=2, skipped=1)
    assert ids(project) == ["a", "b"]


def test_an_unchanged_run_judges_nothing_again(project):
    """What was judged is in the cache; another answer to the same question is judged."""
    log(project, line("a"), line("b"))
    project.run(*LOG)
    result = project.run(*LOG)
    assert judged(project) == ["a", "b"]
    assert "cache: 2 of 2 verdicts reused" in result.outlines
    log(project, line("a"), line("b", f"{GOOD} indeed"))
    project.run(*LOG)
    assert judged(project) == ["a", "b", "b"]


def test_nothing_is_held_of_tests_that_are_over(project):
    """What was recorded of a test does not stay with it: pytest keeps each test to the end."""
    log(project, line("a"), line("b"))
    project.append(
        "conftest.py",
        """
def pytest_sessionfinish(session):
    assert [item.user_properties for item in session.items] == [[], []]
""",
    )
    project.run(*LOG).assert_outcomes(passed=2)
    assert ids(project) == ["a", "b"]


def test_two_answers_to_one_question(project, how):
    """They are two tests, each with its own answer."""
    log(
        project,
        {"question": "Why?", "answer": GOOD, "contexts": ["A."]},
        {"question": "Why?", "answer": BAD, "contexts": ["A."]},
    )
    project.run(*LOG, *how).assert_outcomes(passed=1, failed=1)
    assert sorted(e["answer"] for e in project.evaluations) == [BAD, GOOD]
    assert all(e["question_id"].startswith("why-") for e in project.evaluations)


def test_answers_without_contexts(project, how):
    """What is held against contexts is unscored for that cause, the rest is scored; [] is none found."""
    log(project, line("a", contexts=None), line("b", contexts=[]))
    result = project.run(*LOG, "--evals-max-unscored", "0.5", *how)
    result.assert_outcomes(passed=1, skipped=1)
    first, second = sorted(project.evaluations, key=lambda e: e["question_id"])
    assert (first["scores"]["faithfulness"]["value"], first["scores"]["faithfulness"]["reason"]) == (
        None,
        "the log has no contexts",
    )
    assert (first["scores"]["relevancy"]["value"], first["contexts_known"]) == (0.8, False)
    assert (second["scores"]["faithfulness"]["value"], "contexts_known" in second) == (0.9, False)
    assert said(result) == [
        "answers: 2 logged answers",
        "answers: 1 of 2 answers tells no contexts, and is unscored in what is held against them, such as "
        "faithfulness: --evals-metrics relevancy,refusal leaves that out",
    ]


def test_citations_without_contexts(project):
    """What an answer cites cannot be held against passages that nobody knows: unscored, and no breach."""
    log(project, line("a", "So [1]. citation_precision=0.1 citation_recall=0.1", contexts=None))
    metrics = ("--evals-metrics", "citation_precision,citation_recall", "--evals-max-unscored", "1")
    project.run(*LOG, *metrics).assert_outcomes(skipped=1)
    (evaluation,) = project.evaluations
    assert {(one["value"], one["reason"]) for one in evaluation["scores"].values()} == {
        (None, "the log has no contexts")
    }


def test_duplicates_count_once(project, how):
    """They are named on the terminal and in the record, whatever their white space and letter case."""
    log(
        project,
        line("a"),
        line("c", question="What of  A?", answer=GOOD.upper()),
        line("a"),
        line("b"),
    )
    result = project.run(*LOG, *how)
    result.assert_outcomes(passed=2)
    expected = (
        "answers: 2 of 4 logged answers say what others say, and what is said twice counts once: "
        "a (again), c (as a)"
    )
    assert said(result) == ["answers: 2 logged answers", expected]
    assert project.lines[0]["answers"]["named"] == [["a", "a"], ["c", "a"]]


def test_a_sample(project, how):
    """So many are drawn of each stratum as is its share; the gate knows of how many they were drawn."""
    log(project, *(line(f"q{n}", channel="web" if n % 4 else "mail") for n in range(40)))
    sample = ("--evals-sample", "20", "--evals-seed", "7", "--evals-stratify", "channel")
    result = project.run(*LOG, *sample, "--evals-gate", "pass_rate >= 0.9", *how)
    result.assert_outcomes(passed=20)
    assert said(result) == ["answers: 20 of 40 logged answers, drawn by channel in 2 strata with seed 7"]
    drawn = [json.dumps(line["drawn"], sort_keys=True) for line in project.evaluations]
    assert sorted(drawn) == sorted(
        ['{"count": 5, "population": 10, "stratum": "mail"}'] * 5
        + ['{"count": 15, "population": 30, "stratum": "web"}'] * 15
    )
    assert (
        project.lines[0]["answers"].items()
        >= {
            "drawn": 20,
            "population": 40,
            "seed": 7,
            "by": "channel",
            "strata": [["mail", 10, 5], ["web", 30, 15]],
        }.items()
    )
    (held,) = next(line["conditions"] for line in project.lines if line["type"] == "ruling")
    # Of an endless population it would be 0.84.
    assert held["interval"]["low"] == pytest.approx(0.8999, abs=0.001)


def test_a_sample_is_the_same_whatever_the_order(project):
    """The seed and the ids decide; another seed draws others."""
    lines = [line(f"q{n}") for n in range(30)]
    drawn = []
    for order, seed in ((lines, "1"), (lines[::-1], "1"), (lines, "2")):
        log(project, *order)
        (project.path / "judged.txt").unlink(missing_ok=True)
        project.run(*LOG, "--evals-sample", "5", "--evals-seed", seed, "--evals-no-cache")
        drawn.append(judged(project))
    assert drawn[0] == drawn[1] != drawn[2]
    assert list(map(len, drawn)) == [5, 5, 5]


def test_shards_of_a_sample(project):
    """The same is drawn for each shard, and together they are the whole."""
    from rag_evals.evals.cli.main import main

    log(project, *(line(f"q{n}") for n in range(30)))
    for index in (1, 2):
        project.run(*LOG, "--evals-sample", "10", "--evals-shard", f"{index}/2")
    assert len(judged(project)) == 10
    home = project.path / ".rag-evals"
    assert main(["merge", "--home", str(home), *map(str, project.runs)]) == 0


def test_broken_lines(project, how):
    """Each problem has its file and line; the session ends with pytest's usage error."""
    log(
        project,
        line("a"),
        '{"question": "cut',
        {"question": "Q"},
        {"answer": 3},
        line("a", BAD),
        line("b", contexts=[1], time="now"),
    )
    result = project.run(*LOG, *how)
    assert result.ret == 4
    text = "\n".join((*result.outlines, *result.errlines))
    assert (
        "ERROR: 7 problems in logs of answers:\n"
        "  log.jsonl:2: invalid JSON at column 14: Unterminated string starting at\n"
        '  log.jsonl:3: missing "answer"\n'
        '  log.jsonl:4: missing "question"\n'
        '  log.jsonl:4: "answer" is not text but a number (3)\n'
        '  log.jsonl:5: duplicate id "a" (first at log.jsonl:1)\n'
        "  log.jsonl:6: contexts[0] is not text but a number (1)\n"
        '  log.jsonl:6: "time" = "now" is no time of ISO 8601, such as 2026-03-01T12:30:00Z' in text
    )


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (
            ("--evals-answers", "none*.jsonl"),
            '1 pattern without a log of answers under {path}:\n  "{path}/none*.jsonl"',
        ),
        (
            (*LOG, "--evals-questions", "questions.jsonl", "--evals-pipelines", "x"),
            "--evals-answers judges answers that are there: leave out --evals-questions and "
            "--evals-pipelines, which has some made",
        ),
        (
            ("--evals-sample", "3", "--evals-seed", "1"),
            "evals_sample, evals_seed: a sample is drawn of logged answers: give --evals-answers FILE",
        ),
        (
            (*LOG, "--evals-stratify", "model"),
            "evals_stratify = model: say how many are drawn with --evals-sample N",
        ),
        (
            (*LOG, "--evals-sample", "1", "--evals-stratify", "modl"),
            'evals_stratify = modl: no logged answer has such a field; did you mean "model"?',
        ),
        ((*LOG, "--evals-sample", "-1"), "evals_sample = -1: at least 0"),
        (
            (*LOG, "--evals-mask", "names"),
            'evals_mask "names" is none of secrets, emails, phones, nor re:PATTERN',
        ),
        (
            ("--evals-mask", "emails"),
            "evals_mask masks logged answers: give --evals-answers FILE; --evals-mask-texts masks secrets in "
            "what a pipeline says",
        ),
        ((*LOG, "--evals-seed", "x"), "evals_seed = x: not a whole number"),
    ],
)
def test_wrong_options(project, args, problem):
    """What does not go together is one line, and pytest's usage error."""
    log(project, line("a", model="big"))
    result = project.run(*args)
    assert result.ret == 4
    text = "\n".join((*result.outlines, *result.errlines))
    assert f"ERROR: {problem.format(path=project.path)}" in text


def test_the_ini_file(project):
    """It may name logs; questions on the command line take their place, and the other way."""
    log(project, line("a"))
    project.append("pytest.ini", "evals_answers = log.jsonl\n")
    project.write("pytest.ini", project.read("pytest.ini").replace("evals_pipelines = baseline\n", ""))
    project.run().assert_outcomes(passed=1)
    assert ids(project) == ["a"]
    result = project.run("--evals-questions", "questions.jsonl")
    assert "there is no fixture of that name" not in result.stdout.str() or result.ret == 4
    assert len(project.runs) == 1


def test_retrieval_of_logged_contexts(project):
    """With sources, and contexts that say where they stand, what was found is scored; others are left out."""
    project.write(
        "test_it.py",
        "def test_found(evaluate_retrieval, pipeline, question):\n"
        "    evaluate_retrieval(pipeline, question).result().require()\n",
    )
    source = {"document": "a.md", "start": 10, "end": 20}
    found = {"text": "x" * 20, "document": "a.md", "start": 5, "end": 25}
    log(
        project,
        line("hit", sources=[source], contexts=[found]),
        line("missed", sources=[source], contexts=[{**found, "start": 50, "end": 70}]),
        line("no-place", sources=[source], contexts=["x"]),
        line("no-contexts", sources=[source], contexts=None),
        line("no-source"),
    )
    result = project.run(*LOG, "--evals-retrieval-metrics", "retrieval.recall@8")
    result.assert_outcomes(passed=1, failed=1)
    values = {e["question_id"]: e["scores"]["retrieval.recall@8"]["value"] for e in project.evaluations}
    assert values == {"hit": 1.0, "missed": 0.0}
    assert (
        "test_it.py::test_found: 2 logged answers left out: retrieval is scored where contexts have "
        "document, start and end, or sources have a quote (docs/answers.md)" in result.outlines
    )


def test_a_log_that_changes_meanwhile(project):
    """The answer whose line is another one now is an error of its own test."""
    log(project, line("a"), line("b"))
    project.append(
        "conftest.py",
        """
import pathlib

@pytest.fixture(autouse=True)
def changed(request):
    if "logged-b" in request.node.name:
        file = pathlib.Path("log.jsonl")
        file.write_text(file.read_text().replace("of b", "of c"))
""",
    )
    result = project.run(*LOG)
    result.assert_outcomes(passed=1, failed=1)
    assert (
        "pipeline logged raised LostAnswerError: log.jsonl:2 is not what it was when the session began"
        in (result.stdout.str())
    )


def test_going_on_after_a_kill(project):
    """A run that was killed goes on: nothing is judged twice, and together it is the whole."""
    log(project, *(line(f"q{n}") for n in range(6)))
    project.append(
        "conftest.py",
        """
import time
@pytest.fixture(autouse=True)
def slow():
    time.sleep(0.3)
""",
    )
    command = [sys.executable, "-m", "pytest", "-q", *LOG, "--evals-no-cache"]
    begun = subprocess.Popen(command, cwd=project.path, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(judged(project)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    before = judged(project)
    assert 2 <= len(before) < 6
    project.run(*LOG, "--evals-no-cache", "--evals-continue", "latest").assert_outcomes(passed=6)
    assert ids(project) == [f"q{n}" for n in range(6)]
    assert len(judged(project)) <= 7


def test_turns_are_judged_behind_what_was_said(project, how):
    """The history of a turn is the log's: the answers that were given; each turn is a test."""
    log(
        project,
        line("b", conversation="x", turn=2),
        line("a", BAD, conversation="x", turn=1),
        line("c", conversation="y", turn=1),
    )
    project.run(*LOG, "--evals-gate", "conversations >= 0.5", *how).assert_outcomes(passed=2, failed=1)
    told = {e["question_id"]: e.get("history", []) for e in project.evaluations}
    assert told == {
        "a": [],
        "b": [{"role": "user", "content": "What of a?"}, {"role": "assistant", "content": BAD}],
        "c": [],
    }


def test_a_turn_alone(project):
    """What was said before it need not be judged with it."""
    log(project, line("a", BAD, conversation="x", turn=1), line("b", conversation="x", turn=2))
    project.run(*LOG, "-k", "logged-b").assert_outcomes(passed=1)
    (judged_one,) = project.evaluations
    assert [message["content"] for message in judged_one["history"]] == ["What of a?", BAD]


def test_a_plan(project):
    """What judging takes is said before; answers are there."""
    log(project, line("a"), line("b"))
    result = project.run_apart(*LOG, "--evals-plan", "-p", "no:terminal")
    assert result.outlines == ["plan: logged: 0 of 2 answers and 2 judgements to make"]
    assert judged(project) == []


def test_masked_before_anything_is_kept(project, how):
    """Nothing of what is masked is in the folder of the run, nor on the terminal; how much it was is said."""
    secret, address = "sk-abcdefghijklmnopqrstuvwx", "ada@example.com"
    log(
        project,
        line(None, question=f"Is {address} known?", answer=f"{BAD} {secret}", contexts=[f"Ask {address}."]),
        line("b", metadata={"user": address, "customer": "CUST-17"}),
    )
    mask = ("--evals-mask", "secrets,emails", "--evals-mask", r"re:CUST-\d+")
    result = project.run(*LOG, *mask, *how)
    result.assert_outcomes(passed=1, failed=1)
    assert said(result) == [
        "answers: 2 logged answers",
        r"answers: 5 places masked: 1 secret, 3 e-mail addresses, 1 by re:CUST-\d+",
    ]
    (masked,) = [one for one in project.evaluations if one["question_id"] != "b"]
    assert masked["question"] == "Is *** known?"
    assert masked["answer"] == f"{BAD} ***"
    assert masked["question_id"].startswith("is-known-")
    kept = [file for file in (project.path / ".rag-evals").rglob("*") if file.is_file()]
    assert kept
    for text in (secret, address, "CUST-17"):
        assert [file for file in kept if text.encode() in file.read_bytes()] == []
        assert text not in result.stdout.str()
    assert project.lines[0]["mask"] == ["secrets", "emails", r"re:CUST-\d+"]


def test_a_mask_changes_what_is_judged(project):
    """A run with another mask judges anew what it changes, and nothing else."""
    log(project, line("a", f"{GOOD} a@b.de"), line("b"))
    project.run(*LOG)
    project.path.joinpath("judged.txt").unlink()
    project.run(*LOG, "--evals-mask", "emails")
    assert judged(project) == ["a"]


def test_failures_become_questions(project, capsys, monkeypatch):
    """What failed in a log is asked of the next pipeline: the question, and the trace in its provenance."""
    log(project, line("a"), line("b", BAD, trace="t-b"))
    project.run(*LOG)
    monkeypatch.chdir(project.path)
    assert main(["answers", "to-questions", "latest", "--output", "failed.jsonl"]) == 0
    assert "1 question of " in capsys.readouterr().out
    (question,) = load_questions([project.path / "failed.jsonl"])
    assert (question.id, question.question, question.reference) == ("b", "What of b?", None)
    assert question.provenance is not None
    (failure,) = question.provenance["failures"]
    assert failure["trace"] == "t-b"
    assert failure["answer"] == BAD
    assert [score["metric"] for score in failure["scores"]] == ["faithfulness"]
