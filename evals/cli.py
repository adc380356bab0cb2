"""The command `rag-evals`: one question to one pipeline, models, and what the judge is worth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import EvalsError, UsageError, printable
from evals.judges.choosing import FORMS
from evals.metrics import DEFAULT_THRESHOLD
from evals.reports.terminal import aligned
from evals.settings import parse_share
from rag.errors import RagError

if TYPE_CHECKING:
    from fixtures.judges import JudgeModels
    from rag.answer import Answer, Context
    from rag.pipelines import RetrievalPipeline

USAGE_ERROR = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give the exit status: 0, or 4 with one message when something is wrong."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (RagError, EvalsError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rag-evals", description="Evaluate retrieval-augmented generation with pytest, locally."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_ask(
        commands.add_parser("ask", help="put one question, or several, to a pipeline and show the answer")
    )
    _add_models(commands.add_parser("models", help="list, fetch and verify models"))
    _add_calibrate(
        commands.add_parser("calibrate", help="measure the judge on labelled answers: a judge card")
    )
    _add_doctor(commands.add_parser("doctor", help="try to talk the judge into believing false answers"))
    return parser


def _add_ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("questions", nargs="+", metavar="QUESTION")
    parser.add_argument("--docs", type=Path, required=True, help="a document or a folder of documents")
    parser.add_argument("--pipeline", default="baseline", help="name of a pipeline (default: baseline)")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    parser.add_argument("--model", help="language model in place of the pipeline's own: name, path or URL")
    parser.add_argument(
        "--offline", action="store_true", help="fetch nothing; allow loopback connections only"
    )
    parser.add_argument(
        "--home", type=Path, default=Path(".rag-evals"), help="folder of indexes (default: .rag-evals)"
    )
    parser.set_defaults(run=_ask)


def _add_models(parser: argparse.ArgumentParser) -> None:
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


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=Path, required=True, help="label file (docs/labels.md)")
    parser.add_argument("--out", type=Path, help="file of the card (default: in the folder cards of --home)")
    parser.add_argument(
        "--false-pass",
        type=float,
        metavar="SHARE",
        help="set the threshold so that at most this share of bad answers passes",
    )
    _add_judge(parser)
    parser.set_defaults(run=_calibrate)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold", type=float, help="least score that passes (default: the card's, or 0.5)"
    )
    _add_judge(parser)
    parser.set_defaults(run=_doctor)


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--judge", default="choice", help=f"what judges: {FORMS}")
    parser.add_argument("--judge-model", metavar="MODEL", help="language model: name, path or URL")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    parser.add_argument(
        "--offline", action="store_true", help="fetch nothing; allow loopback connections only"
    )
    parser.add_argument(
        "--home", type=Path, default=Path(".rag-evals"), help="folder of cards (default: .rag-evals)"
    )


def _judge_models(options: argparse.Namespace) -> JudgeModels:
    from evals.offline import forbid_connections
    from fixtures.judges import JudgeModels
    from rag.config import load_configs
    from rag.pipelines import Resources

    if options.offline:
        forbid_connections()
    config = next(iter(load_configs(options.config).values()))
    return JudgeModels(Resources(offline=options.offline), config, options.judge_model)


def _calibrate(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from evals.calibration import calibrate
    from evals.cards import card_to_json
    from evals.judges.choosing import reader_for
    from evals.labels import load_labels, usable_metrics
    from evals.reports.card import card_lines

    if options.false_pass is not None:
        parse_share("--false-pass", str(options.false_pass))
    examples = load_labels(options.labels)
    reader = reader_for(options.judge, _judge_models(options))
    out = _writable(options.out or options.home / "cards" / f"{reader.fingerprint[:16]}.json")
    progress = partial(tqdm, desc="judging", unit="answer", disable=None, leave=False)
    card = calibrate(
        reader, examples, name=options.labels.name, false_pass=options.false_pass, progress=progress
    )
    out.write_text(card_to_json(card), encoding="utf-8")
    print("\n".join(card_lines(card)))
    for problem in usable_metrics(examples)[1]:
        print(f"\nleft out: {printable(problem)}")
    print(f"\ncard: {printable(str(out))}")
    return 0


def _writable(path: Path) -> Path:
    """Give `path` back if it can be written: said before a run of many minutes, not behind it.

    Raises:
        UsageError: It cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise UsageError(f"the card cannot be written to {path}: {error.strerror}") from error
    return path


def _doctor(options: argparse.Namespace) -> int:
    from evals.canaries import METRIC, canary_lines, is_steady, run_canaries
    from evals.judges.choosing import judge_for
    from fixtures.judges import CARDS

    folders = (options.home / "cards", CARDS)
    judge = judge_for(options.judge, _judge_models(options), metrics=(METRIC,), folders=folders)
    threshold = options.threshold
    if threshold is None:
        threshold = getattr(judge, "thresholds", {}).get(METRIC, DEFAULT_THRESHOLD)
    card = getattr(judge, "card", None)
    print(
        f"judge: {printable(judge.name)}, {'its card' if card else 'uncalibrated'}, threshold {threshold:.2f}"
    )
    print("Two or three minutes on a small machine.\n", flush=True)
    outcomes = run_canaries(judge, threshold)
    print("\n".join(canary_lines(outcomes)))
    return 0 if is_steady(outcomes) else 1


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
    tokens = answer.tokens
    left_out = f"; {answer.omitted} passages left out for the token budget" if answer.omitted else ""
    return (
        f"   {seconds}; tokens: {tokens.evaluated:,} evaluated, {tokens.reused:,} reused, "
        f"{tokens.generated:,} generated{left_out}"
    )


def _list_models(_options: argparse.Namespace) -> int:
    from rag.models import ModelRow, cache_dir, list_rows

    rows = [ModelRow._fields, *list_rows()]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        print(aligned(row, widths, left=len(widths)))
    print(f"\ncache: {cache_dir()}")
    return 0


def _fetch_models(options: argparse.Namespace) -> int:
    from rag.models import resolve

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
    from rag.models import list_rows, verify

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


if __name__ == "__main__":
    sys.exit(main())
