"""How often judges are right on human-labelled items: ours, LlamaIndex's evaluators, and plain rules.

Ours is given three ways: as it is without a card, with the card that comes with the package (fitted on the
bundled labels, never on these items), and with a card fitted on the other sources of the same items.

    python -m benchmarks.judge faithful.jsonl relevant.jsonl --model qwen2.5-coder-1.5b-instruct
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rag_evals.evals.judges.build import CARDS, JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrate import Observed, metric_card, observe
from rag_evals.evals.judges.calibration.calibrated_judge import score_from
from rag_evals.evals.judges.calibration.judge_card import JudgeCard, find_card
from rag_evals.evals.judges.calibration.labels import Labelled, load_labels, usable_metrics
from rag_evals.evals.judges.judge import Scorer
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.rag.answer import Context
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import arguments, print_table, save


def main() -> None:
    """Measure each model and judge on each file, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("labels", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", default=["qwen2.5-coder-1.5b-instruct"])
    parser.add_argument("--judge", nargs="+", default=["choice", "llamaindex"])
    parser.add_argument("--result", default="judge", help="name of the result file")
    options = parser.parse_args()
    config = next(iter(load_configs(None).values()))
    rows: list[dict[str, Any]] = []
    for model in options.model:
        models = JudgeModels(Resources(offline=True), config, model)
        for judge in options.judge:
            for path in options.labels:
                rows += measured(scorer_for(judge, models), path)
                show(rows)
                save(options.result, {"rows": rows}, " ".join(["python -m benchmarks.judge", *arguments()]))


def measured(scorer: Scorer, path: Path) -> list[dict[str, Any]]:
    """Run `scorer` over the examples of one file; return a row for each metric that they label."""
    examples = [_with_contexts(example, scorer) for example in load_labels(path)]
    labelled, _ = usable_metrics(examples)
    seen = observe(scorer, labelled, tqdm(examples, desc=scorer.name, disable=None, leave=False))
    card = find_card(scorer.fingerprint, [CARDS])
    return [_row(scorer, path, metric, seen[metric], card) for metric in labelled]


def _with_contexts(example: Labelled, scorer: Scorer) -> Labelled:
    """Return LlamaIndex's relevancy, which reads contexts, the answer itself where an item has none."""
    if example.answer.contexts or not scorer.name.startswith("llamaindex"):
        return example
    return replace(example, answer=replace(example.answer, contexts=(Context(example.answer.text),)))


def _row(
    scorer: Scorer, path: Path, metric: str, seen: Sequence[Observed], card: JudgeCard | None
) -> dict[str, Any]:
    scored = [one for one in seen if one.is_scored]
    fitted = metric_card(METRICS[metric], seen)
    row = {
        "judge": scorer.name,
        "labels": path.name,
        "metric": metric,
        "items": len(seen),
        "coverage": fitted.coverage,
        "seconds": fitted.seconds,
        "tokens": fitted.tokens,
        "as it is": _figures(metric, scored, None, 0.5),
        "other sources": {
            "auroc": asdict(fitted.accuracy.auroc),
            "balanced_accuracy": asdict(fitted.accuracy.balanced_accuracy),
            "calibration_error": fitted.accuracy.calibration_error,
            "weights": dict(fitted.calibration.weights),
            "without": dict(fitted.gains),
        },
        "rules": {name: interval.value for name, interval in fitted.baselines.items()},
    }
    of_metric = card.metric(metric) if card else None
    if of_metric:
        row["own card"] = _figures(metric, scored, of_metric.calibration, of_metric.calibration.threshold)
    return row


def _figures(metric: str, scored: Iterable[Observed], calibration: Any, threshold: float) -> dict[str, Any]:
    scored = list(scored)
    scores = [
        score_from(METRICS[metric], o.example.question, o.raw_scores, calibration).value or 0.0
        for o in scored
    ]
    found = accuracy(
        scores, [o.label for o in scored], [o.example.source for o in scored], threshold=threshold
    )
    return {
        "auroc": asdict(found.auroc),
        "balanced_accuracy": asdict(found.balanced_accuracy),
        "threshold": threshold,
        "passed": fmean(score >= threshold for score in scores),
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line a row: AUROC and balanced accuracy by each way, then cost."""
    ways = ("as it is", "own card", "other sources")
    header = [
        "judge",
        "labels",
        "items",
        *(f"{way}: AUROC, bal. acc." for way in ways),
        "words",
        "s",
        "tokens",
    ]
    lines = [header]
    for row in rows:
        figures = [
            f"{row[way]['auroc']['value']:.3f} {row[way]['balanced_accuracy']['value']:.3f}"
            if way in row
            else "-"
            for way in ways
        ]
        cost = [f"{row['rules']['words found']:.2f}", f"{row['seconds']:.2f}", f"{row['tokens']:.0f}"]
        lines.append([row["judge"], row["labels"], str(row["items"]), *figures, *cost])
    print_table(lines)


if __name__ == "__main__":
    main()
