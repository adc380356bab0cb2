"""`rag-evals init` and `run`: a suite in anybody's repository that pytest runs as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rag_evals.evals.cli.main import main

JUDGE = """
import pytest
from rag_evals.testing import FakeJudge


@pytest.fixture(scope="session")
def judge():
    return FakeJudge(lambda question, answer: {"faithfulness": 0.9, "relevancy": 0.9, "refusal": 0.9})
"""
ADDED = 'evals_pipelines = ["my_pipeline"]\nevals_questions = ["evals/questions.jsonl"]\n'


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A repository of somebody's; the judge is a fake."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conftest.py").write_text(JUDGE)
    return tmp_path


def pytest_run(*arguments: str) -> str:
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    return f"{ran.stdout}{ran.stderr}".splitlines()[-1]


def test_a_working_suite(repository, capsys):
    """Three questions to a pipeline to fill in, run by nothing but `pytest`."""
    assert main(["init"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "evals/conftest.py: written",
        "evals/test_answers.py: written",
        "evals/test_retrieval.py: written",
        "evals/questions.jsonl: written",
        "pytest.ini: pipeline and questions of the suite added",
        ".gitignore: .rag-evals/ added, the folder of runs and caches",
        "next: `pytest evals` asks the three questions; the judge is a local model, fetched once.",
        "`pytest evals --evals-only retrieval` scores what is found, without a model.",
        "Then put your application into evals/conftest.py, and your own questions into evals/questions.jsonl",
    ]
    assert pytest_run("-m", "pytest", "-q").startswith("5 passed")
    assert (repository / ".gitignore").read_text() == ".rag-evals/\n"


def test_nothing_that_is_there_is_touched(repository, capsys):
    """Files stay as they are, and so does what names questions already; a second time nothing is written."""
    (repository / "evals").mkdir()
    (repository / "evals/conftest.py").write_text("# mine\n")
    (repository / ".gitignore").write_text("build/")
    (repository / "pytest.ini").write_text("[pytest]\nevals_questions = own.jsonl\n")
    assert main(["init"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "evals/conftest.py: is there, left as it is"
    assert said[4] == "pytest.ini: names questions or pipelines, left as it is"
    assert (repository / "evals/conftest.py").read_text() == "# mine\n"
    assert (repository / ".gitignore").read_text() == "build/\n.rag-evals/\n"
    assert (repository / "pytest.ini").read_text() == "[pytest]\nevals_questions = own.jsonl\n"
    before = {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()}
    main(["init"])
    assert {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "pyproject.toml",
            '[project]\nname = "x"\n\n[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.x]\na = 1\n',
            f'[project]\nname = "x"\n\n[tool.pytest.ini_options]\n{ADDED}addopts = "-q"\n\n[tool.x]\na = 1\n',
        ),
        ("pyproject.toml", "[project]\n", f"[project]\n\n[tool.pytest.ini_options]\n{ADDED}"),
        ("pyproject.toml", "[tool.pytest]\n", f"[tool.pytest]\n{ADDED}"),
        ("pytest.toml", "", f"[pytest]\n{ADDED}"),
        (
            "tox.ini",
            "[tox]\n[pytest]  # ours\nminversion = 9\n",
            "[tox]\n[pytest]  # ours\nevals_pipelines = my_pipeline\n"
            "evals_questions = evals/questions.jsonl\nminversion = 9\n",
        ),
        (
            "setup.cfg",
            "[tool:pytest]\n",
            "[tool:pytest]\nevals_pipelines = my_pipeline\nevals_questions = evals/questions.jsonl\n",
        ),
    ],
)
def test_where_pytest_is_configured(repository, name, before, after):
    """The lines go where pytest looks for them, and pytest finds them there."""
    (repository / name).write_text(before)
    main(["init"])
    assert (repository / name).read_text() == after
    assert pytest_run("-m", "pytest", "-q", "-o", "addopts=").startswith("5 passed")


def test_another_folder(repository):
    """The suite may have a folder of another name, below this one."""
    assert main(["init", "--folder", "tests/rag"]) == 0
    assert pytest_run("-m", "pytest", "-q", "tests/rag").startswith("5 passed")
    assert main(["init", "--folder", "../elsewhere"]) == 4


def test_a_package_of_theirs(repository, capsys):
    """A package is no place for a suite."""
    (repository / "evals").mkdir()
    (repository / "evals/__init__.py").touch()
    assert main(["init"]) == 4
    assert capsys.readouterr().err == (
        "ERROR: evals/ is a package of yours: name another folder with --folder\n"
    )
    assert [file.name for file in (repository / "evals").iterdir()] == ["__init__.py"]


def test_a_place_that_cannot_be_written(repository, capsys):
    """One line says what and why."""
    (repository / "evals").write_text("a file")
    assert main(["init"]) == 4
    assert capsys.readouterr().err.startswith("ERROR: ")


def test_the_bundled_suite_anywhere(repository):
    """`run` takes pytest's arguments, the configuration of the folder and the fixtures of its conftest."""
    main(["init"])
    with (repository / "conftest.py").open("a") as file:
        file.write(
            "from rag_evals.testing import FakePipeline\n"
            "@pytest.fixture(scope='session')\n"
            "def my_pipeline():\n    return FakePipeline(lambda _: 'Two.')\n"
        )
    command = ("-m", "rag_evals.evals.cli", "run", "-k", "returns", "-p", "no:cacheprovider")
    assert "1 passed, 2 deselected" in pytest_run(*command)
