"""The entailment scorer: does a claim follow from the passages, as a trained model sees it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.choice.grader import log_odds, whole_of
from rag_evals.evals.judges.citations import read_citations
from rag_evals.evals.judges.citations.reading import CitationReader
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.entailment.asked import AskedModel
from rag_evals.evals.judges.entailment.windows import Window, windows_for
from rag_evals.evals.judges.judge import RawScore, RawScores, trace_attributes
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import load, profile_of
from rag_evals.rag.retrieval.entailment import Ask, Entailment, EntailmentModel
from rag_evals.rag.retrieval.text.sentences import TextSpan
from rag_evals.rag.tracing.spans import OpenSpan, span

# Counts up when the way from an answer to its raw scores changes in a way that no setting shows.
VERSION = 2
# A claim that leaves less than this share of the model's length to the premise is not read.
LEAST_ROOM = 0.25


class EntailmentScorer:
    """Holds each claim against windows of the contexts; the window that supports it best counts.

    A window is as long as model and claim allow, of whole sentences where they fit, and shares a sentence
    with the next one (the idea of SummaC, Laban et al. 2022, at the width the model reads at once). What was
    trained on documents reads passages together, as long a piece as its makers give it.

    Args:
        model: Reads a premise and a claim.
        kind: What users wrote for it.

    Attributes:
        metrics: What it can read. A judge that marks the tokens of an answer says nothing of a contradiction.
    """

    def __init__(self, model: EntailmentModel | AskedModel, kind: str = "cross-encoder") -> None:
        cannot = "correctness" if model.form.head == "tokens" else ""
        self.metrics = tuple(name for name in _READ if name != cannot)
        self.name = f"{kind} ({model.name})"
        self.profile = profile_of(model)
        self.fingerprint = digest({"reader": "entailment", "version": VERSION, "model": model.fingerprint})
        self._model = model

    def load(self) -> None:
        """Load what is not loaded yet.

        Raises:
            ModelError: It cannot be loaded.
        """
        load(self._model)

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        """Read `answer` for each of `metrics`, in the calling thread."""
        bench = PairReader(self._model)
        return {metric: self._read(metric, bench, question, answer) for metric in metrics}

    def _read(self, metric: str, bench: PairReader, question: Question, answer: Answer) -> RawScores:
        before = bench.tokens
        with span(metric) as step:
            try:
                items = _READ[metric](bench, question, answer)
            except NoVerdict as nothing:
                step.fail(str(nothing))
                return RawScores(tokens=bench.tokens - before, reason=str(nothing))
        return RawScores(tuple(items), bench.tokens - before)


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
        place = (claim.start, claim.end, self.window, self.reason)
        return RawScore(claim.text, value, features, *place, graded=self.said is None or self.said.graded)


class PairReader:
    """Puts pairs of window and claim to the entailment model for one answer.

    Attributes:
        tokens: What the pairs took so far.
        citations: What the answer cites, once it was read: for all metrics.
    """

    def __init__(self, model: EntailmentModel | AskedModel) -> None:
        self.tokens = Tokens()
        self.citations: CitationReader | None = None
        self._model = model
        self._count = cache(model.count_tokens)

    def hold(
        self, claims: Sequence[Claim], premises: Sequence[Context], *, whole: str, question: str
    ) -> list[ClaimEntailment]:
        """Hold each of `claims` against all windows of `premises`, in one batch.

        Args:
            claims: The claims.
            premises: What they are held against.
            whole: The text that they are the claims of.
            question: What was asked.
        """
        texts = [whole if self._by_tokens else claim.whole for claim in claims]
        cut = {text: self._windows(text, premises, question) for text in dict.fromkeys(texts)}
        windows = [cut[text] for text in texts]
        with span("entailment") as step:
            asks = [
                self._ask(window.text, text, claim.span)
                for claim, text, of in zip(claims, texts, windows, strict=True)
                for window in of
            ]
            said = self._model.read(asks)
            self.tokens += said.tokens
            items = iter(said.items)
            found = [
                self._finding(claim, of, [next(items) for _ in of], "" if of else self._lack(text, question))
                for claim, text, of in zip(claims, texts, windows, strict=True)
            ]
            if step.is_recording:
                self._tell(step, found)
        return found

    @property
    def _by_tokens(self) -> bool:
        return self._model.form.head == "tokens"

    def _ask(self, premise: str, text: str, place: TextSpan) -> tuple[str, str] | Ask:
        return Ask(premise, text, place.start, place.end) if self._by_tokens else (premise, text)

    def _tell(self, step: OpenSpan, found: Sequence[ClaimEntailment]) -> None:
        """Tell of each claim; all are read in one batch, so that they take all of its time."""
        for finding in found:
            told = trace_attributes(finding.raw_score(finding.support))
            step.child(
                "verdict", "EVALUATOR", error=finding.reason, **told, **{"llm.model_name": self._model.name}
            )

    def _windows(self, text: str, premises: Sequence[Context], question: str) -> list[Window]:
        around = self._count(self._model.form.premise([], question))
        room = self._model.limit - self._count(text) - around
        if room < LEAST_ROOM * self._model.limit:
            return []
        return windows_for(self._model.form, premises, question, room, self._count)

    def _finding(
        self, claim: Claim, windows: Sequence[Window], said: Sequence[Entailment], lack: str
    ) -> ClaimEntailment:
        if not windows:
            return ClaimEntailment(claim.span, reason=lack)
        best = max(range(len(said)), key=lambda n: said[n].entailed)
        against = [one.contradicted for one in said if one.contradicted is not None]
        return ClaimEntailment(
            claim.span,
            replace(said[best], contradicted=max(against, default=None)),
            windows[best].closest(claim.whole),
        )

    def _lack(self, text: str, question: str) -> str:
        form, limit = self._model.form, self._model.limit
        length = self._count(text) + self._count(form.premise([], question))
        if limit - length >= LEAST_ROOM * limit:
            return "there is no text to hold it against"
        what = "question and answer have" if form.asks else "the claim has"
        return (
            f"{what} {length} tokens, and {self._model.name} reads "
            f"{limit} at once: too few are left for what it is held against"
        )


def _faithfulness(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    if not answer.contexts:
        raise NoVerdict("there are no contexts to hold the answer against")
    read = read_claims(answer.text)
    if read.declines and not read.claims:
        raise NoVerdict("the answer declines: it makes no claim")
    found = bench.hold(read.claims, answer.contexts, whole=answer.text, question=question.question)
    return [finding.raw_score(finding.support) for finding in found]


def _context_recall(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    if not answer.contexts:
        raise NoVerdict("there are no contexts to find the reference in")
    whole = question.reference or ""
    found = bench.hold(read_claims(whole).claims, answer.contexts, whole=whole, question=question.question)
    return [finding.raw_score(finding.support) for finding in found]


def _correctness(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    """Two raw scores: the claim that agrees least with the reference; whether all of it is there."""
    reference, whole = question.reference or "", whole_of(answer.text)
    asked = question.question
    claimed = bench.hold(_claims(answer.text), [Context(reference)], whole=answer.text, question=asked)
    wanted = bench.hold(_claims(reference), [Context(answer.text)], whole=reference, question=asked)
    agrees = min(claimed, key=lambda finding: _or_least(finding.agreement))
    covers = replace(min(wanted, key=lambda finding: _or_least(finding.support)), claim=whole)
    raw_scores = (agrees.raw_score(agrees.agreement), covers.raw_score(covers.support))
    return [replace(raw_score, closest=None) for raw_score in raw_scores]


def _citations(bench: PairReader, question: Question, answer: Answer) -> CitationReader:
    if bench.citations is None:
        bench.citations = _read_citations(bench, question, answer)
    return bench.citations


def _read_citations(bench: PairReader, question: Question, answer: Answer) -> CitationReader:
    cited = read_citations(answer)
    read = read_claims(cited.text, question.question)
    if read.declines and not (read.claims or cited.citations):
        raise NoVerdict("the answer declines: it makes no claim")
    asked = question.question

    def hold(claims: Sequence[Claim], contexts: Sequence[Context]) -> list[RawScore]:
        found = bench.hold(claims, contexts, whole=cited.text, question=asked)
        return [finding.raw_score(finding.support) for finding in found]

    return CitationReader(answer, cited, read.claims, hold)


def _citation_precision(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    return _citations(bench, question, answer).precision()


def _citation_recall(bench: PairReader, question: Question, answer: Answer) -> list[RawScore]:
    return _citations(bench, question, answer).recall()


def _claims(text: str) -> Sequence[Claim]:
    return read_claims(text).claims or [Claim(whole_of(text))]


def _or_least(value: float | None) -> float:
    """Put what has no verdict before all that has one."""
    return -1.0 if value is None else value


_READ: Mapping[str, Callable[[PairReader, Question, Answer], list[RawScore]]] = {
    "faithfulness": _faithfulness,
    "context_recall": _context_recall,
    "correctness": _correctness,
    "citation_precision": _citation_precision,
    "citation_recall": _citation_recall,
}
