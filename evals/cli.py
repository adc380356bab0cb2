"""The command `rag-evals`: its commands are in `evals/commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from evals.commands import (
    ask,
    baseline,
    cache,
    compare,
    flaky,
    generate,
    judge,
    merge,
    models,
    plan,
    questions,
    replay,
    report,
)
from evals.errors import EvalsError
from rag.errors import RagError

if TYPE_CHECKING:
    # What `add_subparsers` gives; argparse has no public name for it.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

USAGE_ERROR = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status: its own, or 4 with one message when something is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["plan"] and given[1:2] not in (["-h"], ["--help"]):
        given.insert(1, "--")  # all that follows is for pytest, options too
    options = _parser().parse_args(given)
    try:
        status: int = options.run(options)
    except (RagError, EvalsError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


class _Parser(argparse.ArgumentParser):
    """Ends with the status of a wrong call: argparse's own, 2, is that of INCONCLUSIVE."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rag-evals", description="Evaluate retrieval-augmented generation with pytest, locally."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (
        ask,
        plan,
        merge,
        report,
        replay,
        compare,
        baseline,
        flaky,
        generate,
        models,
        judge,
        cache,
        questions,
    ):
        command.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
