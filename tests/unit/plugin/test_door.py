"""The door: what every session of pytest imports, and what the processes of a session tell each other."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from rag_evals.evals.plugin.door import Door

# Whatever else is imported is paid for by every project that has us installed.
LIGHT = {
    "rag_evals",
    "rag_evals.evals",
    "rag_evals.evals.base",
    "rag_evals.evals.base.errors",
    "rag_evals.evals.plugin",
    "rag_evals.evals.plugin.door",
    "rag_evals.evals.plugin.fixtures",
    "rag_evals.evals.plugin.our_tests",
    "rag_evals.evals.plugin.session",
    "rag_evals.evals.plugin.session.option",
    "rag_evals.evals.plugin.session.options",
    "rag_evals.evals.plugin.terminal",
    "rag_evals.evals.plugin.terminal.pytest_internals",
    "rag_evals.evals.plugin.workers",
    "rag_evals.fixtures",
    "rag_evals.fixtures.judges",
    "rag_evals.fixtures.pipelines",
    "rag_evals.rag",
    "rag_evals.rag.errors",
    "rag_evals.rag.native",
    "rag_evals.rag.native.hosting",
    "rag_evals.rag.native.hosting.models_folder",
}


def config(**attributes):
    """Return the configuration of pytest in a process of xdist's."""
    return SimpleNamespace(getoption=lambda name, default: 2, **attributes)


@pytest.mark.parametrize(
    "options",
    [(), ("-n", "2"), ("-n", "2", "-o", "evals_questions=questions.jsonl")],
    ids=["serial", "xdist", "xdist beside questions"],
)
def test_ordinary_sessions_import_the_door_alone(tmp_path, options):
    """A session that evaluates nothing imports none of the rooms behind it."""
    (tmp_path / "test_it.py").write_text("def test_it(question='no fixture'): pass\n")
    (tmp_path / "conftest.py").write_text(
        "import sys\n\n\n"
        "def pytest_unconfigure():\n"
        "    print(*(name for name in sys.modules if name.startswith('rag_evals')))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 passed" in ran.stdout
    assert set(ran.stdout.splitlines()[-1].split()) == LIGHT


def test_workers_begin_with_the_controller():
    """All processes of a session agree on when it began, and so on what was made before, and on its name."""
    node = SimpleNamespace(workerinput={"workerid": "gw0"})
    Door(config()).pytest_configure_node(node)
    assert sorted(node.workerinput) == ["evals_began", "evals_session", "workerid"]
    further = SimpleNamespace(workerinput={})
    Door(config(workerinput=node.workerinput, workeroutput={})).pytest_configure_node(further)
    assert further.workerinput == node.workerinput


def test_workers_that_evaluate_nothing_are_not_heard():
    """One that died says nothing either: the session of evaluations does not begin for them."""
    door = Door(config())
    for output in ({}, {"workeroutput": {"exitstatus": 0}}):
        door.pytest_testnodedown(SimpleNamespace(**output))
    assert "begun" not in vars(door)


def test_warnings_as_errors(tmp_path):
    """Our installation changes nothing of what `-W error` does."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1].startswith("1 passed in")


COUNTING = """
import importlib.metadata, sys
import pytest

def counted(*names, **given):
    calls.append(1)
    return distributions(*names, **given)

distributions, calls = importlib.metadata.distributions, []
importlib.metadata.distributions = counted
pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
print(len(calls))
"""


def test_no_further_look_at_what_is_installed(tmp_path):
    """Finding the parts of the plugin reads the entry points of no package: there may be hundreds."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    counts = [
        subprocess.run(
            [sys.executable, "-P", "-c", COUNTING, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for options in ((), ("-p", "no:rag_evals.evals.plugin"))
    ]
    assert counts[0] == counts[1]


def test_parts_that_a_project_names_itself_are_there_once(tmp_path):
    """On the command line they come before the plugin, in a conftest behind it; what is blocked is none."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["rag_evals.fixtures.pipelines"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(pytestconfig):\n"
        "    plugins = [name for name, plugin in pytestconfig.pluginmanager.list_name_plugin() if plugin]\n"
        "    assert plugins.count('rag_evals.fixtures.judges') == 1\n"
        "    assert plugins.count('rag_evals.fixtures.pipelines') == 1\n"
        "    assert 'rag_evals.evals.plugin.fixtures' not in plugins\n"
    )
    options = ("-p", "rag_evals.fixtures.judges", "-p", "no:rag_evals.evals.plugin.fixtures")
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1].startswith("1 passed in"), ran.stdout
