"""Nothing happens unless asked: other people's sessions are as they would be without the plugin."""

from __future__ import annotations

import re

OTHERS = """
import pytest

@pytest.fixture
def question():
    return 42

def test_passes(question):
    assert question == 42

def test_fails(record_property):
    record_property("mine", 1)
    assert "a" == "b"

@pytest.mark.skip(reason="later")
def test_skipped():
    pass

def test_error(broken):
    pass

class TestAsync:
    async def test_async(self):
        pass
"""


def normal(result) -> list[str]:
    """Leave out what differs between any two runs: times, addresses, the order of workers' results."""
    lines = [re.sub(r"in \d+\.\d+s|0x[0-9a-f]+", "", line).strip("= ") for line in result.outlines]
    lines = ["".join(sorted(line)) if line.endswith("[100%]") else line for line in lines]
    return [line for line in lines if not line.startswith("plugins: ")]


def test_output_is_unchanged(project, how):
    """A session without evals prints the very same with the plugin and without, and makes no folder."""
    project.write("test_it.py", OTHERS)
    # The traceback of a fixture in a conftest goes through the hooks around it.
    project.write(
        "conftest.py",
        """
import pytest

@pytest.fixture
def broken():
    raise ZeroDivisionError("own")
""",
    )
    # Without the plugin its ini values and marks would be unknown.
    project.write(
        "pytest.ini", "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    first = project.run(*how)
    second = project.run("-p", "no:rag_evals.evals.plugin", *how)
    first.assert_outcomes(passed=2, failed=1, skipped=1, errors=1)
    assert first.ret == second.ret == 1
    arrange = sorted if "-n" in how else list
    assert arrange(normal(first)) == arrange(normal(second))
    assert first.errlines == second.errlines == []
    assert not (project.path / ".rag-evals").exists()
    assert "evals" not in first.stdout.str().replace("rag-evals-", "")


def test_other_peoples_evaluate(project, how):
    """A fixture `evaluate` of somebody else's is no evaluation, and its tests get none of our parameters."""
    project.write("conftest.py", "")
    project.write(
        "test_it.py",
        """
import pytest

@pytest.fixture
def evaluate():
    return eval

@pytest.fixture
def pipeline():
    return "6 * 7"

def test_evaluate(evaluate, pipeline):
    assert evaluate(pipeline) == 42
""",
    )
    result = project.run(*how)
    result.assert_outcomes(passed=1)
    assert not (project.path / ".rag-evals").exists()
    assert [line for line in result.outlines if line.startswith("evals:")] == []


def test_deselected_evals_make_nothing(project):
    """If every evaluation is deselected, there is no folder and no summary."""
    project.append("test_it.py", "def test_other():\n    pass\n")
    result = project.run("-k", "test_other")
    result.assert_outcomes(passed=1, deselected=1)
    assert project.runs == []
    assert [line for line in result.outlines if line.startswith(("evals:", "run:", "="))][1:] == [
        result.outlines[-1]
    ]


def test_collecting_loads_nothing(project):
    """`--collect-only` imports no heavy library, calls no fixture and makes no folder."""
    project.append(
        "conftest.py",
        """
import sys
from rag_evals import pipeline_from
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge

HEAVY = {"llama_cpp", "llama_index", "sentence_transformers", "transformers", "torch", "wandb", "deepdiff",
         "scipy", "statsmodels", "jinja2", "numpy", "huggingface_hub"}

@pytest.fixture(scope="session")
def baseline():
    raise AssertionError("called")

def pytest_unconfigure():
    print("heavy:", sorted(HEAVY & set(sys.modules)))
""",
    )
    result = project.run_apart("--collect-only", "-q")
    assert result.ret == 0
    assert "test_it.py::test_answer[baseline-good]" in result.outlines
    assert result.outlines[-1] == "heavy: []"
    assert not (project.path / ".rag-evals").exists()


def test_running_on_fakes_loads_nothing(project):
    """Neither does a run on pipelines and judges that need none of them."""
    project.append(
        "conftest.py",
        """
import sys

def pytest_unconfigure():
    print("heavy:", sorted({"llama_cpp", "torch", "numpy", "wandb", "jinja2"} & set(sys.modules)))
""",
    )
    result = project.run_apart()
    assert result.ret == 0
    assert result.outlines[-1] == "heavy: []"
    assert len(project.evaluations) == 1


def test_help_lists_every_option(project):
    """`pytest --help` shows each option with its ini value."""
    text = " ".join(project.run("--help").stdout.str().split())
    assert "evaluation of retrieval-augmented generation:" in text
    for name in ("pipelines", "questions", "docs", "mode", "thresholds", "max-unscored", "model"):
        assert f"--evals-{name}" in text
        assert f"evals_{name.replace('-', '_')} (" in text
