"""Repositories of every shape: several ini files, a root elsewhere, ways to import, plugins by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main

JUDGE = """
import pytest
from rag_evals.testing import FakeJudge


@pytest.fixture(scope="session")
def judge():
    return FakeJudge(lambda question, answer: {"faithfulness": 0.9, "relevancy": 0.9, "refusal": 0.9})
"""


@pytest.fixture
def monorepo(pytester: pytest.Pytester, monkeypatch) -> Path:
    """Two projects side by side, each with a suite, an ini file and questions of its own."""
    for name, ini in (("search", "pytest.toml"), ("chat", "pyproject.toml")):
        folder = pytester.mkdir(name)
        (folder / ini).touch()
        (folder / "conftest.py").write_text(JUDGE)
        monkeypatch.chdir(folder)
        main(["init", "--folder", f"evals_{name}"])
    monkeypatch.chdir(pytester.path)
    return pytester.path


@pytest.mark.parametrize("folder", ["search", "chat"])
def test_from_inside_and_from_above(pytester, monorepo, folder):
    """Each project has its own configuration and keeps its runs, wherever pytest is called from."""
    pytester.runpytest_subprocess(folder).assert_outcomes(passed=5)
    os.chdir(monorepo / folder)
    pytester.runpytest_subprocess().assert_outcomes(passed=5)
    assert [path.parent.name for path in monorepo.glob("*/.rag-evals")] == [folder]


def test_a_root_elsewhere(pytester, monorepo):
    """`--rootdir` and `-c` may name other places than the folder of the tests."""
    arguments = ("--rootdir", str(monorepo), "-c", "search/pytest.toml", "search")
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=5)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_import_modes(pytester, monorepo, mode):
    """No way of pytest to import test files hides anything of ours, or of the project's."""
    pytester.runpytest_subprocess("search", f"--import-mode={mode}").assert_outcomes(passed=5)


def test_plugins_are_named(pytester, monorepo, monkeypatch):
    """Without entry points the plugin is named, once or twice."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    named = ("-p", "rag_evals.evals.plugin", "-p", "pytest_asyncio.plugin")
    pytester.runpytest_subprocess(*named, "search").assert_outcomes(passed=5)
