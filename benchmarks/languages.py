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
from rag_evals.evals.judges.calibration.judge_card import JudgeCard, find_card
from rag_evals.evals.judges.calibration.labels import load_labels
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD, METRICS
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import print_table, save

LABELS = Path(__file__).parents[1] / "fixtures" / "labels" / "languages.jsonl"
METRIC = METRICS["faithfulness"]


def main() -> None:
    """Judge every labelled answer, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    options = parser.parse_args()
    config = next(iter(load_configs(None).values()))
    scorer = scorer_for("choice", JudgeModels(Resources(offline=True), config, options.model))
    examples = load_labels(LABELS)
    seen = observe(scorer, [METRIC.name], tqdm(examples, disable=None, leave=False))[METRIC.name]
    tell(scorer.name, seen, find_card(scorer.fingerprint, [CARDS]))


def tell(judge: str, seen: Sequence[Observed], card: JudgeCard | None) -> None:
    """Print and write the figures of each language, and of all together."""
    languages = sorted({one.example.source.partition("-")[0] for one in seen})
    rows = [_row(language, seen, card) for language in [*languages, ""]]
    header = ["language", "answers", "with a verdict", "AUROC", "balanced accuracy", "passed"]
    print_table(
        [
            header,
            *([str(row[key]) for key in ("language", "answers", "scored")] + _shown(row) for row in rows),
        ]
    )
    save("languages", {"judge": judge, "calibrated": card is not None, "rows": rows})


def _row(language: str, seen: Sequence[Observed], card: JudgeCard | None) -> dict[str, Any]:
    ours = [one for one in seen if one.example.source.startswith(language)]
    scored = [one for one in ours if one.is_scored]
    of_metric = card.metric(METRIC.name) if card else None
    calibration = of_metric.calibration if of_metric else None
    threshold = calibration.threshold if calibration else DEFAULT_THRESHOLD
    scores = [
        score_from(METRIC, one.example.question, one.raw_scores, calibration).value or 0.0 for one in scored
    ]
    found = accuracy(
        scores, [one.label for one in scored], [one.example.source for one in scored], threshold=threshold
    )
    return {
        "language": language or "all",
        "answers": len(ours),
        "scored": len(scored),
        "auroc": asdict(found.auroc),
        "balanced_accuracy": asdict(found.balanced_accuracy),
        "passed": sum(score >= threshold for score in scores),
    }


def _shown(row: dict[str, Any]) -> list[str]:
    figures = [f"{row[key]['value']:.2f}" for key in ("auroc", "balanced_accuracy")]
    return [*figures, str(row["passed"])]


if __name__ == "__main__":
    main()
