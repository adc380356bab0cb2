"""Does it help the judge to see what was said before a question?

Answers in conversations (MTRAG, lines with `history`, `turn`, `appropriateness` and `faithful`) are judged
with the question alone, and behind the question before it and the beginning of its answer, as the judge does
it. The same answers both times, so that differences are paired.

`relevancy` has to tell an answer that people call appropriate from the answer to another turn of the same
conversation, one of each turn; `faithfulness`, claim by claim and without a card, follows people's label. It
takes twenty times as long.

    nice python -m benchmarks.conversations FILE --kept FOLDER --relevancy 24 --faithfulness 24
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rag_evals.evals.judges.build import JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.accuracy import auroc
from rag_evals.evals.judges.judge import Scorer
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.judges.prompts import judged_question
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Message
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import arguments, print_table, save

APPROPRIATE = 3  # of 4
RESAMPLES = 2_000


@dataclass(frozen=True)
class Labelled:
    """An answer to a turn, and whether it is good by one metric."""

    metric: str
    question: Question
    answer: Answer
    is_good: bool

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.metric} {self.question.id} {self.is_good}"


def _alone(question: Question) -> Question:
    return replace(question, history=())


FORMS: Mapping[str, Callable[[Question], Question]] = {
    "nothing": _alone,
    "the last turn": judged_question,
}


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--kept", type=Path, required=True, help="folder of what was read")
    parser.add_argument("--relevancy", type=int, default=24, help="answers of each label")
    parser.add_argument("--faithfulness", type=int, default=0, help="answers of each label")
    parser.add_argument("--seconds", type=float, default=1_200, help="then no more is read")
    options = parser.parse_args()
    examples = examples_of(options.file, options.relevancy, options.faithfulness)
    models = JudgeModels(Resources(offline=True), next(iter(load_configs(None).values())), options.model)
    scores = read(scorer_for("choice", models), examples, options.kept, options.seconds)
    metrics = dict.fromkeys(example.metric for example in examples)
    rows = [row for metric in metrics for row in rows_of(metric, examples, scores)]
    print_table([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)])
    save("conversations", {"rows": rows}, " ".join(["python -m benchmarks.conversations", *arguments()]))


def examples_of(file: Path, relevancy: int, faithfulness: int) -> list[Labelled]:
    """Return answers to later turns, so many of each label, drawn with a fixed seed."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    lines = [line for line in lines if line["turn"] > 1]
    draw = random.Random(20)
    draw.shuffle(lines)
    good = [line for line in lines if fmean(line["appropriateness"]) >= APPROPRIATE]
    relevant = [_labelled("relevancy", line, line["answer"], is_good=True) for line in good]
    others = [
        _labelled("relevancy", line, other["answer"], is_good=False)
        for line in _one_a_turn(reversed(good))
        if (other := _answer_to_another_turn(line, good))
    ]
    faithful = [
        _labelled("faithfulness", line, line["answer"], is_good=line["faithful"] == 1) for line in lines
    ]
    of_label = [
        [one for one in faithful if one.is_good == is_good][:faithfulness] for is_good in (True, False)
    ]
    pairs = [*zip(relevant[:relevancy], others, strict=False), *zip(*of_label, strict=False)]
    return [example for pair in pairs for example in pair]


def _one_a_turn(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one line of each turn: what is made of the others would be the same."""
    first: dict[tuple[str, int], Mapping[str, Any]] = {}
    for line in lines:
        first.setdefault((line["source"], line["turn"]), line)
    return list(first.values())


def _answer_to_another_turn(
    line: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the answer to the turn of the same conversation that is farthest away."""
    of_talk = [
        other for other in lines if other["source"] == line["source"] and other["turn"] != line["turn"]
    ]
    return max(of_talk, key=lambda other: abs(other["turn"] - line["turn"]), default=None)


def _labelled(metric: str, line: Mapping[str, Any], answer: str, *, is_good: bool) -> Labelled:
    history = tuple(
        Message("user" if speaker == "user" else "assistant", text) for speaker, text in line["history"]
    )
    contexts = tuple(map(Context, line["contexts"]))
    return Labelled(
        metric, Question(line["id"], line["question"], history=history), Answer(answer, contexts), is_good
    )


def read(
    scorer: Scorer, examples: Sequence[Labelled], folder: Path, seconds: float
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return value and cost of each example in each form; what was read before is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"conversations-{scorer.fingerprint[:16]}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = {(line["form"], line["key"]): line for line in lines}
    end = time.monotonic() + seconds
    wanted = [(form, example) for example in examples for form in FORMS]
    for form, example in tqdm(wanted, disable=None, leave=False):
        if (form, example.key) in found or time.monotonic() > end:
            continue
        raw_scores = scorer.read([example.metric], FORMS[form](example.question), example.answer)[
            example.metric
        ]
        values = [item.value for item in raw_scores.items if item.value is not None]
        line = {
            "form": form,
            "key": example.key,
            "value": METRICS[example.metric].total(values) if values else None,
            "tokens": raw_scores.tokens.evaluated,
        }
        found[form, example.key] = line
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return found


def rows_of(
    metric: str, examples: Sequence[Labelled], scores: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row a form: the area under the ROC curve, and what it has above that of the question alone."""
    of_metric = [example for example in examples if example.metric == metric]
    judged = [
        example
        for example in of_metric
        if all((scores.get((form, example.key)) or {}).get("value") is not None for form in FORMS)
    ]
    values = {form: [scores[form, example.key]["value"] for example in judged] for form in FORMS}
    labels = [example.is_good for example in judged]
    return [
        {
            "metric": metric,
            "shown before": form,
            "good": sum(labels),
            "bad": len(labels) - sum(labels),
            "AUROC": auroc(values[form], labels),
            "mean of good": fmean(v for v, good in zip(values[form], labels, strict=True) if good),
            "mean of bad": fmean(v for v, good in zip(values[form], labels, strict=True) if not good),
            "above": difference(values[form], values["nothing"], labels),
            "tokens": fmean(scores[form, example.key]["tokens"] for example in judged),
        }
        for form in FORMS
    ]


def difference(ours: Sequence[float], alone: Sequence[float], labels: Sequence[bool]) -> list[float]:
    """Return how much greater the area is, with the 95 % interval of drawing the same answers anew."""
    draw = random.Random(20)
    places = [[n for n, label in enumerate(labels) if label == is_good] for is_good in (True, False)]
    found = []
    for _ in range(RESAMPLES):
        drawn = [n for of_label in places for n in draw.choices(of_label, k=len(of_label))]
        picked = [labels[n] for n in drawn]
        found.append(auroc([ours[n] for n in drawn], picked) - auroc([alone[n] for n in drawn], picked))
    found.sort()
    return [auroc(ours, labels) - auroc(alone, labels), found[RESAMPLES // 40], found[-RESAMPLES // 40]]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:+.3f} ({value[1]:+.2f} to {value[2]:+.2f})"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
