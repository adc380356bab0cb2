"""What `rag-evals generate` gives: what is kept of what is written, at which cost, and how much is good.

The sets are made in FOLDER, where an interrupted run goes on. Whether a question is good is for people to
say: `--list` writes those that are kept with reference, source and passage, and the verdicts, one line a
question in `audits/generation.jsonl`, are counted against what is kept now. The criteria are in
docs/generating.md.

    python -m benchmarks.generation --docs paper.pdf fixtures/corpus/primer.pdf --n 20 --folder sets
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.intervals import wilson
from rag_evals.evals.generation.audit import audit_of, audit_to_json
from rag_evals.evals.generation.generate import (
    GenerationProgress,
    GenerationRequest,
    make_set,
    surveyed_corpus,
)
from rag_evals.evals.generation.generated_set import SEED
from rag_evals.evals.generation.kinds import DEFAULT_MIX
from rag_evals.evals.generation.work_file import load_work, work_path
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.progress import progress
from rag_evals.rag.config import config_for
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.pipelines.resources import Resources

from benchmarks.report import RESULTS, arguments, print_table, save

AUDITS = Path(__file__).parent / "audits"


def main() -> None:
    """Make a set of each document, and say what it is worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", type=Path, nargs="+", required=True, metavar="PATH")
    parser.add_argument("--n", type=int, default=20, help="questions wanted of each (default: 20)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the sets (default: {SEED})")
    parser.add_argument("--folder", type=Path, required=True, help="where the sets are made")
    parser.add_argument("--model", help="language model that writes")
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="write what was kept as Markdown, for an audit"
    )
    parser.add_argument(
        "--name", default="generation", help="of the result and of the verdicts, for other documents"
    )
    options = parser.parse_args()
    config = config_for("baseline", path=None, model=options.model)
    resources = Resources(offline=True)
    known = _verdicts(options.name)
    found, lines = [], []
    for docs in options.docs:
        out = options.folder / docs.stem / "questions.jsonl"
        seconds, outcome = _made(
            GenerationRequest(out, options.n, dict(DEFAULT_MIX), options.seed), docs, resources, config
        )
        found.append(_result(docs, out, outcome, seconds, known, options.name))
        lines += _listed(docs, out)
    if options.list:
        options.list.write_text("\n".join(lines) + "\n", "utf-8")
    _print(found)
    save(
        options.name,
        {"model": config.llm.model, "seed": options.seed, "documents": found, "all": _all(found)},
        " ".join(["python -m benchmarks.generation", *arguments()]),
    )


def _made(
    order: GenerationRequest, docs: Path, resources: Resources, config: Any
) -> tuple[float, GenerationProgress]:
    order.out.parent.mkdir(parents=True, exist_ok=True)
    material = surveyed_corpus(order, read_documents(docs))
    llm, embedder = resources.llm(config.llm), resources.embedder(config.embedder)
    start = time.monotonic()
    with progress(order.count) as on_item:
        outcome = make_set(order, material, llm, embedder, on_item)
    return time.monotonic() - start, outcome


def _verdicts(name: str) -> dict[str, Mapping[str, Any]]:
    """Return what people said, by the id of the question: it has a hash of its words."""
    file = AUDITS / f"{name}.jsonl"
    if not file.exists():
        return {}
    return {line["id"]: line for line in map(json.loads, file.read_text("utf-8").splitlines())}


def _result(
    docs: Path,
    out: Path,
    outcome: GenerationProgress,
    seconds: float,
    known: Mapping[str, Mapping[str, Any]],
    name: str,
) -> dict[str, Any]:
    questions = [candidate.question for candidate in outcome.kept]
    told = [known[question.id] for question in questions if question.id in known]
    return {
        "document": docs.name,
        "audit": audit_to_json(audit_of(work_path(out))),
        "seconds": round(seconds) if not outcome.resumed else _earlier(name, docs.name, outcome.items),
        "audited": len(told),
        "good": sum(bool(verdict["good"]) for verdict in told),
        "why_not": dict(Counter(str(verdict["why"]) for verdict in told if not verdict["good"])),
    }


def _earlier(name: str, document: str, items: int) -> int | None:
    """Return the seconds of the run that made a set, as a run that only counts verdicts takes none."""
    try:
        saved = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["documents"]
    except (OSError, ValueError, KeyError):
        return None
    same = (one["seconds"] for one in saved if (one["document"], one["audit"]["items"]) == (document, items))
    return next(same, None)


def _all(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    audited, good = (sum(one[key] for one in found) for key in ("audited", "good"))
    interval = wilson(good / audited, audited) if audited else None
    return {
        "audited": audited,
        "good": good,
        "share": round(good / audited, 3) if audited else None,
        "interval": [round(interval.low, 3), round(interval.high, 3)] if interval else None,
    }


def _listed(docs: Path, out: Path) -> list[str]:
    lines = [f"# {docs.name}", ""]
    for done in load_work(work_path(out)):
        if done.outcome == "kept" and done.candidate:
            passage = " ".join(done.candidate.passage.text.split())
            lines += [*_shown(done.kind, done.candidate.question), f"- passage: {passage}", ""]
    return lines


def _shown(kind: str, question: Question) -> list[str]:
    sources = [f"- source: {' '.join((source.quote or '').split())}" for source in question.sources]
    about = (f"- id: {question.id}", f"- kind: {kind}", f"- reference: {question.reference}")
    return [f"## {question.question}", "", *about, *sources]


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    rows = [("document", "items", "kept", "dropped", "invalid", "seconds", "good of audited")]
    for one in found:
        counts = (str(one["audit"][key]) for key in ("items", "kept", "dropped", "invalid"))
        rows.append((one["document"], *counts, str(one["seconds"]), f"{one['good']} of {one['audited']}"))
    print_table(rows)
    whole = _all(found)
    if whole["interval"]:
        low, high = whole["interval"]
        print(f"\ngood: {whole['good']} of {whole['audited']}, {whole['share']:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
