"""What GitHub is told: commands that nothing in them can end or begin, and the summary of the step."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.gate.decision import decide
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.github import (
    SUMMARY_BYTES,
    append_summary,
    github_annotations,
    stopping_lines,
    tell_github,
    warning_line,
)
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer


def evaluation(
    name="why", value: float | None = 0.25, pipeline="baseline", test="t.py::test_a[x]", **changes
):
    score = Score("faithfulness", value, reason=None if value is not None else "silent", **changes)
    thresholds = {"faithfulness": 0.5}
    return Evaluation(Question(name, "Why?"), pipeline, Answer("So."), (score,), thresholds, test=test)


def ruled(*evaluations: Evaluation, conditions=(), **rules):
    rules = Rules(conditions=tuple(map(parse_condition, conditions)), **rules)
    return decide(rules, Run("r1", RunHeader(), (), evaluations))


def test_breach(tmp_path):
    """A breach stands beside its test's function; what passed and what is unscored is no error."""
    (tmp_path / "t.py").write_text(
        "import x\n\nclass TestA:\n    @x\n    async def test_a():\n        pass\n"
    )
    inside = evaluation(test="t.py::TestA::test_a[baseline-why::b]", evidence='"So" is not supported')
    assert github_annotations([inside, evaluation(value=0.75), evaluation(value=None)], root=tmp_path) == [
        '::error file=t.py,line=5,title=baseline why::faithfulness 0.25 < 0.50: "So" is not supported'
    ]


@pytest.mark.parametrize(
    ("source", "test"),
    [
        (None, "t.py::test_a"),
        ("def test_b(): pass", "t.py::test_a"),
        ("def (", "t.py::test_a"),
        ("test_a = 1\x00", "t.py::test_a"),
        ("x = 1", "t.py"),
    ],
)
def test_no_line(tmp_path, source, test):
    """Where the file cannot tell the line, there is none."""
    if source is not None:
        (tmp_path / "t.py").write_text(source)
    (line,) = github_annotations([evaluation(test=test)], root=tmp_path)
    assert line == "::error file=t.py,title=baseline why::faithfulness 0.25 < 0.50"


def test_no_test():
    """A record without a test has no file."""
    assert github_annotations([evaluation(test="")]) == [
        "::error title=baseline why::faithfulness 0.25 < 0.50"
    ]


def test_folder_in_the_checkout(tmp_path):
    """GitHub's paths begin at the checkout; a project outside of it keeps its own."""
    (tmp_path / "app").mkdir()
    inside = github_annotations([evaluation()], root=tmp_path / "app", workspace=tmp_path)
    outside = github_annotations([evaluation()], root=tmp_path / "app", workspace=tmp_path / "else")
    assert inside[0].startswith("::error file=app/t.py,title=")
    assert outside[0].startswith("::error file=t.py,title=")


def test_escapes(tmp_path):
    """Per cent, line ends, colons and commas are escaped where they would mean something."""
    evil = evaluation(
        "a:b,c=d%0A\n::set-output name=x::y",
        evidence="100 %\r\n::error::x ##[add-mask]y, z: \x1b[31m%0Aend",
        test="d,e:f%.py::t",
    )
    assert github_annotations([evil], root=tmp_path) == [
        "::error file=d%2Ce%3Af%25.py,"
        "title=baseline a%3Ab%2Cc=d%250A\ufffd%3A %3Aset-output name=x%3A%3Ay::"
        "faithfulness 0.25 < 0.50: 100 %25 : :error::x # #[add-mask]y, z: \ufffd[31m%250Aend"
    ]
    assert warning_line("a\nb: 5 %\u2028") == "::warning title=evals::a%0Ab: 5 %25\ufffd"


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, "%0Aand 1 more: see the log"), (2010, None)])
def test_ten(count, more):
    """GitHub shows ten; the last says how many there are besides."""
    lines = github_annotations([evaluation(f"q{n}", test="") for n in range(count)])
    assert [line.split("::")[1] for line in lines] == [f"error title=baseline q{n}" for n in range(10)]
    ending = "%0Aand 2,000 more: see the log" if more is None else more
    assert lines[-1].endswith(f"faithfulness 0.25 < 0.50{ending}")
    assert not any("more" in line for line in lines[:-1])


def test_decisions():
    """Conditions that block are errors behind the breaches; what fails nothing is a warning."""
    bad = [evaluation(f"q{n}", test="") for n in range(12)]
    decision = ruled(*bad, conditions=["faithfulness.mean >= 0.9", "pass_rate >= 0.1"])
    lines = github_annotations(bad[:1], decision)
    assert lines == [
        "::error title=baseline q0::faithfulness 0.25 < 0.50",
        "::error title=evals gate::BLOCK: [baseline] faithfulness.mean >= 0.9: 0.25, "
        "95 %25 interval 0.19 to 0.43",
        "::warning title=evals gate::INCONCLUSIVE: [baseline] pass_rate >= 0.1: 0.00, "
        "95 %25 interval 0.00 to 0.24; about 23 more questions would tell",
    ]


@pytest.mark.parametrize(
    ("mode", "inconclusive", "levels"),
    [
        ("gate", "warn", ["warning", "warning"]),
        ("gate", "pass", ["warning"]),
        ("gate", "block", ["error", "warning"]),
        ("report", "block", ["warning", "warning"]),
    ],
)
def test_levels(mode, inconclusive, levels):
    """An error is what makes the session fail."""
    bad = [evaluation(value=0.25, test="")]
    decision = ruled(*bad, conditions=["pass_rate >= 0.5"], mode=mode, inconclusive=inconclusive)
    assert [line.split()[0] for line in github_annotations(bad, decision)] == [f"::{one}" for one in levels]


def test_budget():
    """Too many without a verdict is an error in every mode."""
    blind = evaluation(value=None)
    assert github_annotations([blind], ruled(blind, mode="report")) == [
        "::error title=evals gate::1 of 1 evaluations have no verdict, more than evals_max_unscored = 0.1 "
        "allows: the run fails in every mode"
    ]


def test_stopping_lines():
    """Commands stop until a word that nobody can guess."""
    stop, go_on = stopping_lines()
    token = stop.removeprefix("::stop-commands::")
    assert go_on == f"::{token}::"
    assert len(token) == 32
    assert stopping_lines() != (stop, go_on)


def test_summary(tmp_path):
    """The run is added behind what is there, as UTF-8 whatever is in it."""
    file = tmp_path / "summary.md"
    environ = {"GITHUB_STEP_SUMMARY": str(file), "GITHUB_WORKSPACE": str(tmp_path)}
    run = Run("r1", RunHeader(), (), (evaluation("half\ud800", 0.75),))
    assert tell_github(environ, run, ruled(*run.evaluations), root=tmp_path) == []
    once = file.read_bytes()
    assert once.startswith(b"## Run `r1`: 0 of 1 evaluations failed\n")
    tell_github(environ, run, ruled(*run.evaluations), root=tmp_path)
    assert file.read_bytes() == once + b"\n" + once


def test_summary_is_full(tmp_path):
    """GitHub drops a summary that is too large: what fits is written, what does not leaves it as it was."""
    file = tmp_path / "summary.md"
    file.write_bytes(b"x" * (SUMMARY_BYTES - 5))
    assert append_summary(file, "four") is None
    assert append_summary(file, "") == (
        "the step summary was not written: 1,048,574 bytes are in it, 1 more are too many for GitHub, which "
        "takes 1 MiB a step"
    )
    assert file.stat().st_size == SUMMARY_BYTES


def test_summary_cannot_be_written(tmp_path):
    """Whatever is wrong with the file is one line."""
    for name, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "no" / "file", "No such file or directory"),
    ):
        assert append_summary(name, "x") == f"the step summary was not written: {name}: {reason}"
    assert (
        append_summary(Path("a\x00b"), "x")
        == "the step summary was not written: a\ufffdb: embedded null byte"
    )
