"""The command `models`: list, fetch and verify models."""

from __future__ import annotations

import argparse
import sys

from rag_evals.evals.reports.text import aligned
from rag_evals.rag.errors import RagError
from rag_evals.rag.models.judges import judge_named
from rag_evals.rag.models.resolve import Model, ModelRow, cache_dir, list_rows, resolve, verify


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `models`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    verbs.add_parser("list", help="what the catalogue has, and what is here").set_defaults(run=_list_models)
    fetch = verbs.add_parser("fetch", help="fetch models and verify them")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.add_argument(
        "--if-reachable", action="store_true", help="a model that cannot be had is a note, not an error"
    )
    fetch.set_defaults(run=_fetch_models)
    verify = verbs.add_parser("verify", help="hash the models that are here and compare with the catalogue")
    verify.add_argument("names", nargs="*", metavar="NAME", help="all that are here by default")
    verify.set_defaults(run=_verify_models)


def _list_models(_options: argparse.Namespace) -> int:
    rows = [ModelRow._fields, *list_rows()]
    print("\n".join(aligned(rows, left=len(ModelRow._fields))))
    print(f"\ncache: {cache_dir()}")
    return 0


def _fetch_models(options: argparse.Namespace) -> int:
    for name in options.names:
        try:
            model = _fetched(name)
        except RagError as error:
            if not options.if_reachable:
                raise
            print(f"{name}: left out, {str(error).splitlines()[0]}")
            continue
        print(f"{name}: {model.path} (SHA-256 {model.sha256[:12]}…, from {model.source})")
    return 0


def _fetched(name: str) -> Model:
    """Fetch a model, or a judge with all that it reads with."""
    judge = judge_named(name)
    if judge is None or not judge.entries:
        return resolve(name)
    model, *_ = [resolve(entry.name, catalogue={entry.name: entry}) for entry in judge.entries]
    return model


def _verify_models(options: argparse.Namespace) -> int:
    names = options.names or [row.name for row in list_rows() if row.cached == "yes"]
    if not names:
        print("no model is in the cache")
    damaged = 0
    for name in names:
        try:
            print(f"{name}: {verify(name).sha256} as it should be")
        except RagError as error:
            damaged += 1
            print(f"{name}: {error}", file=sys.stderr)
    return 1 if damaged else 0
