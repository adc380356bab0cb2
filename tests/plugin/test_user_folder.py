"""Files of the user's folder that are called like libraries are run by no process that a session starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.wandb import LoopbackWandb

PYTHON = (sys.executable, "-P", "-m")
# Whatever a process of ours, or of a library, may look for.
LIBRARIES = (
    *(
        "wandb",
        "numpy",
        "torch",
        "llama_cpp",
        "filelock",
        "opentelemetry",
        "requests",
        "pip",
        "urllib3",
        "yaml",
    ),
    *("certifi", "google", "pydantic", "git", "psutil", "sentence_transformers", "rag", "evals", "fixtures"),
)
# Named when a planted file runs: which, by whom.
PLANTED = "import sys; open({marks!r}, 'a').write(__file__ + ' ' + ' '.join(sys.orig_argv) + chr(10))\n"

CONFTEST = """
import asyncio
from pathlib import Path

import pytest
from rag_evals import Answer, Context
from rag_evals.rag.native.hosting.hosted_model import TORCH, HostedModel
from rag_evals.testing import FakeJudge
from tests.servers.mortal_models import MortalModel

class Hosted:
    name = fingerprint = "hosted"

    def __init__(self):
        log = Path("started").absolute()
        self.models = [HostedModel(MortalModel, log, name="tiny", group=group) for group in (None, TORCH)]

    async def answer(self, question):
        counts = [await asyncio.to_thread(model.call, "count") for model in self.models]
        return Answer(str(counts), (Context("passage"),))

@pytest.fixture(scope="session")
def baseline():
    return Hosted()

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""


@pytest.fixture
def marks(project) -> Path:
    """Plant files that are called like libraries; return where those that ran are named."""
    marks = project.path.parent / "run.txt"
    ours = {path.stem for path in project.path.glob("*.py")}
    for name in {*sys.stdlib_module_names, *LIBRARIES} - ours - {"__main__"}:
        project.write(f"{name}.py", PLANTED.format(marks=str(marks)))
    return marks


def test_models_and_trackers(project, marks, monkeypatch):
    """A session with processes of models, with W&B and OTLP, and the command that sends it again."""
    project.write("conftest.py", CONFTEST)
    with LoopbackWandb() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # its `tests.servers`
        options = ("--import-mode=importlib", "--evals-wandb=loopback/rag", "--evals-otlp=wandb")
        ran = _run([*PYTHON, "pytest", "-p", "no:cacheprovider", *options], project.path)
        assert ran.returncode == 0, ran.stdout
        (_,) = server.runs.values()
        assert len(server.spans) >= 1
        assert (project.path / "started").read_text().count("\n") == 2
        again = _run([*PYTHON, "rag_evals.evals.cli", "replay", "latest"], project.path)
        assert again.returncode == 0, again.stdout + again.stderr
    assert not marks.exists(), marks.read_text()


def test_the_self_test_and_pip(project, marks, monkeypatch):
    """llama.cpp is tried in a process of its own; a wheel is fetched by pip in another."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    code = (
        "import sys; from pathlib import Path; from rag_evals.rag.native.self_test import self_test\n"
        "from rag_evals.rag.models.pip_download import download_wheel\n"
        "print(self_test(Path(sys.executable), 'this one').problem or 'passed')\n"
        "download_wheel('no-such-package==0', Path('wheels'), most=1000)"
    )
    ran = _run([*PYTHON[:2], "-c", code], project.path)
    assert ran.stdout == "passed\n"
    assert ran.stderr.endswith("SourceFailed: pip found no matching distribution\n")
    assert not marks.exists(), marks.read_text()


def _run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
