"""`rag-evals plan`: what a run would take, without asking or judging anything."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.cli import Commands

# Exit codes of pytest.
INTERRUPTED = 2
TESTS_COLLECTED_NONE = 5


def add_to(commands: Commands) -> None:
    """Declare `plan`."""
    parser = commands.add_parser(
        "plan", help="say what a run would take: reused, tokens, minutes, cost; takes pytest's arguments"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT")
    parser.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> int:
    arguments = [argument for argument in options.arguments if argument != "--"]
    # In a process of its own: pytest wants to be the first to import the plugin.
    quiet = ("-p", "no:terminal", "-p", "no:cacheprovider")
    ran = subprocess.run([sys.executable, "-m", "pytest", *arguments, "--evals-plan", *quiet])
    if ran.returncode in (TESTS_COLLECTED_NONE, INTERRUPTED):
        raise UsageError(
            "there is nothing to plan: name the tests as for pytest, such as `rag-evals plan evals`; "
            "`pytest --collect-only` says what can be collected"
        )
    return ran.returncode
