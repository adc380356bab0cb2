"""How often the default judge is right on the labelled answers in seven languages, by language.

python -m benchmarks.languages --model qwen2.5-coder-1.5b-instruct
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag_evals.evals.judges.build import CARDS, JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrate import Observed, observe
from rag_evals.evals.judges.calibration.calibrated_judge import score_from
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, find_card
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD, METRICS
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import print_table, save

LABELS = Path(__file__).parents[1] / "fixtures" / "labels" / "languages.jsonl"
METRIC = METRICS["faithfulness"]
WAYS = ("as it is", "own card")


def main() -> None:
    """Judge every labelled answer, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    options = parser.parse_args()
    config = next(iter(load_configs(None).values()))
    models = JudgeModels(Resources(offline=True), config, options.model)
    scorer = scorer_for("choice", models, reads_states=True)
    examples = load_labels(LABELS)
    seen = observe(scorer, [METRIC.name], tqdm(examples, disable=None, leave=False))[METRIC.name]
    tell(scorer.name, seen, find_card(scorer.fingerprint, [CARDS]))


def tell(judge: str, seen: Sequence[Observed], card: JudgeCard | None) -> None:
    """Print and write the figures of each language, and of all together."""
    languages = sorted({one.example.source.partition("-")[0] for one in seen})
    of_metric = card.metric(METRIC.name) if card else None
    rows = [
        _row(language, seen, of_metric.calibration if of_metric else None) for language in [*languages, ""]
    ]
    header = ["language", "answers", "with a verdict", *(f"{way}: AUROC, bal. acc., passed" for way in WAYS)]
    print_table([header, *(_shown(row) for row in rows)])
    save("languages", {"judge": judge, "card": card.digest if card else None, "rows": rows})


def _row(language: str, seen: Sequence[Observed], calibration: Calibration | None) -> dict[str, Any]:
    ours = [one for one in seen if one.example.source.startswith(language)]
    scored = [one for one in ours if one.is_scored]
    row = {"language": language or "all", "answers": len(ours), "scored": len(scored)}
    ways = dict(zip(WAYS, (None, calibration), strict=True))
    return {**row, **{way: _figures(scored, how) for way, how in ways.items() if how or way == WAYS[0]}}


def _figures(scored: Sequence[Observed], calibration: Calibration | None) -> dict[str, Any]:
    threshold = calibration.threshold if calibration else DEFAULT_THRESHOLD
    values = [score_from(METRIC, one.example.question, one.raw_scores, calibration).value for one in scored]
    scores = [value or 0.0 for value in values]
    labels, sources = [one.label for one in scored], [one.example.source for one in scored]
    found = accuracy(scores, labels, sources, threshold=threshold)
    return {
        "auroc": asdict(found.auroc),
        "balanced_accuracy": asdict(found.balanced_accuracy),
        "passed": sum(score >= threshold for score in scores),
    }


def _shown(row: dict[str, Any]) -> list[str]:
    told = [
        f"{row[way]['auroc']['value']:.2f} {row[way]['balanced_accuracy']['value']:.2f} {row[way]['passed']}"
        if way in row
        else "-"
        for way in WAYS
    ]
    return [row["language"], str(row["answers"]), str(row["scored"]), *told]


if __name__ == "__main__":
    main()
