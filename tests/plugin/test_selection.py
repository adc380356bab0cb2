"""Evaluations are ordinary tests: what pytest can select and stop, it can select and stop here."""

from __future__ import annotations

GOOD = "faithfulness=0.9 relevancy=0.8"
BAD = "faithfulness=0.1 relevancy=0.2"


def ran(project) -> list[str]:
    return [line["question_id"] for line in project.evaluations]


def forget(project) -> None:
    """Remove the runs so far, so that the next is the only one."""
    import shutil

    shutil.rmtree(project.path / ".rag-evals")


def test_keyword_and_id(project):
    """`-k` and a test's id select questions; the record has those, and only those."""
    project.ask(experts=GOOD, tokens=GOOD, layers=GOOD)
    result = project.run("-k", "experts or layers")
    result.assert_outcomes(passed=2, deselected=1)
    assert ran(project) == ["experts", "layers"]
    forget(project)
    project.run("test_it.py::test_answer[baseline-tokens]").assert_outcomes(passed=1)
    assert ran(project) == ["tokens"]


def test_mark(project):
    """`-m evals` selects by the mark, as of any mark."""
    project.append(
        "test_it.py", "import pytest\n\n@pytest.mark.evals\ndef test_marked(question):\n    pass\n"
    )
    project.run("-m", "evals").assert_outcomes(passed=1, deselected=1)


def test_last_failed(project):
    """`--lf` asks again only what failed."""
    project.ask(good=GOOD, bad=BAD, unsure="faithfulness=none")
    project.run().assert_outcomes(passed=1, failed=1, skipped=1)
    forget(project)
    project.run("--lf").assert_outcomes(failed=1)
    assert ran(project) == ["bad"]


def test_stop_at_the_first(project):
    """`-x` stops at the first breach, and the run still ends with its last line."""
    project.ask(a=GOOD, b=BAD, c=BAD)
    result = project.run("-x")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1
    assert ran(project) == ["a", "b"]
    assert project.lines[-1] == {"type": "end", "failed": 1, "passed": 1, "interrupted": True}


def test_without_the_cache(project):
    """Nothing of ours needs pytest's cache."""
    project.run("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert not (project.path / ".pytest_cache").exists()
    assert ran(project) == ["good"]


def test_from_a_subfolder(project, monkeypatch, how):
    """Run from a subfolder, the ini file's paths start from its own folder, the command line's from here."""
    project.write("sub/test_sub.py", (project.path / "test_it.py").read_text())
    project.ask("sub/more.jsonl", more=GOOD)
    monkeypatch.chdir(project.path / "sub")
    project.run(*how).assert_outcomes(passed=1)
    assert ran(project) == ["good"]
    assert project.runs[0].parent == project.path / ".rag-evals" / "runs"
    forget(project)
    project.run("--evals-questions", "more.jsonl", *how).assert_outcomes(passed=1)
    assert ran(project) == ["more"]


def test_registered_twice(project):
    """A conftest that names the plugin as well registers the same plugin, once."""
    project.append("conftest.py", 'pytest_plugins = ["rag_evals.evals.plugin"]')
    result = project.run()
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert len(project.evaluations) == 1


def test_registered_by_hand(project, monkeypatch):
    """Without entry points the plugin is named on the command line, and works as well."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = project.run_apart("-p", "rag_evals.evals.plugin", "-p", "pytest_asyncio.plugin")
    result.assert_outcomes(passed=1)
    assert ran(project) == ["good"]
