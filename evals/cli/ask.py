"""The commands `ask`, which puts questions to a pipeline, and `plan`, which says what a run would take."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_home, add_offline, say_unreadable
from rag_evals.evals.engine.offline import forbid_connections
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.config import config_for
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline, build_pipeline

# Exit codes of pytest.
INTERRUPTED = 2
TESTS_COLLECTED_NONE = 5


def add_ask(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `ask`."""
    parser.add_argument("questions", nargs="+", metavar="QUESTION")
    parser.add_argument("--docs", type=Path, required=True, help="a document or a folder of documents")
    parser.add_argument("--pipeline", default="baseline", help="name of a pipeline (default: baseline)")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    parser.add_argument("--model", help="language model in place of the pipeline's own: name, path or URL")
    add_offline(parser)
    add_home(parser, "indexes")
    parser.set_defaults(run=_ask)


def _ask(options: argparse.Namespace) -> int:
    if options.offline:
        forbid_connections()
    config = config_for(options.pipeline, path=options.config, model=options.model)
    corpus = read_documents(options.docs)
    say_unreadable(corpus)
    pipeline = build_pipeline(
        config, corpus, Resources(offline=options.offline), options.home.absolute() / "indexes"
    )
    print(pipeline.description)
    for question in options.questions:
        print()
        print("\n".join(_answer_lines(question, pipeline)))
    return 0


def _answer_lines(question: str, pipeline: RetrievalPipeline) -> list[str]:
    answer = pipeline.answer_now(question)
    lines = [f"Q: {question}", f"A: {answer.text}", *_context_lines(answer.contexts), _cost_line(answer)]
    return [printable(" ".join(line.split()) if n < 2 else line) for n, line in enumerate(lines)]


def _context_lines(contexts: Sequence[Context]) -> list[str]:
    return [
        f"   {n}. {context.document}{f' p.{context.page}' if context.page else ''} "
        f"[{context.start}:{context.end}] {context.score or 0:.2f}  {' '.join(context.text.split())[:70]}…"
        for n, context in enumerate(contexts, 1)
    ]


def _cost_line(answer: Answer) -> str:
    seconds = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in answer.seconds.items())
    tokens = answer.total
    left_out = f"; {answer.omitted} passages left out for the token budget" if answer.omitted else ""
    return (
        f"   {seconds}; tokens: {tokens.evaluated:,} evaluated, {tokens.reused:,} reused, "
        f"{tokens.generated:,} generated{left_out}"
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plan`."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT")
    parser.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> int:
    arguments = [argument for argument in options.arguments if argument != "--"]
    # In a process of its own: pytest wants to be the first to import the plugin.
    quiet = ("-p", "no:terminal", "-p", "no:cacheprovider")
    ran = subprocess.run([sys.executable, "-P", "-m", "pytest", *arguments, "--evals-plan", *quiet])
    if ran.returncode in (TESTS_COLLECTED_NONE, INTERRUPTED):
        raise UsageError(
            "there is nothing to plan: name the tests as for pytest, such as `rag-evals plan evals`; "
            "`pytest --collect-only` says what can be collected"
        )
    return ran.returncode
