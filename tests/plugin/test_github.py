"""GitHub Actions: annotations, the summary of the step, and that answers give no commands."""

from __future__ import annotations

import re

import pytest

BAD = "faithfulness=0.1 relevancy=0.2"
STOP = re.compile(r"::stop-commands::([0-9a-f]{32})")


@pytest.fixture
def github(project, monkeypatch):
    """Be on GitHub; return the file of the step's summary."""
    summary = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    return summary


def commands(lines: list[str]) -> list[str]:
    """Return what GitHub's runner takes for commands: nothing between the lines that stop them."""
    found, token = [], None
    for line in lines:
        if token is not None:
            token = None if line.strip() == f"::{token}::" else token
        elif stop := STOP.fullmatch(line):
            token = stop[1]
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    assert token is None
    return found


def test_strict(project, how, github):
    """A breach is an error beside its test; the run is in the step's summary, behind what was there."""
    github.write_text("Before.\n", "utf-8")
    project.ask(good="faithfulness=0.9", bad=BAD)
    result = project.run(*how)
    assert result.ret == 1
    assert commands(result.outlines) == [
        "::error file=test_it.py,line=2,title=baseline bad::faithfulness 0.10 < 0.50%0Arelevancy 0.20 < 0.50"
    ]
    summary = github.read_text("utf-8")
    (run,) = project.runs
    assert summary.startswith(f"Before.\n\n## Run `{run.name}`: 1 of 2 evaluations failed\n")
    assert "  - breach: `relevancy 0.20 < 0.50`\n" in summary


def test_gate(project, how, github):
    """In gate mode a breach is a warning; a condition that blocks is an error, and the summary has it."""
    project.ask(**{f"q{n}": BAD for n in range(12)})
    result = project.run("--evals-mode", "gate", "-o", "evals_gate=pass_rate >= 0.9", *how)
    assert result.ret == 1
    error, *warnings = commands(result.outlines)
    assert error == (
        "::error title=evals gate::BLOCK: [baseline] pass_rate >= 0.9: 0.00, 95 %25 interval 0.00 to 0.24"
    )
    assert len(warnings) == 10
    assert all(line.startswith("::warning file=test_it.py,line=2,title=baseline q") for line in warnings)
    assert [line.endswith("%0Aand 2 more: see the log") for line in warnings] == [False] * 9 + [True]
    assert "gate: BLOCK: the run fails" in github.read_text("utf-8")


def test_baseline(project, how, github):
    """With a baseline the summary has the comparison as well."""
    project.ask(one="faithfulness=0.9")
    project.run(*how)
    github.unlink()
    result = project.run("--evals-baseline", "latest", *how)
    assert result.ret == 0
    (warning,) = commands(result.outlines)
    assert warning.startswith("::warning title=evals gate::INCONCLUSIVE: whether the run is worse than ")
    run, compared = re.findall("^## .*", github.read_text("utf-8"), re.MULTILINE)
    assert run.startswith("## Run ")
    assert compared.startswith("## INCONCLUSIVE: whether ")


def test_hostile(project, how, github):
    """What a test prints and what a pipeline says gives no command, and nobody can know how to begin one."""
    evil = "::set-output name=a::b"
    project.write(
        "test_it.py",
        f"""
def test_answer(evaluate, pipeline, question):
    print({evil!r})
    print("##[add-mask]secret")
    evaluate(pipeline, question).result().require()
""",
    )
    project.append(
        "conftest.py",
        f"def answer(question):\n    raise OSError('x\\n{evil}\\r\\n##[add-mask]y %0A::error::z')\n",
    )
    result = project.run("--evals-mode", "strict", *how)
    assert evil in result.outlines
    breach, budget = commands(result.outlines)
    assert breach == (
        "::error file=test_it.py,line=2,title=baseline good::pipeline baseline raised "
        "OSError: x : :set-output name=a::b # #[add-mask]y %250A: :error::z"
    )
    assert budget.startswith("::error title=evals gate::1 of 1 evaluations have no verdict, ")
    tokens = {STOP.search(run.stdout.str())[1] for run in (result, project.run(*how))}
    assert len(tokens) == 2


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_hostile_reasons(project, github, monkeypatch, columns):
    """What pytest prints of a skipped test with -vv gives no command, wherever a line is broken."""
    monkeypatch.setenv("COLUMNS", columns)
    evil = "a-::set-output name=a::b ##[add-matcher]c ##vso[task.d]e " + "p" * 70 + "::ADD-MASK::f"
    project.append(
        "conftest.py",
        f"""
from rag_evals.evals.runs.score import Judgement, Score

class Unable(FakeJudge):
    async def score(self, question, answer):
        return Judgement((Score("faithfulness", None, reason={evil!r}),))

@pytest.fixture(scope="session")
def judge():
    return Unable({{}})
""",
    )
    result = project.run("-vv", "-rs")
    assert [line for line in commands(result.outlines) if "title=evals gate" not in line] == []
    assert "SKIPPED" in result.stdout.str()
    assert "##[" not in result.stdout.str()
    assert "##vso" not in result.stdout.str()


def test_hostile_usage_errors(project, github):
    """Nor does what an error of the configuration quotes."""
    project.write(
        "questions.jsonl", '{"id": "##[add-path]/x", "question": "a", "::debug::b": 1}\n::error::x\n'
    )
    result = project.run_apart()
    assert result.ret == 4
    assert commands([*result.outlines, *result.errlines]) == []
    assert '"id" = "# #[add-path]/x" cannot be a test id' in result.stderr.str()


def test_summary_cannot_be_written(project, how, github, monkeypatch):
    """That is one warning; the session ends as it would."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "no" / "such" / "folder.md"))
    result = project.run(*how)
    assert result.ret == 0
    assert commands(result.outlines) == [
        "::warning title=evals::the step summary was not written: "
        f"{project.path}/no/such/folder.md: No such file or directory"
    ]


def test_no_summary_asked(project, how, github, monkeypatch):
    """Without a file for it there is none, and no warning."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert commands(project.run(*how).outlines) == []
    assert not github.exists()


def test_elsewhere(project, how, github, monkeypatch):
    """Without GITHUB_ACTIONS nothing of all this happens, whatever else is set."""
    monkeypatch.delenv("GITHUB_ACTIONS")
    project.ask(bad=BAD)
    result = project.run(*how)
    assert not any("::stop-commands" in line for line in result.outlines)
    assert commands(result.outlines) == []
    assert not github.exists()


def test_without_evals(project, how, github):
    """A session that evaluates nothing is left alone."""
    project.write("test_it.py", "def test_other():\n    print('::debug::mine')\n    assert False\n")
    result = project.run(*how)
    assert commands(result.outlines) == ["::debug::mine"]
    assert not github.exists()
