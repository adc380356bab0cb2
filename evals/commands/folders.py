"""Options that several commands share: where runs, indexes, the cache, cards and baselines lie."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_home(parser: argparse.ArgumentParser, what: str = "runs") -> None:
    """Declare `--home`, the folder of `what`."""
    parser.add_argument(
        "--home", type=Path, default=Path(".rag-evals"), help=f"folder of {what} (default: .rag-evals)"
    )


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """Declare `--baselines`."""
    parser.add_argument(
        "--baselines",
        type=Path,
        default=Path("evals-baselines"),
        metavar="DIR",
        help="folder of baselines (default: evals-baselines)",
    )
