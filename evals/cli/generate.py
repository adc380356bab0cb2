"""The command `generate`: documents to a question set, with the sources of each question."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_home, add_offline, add_reading, read_corpus
from rag_evals.evals.engine.offline import forbid_connections
from rag_evals.evals.generation.generate import (
    GenerationProgress,
    GenerationRequest,
    check_out,
    make_set,
    surveyed_corpus,
)
from rag_evals.evals.generation.generated_set import SEED
from rag_evals.evals.generation.kinds import DEFAULT_MIX, parse_mix
from rag_evals.evals.generation.work_file import work_path
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.reports.progress import progress
from rag_evals.evals.reports.terminal.question_audit import mix_lines
from rag_evals.rag.config import config_for
from rag_evals.rag.pipelines.resources import Resources


def add_generate(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `generate`."""
    parser.add_argument("docs", type=Path, metavar="DOCS", help="a document or a folder of documents")
    parser.add_argument("--n", type=int, default=60, help="questions wanted (default: 60)")
    parser.add_argument(
        "--out", type=Path, default=Path("questions.jsonl"), help="file of the set (default: questions.jsonl)"
    )
    parser.add_argument("--llm", metavar="MODEL", help="language model that writes: name, path or URL")
    parser.add_argument("--kinds", metavar="MIX", help="kinds in per cent, such as fact=40,number=60")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the choice of passages (default: {SEED})")
    parser.add_argument(
        "--curated",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="question file whose questions are not to be asked again; may be given several times",
    )
    parser.add_argument("--restart", action="store_true", help="forget the work of an earlier run")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    add_reading(parser)
    add_offline(parser)
    add_home(parser, "the cache")
    parser.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> int:
    if options.n < 1:
        raise GenerationError(f"--n {options.n} is no number of questions: give 1 or more")
    mix = parse_mix(options.kinds) if options.kinds is not None else dict(DEFAULT_MIX)
    curated = load_questions(options.curated)
    request = GenerationRequest(options.out, options.n, mix, options.seed, curated, options.restart)
    check_out(request.out)
    if options.offline:
        forbid_connections()
    material = surveyed_corpus(
        request, read_corpus(options.docs, options.home, options.ocr, follow_links=options.follow_links)
    )
    print(material.line)
    config = config_for("baseline", path=options.config, model=options.llm)
    resources = Resources(offline=options.offline)
    start = time.monotonic()
    try:
        with progress(request.count) as on_item:
            outcome = make_set(
                request, material, resources.llm(config.llm), resources.embedder(config.embedder), on_item
            )
    except KeyboardInterrupt:
        place = printable(str(work_path(request.out)))
        print(f"interrupted: the work is in {place}; the same command goes on from there", file=sys.stderr)
        return 130
    print("\n".join(_summary(request, outcome, time.monotonic() - start)))
    return 0 if len(outcome.kept) >= request.count else 1


def _summary(request: GenerationRequest, outcome: GenerationProgress, seconds: float) -> list[str]:
    resumed = f", {outcome.resumed} of them by an earlier run" if outcome.resumed else ""
    dropped = sum(outcome.dropped.values())
    lines = [
        f"kept {len(outcome.kept)} of {outcome.items} items{resumed}; "
        f"{dropped} dropped, {outcome.invalid} invalid; {seconds:.0f} s",
        *(f"  dropped by {rule}: {count}" for rule, count in outcome.dropped.most_common()),
        "",
        *mix_lines(request.mix, outcome),
        "",
    ]
    if len(outcome.kept) < request.count:
        lines.append(f"{request.count} were wanted: the documents have nothing left to ask about.")
    if outcome.kept:
        lines.append(f"questions: {printable(str(request.out))} ({len(outcome.kept)})")
    return [*lines, f"work: {printable(str(request.out))}.work.jsonl"]
