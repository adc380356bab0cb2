"""The built wheel in real virtual environments: beside other people's packages, and as its users meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
evals_pipelines = mine
evals_questions = questions.jsonl
"""

# What the README says to write, but for the judge.
OWN_PIPELINE = """
import pytest
from rag_evals import Answer, Context, pipeline_from

TEXT = "Sparse MoE uses two of eight experts."


async def ask(question):
    return TEXT, [Context(TEXT, "moe.md", None, 0, len(TEXT), 1.0)]


@pytest.fixture(scope="session")
def mine():
    return pipeline_from(ask)
"""

FAKE_JUDGE = """
from rag_evals.testing import FakeJudge


@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""

TEST = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
"""

# As the command `pytest`: nothing of the folder that it is called in comes before the libraries.
PYTEST = ("python", "-P", "-m", "pytest", "-p", "no:langsmith_plugin")

PACKAGES = {
    f"{name}/{file}": "" for name in ("rag", "evals", "fixtures") for file in ("__init__.py", "own.py")
}
FOLDERS = {f"{name}/own.py": "" for name in ("rag", "evals", "fixtures")}
SECRETS = {"secrets.py": "KEY = 'of this project'\n"}
OWN_NAMES = """
from pathlib import Path


def test_own_names():
    import evals.own, fixtures.own, rag.own

    here = Path(__file__).parent
    assert [Path(m.__file__).parent.parent for m in (rag.own, evals.own, fixtures.own)] == [here] * 3
"""
OWN_SECRETS = """
def test_own_names():
    import secrets

    assert secrets.KEY == "of this project"
"""

# What a file beside the code is for, as it is called in the wheel.
DATA = {
    "rag_evals/rag/pipelines.toml",
    "rag_evals/rag/llm/prices.toml",
    "rag_evals/rag/models/models.toml",
    "rag_evals/rag/native/leave_out.cmake",
    "rag_evals/evals/generation/writing/prompts.toml",
    "rag_evals/evals/judges/calibration/injections/canaries.toml",
    "rag_evals/evals/judges/cards/qwen2.5-coder-1.5b-instruct.json",
    "rag_evals/evals/reports/html/templates/report.html.j2",
    "rag_evals/evals/reports/html/templates/report.css",
    "rag_evals/evals/reports/html/templates/report.js",
    "rag_evals/evals/reports/html/templates/palette.css",
    "rag_evals/evals/reports/html/templates/labels.html.j2",
    "rag_evals/evals/reports/html/templates/labels.css",
    "rag_evals/evals/reports/html/templates/labels.js",
    "rag_evals/fixtures/corpus/primer.pdf",
    "rag_evals/fixtures/questions/primer.jsonl",
    "rag_evals/fixtures/labels/primer.jsonl",
}

# The distribution of somebody else that has the names our folders have in the checkout.
NEIGHBOUR = {
    "fixtures/__init__.py": "OWNER = 'neighbour'\n",
    "evals/__init__.py": "OWNER = 'neighbour'\n",
    "neighbour-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n",
    "neighbour-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "neighbour-1.0.dist-info/RECORD": "".join(
        f"{name},,\n"
        for name in ("fixtures/__init__.py", "evals/__init__.py", "neighbour-1.0.dist-info/METADATA")
    ),
}


class Environment:
    """A virtual environment with what this one has installed, but for rag-evals itself.

    Args:
        folder: Where to make it.
        dependencies: A folder with the modules of other distributions.
    """

    def __init__(self, folder: Path, dependencies: Path) -> None:
        venv.create(folder, symlinks=True)
        self.scripts = folder / "bin"
        self.python = self.scripts / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        (self.packages / "dependencies.pth").write_text(f"{dependencies}\n")

    def pip(self, *arguments: object) -> None:
        """Install or uninstall without any network."""
        command = [sys.executable, "-P", "-m", "pip", "--python", self.python, "-q", *arguments]
        ran = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr

    def install(self, wheel: Path) -> None:
        """Install a wheel."""
        self.pip("install", "--no-index", "--no-deps", "--no-compile", wheel)

    def run(self, folder: Path, *command: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in `folder`, without a trace of the checkout."""
        program, *arguments = map(str, command)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "GITHUB"))
        }
        return subprocess.run(
            [str(self.scripts / program), *arguments],
            cwd=folder,
            env={**kept, **environ},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def installed(self) -> set[str]:
        """The names at the top of its packages."""
        return {path.name for path in self.packages.iterdir()}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built once."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory) -> Path:
    """A folder of links to what is installed here, without our own distribution and without path files."""
    folder = tmp_path_factory.mktemp("dependencies")
    for packages in (Path(entry) for entry in sys.path if Path(entry).name == "site-packages"):
        for path in packages.iterdir():
            is_ours = path.name.startswith(("rag_evals", "_rag_evals", "_editable_impl_rag_evals"))
            if not is_ours and path.suffix != ".pth" and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory, wheel, dependencies) -> Environment:
    """An environment with the wheel installed."""
    made = Environment(tmp_path_factory.mktemp("environment"), dependencies)
    made.install(wheel)
    return made


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a project."""
    asked = '{"id": "experts", "question": "How many experts are used in Sparse MoE?"}\n'
    for name, text in {"pytest.ini": INI, "questions.jsonl": asked, "test_it.py": TEST, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def evaluations(folder: Path) -> list[dict]:
    """The evaluations of the latest run of a project."""
    lines = (folder / ".rag-evals" / "runs" / "latest" / "records.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["type"] == "evaluation"]


def test_what_is_in_the_wheel(wheel):
    """One package and its metadata; no tests, benchmarks or documents; the files that the code reads."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"rag_evals", "rag_evals-0.1.0.dist-info"}
    inside = {name.split("/")[1] for name in names if name.startswith("rag_evals/")}
    assert inside == {"__init__.py", "testing.py", "rag", "evals", "fixtures"}
    wrong = {"tests", "benchmarks", "docs", "__pycache__", "conftest.py"}
    assert [name for name in names if wrong & {*name.split("/")}] == []
    assert sorted(DATA - {*names}) == []
    kept = [name for name in names if name.startswith("rag_evals/")]
    in_checkout = [ROOT / name.removeprefix("rag_evals/") for name in kept]
    assert [
        path for path in in_checkout if not (path.exists() or (ROOT / "rag_evals" / path.name).exists())
    ] == []


@pytest.mark.parametrize("how", [("-W", "error"), ("-n", "2")], ids=["serial", "xdist"])
@pytest.mark.parametrize(
    "files",
    [
        {**PACKAGES, "test_own.py": OWN_NAMES},
        {**FOLDERS, "test_own.py": OWN_NAMES},
        {**SECRETS, "test_own.py": OWN_SECRETS},
    ],
    ids=["packages", "folders", "secrets"],
)
def test_beside_names_of_ones_own(environment, tmp_path, files, how):
    """The project's own modules win their names, and its answers are evaluated and recorded."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE + FAKE_JUDGE, **files})
    ran = environment.run(tmp_path, *PYTEST, *how)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
    assert "warning" not in ran.stdout, ran.stdout
    (found,) = evaluations(tmp_path)
    assert (found["pipeline"], found["question_id"]) == ("mine", "experts")
    assert {name: score["value"] for name, score in found["scores"].items()} == {
        "faithfulness": 0.9,
        "relevancy": 0.8,
    }


def test_a_breach_is_the_status_of_pytest(environment, tmp_path):
    """What breaches a threshold fails, as in a checkout."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE + FAKE_JUDGE})
    ran = environment.run(tmp_path, *PYTEST, "--evals-thresholds", "relevancy=0.85")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "BreachError: relevancy 0.80 < 0.85" in ran.stdout


def test_commands_beside_a_file_that_hides_a_library(environment, tmp_path):
    """`rag-evals` and the pytest that it starts do not take the project's `secrets.py` for Python's."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE + FAKE_JUDGE, "secrets.py": "raise SystemExit('taken')\n"})
    listed = environment.run(tmp_path, "rag-evals", "models", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "qwen2.5-coder-1.5b-instruct" in listed.stdout
    planned = environment.run(tmp_path, "rag-evals", "plan", "test_it.py")
    assert (planned.returncode, planned.stderr) == (0, "")
    assert planned.stdout.startswith("plan: mine: 1 of 1 answers and 1 judgements to make")


def test_wandb_beside_a_file_that_hides_a_library(environment, tmp_path):
    """The process that hands the records to W&B finds its own libraries, not the project's files."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE + FAKE_JUDGE, "secrets.py": "raise SystemExit('taken')\n"})
    ran = environment.run(tmp_path, *PYTEST, "--evals-wandb", "team/rag", WANDB_MODE="offline")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (said,) = [line for line in ran.stdout.splitlines() if line.startswith("wandb: ")]
    assert "taken" not in said
    assert "sends what is missing" not in said
    assert len([*tmp_path.glob(".rag-evals/runs/latest/wandb/offline-run-*")]) == 1


@pytest.mark.model
def test_your_own_repository_and_the_bundled_judge(environment, tmp_path):
    """A pipeline and a test: the judge comes with the plugin; models run in their own process."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE, "secrets.py": "raise SystemExit('taken')\n"})
    ran = environment.run(
        tmp_path, *PYTEST, "--evals-judge-model", "smollm2-135m-instruct", "--evals-mode", "report"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (found,) = evaluations(tmp_path)
    assert sorted(found["scores"]) == ["faithfulness", "refusal", "relevancy"]
    assert "judge: choice (smollm2-135m-instruct), balanced accuracy on 5 sets of labels" in ran.stdout


def test_the_bundled_suite_with_a_pipeline_of_ones_own(environment, tmp_path):
    """Who writes no test can run the suite of the wheel; the conftest of the folder counts there, too."""
    write(tmp_path, {"conftest.py": OWN_PIPELINE + FAKE_JUDGE})
    (tmp_path / "test_it.py").unlink()
    ran = environment.run(tmp_path, *PYTEST, "--pyargs", "rag_evals.evals.test_answers")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line["pipeline"] for line in evaluations(tmp_path)] == ["mine"]


def test_another_distribution_keeps_its_files(tmp_path, wheel, dependencies):
    """Who owns `fixtures` and `evals` still has them when ours has come and gone; ours leaves nothing."""
    theirs = tmp_path / "neighbour-1.0-py3-none-any.whl"
    with zipfile.ZipFile(theirs, "w") as archive:
        for name, text in NEIGHBOUR.items():
            archive.writestr(name, text)
    made = Environment(tmp_path / "environment", dependencies)
    made.install(theirs)
    before = made.installed()
    owners = "import evals, fixtures; print(evals.OWNER, fixtures.OWNER)"
    made.install(wheel)
    assert made.installed() - before == {"rag_evals", "rag_evals-0.1.0.dist-info"}
    both = made.run(tmp_path, "python", "-c", f"{owners}; import rag_evals.evals, rag_evals.fixtures")
    assert (both.returncode, both.stdout) == (0, "neighbour neighbour\n"), both.stderr
    made.pip("uninstall", "-y", "rag-evals")
    after = made.run(tmp_path, "python", "-c", owners)
    assert (after.returncode, after.stdout) == (0, "neighbour neighbour\n"), after.stderr
    left = {path for path in made.packages.rglob("*") if "rag_evals" in path.name and path.is_file()}
    assert left == set()
    assert not (made.scripts / "rag-evals").exists()


LOOK = """
import sys
before = set(sys.modules)
import rag_evals
print(sorted(set(sys.modules) - before))
print([name for name in rag_evals.__all__ if name not in dir(rag_evals)])
from rag_evals import Answer, Context, Judge, Question, Source
from rag_evals import pipeline_from, pipeline_from_query_engine, to_pandas
from rag_evals.testing import FakeJudge, FakePipeline, ScriptedLLM
print(rag_evals.__file__)
rag_evals.nothing
"""


def test_the_public_names(environment, tmp_path):
    """`import rag_evals` loads nothing but itself; its names are there when asked for, and no others."""
    ran = environment.run(tmp_path, "python", "-c", LOOK)
    assert ran.stdout.splitlines() == [
        "['__future__', 'rag_evals']",
        "[]",
        str(environment.packages / "rag_evals" / "__init__.py"),
    ]
    assert ran.stderr.splitlines()[-1] == "AttributeError: module 'rag_evals' has no attribute 'nothing'"


def test_importing_takes_under_20_milliseconds(environment, tmp_path):
    """Against an interpreter that imports nothing; the best of several, as other work slows some."""

    def best(code: str) -> float:
        timed = f"import time; began = time.process_time(); {code}; print(time.process_time() - began)"
        return min(float(environment.run(tmp_path, "python", "-c", timed).stdout) for _ in range(5))

    assert best("import rag_evals") - best("pass") < 0.020
