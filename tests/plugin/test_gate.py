"""The run-level gate: what a run is held to decides the exit status, alike in every way to run."""

from __future__ import annotations

import re

import pytest

GATE = ("--evals-mode=gate", "--evals-judge-floor=0")


def questions(good: int, bad: int) -> dict[str, str]:
    """Return questions that get good and bad scores; each text is its own."""
    return {
        **{f"good-{n}": f"faithfulness=0.9{n:03}" for n in range(good)},
        **{f"bad-{n}": f"faithfulness=0.1{n:03}" for n in range(bad)},
    }


def gate(result: pytest.RunResult) -> list[str]:
    """Return what is said of the gate, from its heading to its verdict."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if re.match(r"verdict +condition", line))
    end = next(n for n, line in enumerate(lines) if line.startswith("gate: "))
    return [re.sub(" {2,}", "  ", line) for line in lines[start : end + 1]]


def test_a_good_run_passes(project, how):
    """Above the bound for sure: PASS, status 0, one line a condition and one of the whole."""
    project.ask(**questions(good=60, bad=0))
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.9", *how)
    assert result.ret == pytest.ExitCode.OK
    lines = gate(result)
    assert lines[1].startswith("PASS  [baseline] pass_rate >= 0.9")
    assert lines[-1] == "gate: PASS"


def test_a_bad_run_is_blocked(project, how):
    """Below the bound for sure: BLOCK and status 1, although no test failed; no traceback."""
    project.ask(**questions(good=20, bad=40))
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.9", *how)
    result.assert_outcomes(passed=60)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate(result)[1].startswith("BLOCK  [baseline] pass_rate >= 0.9")
    assert gate(result)[-1] == "gate: BLOCK: the run fails"
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("pass", 0, "gate: INCONCLUSIVE"),
        ("warn", 0, "gate: INCONCLUSIVE: a warning; evals_inconclusive = block makes it a failure"),
        ("block", 1, "gate: INCONCLUSIVE: the run fails"),
    ],
)
def test_too_few_questions(project, what, status, said):
    """Ten questions cannot tell 0.9 from 0.8: what that does is a setting, how many would tell is said."""
    project.ask(**questions(good=9, bad=1))
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.8", f"--evals-inconclusive={what}")
    assert (result.ret, gate(result)[-1]) == (status, said)
    assert re.search(r"  about [\d,]+ more questions would tell$", gate(result)[1])


def test_the_same_text_in_every_way(project):
    """Serially and with two workers a run says the same."""
    project.ask(**questions(good=30, bad=6))
    conditions = ("--evals-gate=pass_rate >= 0.9", "--evals-gate=faithfulness.mean >= 0.5")
    said = [gate(project.run(*GATE, *conditions, *how)) for how in ((), ("-n2",), ("-p", "no:xdist"))]
    assert said[0] == said[1] == said[2]
    assert len(said[0]) == 5


def test_modes(project):
    """Strict fails tests and the run, gate only the run, report nothing."""
    project.ask(**questions(good=0, bad=30))
    condition = "--evals-gate=pass_rate >= 0.5"
    for mode, failed, status in (("strict", 30, 1), ("gate", 0, 1), ("report", 0, 0)):
        result = project.run(f"--evals-mode={mode}", "--evals-judge-floor=0", condition)
        result.assert_outcomes(failed=failed, passed=30 - failed)
        assert result.ret == status
        assert gate(result)[1].startswith("BLOCK")


def test_coverage_holds_in_every_mode(project):
    """Too little was measured to report on: report mode fails as well."""
    project.ask(good="faithfulness=0.9", a="faithfulness=none", b="faithfulness=none")
    for mode in ("strict", "gate", "report"):
        result = project.run(
            f"--evals-mode={mode}", "--evals-gate=coverage >= 0.95", "--evals-max-unscored=1"
        )
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert gate(result)[1].startswith("BLOCK  [baseline] coverage >= 0.95")


def test_conditions_from_the_ini_file_and_a_marker(project, how):
    """One line each in the ini file; a mark holds the evaluations of its own tests."""
    project.append(
        "pytest.ini", "evals_mode = gate\nevals_gate =\n    pass_rate >= 0.5\n    coverage >= 0.9\n"
    )
    project.write(
        "test_it.py",
        """
import pytest

def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()

@pytest.mark.evals(gate="faithfulness.mean >= 0.99")
def test_marked(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
""",
    )
    project.ask(**questions(good=30, bad=0))
    result = project.run("--evals-judge-floor=0", *how)
    assert [re.split("  +", line)[1] for line in gate(result)[1:-2] if line[0] != " "] == [
        "[baseline] pass_rate >= 0.5",
        "[baseline] coverage >= 0.9",
        "[baseline] faithfulness.mean >= 0.99",
    ]
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_status_is_never_lowered(project):
    """A gate that passes makes no failed test good, and no interrupted run."""
    project.ask(**questions(good=60, bad=0))
    project.append("test_it.py", "def test_broken():\n    assert False\n")
    result = project.run(*GATE, "--evals-gate=pass_rate >= 0.9")
    assert gate(result)[-1] == "gate: PASS"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_wrong_conditions(project):
    """One line that names the condition and the character; nothing is evaluated."""
    result = project.run("--evals-gate=faithfulness.mean => 0.85")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: condition 'faithfulness.mean => 0.85', character 19: expected one of >=, <=, >, <"]
    )
    assert not project.runs


def test_a_gate_without_conditions(project):
    """Mode gate with nothing to hold the run to is a mistake, not a pass."""
    result = project.run("--evals-mode=gate")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: evals_mode = gate, but there is nothing to hold the run to: give --evals-gate CONDITION, "
            "such as 'pass_rate >= 0.9', or --evals-baseline RUN"
        ]
    )
