"""Scores, the claims they are made of, the judgement of an answer, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import EnumType
from functools import cache
from itertools import repeat
from operator import attrgetter
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rag_evals.rag.answer import Citation, Context, Span, Tokens

T = TypeVar("T")
# What the names of metrics of retrieval begin with.
RETRIEVAL = "retrieval."
# Judges that differ by this much are said to: one of them is wrong.
LARGE_SPREAD = 0.3
# Faults of an answer that are named in its evidence.
MOST_FAULTS = 3


@dataclass(frozen=True, slots=True)
class ClaimScore:
    """One claim, or whatever else a metric goes through one by one, and what the judge says to it.

    Attributes:
        text: The claim.
        value: From 0 to 1, higher is better; None when there is no verdict.
        start: Character offset of the claim in the text it was taken from (the answer, for faithfulness).
        end: Character offset behind it.
        closest: The part of the contexts that is closest to the claim, with page and offsets; None without.
        reason: Why there is no verdict.
        unsupported: Words of the claim that nothing in the contexts speaks for, in order.
        citations: What stands behind the claim, where it was held against what it cites.
        fault: What is wrong with the claim, where no model had to tell: it cites what was not retrieved.
    """

    text: str
    value: float | None
    start: int = 0
    end: int = 0
    closest: Context | None = None
    reason: str | None = None
    unsupported: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Decline:
    """A sentence, or the whole, of an answer that declines to answer and so claims nothing.

    Attributes:
        text: What declines.
        start: Its character offset in the answer.
        end: The offset behind it.
        by: What decided that: a rule, where it can be nothing else, or the judge that was asked.
    """

    text: str
    start: int
    end: int
    by: Literal["rule", "judge"]


@dataclass(frozen=True, slots=True)
class Score:
    """One metric on one answer.

    Attributes:
        metric: The metric's name.
        value: From 0 to 1, higher is better; None when there is no verdict.
        reason: Why there is no verdict.
        evidence: What a value below the threshold complains of, for the assertion's text; of a value that
            holds, what was weakest (`held_to`).
        least: The lowest value among `claims`; None without a verdict.
        mean: Their mean; `value` is one of the two, as the metric totals.
        claims: What the score is made of, in the order of the text.
        graded: False when the verdict was read from a word, not from probabilities: 0 or 1.
        spread: Largest difference between the judges of an ensemble; None for a single judge.
        repeats: Values of further judgings of the same answer: how much the judge itself wavers.
        declines: What of the answer declines, with what decided that.
        breach: What a value below the threshold means, said of the weakest claim; None where `evidence` is
            all that the judge says, whatever the value.
        explanation: The sentence that the judging model wrote on a breach; None where none was asked for.
    """

    metric: str
    value: float | None
    reason: str | None = None
    evidence: str | None = None
    least: float | None = None
    mean: float | None = None
    claims: tuple[ClaimScore, ...] = ()
    graded: bool = True
    spread: float | None = None
    repeats: tuple[float | None, ...] = ()
    declines: tuple[Decline, ...] = ()
    breach: str | None = None
    explanation: str | None = None

    @property
    def weakest(self) -> ClaimScore | None:
        """The claim with the lowest value; None without a verdict on any."""
        scored = [(claim.value, n) for n, claim in enumerate(self.claims) if claim.value is not None]
        return self.claims[min(scored)[1]] if scored else None

    def held_to(self, threshold: float | None) -> Score:
        """Return the score with the evidence that fits: only a value below `threshold` is complained of."""
        weakest = self.weakest
        if self.breach is None or weakest is None:
            return self
        is_breach = is_below(self.value, threshold)
        return replace(self, evidence=_evidence(self, weakest, is_breach=is_breach))

    def without_words(self, threshold: float | None) -> Score:
        """Return the score without the unsupported words of claims that hold."""
        if not any(claim.unsupported for claim in self.claims):
            return self
        claims = (
            claim if is_below(claim.value, threshold) else replace(claim, unsupported=())
            for claim in self.claims
        )
        return replace(self, claims=tuple(claims))


def is_below(value: float | None, threshold: float | None) -> bool:
    """Return whether a score misses its threshold; without a verdict, or a threshold, it does not."""
    return value is not None and threshold is not None and value < threshold


def _evidence(score: Score, weakest: ClaimScore, *, is_breach: bool) -> str:
    quoted = _quoted(weakest.text)
    said = f"{quoted} {weakest.fault or score.breach}" if is_breach else f"weakest: {quoted}"
    closest, spread = weakest.closest, score.spread
    pages = f" p.{closest.pages}" if closest and closest.pages else ""
    marks = "" if weakest.fault else ", ".join(dict.fromkeys(map(citation_text, weakest.citations)))
    notes = [
        f"cited: {marks}" if marks else "",
        f"unsupported: {', '.join(weakest.unsupported)}" if is_breach and weakest.unsupported else "",
        f"closest: {closest.document}{pages}" if closest and closest.document else "",
    ]
    where = "; ".join(filter(None, notes))
    differ = spread_note(spread)
    more = _other_faults(score, weakest) if is_breach and weakest.fault else ""
    return said + more + (f" ({where})" if where else "") + (f" ({differ})" if differ else "")


def _other_faults(score: Score, weakest: ClaimScore) -> str:
    """Return the other claims that a rule found at fault, of many the first: each is an offender."""
    others = [claim for claim in score.claims if claim.fault and claim is not weakest]
    told = [f"; {_quoted(claim.text)} {claim.fault}" for claim in others[: MOST_FAULTS - 1]]
    left = len(others) - len(told)
    return "".join(told) + (f"; and {left} more" if left else "")


def citation_text(citation: Citation) -> str:
    """Return a citation as people write it: its mark, or what it names where it has none."""
    if citation.mark:
        return " ".join(citation.mark.split())
    if citation.contexts:
        return f"passage {', '.join(f'{n + 1}' for n in citation.contexts)}"
    last = "" if citation.page_end is None else f"-{citation.page_end}"
    page = "" if citation.page is None else f"p.{citation.page}{last}"
    return " ".join(filter(None, (citation.document, page)))


def spread_note(spread: float | None) -> str:
    """Return that judges differ, where they do by much; else nothing."""
    return f"judges differ by {spread:.2f}" if spread and round(spread, 2) >= LARGE_SPREAD else ""


def _quoted(text: str, width: int = 120) -> str:
    line = " ".join(text.split())
    return f'"{line if len(line) <= width else line[: width - 1] + "…"}"'


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says to one answer: scores, seconds, tokens, and the tokens of each judge of several."""

    scores: tuple[Score, ...]
    seconds: float = 0.0
    tokens: Tokens = Tokens()
    members: tuple[Tokens, ...] = ()

    @property
    def parts(self) -> tuple[Tokens, ...]:
        """The tokens of each judge of several, or of the only one."""
        return self.members or (self.tokens,)


def judgement_to_json(judgement: Judgement) -> dict[str, Any]:
    """Return `judgement` as it is kept in the cache."""
    return {
        "scores": [score_to_json(score) for score in judgement.scores],
        "seconds": judgement.seconds,
        "tokens": fields_of(judgement.tokens),
        **({"members": [fields_of(tokens) for tokens in judgement.members]} if judgement.members else {}),
    }


def judgement_from_json(kept: Mapping[str, Any]) -> Judgement:
    """Read back what `judgement_to_json` wrote."""
    scores = tuple(score_from_json(score["metric"], score) for score in kept["scores"])
    members = tuple(from_fields(Tokens, tokens) for tokens in kept.get("members") or ())
    return Judgement(scores, kept["seconds"], from_fields(Tokens, kept["tokens"]), members)


def score_to_json(score: Score) -> dict[str, Any]:
    """Return a score as JSON."""
    told = fields_of(score)
    told["claims"] = list(map(_claim_to_json, score.claims))
    told["again"] = list(told.pop("repeats"))
    if declines := told.pop("declines"):
        told["declines"] = list(map(fields_of, declines))
    return told


def _claim_to_json(claim: ClaimScore) -> dict[str, Any]:
    told = fields_of(claim)
    if unsupported := told.pop("unsupported"):
        told["unsupported"] = list(unsupported)
    if citations := told.pop("citations"):
        told["citations"] = list(map(citation_to_json, citations))
    if claim.closest:
        told["closest"] = context_to_json(claim.closest)
    return told


def tokens_to_json(tokens: Mapping[str, Tokens]) -> dict[str, Any]:
    """Return the tokens of each stage as JSON."""
    return {stage: fields_of(used) for stage, used in tokens.items()}


def tokens_from_json(kept: Mapping[str, Any]) -> dict[str, Tokens]:
    """Return the tokens of each stage from their JSON."""
    return {stage: from_fields(Tokens, used) for stage, used in kept.items()}


def score_from_json(metric: str, line: Mapping[str, Any]) -> Score:
    """Return a score from its JSON."""
    told = {
        **line,
        "metric": metric,
        "claims": tuple(map(_claim, line.get("claims", ()))),
        "repeats": tuple(line.get("again") or ()),
        "declines": tuple(from_fields(Decline, one) for one in line.get("declines", ())),
    }
    told.pop("again", None)
    told.pop("threshold", None)  # in a record it stands beside
    return from_fields(Score, told)


def _claim(line: Mapping[str, Any]) -> ClaimScore:
    closest = line.get("closest")
    told = {**line, "closest": context_from_json(closest) if closest else None}
    if "unsupported" in line:
        told["unsupported"] = tuple(line["unsupported"] or ())
    if "citations" in line:
        told["citations"] = tuple(map(citation_from_json, line["citations"] or ()))
    return from_fields(ClaimScore, told)


def without(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return `values` without `keys`."""
    return {name: value for name, value in values.items() if name not in keys}


# Fields that are written only where they say something.
_RARE = frozenset({"page_end", "breach", "explanation", "relevance", "any_of", "fault"})


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of the dataclass `value`, unlike `asdict` without copying what is in them."""
    names, values, rare = _getter(value.__class__)
    told = dict(zip(names, values(value), strict=False))
    for name in rare:
        if told[name] is None:
            del told[name]
    return told


@cache
def _getter(kind: type[Any]) -> tuple[Sequence[str], Callable[[Any], Sequence[Any]], Sequence[str]]:
    """Return the names of the fields of a dataclass, what gets their values, and those rarely written."""
    names = tuple(kind.__dataclass_fields__)
    # With one name more there are several: of a single one it would get no sequence.
    return names, attrgetter(*names, "__class__"), [name for name in names if name in _RARE]


def context_to_json(context: Context) -> dict[str, Any]:
    """Return a passage as records have it."""
    told = fields_of(context)
    if copies := told.pop("copies"):
        told["copies"] = list(map(fields_of, copies))
    return told


def context_from_json(line: Mapping[str, Any]) -> Context:
    """Return a passage of a record."""
    if "copies" in line:
        line = {**line, "copies": tuple(from_fields(Span, span) for span in line["copies"] or ())}
    return from_fields(Context, line)


def citation_to_json(citation: Citation) -> dict[str, Any]:
    """Return a citation as records have it: only the fields that say something."""
    named = {name: getattr(citation, name) for name in citation.__dataclass_fields__}
    said = {name: value for name, value in named.items() if value is not None and value not in ("", ())}
    return {**said, "contexts": list(citation.contexts)} if citation.contexts else said


def citation_from_json(line: Mapping[str, Any]) -> Citation:
    """Return a citation of a record."""
    return from_fields(Citation, {**line, "contexts": tuple(line.get("contexts") or ())})


def from_fields(into: type[T], values: Mapping[str, Any]) -> T:
    """Return an `into`, a dataclass, of those of `values` that it knows."""
    known: Mapping[str, Any] = getattr(into, "__dataclass_fields__", {})
    if values.keys() <= known.keys():  # nearly always; told in a tenth of the time
        return into(**values)
    return into(**{key: value for key, value in values.items() if key in known})


def from_json(into: type[T], value: Any) -> T:
    """Return an `into`, a dataclass, of its JSON, as its annotations say it; unknown keys are passed over.

    Raises:
        KeyError: A field without a default is missing.
        AttributeError, TypeError, ValueError: Something has another form.
    """
    return _read(into, value)  # type: ignore[no-any-return]


def _read(kind: Any, value: Any) -> Any:
    inside = get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        names = [field.name for field in fields(kind) if field.name in value or field.default is MISSING]
        return kind(**{name: _read(_hints(kind)[name], value[name]) for name in names})
    if isinstance(kind, EnumType):
        return kind(value)
    if NoneType in inside:
        return None if value is None else _read(inside[0], value)
    if get_origin(kind) is tuple:
        kinds = repeat(inside[0]) if inside[-1] is Ellipsis else inside
        return tuple(map(_read, kinds, value))
    if get_origin(kind) is Mapping:
        return {name: _read(inside[1], part) for name, part in value.items()}
    return value


_hints = cache(get_type_hints)
