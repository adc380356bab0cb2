"""How often judges are right on labelled answers, set by set: ours, LlamaIndex's evaluators, plain rules.

All figures are of scores whose calibration, and probe, never saw the source of an answer. A set is a label
file, or a public set in the form that it comes in (docs/labels.md). What was read is kept in a folder, and a
run that was broken off goes on from there.

    python -m benchmarks.judge fixtures/labels/primer.jsonl ragtruth:FILE mtrag:FILE --kept FOLDER

`--card FILE` writes the card of the first judge: this is how those that come with the package are made.
`--held-out SET` judges a set with a card that was fitted on nothing of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rag_evals.evals.judges.build import JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.calibrate import calibrate
from rag_evals.evals.judges.calibration.calibrated_judge import score_from
from rag_evals.evals.judges.calibration.judge_card import JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.sets import load_sets, sample, set_names
from rag_evals.evals.judges.calibration.readings import Readings
from rag_evals.evals.judges.calibration.set_figures import Held, figures_by_set
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.rag.answer import Context
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import arguments, print_table, save

HEADER = ("judge", "metric", "set", "of", "count", "AUROC", "balanced accuracy", "best floor", "s", "tokens")


def main() -> None:
    """Measure each judge on all sets together, print a line for each set, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("labels", nargs="+")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument(
        "--judge", nargs="+", default=["hidden states", "choice"], help="hidden states, choice, llamaindex"
    )
    parser.add_argument("--held-out", nargs="+", default=[], help="sets that nothing is fitted on")
    parser.add_argument("--answers", type=int, help="at most so many of each set and label")
    parser.add_argument("--kept", type=Path, required=True, help="folder of what was read")
    parser.add_argument("--no-reading", action="store_true", help="take what was read so far as all there is")
    parser.add_argument("--card", type=Path, help="file for the card of the first judge")
    parser.add_argument("--result", default="judge", help="name of the result file")
    options = parser.parse_args()
    examples, held_out = load_sets(options.labels), load_sets(options.held_out)
    if options.answers is not None:
        examples = sample(examples, options.answers)
    options.kept.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for number, judge in enumerate(options.judge):
        readings = readings_of(judge, options.model, options.kept)
        card = card_of(judge, readings, examples, reads=not options.no_reading)
        rows += rows_of(judge, card)
        rows += held_out_rows(judge, card, readings, held_out, reads=not options.no_reading)
        show(rows)
        save(options.result, {"rows": rows}, " ".join(["python -m benchmarks.judge", *arguments()]))
        if options.card and number == 0:
            options.card.write_text(card_to_json(card), encoding="utf-8")


def readings_of(judge: str, model: str, kept: Path) -> Readings:
    """Return what a judge reads, and has read before."""
    models = JudgeModels(Resources(offline=True), next(iter(load_configs(None).values())), model)
    probes = judge == "hidden states"
    scorer = scorer_for("choice" if probes else judge, models, reads_states=probes)
    return Readings(scorer, kept / f"{scorer.fingerprint[:16]}.jsonl")


def card_of(judge: str, readings: Readings, examples: Sequence[Labelled], *, reads: bool = True) -> JudgeCard:
    """Read the examples, as far as that was not done, and return the card of a judge."""
    if judge == "llamaindex":
        examples = list(map(_with_contexts, examples))
    if not reads:
        examples = list(_read_so_far(examples, readings))
    progress = tqdm(examples, desc=readings.scorer.name, disable=None, leave=False)
    return calibrate(
        readings.scorer,
        examples,
        name=", ".join(set_names(examples)),
        progress=lambda _: progress,
        readings=readings,
    )


def _read_so_far(examples: Iterable[Labelled], readings: Readings) -> Iterator[Labelled]:
    """Yield the examples that were read, with the labels of the metrics that they were read for."""
    for example in examples:
        labels = tuple((metric, label) for metric, label in example.labels if readings.has(metric, example))
        if labels:
            yield replace(example, labels=labels)


def _with_contexts(example: Labelled) -> Labelled:
    """Give LlamaIndex's relevancy, which reads contexts, the answer itself where an item has none."""
    if example.answer.contexts:
        return example
    return replace(example, answer=replace(example.answer, contexts=(Context(example.answer.text),)))


def rows_of(judge: str, card: JudgeCard) -> list[dict[str, Any]]:
    """Return a row for each metric of a card."""
    return [{"judge": judge, "name": card.judge, **_figures(metric)} for metric in card.metrics]


def held_out_rows(
    judge: str, card: JudgeCard, readings: Readings, examples: Sequence[Labelled], *, reads: bool = True
) -> list[dict[str, Any]]:
    """Return a row for each metric of a card on sets that it was not fitted on, where they label it."""
    if not reads:
        examples = list(_read_so_far(examples, readings))
    rows = []
    for of_metric in card.metrics:
        metric, calibration = METRICS[of_metric.calibration.metric], of_metric.calibration
        held = []
        for example in examples:
            label = example.label_for(metric.name)
            if label is None:
                continue
            raw_scores, _ = readings.read(metric.name, example)
            score = score_from(metric, example.question, raw_scores, calibration)
            if score.value is not None:
                passes = score.value >= calibration.threshold
                held.append(Held(example, label, score.value, passes, score.claims))
        if held:
            sets = figures_by_set(metric.name, held, calibration.threshold)
            row = {"judge": f"{judge}, held out", "name": card.judge, "metric": metric.name}
            took = {"seconds": of_metric.seconds, "tokens": of_metric.tokens}
            rows.append({**row, "answers": len(held), **took, "sets": [asdict(one) for one in sets]})
    return rows


def _figures(card: MetricCard) -> dict[str, Any]:
    found = card.accuracy
    return {
        "metric": card.calibration.metric,
        "answers": found.count,
        "coverage": card.coverage,
        "seconds": card.seconds,
        "tokens": card.tokens,
        "auroc": asdict(found.auroc),
        "balanced_accuracy": asdict(found.balanced_accuracy),
        "calibration_error": found.calibration_error,
        "as it is": asdict(card.plain),
        "weights": dict(card.calibration.weights),
        "without": dict(card.gains),
        "floors": {name: interval.value for name, interval in card.baselines.items()},
        "sets": [asdict(of_set) for of_set in card.sets],
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line a judge, metric and set; by sentence another."""
    lines: list[Sequence[str]] = [HEADER]
    for row in rows:
        for of_set in row["sets"]:
            for of in ("answers", "sentences"):
                if of_set[of]:
                    lines.append(_line(row, of_set["name"], of, of_set[of]))
    print_table(lines)


def _line(row: dict[str, Any], name: str, of: str, found: dict[str, Any]) -> list[str]:
    floor, best = max(found["floors"].items(), key=lambda one: one[1])
    return [
        *(row["judge"], row["metric"], name, of, str(found["count"])),
        *(_interval(found[key]) for key in ("auroc", "balanced_accuracy")),
        *(f"{floor} {best:.3f}", f"{row['seconds']:.2f}", f"{row['tokens']:.0f}"),
    ]


def _interval(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    main()
