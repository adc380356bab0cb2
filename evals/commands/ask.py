"""`rag-evals ask`: one question, or several, to a pipeline; the answer, its passages and what it cost."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.commands.folders import add_home
from evals.errors import printable

if TYPE_CHECKING:
    from evals.cli import Commands
    from rag.answer import Answer, Context
    from rag.pipelines import RetrievalPipeline


def add_to(commands: Commands) -> None:
    """Declare `ask`."""
    parser = commands.add_parser(
        "ask", help="put one question, or several, to a pipeline and show the answer"
    )
    parser.add_argument("questions", nargs="+", metavar="QUESTION")
    parser.add_argument("--docs", type=Path, required=True, help="a document or a folder of documents")
    parser.add_argument("--pipeline", default="baseline", help="name of a pipeline (default: baseline)")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    parser.add_argument("--model", help="language model in place of the pipeline's own: name, path or URL")
    parser.add_argument(
        "--offline", action="store_true", help="fetch nothing; allow loopback connections only"
    )
    add_home(parser, "indexes")
    parser.set_defaults(run=_ask)


def _ask(options: argparse.Namespace) -> int:
    from evals.offline import forbid_connections
    from rag.config import config_for
    from rag.documents import read_documents
    from rag.pipelines import Resources, build_pipeline

    if options.offline:
        forbid_connections()
    config = config_for(options.pipeline, path=options.config, model=options.model)
    corpus = read_documents(options.docs)
    for skipped in corpus.unreadable:
        print(f"left out {printable(skipped.name)}: {printable(skipped.reason)}", file=sys.stderr)
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
