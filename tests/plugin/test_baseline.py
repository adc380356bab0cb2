"""The baseline: a run is held against an earlier one, question by question."""

from __future__ import annotations

import pytest
from rag_evals.evals.cli.main import main

GATE = ("--evals-mode=gate", "--evals-judge-floor=0")
JUDGE = """
@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": VALUE}, name="other")
"""


@pytest.fixture
def answers(project):
    """The same questions, answered as a file says: better or worse from run to run."""
    project.append(
        "conftest.py",
        """
import pathlib

@pytest.fixture(scope="session")
def changing():
    bad = int(pathlib.Path("bad.txt").read_text())
    def said(question):
        return "faithfulness=0.2" if int(question.split()[-1]) < bad else "faithfulness=0.9"
    return FakePipeline(said, name="changing")
""",
    )
    project.ask(**{f"q{n}": f"What is {n}" for n in range(60)})

    def run(bad: int, *args: str) -> pytest.RunResult:
        project.write("bad.txt", str(bad))
        return project.run("--evals-pipelines=changing", *GATE, *args)

    return run


def test_no_change_passes(answers, how):
    """The same answers again are no worse, for sure."""
    answers(6, "--evals-gate=coverage >= 0.9")
    result = answers(6, "--evals-baseline=latest", *how)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["gate: PASS"])


def test_a_regression_is_blocked(answers, how):
    """Fifteen of sixty newly failing: BLOCK, with the drop, and no test fails by itself."""
    answers(6, "--evals-gate=coverage >= 0.9")
    result = answers(21, "--evals-baseline=latest", *how)
    result.assert_outcomes(passed=60)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "BLOCK *changing*pass_rate*0.900*0.650*-0.250*",
            "gate: BLOCK: the run fails",
        ]
    )


def test_latest_is_the_run_before(answers, project):
    """`latest` is never the run that is going on."""
    answers(0, "--evals-gate=coverage >= 0.9")
    first = project.runs[0].name
    result = answers(0, "--evals-baseline=latest")
    assert first in result.stdout.str()


def test_a_named_baseline(answers, project, monkeypatch, capsys):
    """`rag-evals baseline set` writes it, --evals-baseline finds it by its name."""
    monkeypatch.chdir(project.path)
    answers(6, "--evals-gate=coverage >= 0.9")
    assert main(["baseline", "set", "latest", "--name", "main"]) == 0
    assert "evals-baselines/main.jsonl" in capsys.readouterr().out
    result = answers(30, "--evals-baseline=main")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*main*", "gate: BLOCK: the run fails"])


def test_updating_fails(answers, project):
    """The run becomes the baseline, and the session fails and names the file."""
    result = answers(6, "--evals-update-baseline", "--evals-gate=coverage >= 0.9")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "evals-baselines/main.jsonl was written: look at it and commit it; a session that writes its own "
            "baseline fails"
        ]
    )
    assert answers(6, "--evals-baseline=main").ret == pytest.ExitCode.OK


PARTS = [("-k", "q1"), ("--evals-shard", "1/2"), ("-x",)]


@pytest.mark.parametrize("part", PARTS, ids=["selected", "shard", "stopped"])
def test_part_of_the_tests_is_no_baseline(answers, project, how, part):
    """With tests left out nothing is written."""
    project.append("test_it.py", "def test_more(evaluate, question):\n    assert question.id != 'q3'\n")
    result = answers(6, "--evals-update-baseline", "--evals-gate=coverage >= 0.9", *part, *how)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["baseline main was not written: not every test ran, and a baseline is of a whole run"]
    )
    assert not (project.path / "evals-baselines").exists()


def test_another_judge(answers, project, how):
    """What another judge said is not comparable; judged anew by this one, it is."""
    answers(6, "--evals-gate=coverage >= 0.9")
    (first,) = project.runs
    project.append("conftest.py", JUDGE.replace("VALUE", "0.8"))
    result = answers(6, "--evals-baseline=latest", *how)
    result.stdout.fnmatch_lines(["*the judge changed (fake * -> other *", "gate: INCONCLUSIVE*"])
    result = answers(6, f"--evals-baseline={first.name}", "--evals-rejudge", *how)
    result.stdout.fnmatch_lines(["gate: PASS"])
    assert "the judge changed" not in result.stdout.str()


def test_no_such_baseline(answers, project, how):
    """It is said before anything is evaluated, in one line and what there is."""
    result = answers(6, "--evals-baseline=main", *how)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(line.startswith("ERROR: no run 'main'") for line in (*result.outlines, *result.errlines))
    assert not project.runs
