"""How well the judge tells a cited passage that supports its sentence from one that does not.

python -m benchmarks.citations FILE

FILE has a line of JSON an answer: `id`, `question`, `context`, `answer`, and whether it is `faithful` (1 or
0) to that context. Of faithful answers one sentence each is taken. It cites its context, or that of another
answer (far); or it cites the half of its context that has its words, or the other half (near).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.judges.build import CARDS, JudgeModels, judge_for, scorer_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge, score_from
from rag_evals.evals.judges.calibration.judge_card import find_card
from rag_evals.evals.judges.choice.evidence import Evidence
from rag_evals.evals.judges.citations.reading import PRECISION
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.judges.judge import Scorer
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.config import load_configs
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.retrieval.text.sentences import split_sentences

from benchmarks.report import print_table, save

OF_EACH = 10
# Words of a sentence that a half has that supports it, and at most those that the other half has.
LEAST_IN, MOST_BESIDE = 0.75, 0.5
LONGEST = 4000
WAYS = ("asked", "asked, not calibrated", "hidden states", "shared words")


@dataclass(frozen=True, slots=True)
class Cited:
    """A sentence with two passages, and which of them it cites."""

    kind: str
    source: str
    question: Question
    sentence: str
    passages: tuple[str, str]
    is_right: bool

    @property
    def cited(self) -> Context:
        return Context(self.passages[0 if self.is_right else 1])

    @property
    def answer(self) -> Answer:
        """The sentence with its mark."""
        mark = 1 if self.is_right else 2
        return Answer(f"{self.sentence} [{mark}]", tuple(map(Context, self.passages)))


def main() -> None:
    """Judge forty citations, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.file.read_text("utf-8").splitlines()]
    items = list(cited_of([line for line in lines if line["faithful"] == 1], options.seed))
    config = next(iter(load_configs(None).values()))
    models = JudgeModels(Resources(offline=True), config, options.model)
    judge = judge_for("choice", models, metrics=[PRECISION], folders=[CARDS])
    states = scorer_for("choice", models, reads_states=True)
    assert isinstance(judge, CalibratedJudge)
    judge.load()
    plain = scorer_for("choice", models)
    seen = [values_of(item, judge, plain, states) for item in items]
    fitted = {
        way: card.labels["name"]
        for way, scorer in (("asked", plain), ("hidden states", states))
        if (card := find_card(scorer.fingerprint, [CARDS]))
    }
    tell(items, seen, {"judge": judge.name, "seed": options.seed, "cards fitted on": fitted})


def cited_of(lines: Sequence[Mapping[str, Any]], seed: int) -> Iterator[Cited]:
    """Yield pairs of a right and a wrong citation: ten near ones, ten far ones."""
    lines = random.Random(seed).sample(list(lines), len(lines))
    counts = {"near": 0, "far": 0}
    for n, line in enumerate(lines):
        claims = read_claims(line["answer"], line["question"]).claims
        near = _near(line["context"], claims) if counts["near"] < OF_EACH else None
        kind = "near" if near else "far"
        if not claims or counts[kind] == OF_EACH or (not near and len(line["context"]) > LONGEST):
            continue
        best = max(claims, key=lambda claim: _share(claim, line["context"]))
        other = lines[(n + 7) % len(lines)]["context"]
        sentence, right, wrong = near or (best.said, line["context"], other)
        counts[kind] += 1
        question = Question(line["id"], line["question"])
        for is_right in (True, False):
            yield Cited(kind, line["id"], question, sentence, (right, wrong), is_right)


def _near(text: str, claims: Sequence[Claim]) -> tuple[str, str, str] | None:
    """Return a sentence, the half of `text` that has its words, and the other half."""
    sentences = split_sentences(text)
    if len(sentences) < 4:
        return None
    cut = min(sentences[1:], key=lambda span: abs(span.start - len(text) / 2)).start
    halves = text[:cut].strip(), text[cut:].strip()
    for claim in claims:
        shares = [_share(claim, half) for half in halves]
        if max(shares) >= LEAST_IN and min(shares) <= MOST_BESIDE:
            right = shares.index(max(shares))
            return claim.said, halves[right], halves[1 - right]
    return None


def _share(claim: Claim, text: str) -> float:
    words, known = stems(claim.said), set(stems(text))
    return sum(word in known for word in words) / len(words) if words else 0.0


def values_of(item: Cited, judge: CalibratedJudge, plain: Scorer, states: Scorer) -> dict[str, float | None]:
    """Return what each way makes of a citation."""
    (score,) = judge.score_now(item.question, item.answer).scores
    raw = plain.read([PRECISION], item.question, item.answer)[PRECISION]
    alone = Answer(item.sentence, (item.cited,))
    faithfulness = METRICS["faithfulness"]
    read = states.read(["faithfulness"], item.question, alone)["faithfulness"]
    card = find_card(states.fingerprint, [CARDS])
    of_card = card.metric("faithfulness") if card else None
    found = score_from(faithfulness, item.question, read, of_card.calibration if of_card else None)
    words = Evidence([item.cited]).found(item.sentence)["words"]
    return dict(zip(WAYS, (score.value, raw.items[0].value, found.value, words), strict=True))


def tell(
    items: Sequence[Cited], seen: Sequence[Mapping[str, float | None]], about: Mapping[str, Any]
) -> None:
    """Print and write the figures of each kind of pair, and of all together."""
    rows = []
    for kind in ("near", "far", "all"):
        chosen = [(item, said) for item, said in zip(items, seen, strict=True) if kind in (item.kind, "all")]
        rows.append({"citations": kind, "count": len(chosen), **{way: _figures(chosen, way) for way in WAYS}})
    print_table([["citations", "count", *(f"{way}: AUROC, bal. acc." for way in WAYS)], *map(_shown, rows)])
    save("citations", {**about, "rows": rows})


def _figures(chosen: Sequence[tuple[Cited, Mapping[str, float | None]]], way: str) -> dict[str, Any]:
    scored = [(said[way], item) for item, said in chosen if said[way] is not None]
    found = accuracy(
        [value or 0.0 for value, _ in scored],
        [int(item.is_right) for _, item in scored],
        [item.source for _, item in scored],
        threshold=0.5,
    )
    return {
        "scored": len(scored),
        "auroc": asdict(found.auroc),
        "balanced_accuracy": asdict(found.balanced_accuracy),
    }


def _shown(row: Mapping[str, Any]) -> list[str]:
    told = [f"{row[way]['auroc']['value']:.2f}, {row[way]['balanced_accuracy']['value']:.2f}" for way in WAYS]
    return [row["citations"], str(row["count"]), *told]


if __name__ == "__main__":
    main()
