"""Card checks: a model on a server takes the judge card of its weights once its verdicts prove to be theirs.

A reference beside a card has what the card's own weights say of some bundled examples. A server's model whose
name or digest is that of the weights is asked the same, once, and the result is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.judges.calibration.calibrated_judge import NOT_FOLLOWED, Followed, score_from
from rag_evals.evals.judges.calibration.judge_card import find_card
from rag_evals.evals.judges.calibration.labels.examples import Labelled, labels_digest, load_labels
from rag_evals.evals.judges.claims import read_claims
from rag_evals.evals.judges.judge import OF_LIKELIHOOD, Scorer
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.runs.score import from_json, without
from rag_evals.rag.answer import Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM, ReadsLikelihood, Served
from rag_evals.rag.llm.weights import Weights
from rag_evals.rag.profile import profile_of

T = TypeVar("T")
ENDING = ".reference.json"
SCHEMA = 1
# Verdicts of a check: this many by each of two metrics.
OF_EACH = 10
CHECKED = ("faithfulness", "relevancy")
# Probabilities of the same weights on a server, which tokenizes the whole prompt where this process does part
# by part, and of another precision or model: what was measured is in docs/decisions/0009-servers.md.
BOUND = 0.15
LEAST_WITHIN = 19
REMEDY = "`rag-evals calibrate --judge-model MODEL --labels FILE` fits one of its own"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the weights say of an example: the raw score, not calibrated; None without a verdict."""

    example: str
    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Reference:
    """What the weights of a card say of some of the bundled examples.

    Attributes:
        card: Fingerprint of the scorer that the card is of.
        reader: How it reads: the digest of what its fingerprint is made of, but for the model.
        weights: What its weights are known by.
        examples: Digest of the examples.
        verdicts: What they say.
        tokens: What the verdicts took.
    """

    card: str
    reader: str
    weights: Weights
    examples: str
    verdicts: tuple[Verdict, ...]
    tokens: int

    @property
    def model(self) -> str:
        """Name of the model for people."""
        return self.weights.names[0]


@dataclass(frozen=True, slots=True)
class CardCheck:
    """How a server's model compares with the weights of a card.

    Attributes:
        model: Name of the card's model.
        card: Fingerprint of the scorer that the card is of.
        count: Verdicts that were compared.
        within: Those that differ by `bound` at most.
        largest: The largest difference; 1 where a verdict could not be had.
        bound: The bound.
        tokens: What the check took.
    """

    model: str
    card: str
    count: int
    within: int
    largest: float
    bound: float
    tokens: int

    @property
    def is_same(self) -> bool:
        """Whether the verdicts are those of the card's weights."""
        return self.within * (2 * OF_EACH) >= LEAST_WITHIN * self.count

    @property
    def found(self) -> str:
        """What was found, in words."""
        return (
            f"{self.within} of {self.count} verdicts within {self.bound:.2f} of those of its weights, "
            f"the largest difference {self.largest:.2f}"
        )


@dataclass(frozen=True, slots=True)
class CardChecks:
    """How a run goes about card checks.

    Attributes:
        labels: The file of bundled examples.
        folder: Where results are kept; None keeps none.
        asks: Whether a server may be asked now; else only what is kept counts.
        is_anew: Whether what is kept counts as absent.
        tell: Is told that a check is made.
    """

    labels: Path
    folder: Path | None = None
    asks: bool = True
    is_anew: bool = False
    tell: Callable[[str], None] = lambda _: None


def follow(scorer: Scorer, llm: LLM, folders: Sequence[Path], checks: CardChecks) -> Followed:
    """Return the card of the weights behind a server, if `scorer` reads with these.

    Raises:
        RemoteError: The server cannot be asked.
    """
    reader = reader_of(scorer)
    candidates = [one for one in references_in(folders) if one.reader == reader]
    candidates = [one for one in candidates if find_card(one.card, folders)]
    if not isinstance(llm, Served) or not candidates:
        return NOT_FOLLOWED
    kept = _Kept(checks, scorer.fingerprint, digest([asdict(one) for one in candidates]))
    result = kept.read()
    if result is None and not checks.asks:
        tokens = max(one.tokens for one in candidates)
        once = f"{scorer.name}: whether its model is that of a known card is tried once"
        return Followed(once=f"{once}: at most {2 * OF_EACH} verdicts, about {tokens:,} tokens")
    if result is None:
        with kept.alone():
            result = kept.read() or kept.write(_checked(scorer, llm, candidates, checks))
    return _followed(result.check, llm, folders) if result.check else NOT_FOLLOWED


def reader_of(scorer: Scorer) -> str:
    """Return the digest of what a scorer's fingerprint is made of, but for the model."""
    return digest(without(dict(profile_of(scorer).identity), "llm"))


def _followed(check: CardCheck, llm: LLM, folders: Sequence[Path]) -> Followed:
    card = find_card(check.card, folders)
    if card is None or not check.is_same:
        refusal = f"does not take the card of {check.model}: {check.found}: {REMEDY}"
        return Followed(remarks=(refusal,), check=asdict(check))
    lacking = frozenset() if isinstance(llm, ReadsLikelihood) else OF_LIKELIHOOD
    readable = card.without_features(lacking)
    remarks = [f"takes the card of {check.model}: {check.found}"]
    names = [one.calibration.metric for one in card.metrics]
    if left_out := [name for name in names if readable.metric(name) is None]:
        weighs = f"the card weighs {', '.join(sorted(lacking))}, which its server does not tell"
        remarks.append(f"uncalibrated in {', '.join(left_out)}: {weighs}: {REMEDY}")
    return Followed(tuple(remarks), asdict(check), card=readable if readable.metrics else None)


def _checked(
    scorer: Scorer, llm: Served, candidates: Sequence[Reference], checks: CardChecks
) -> CardCheck | None:
    """Compare with the weights that the server's may be; None where they are no known ones."""
    weights = llm.weights()
    named = [one for one in candidates if one.weights.may_be(weights)]
    # The digest is surer than a name.
    named.sort(key=lambda one: one.weights.sha256 != weights.sha256)
    if not named:
        return None
    reference = named[0]
    examples = _chosen_by(reference, checks.labels)
    if not examples:
        return None
    checks.tell(
        f"judge: {scorer.name} is held against the card of {reference.model}: {len(examples)} verdicts"
    )
    values, tokens = read_verdicts(scorer, examples)
    known = [verdict.value for verdict in reference.verdicts]
    differences = [_difference(one, other) for one, other in zip(values, known, strict=True)]
    return CardCheck(
        reference.model,
        reference.card,
        len(differences),
        sum(difference <= BOUND for difference in differences),
        max(differences),
        BOUND,
        tokens.evaluated + tokens.reused + tokens.generated,
    )


def _difference(one: float | None, other: float | None) -> float:
    """Return how far two verdicts are apart: no verdict is the same as none, and another than any."""
    if one is None or other is None:
        return float(one is not other)
    return abs(one - other)


# --- references ---


def reference_of(scorer: Scorer, weights: Weights, labels: Path) -> Reference:
    """Have `scorer`, of a card, read the bundled examples of a check.

    Raises:
        LabelFileError: The examples cannot be read.
    """
    chosen = choose(load_labels(labels))
    values, tokens = read_verdicts(scorer, chosen)
    verdicts = [
        Verdict(example.question.id, metric, None if value is None else round(value, 6))
        for (metric, example), value in zip(chosen, values, strict=True)
    ]
    examples = labels_digest(example for _, example in chosen)
    total = tokens.evaluated + tokens.reused + tokens.generated
    return Reference(scorer.fingerprint, reader_of(scorer), weights, examples, tuple(verdicts), total)


def choose(examples: Sequence[Labelled]) -> list[tuple[str, Labelled]]:
    """Return the examples of a check with the metric each is read by: all over the file, one claim each."""
    chosen: list[tuple[str, Labelled]] = []
    for part, metric in enumerate(CHECKED):
        fit = [
            one
            for one in examples[part :: len(CHECKED)]
            if one.label_for(metric) is not None
            and one.answer.contexts
            and len(read_claims(one.answer.text, one.question.question).claims) == 1
        ]
        count = min(OF_EACH, len(fit))
        chosen += [(metric, fit[n * len(fit) // count]) for n in range(count)]
    return chosen


def _chosen_by(reference: Reference, labels: Path) -> list[tuple[str, Labelled]]:
    """Return the examples of a reference; none where the file has others than it was made of."""
    try:
        by_id = {one.question.id: one for one in load_labels(labels)}
        chosen = [(verdict.metric, by_id[verdict.example]) for verdict in reference.verdicts]
    except (UsageError, KeyError):
        return []
    return chosen if labels_digest(one for _, one in chosen) == reference.examples else []


def read_verdicts(
    scorer: Scorer, chosen: Iterable[tuple[str, Labelled]]
) -> tuple[list[float | None], Tokens]:
    """Return the raw score of each example by its metric, and what they took."""
    values, tokens = [], Tokens()
    for metric, example in chosen:
        raw_scores = scorer.read([metric], example.question, example.answer)[metric]
        values.append(score_from(METRICS[metric], example.question, raw_scores, None).value)
        tokens += raw_scores.tokens
    return values, tokens


def reference_to_json(reference: Reference) -> str:
    """Return the text of a reference's file."""
    content = {"type": "judge-reference", "schema": SCHEMA, **asdict(reference)}
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def references_in(folders: Iterable[Path]) -> list[Reference]:
    """Return the references in `folders`; files of another form are passed over."""
    paths = (path for folder in folders for path in sorted(folder.glob(f"*{ENDING}")))
    return [read for path in paths if (read := _read(path, "judge-reference", Reference))]


def _read(path: Path, kind: str, into: type[T]) -> T | None:
    try:
        line = parse_json(read_plain(path))
        is_known = line["type"] == kind and line["schema"] == SCHEMA
        return from_json(into, line) if is_known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class _Result:
    """What a check came to, and of which references; no check where no known weights have the name."""

    references: str
    check: CardCheck | None


class _Kept:
    """The file that keeps the result of a judge's check; nothing is kept where there is no folder for it."""

    def __init__(self, checks: CardChecks, judge: str, references: str) -> None:
        self._file = checks.folder / f"{judge[:16]}.json" if checks.folder else None
        self._is_anew = checks.is_anew
        self._references = references

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process of the session make the same check meanwhile."""
        if self._file is not None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError:
                self._file = None  # where nothing can be kept, the check is made each time
        if self._file is None:
            yield
            return
        from filelock import FileLock

        with FileLock(self._file.with_suffix(".lock")):
            yield

    def read(self) -> _Result | None:
        """Return the result; None where there is none, or where it is of other references."""
        found = None if self._file is None or self._is_anew else _read(self._file, "card-check", _Result)
        return found if found and found.references == self._references else None

    def write(self, check: CardCheck | None) -> _Result:
        """Keep a result, and return it."""
        result = _Result(self._references, check)
        if self._file is not None:
            content = {"type": "card-check", "schema": SCHEMA, **asdict(result)}
            self._file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return result
