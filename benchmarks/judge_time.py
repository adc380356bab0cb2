"""How long a verdict takes: ours and LlamaIndex's evaluators in turn, on the same answers and model.

Both score faithfulness and relevancy of one answer of each source, so that nothing is shared between
answers. Seconds mean nothing beyond this machine: what counts is the ratio.

    python -m benchmarks.judge_time ragtruth:FILE --answers 24
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from rag_evals.evals.judges.build import JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.sets import load_sets
from rag_evals.evals.judges.judge import Scorer
from rag_evals.rag.answer import Tokens
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.report import arguments, print_table, save

METRICS = ("faithfulness", "relevancy")
THEIRS = "llamaindex"


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("labels", nargs="+")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--answers", type=int, default=24)
    options = parser.parse_args()
    examples = one_a_source(load_sets(options.labels))[: options.answers]
    models = JudgeModels(Resources(offline=True), next(iter(load_configs(None).values())), options.model)
    scorers = {
        "hidden states": scorer_for("choice", models, reads_states=True),
        "claim by claim": scorer_for("choice", models),
        THEIRS: scorer_for(THEIRS, models),
    }
    for scorer in scorers.values():
        _timed(scorer, examples[0])  # loads what there is to load
    used: dict[str, list[tuple[float, Tokens]]] = {name: [] for name in scorers}
    for number, example in enumerate(tqdm(examples, disable=None, leave=False)):
        names = list(scorers)
        for name in names[number % 3 :] + names[: number % 3]:
            used[name].append(_timed(scorers[name], example))
    rows = [_row(name, used[name], used[THEIRS], examples) for name in scorers]
    print_table([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)])
    save("judge_time", {"rows": rows}, " ".join(["python -m benchmarks.judge_time", *arguments()]))


def one_a_source(examples: Sequence[Labelled]) -> list[Labelled]:
    """Return the first answer of each source that has contexts."""
    first: dict[str, Labelled] = {}
    for example in examples:
        if example.answer.contexts:
            first.setdefault(example.source, example)
    return list(first.values())


def _timed(scorer: Scorer, example: Labelled) -> tuple[float, Tokens]:
    start = time.perf_counter()
    found = scorer.read(METRICS, example.question, example.answer)
    tokens = sum((of_metric.tokens for of_metric in found.values()), Tokens())
    return time.perf_counter() - start, tokens


def _row(
    name: str,
    used: Sequence[tuple[float, Tokens]],
    theirs: Sequence[tuple[float, Tokens]],
    examples: Sequence[Labelled],
) -> dict[str, Any]:
    ratios = [ours / other for (ours, _), (other, _) in zip(used, theirs, strict=True)]
    return {
        "judge": name,
        "answers": len(used),
        "characters": median(len(example.answer.text) for example in examples),
        "seconds": fmean(seconds for seconds, _ in used),
        "read": fmean(tokens.evaluated for _, tokens in used),
        "written": fmean(tokens.generated for _, tokens in used),
        "ratio, all": sum(seconds for seconds, _ in used) / sum(seconds for seconds, _ in theirs),
        "ratio, median": median(ratios),
    }


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
