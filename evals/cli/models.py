"""The command `models`: list, fetch, verify and tune models."""

from __future__ import annotations

import argparse
import sys

from evals.reports.wrapping import aligned
from rag.config import LLMConfig
from rag.errors import RagError
from rag.llm.local.tuning import rows_of, tune
from rag.models import ModelRow, cache_dir, list_rows, resolve, verify


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
    tune = verbs.add_parser(
        "tune", help="measure how fast a language model runs here, and what would change it"
    )
    tune.add_argument("name", metavar="NAME")
    tune.set_defaults(run=_tune_model)


def _list_models(_options: argparse.Namespace) -> int:
    rows = [ModelRow._fields, *list_rows()]
    print("\n".join(aligned(rows, left=len(ModelRow._fields))))
    print(f"\ncache: {cache_dir()}")
    return 0


def _fetch_models(options: argparse.Namespace) -> int:
    for name in options.names:
        try:
            model = resolve(name)
        except RagError as error:
            if not options.if_reachable:
                raise
            print(f"{name}: left out, {str(error).splitlines()[0]}")
            continue
        print(f"{name}: {model.path} (SHA-256 {model.sha256[:12]}…, from {model.source})")
    return 0


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


def _tune_model(options: argparse.Namespace) -> int:
    def say(setting: str) -> None:
        print(f"measuring {setting}", file=sys.stderr)

    tuning = tune(resolve(options.name), LLMConfig(options.name), say=say)
    print("\n".join(aligned(rows_of(tuning))))
    threads, speeds = tuning.threads, tuning.speeds
    print(
        f"\nfrom now on: {threads.prefill} threads read {speeds.prefill:,.0f} tokens/s, "
        f"{threads.decode} write {speeds.decode:.1f} tokens/s\n"
        "Where verdicts differ a setting is never taken by itself: whoever wants it writes it into [llm] of "
        "a configuration and calibrates the judge anew."
    )
    return 0
