"""The readings of citations: each claim held against what it cites, for precision and for recall.

That a citation counts which alone supports its sentence, or which the others need, is the rule of ALCE (Gao
et al. 2023), here on probabilities.
"""

# ruff: noqa: RUF001 - stops of every kind end sentences

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.citations.marks import CitedAnswer
from rag_evals.evals.judges.citations.places import Documents
from rag_evals.evals.judges.citations.targets import Target, behind, targets_of
from rag_evals.evals.judges.claims import Claim
from rag_evals.evals.judges.judge import RawScore
from rag_evals.rag.answer import Answer, Citation, Context
from rag_evals.rag.retrieval.text.sentences import TextSpan

# Counts up when the same answer has other citations, or others are held against its claims.
VERSION = 1
# Pairs of a claim and what it cites: more would take a quarter of an hour.
MOST_PAIRS = 200
PRECISION = "citation_precision"
RECALL = "citation_recall"
CITATION_METRICS = (PRECISION, RECALL)

# Holds claims against passages: a raw score each, whose value is the probability of support.
Hold = Callable[[Sequence[Claim], Sequence[Context]], Sequence[RawScore]]
Passages = tuple[int, ...]

_BLANKS = re.compile(r"\s+")
_BEFORE_STOP = re.compile(r" (?=[.,;:!?。，；、)\]])")
_STOPS = re.compile(r"[,;](?=[.!?。])")


@dataclass(slots=True)
class _Cited:
    """A claim, and what it cites."""

    claim: Claim
    targets: list[Target] = field(default_factory=list)

    @property
    def retrieved(self) -> list[Passages]:
        """The passages of each thing that it cites and that was retrieved, each once."""
        return list(dict.fromkeys(target.contexts for target in self.targets if target.contexts))


class CitationReader:
    """Holds the claims of an answer against what they cite; each pair is read once, whatever asks for it.

    Args:
        answer: The answer.
        cited: What was read of its citations.
        claims: What `cited.text` claims.
        hold: Holds claims against passages.

    Raises:
        NoVerdict: There are too many pairs.
    """

    def __init__(self, answer: Answer, cited: CitedAnswer, claims: Sequence[Claim], hold: Hold) -> None:
        self._answer = answer
        self._hold = hold
        self._claims = [_Cited(_tidied(claim)) for claim in claims]
        # What is cited for the answer as a whole, and what stands behind no claim.
        self._whole: list[Target] = []
        self._loose: list[Target] = []
        self._read: dict[tuple[int, Passages], RawScore] = {}
        self._has_citations = bool(cited.citations)
        self._place(cited.citations, claims, cited.text)
        self._read_all()

    def _place(self, citations: Iterable[Citation], claims: Sequence[Claim], text: str) -> None:
        documents = Documents(self._answer.contexts)
        for citation in citations:
            targets = targets_of(citation, self._answer, documents)
            if citation.start is None or citation.end is None:
                self._whole += targets
                continue
            places = (
                behind(citation, claims, text) if 0 <= citation.start <= citation.end <= len(text) else []
            )
            for n in places:
                self._claims[n].targets += targets
            self._loose += targets if not places else []

    def _read_all(self) -> None:
        """Read each claim against each thing that it cites, those that cite the same in one go."""
        wanted: dict[Passages, list[int]] = {}
        for n, cited in enumerate(self._claims):
            own = dict.fromkeys((*cited.retrieved, *_retrieved(self._whole)))
            for passages in own:
                wanted.setdefault(passages, []).append(n)
            if len(cited.retrieved) > 1:
                wanted.setdefault(_union(cited.retrieved), []).append(n)
        pairs = sum(map(len, wanted.values()))
        if pairs > MOST_PAIRS:
            raise NoVerdict(
                f"{pairs:,} pairs of a sentence and what it cites are to be read; at most {MOST_PAIRS:,} are"
            )
        for passages in sorted(wanted):
            self._held(list(dict.fromkeys(wanted[passages])), passages)

    def _held(self, claims: Sequence[int], passages: Passages) -> None:
        new = [n for n in claims if (n, passages) not in self._read]
        contexts = [self._answer.contexts[one] for one in passages]
        read = self._hold([self._claims[n].claim for n in new], contexts) if new else ()
        for n, raw_score in zip(new, read, strict=True):
            self._read[n, passages] = replace(raw_score, text=self._shown(n))

    def _shown(self, n: int) -> str:
        span = self._claims[n].claim.span
        return self._answer.text[span.start : span.end]

    def _support(self, n: int, passages: Passages) -> RawScore:
        self._held([n], passages)
        return self._read[n, passages]

    # --- precision ---

    def precision(self) -> list[RawScore]:
        """Return whether each citation supports what it stands behind: one raw score a citation and claim.

        Raises:
            NoVerdict: Nothing is cited, or for nothing that is claimed.
        """
        if not self._has_citations:
            raise NoVerdict("the answer cites nothing")
        items = [
            self._of_citation(n, target)
            for n, cited in enumerate(self._claims)
            for target in _each_once(cited.targets)
        ]
        items += [
            self._of_whole(target) for target in _each_once(self._whole) if target.fault or self._claims
        ]
        items += [self._at_fault(target) for target in _each_once(self._loose) if target.fault]
        if not items:
            raise NoVerdict("what the answer cites stands behind nothing that it claims")
        return sorted(items, key=lambda item: item.start)

    def _of_citation(self, n: int, target: Target) -> RawScore:
        span = self._claims[n].claim.span
        if target.fault:
            return _zero(TextSpan(self._shown(n), span.start, span.end), target.fault, target.citation)
        return replace(self._needed(n, target.contexts), citations=(target.citation,))

    def _needed(self, n: int, passages: Passages) -> RawScore:
        """Return the reading that decides of one citation among those of its claim.

        It supports the claim alone; or all of them do together, and do not without it.
        """
        alone, others = self._support(n, passages), self._claims[n].retrieved
        if len(others) < 2:
            return alone
        joint = self._support(n, _union(others))
        if alone.value is None or joint.value is None:
            return alone if alone.value is None else joint
        if joint.value <= alone.value:
            return alone
        rest = self._support(n, _union([one for one in others if one != passages]))
        if rest.value is None:
            return rest
        without = replace(
            alone, value=1.0 - rest.value, features=rest.features, is_opposite=not rest.is_opposite
        )
        needed = min(joint, without, key=lambda one: one.value or 0.0)
        return max(alone, needed, key=lambda one: one.value or 0.0)

    def _of_whole(self, target: Target) -> RawScore:
        """Return the reading of what is cited for the whole answer, on the claim that it supports best."""
        if target.fault:
            return self._at_fault(target)
        read = [self._support(n, target.contexts) for n in range(len(self._claims))]
        return replace(_best(read), citations=(target.citation,))

    def _at_fault(self, target: Target) -> RawScore:
        start, end = target.citation.start or 0, target.citation.end or 0
        is_inside = 0 <= start < end <= len(self._answer.text)
        text = target.citation.mark or (self._answer.text[start:end] if is_inside else self._answer.text)
        place = (start, end) if is_inside else (0, len(self._answer.text))
        return _zero(TextSpan(text, *place), target.fault, target.citation)

    # --- recall ---

    def recall(self) -> list[RawScore]:
        """Return whether something that it cites supports each claim: one raw score a claim.

        Raises:
            NoVerdict: Nothing is claimed; or nothing is cited, and nothing says that the pipeline is to cite.
        """
        if not self._has_citations:
            if not self._answer.cites:
                raise NoVerdict("the answer cites nothing, and nothing says that its pipeline is to cite")
            whole = TextSpan(self._answer.text, 0, len(self._answer.text))
            return [_zero(whole, "cites nothing, and its pipeline is to cite")]
        if not self._claims:
            raise NoVerdict("the answer makes no claim that needs a citation")
        return [self._of_claim(n) for n in range(len(self._claims))]

    def _of_claim(self, n: int) -> RawScore:
        cited = self._claims[n]
        targets = _each_once((*cited.targets, *self._whole))
        citations = tuple(target.citation for target in targets)
        span = cited.claim.span
        retrieved = dict.fromkeys((*cited.retrieved, *_retrieved(self._whole)))
        if not retrieved:
            fault = targets[0].fault if targets else "cites nothing"
            return _zero(TextSpan(self._shown(n), span.start, span.end), fault, *citations)
        read = [self._support(n, passages) for passages in retrieved]
        if len(cited.retrieved) > 1:
            read.append(self._support(n, _union(cited.retrieved)))
        return replace(_best(read), citations=citations)


def _best(read: Sequence[RawScore]) -> RawScore:
    """Return the reading with the highest value; one without a verdict before all, as it may be the best."""
    return max(read, key=lambda one: 2.0 if one.value is None else one.value)


def _zero(span: TextSpan, fault: str, *citations: Citation) -> RawScore:
    return RawScore(span.text, 0.0, start=span.start, end=span.end, fault=fault, citations=citations)


def _retrieved(targets: Iterable[Target]) -> list[Passages]:
    return [target.contexts for target in targets if target.contexts]


def _union(groups: Iterable[Passages]) -> Passages:
    return tuple(sorted({n for group in groups for n in group}))


def _each_once(targets: Iterable[Target]) -> list[Target]:
    """Return one of those that name the same: a sentence may cite a passage twice."""
    return list({(target.contexts or target.fault): target for target in reversed([*targets])}.values())[::-1]


def _tidied(claim: Claim) -> Claim:
    """Return a claim without the blanks that its marks have left behind."""
    span = TextSpan(_tidy(claim.span.text), claim.span.start, claim.span.end)
    return replace(claim, span=span, lead=_tidy(claim.lead), read=_tidy(claim.read))


def _tidy(text: str) -> str:
    text = _BEFORE_STOP.sub("", _BLANKS.sub(" ", text)).strip()
    return _STOPS.sub("", text)
