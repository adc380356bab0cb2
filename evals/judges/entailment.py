"""The entailment scorer (a cross-encoder): does a claim follow from a passage, as a trained model sees it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.claims.sentences import TextSpan, split_sentences
from rag_evals.evals.judges.grader import log_odds, whole_of
from rag_evals.evals.judges.judge import RawScore, RawScores, trace_attributes
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.entailment import Entailment, EntailmentModel
from rag_evals.rag.tracing.spans import OpenSpan, span

# Counts up when the way from an answer to its raw scores changes in a way that no setting shows.
VERSION = 2
# A claim that leaves less than this share of the model's length to the premise is not read.
LEAST_ROOM = 0.25


class EntailmentScorer:
    """Holds each claim against windows of the contexts; the window that supports it best counts.

    A window is as long as model and claim allow, of whole sentences where they fit, and shares a sentence
    with the next one (the idea of SummaC, Laban et al. 2022, at the width the model reads at once).
    """

    metrics = ("faithfulness", "context_recall", "correctness")

    def __init__(self, model: EntailmentModel) -> None:
        self.name = f"cross-encoder ({model.name})"
        self.fingerprint = digest({"reader": "entailment", "version": VERSION, "model": model.fingerprint})
        self._model = model

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        """Read `answer` for each of `metrics`, in the calling thread."""
        return {metric: self._read(metric, question, answer) for metric in metrics}

    def _read(self, metric: str, question: Question, answer: Answer) -> RawScores:
        bench = PairReader(self._model)
        with span(metric) as step:
            try:
                items = _READ[metric](bench, question, answer)
            except NoVerdict as nothing:
                step.fail(str(nothing))
                return RawScores(tokens=bench.tokens, reason=str(nothing))
        return RawScores(tuple(items), bench.tokens)


@dataclass(frozen=True, slots=True)
class ClaimEntailment:
    """What the model says to one claim.

    Attributes:
        claim: The claim.
        said: Of all windows: the highest entailment, the highest contradiction; None without a verdict.
        window: The window with the highest entailment.
        reason: Why there is no verdict.
    """

    claim: TextSpan
    said: Entailment | None = None
    window: Context | None = None
    reason: str | None = None

    @property
    def support(self) -> float | None:
        """How probable it is that the claim follows."""
        return self.said.entailed if self.said else None

    @property
    def agreement(self) -> float | None:
        """How probable it is that the claim is not contradicted; as entailment where no label says so."""
        if self.said is None or self.said.contradicted is None:
            return self.support
        return 1.0 - self.said.contradicted

    def raw_score(self, value: float | None) -> RawScore:
        """Return this as the raw score of `value`."""
        features = {} if value is None else {"yes": log_odds(value)}
        claim = self.claim
        return RawScore(claim.text, value, features, claim.start, claim.end, self.window, self.reason)


class PairReader:
    """Puts pairs of window and claim to the entailment model, and adds up the `tokens` that these took."""

    def __init__(self, model: EntailmentModel) -> None:
        self.tokens = Tokens()
        self._model = model
        self._count = cache(model.count_tokens)

    def hold(self, claims: Sequence[Claim], premises: Sequence[Context]) -> list[ClaimEntailment]:
        """Hold each of `claims` against all windows of `premises`, in one batch."""
        windows = [self._windows(claim, premises) for claim in claims]
        with span("entailment") as step:
            pairs = ((window, claim) for claim, of in zip(claims, windows, strict=True) for window in of)
            said = self._model.read([(window.text, claim.whole) for window, claim in pairs])
            self.tokens += said.tokens
            items = iter(said.items)
            found = [
                self._finding(claim, of, [next(items) for _ in of])
                for claim, of in zip(claims, windows, strict=True)
            ]
            if step.is_recording:
                self._tell(step, found)
        return found

    def _tell(self, step: OpenSpan, found: Sequence[ClaimEntailment]) -> None:
        """Tell of each claim; all are read in one batch, so that they take all of its time."""
        for finding in found:
            told = trace_attributes(finding.raw_score(finding.support))
            step.child(
                "verdict", "EVALUATOR", error=finding.reason, **told, **{"llm.model_name": self._model.name}
            )

    def _windows(self, claim: Claim, premises: Sequence[Context]) -> list[Context]:
        room = self._model.limit - self._count(claim.whole)
        if room < LEAST_ROOM * self._model.limit:
            return []
        return [window for premise in premises for window in context_windows(premise, room, self._count)]

    def _finding(
        self, claim: Claim, windows: Sequence[Context], said: Sequence[Entailment]
    ) -> ClaimEntailment:
        if not windows:
            return ClaimEntailment(claim.span, reason=self._lack(claim))
        best = max(range(len(said)), key=lambda n: said[n].entailed)
        against = [one.contradicted for one in said if one.contradicted is not None]
        return ClaimEntailment(
            claim.span, Entailment(said[best].entailed, max(against, default=None)), windows[best]
        )

    def _lack(self, claim: Claim) -> str:
        length, limit = self._count(claim.whole), self._model.limit
        if limit - length >= LEAST_ROOM * limit:
            return "there is no text to hold it against"
        return (
            f"the claim has {length} tokens, and {self._model.name} reads {limit} at once: "
            "too few are left for what it is held against"
        )


def _faithfulness(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:  # noqa: ARG001
    if not answer.contexts:
        raise NoVerdict("there are no contexts to hold the answer against")
    read = read_claims(answer.text)
    if read.declines and not read.claims:
        raise NoVerdict("the answer declines: it makes no claim")
    found = bench.hold(read.claims, answer.contexts)
    return [finding.raw_score(finding.support) for finding in found]


def _context_recall(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    if not answer.contexts:
        raise NoVerdict("there are no contexts to find the reference in")
    found = bench.hold(read_claims(question.reference or "").claims, answer.contexts)
    return [finding.raw_score(finding.support) for finding in found]


def _correctness(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    """Two raw scores: the claim that agrees least with the reference; whether all of it is there."""
    reference, whole = question.reference or "", whole_of(answer.text)
    claimed = bench.hold(_claims(answer.text), [Context(reference)])
    wanted = bench.hold(_claims(reference), [Context(answer.text)])
    agrees = min(claimed, key=lambda finding: _or_least(finding.agreement))
    covers = replace(min(wanted, key=lambda finding: _or_least(finding.support)), claim=whole)
    raw_scores = (agrees.raw_score(agrees.agreement), covers.raw_score(covers.support))
    return [replace(raw_score, closest=None) for raw_score in raw_scores]


def _claims(text: str) -> Sequence[Claim]:
    return read_claims(text).claims or [Claim(whole_of(text))]


def _or_least(value: float | None) -> float:
    """Put what has no verdict before all that has one."""
    return -1.0 if value is None else value


_READ: Mapping[str, Callable[[PairReader, Question, Answer], list[RawScore]]] = {
    "faithfulness": _faithfulness,
    "context_recall": _context_recall,
    "correctness": _correctness,
}


Count = Callable[[str], int]
Piece = tuple[int, int]


def context_windows(context: Context, room: int, count: Count) -> Iterator[Context]:
    """Cut a context into windows of at most `room` tokens, of whole sentences where they fit.

    Each shares its last sentence with the next one, unless that has no room for both it and a new one.

    Args:
        context: What is cut; where it has offsets, each window has its own.
        room: Tokens of a window.
        count: Counts the tokens of a text; it is called anew for each window.
    """
    text = context.text
    pieces = [
        piece for span in split_sentences(text) for piece in _fitting(text, span.start, span.end, room, count)
    ]
    sizes = [count(text[start:end]) for start, end in pieces]
    first = 0
    while first < len(pieces):
        last, size = first, sizes[first]
        while last + 1 < len(pieces) and size + sizes[last + 1] <= room:
            last += 1
            size += sizes[last]
        # What stands between two sentences, the marker of a list say, has tokens as well.
        while last > first and count(text[pieces[first][0] : pieces[last][1]]) > room:
            last -= 1
        yield context.part(pieces[first][0], pieces[last][1])
        if last + 1 == len(pieces):
            return
        shares = last > first and sizes[last] + sizes[last + 1] <= room
        first = last if shares else last + 1


def _fitting(text: str, start: int, end: int, room: int, count: Count) -> Iterator[Piece]:
    """Halve a sentence, between words where there are some, until each part has at most `room` tokens."""
    if end - start < 2 or count(text[start:end]) <= room:
        yield start, end
        return
    middle = (start + end) // 2
    spaces = (n for n in range(start + 1, end - 1) if text[n].isspace())
    space = min(spaces, key=lambda n: abs(n - middle), default=None)
    yield from _fitting(text, start, middle if space is None else space, room, count)
    yield from _fitting(text, middle if space is None else space + 1, end, room, count)
