"""Conditions that a run as a whole is held to, parsed at the edge.

The grammar: `[SCOPE] MEASURE[.STATISTIC] OP NUMBER[UNIT]`, with any whitespace between its parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import NoReturn

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.judges.metrics import BUNDLED, METRICS, MetricSet
from rag_evals.evals.retrieval.metric_names import is_retrieval_metric, parse_metric

PASS_RATE = "pass_rate"
COVERAGE = "coverage"
LATENCY = "latency"
TOKENS = "tokens"
CONVERSATIONS = "conversations"
_OTHERS = (PASS_RATE, CONVERSATIONS, COVERAGE, LATENCY, TOKENS)
MEASURES = (*METRICS, *_OTHERS)
# Of questions, conversations or evaluations: they are one number and have no statistic.
SHARES = (PASS_RATE, CONVERSATIONS, COVERAGE)

OPERATORS = (">=", "<=", ">", "<")
SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "min": Decimal(60)}

_STATISTICS = ("mean", "median", "min", "max")
_PERCENTILE = re.compile(r"p([1-9][0-9]?)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A metric of retrieval, whose name has a dot; the k is what stands behind the sign, whatever it is.
_RETRIEVAL = re.compile(r"retrieval\.[A-Za-z_]*(?:@[^\s.<>=]*)?")
_OPERATOR = re.compile(r"[<>]=?")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_UNIT = re.compile(r"%|[A-Za-z]+")
_SPACE = re.compile(r" *")


class ConditionError(UsageError):
    """Raised when a text is no condition; the message names the text and the character."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a run is held to.

    Attributes:
        text: The condition as it is printed: one text for all spellings, which parses into the same again.
        pipeline: Name of the pipeline that it holds for; None for each of them apart.
        tags: Tags that a question has all of, to be counted.
        measure: A metric's name, `pass_rate`, `conversations` (the share of them all of whose turns passed),
            `coverage`, `latency` or `tokens`.
        statistic: `mean`, `median`, `min`, `max`, `p1` to `p99`, of a metric also `pass_rate`; None for a
            measure that is one number by itself. Of a metric of retrieval it is the mean where none is named.
        is_at_least: Whether the value must not be below the bound; otherwise it must not be above.
        bound: The bound; a share from 0 to 1, seconds, or tokens.
        is_strict: Whether the bound itself is too little, or too much.
    """

    text: str
    pipeline: str | None
    tags: tuple[str, ...]
    measure: str
    statistic: str | None
    is_at_least: bool
    bound: float
    is_strict: bool = False

    @property
    def quantile(self) -> float | None:
        """Which quantile it is about, 0 to 1; None for none."""
        if self.statistic == "median":
            return 0.5
        found = _PERCENTILE.fullmatch(self.statistic or "")
        return int(found[1]) / 100 if found else None

    @property
    def is_of_retrieval(self) -> bool:
        """Whether it is about retrieval, and not about answers."""
        return is_retrieval_metric(self.measure)

    @property
    def is_rate(self) -> bool:
        """Whether it is about a share of questions, or of conversations."""
        return PASS_RATE in (self.measure, self.statistic) or self.measure == CONVERSATIONS

    @property
    def is_counted(self) -> bool:
        """Whether its value is a fact of the run, not an estimate: coverage, least and greatest."""
        return self.measure == COVERAGE or self.statistic in ("min", "max")

    def text_for(self, pipeline: str | None) -> str:
        """Return the text of the condition as it is held for one pipeline."""
        return f"{_scope_text(pipeline, self.tags)}{self.text.rpartition('] ')[2]}"


def parse_conditions(texts: Iterable[str], known: MetricSet = BUNDLED) -> tuple[Condition, ...]:
    """Parse what a run is held to, by the metrics that are `known`.

    Raises:
        ConditionError: A text is no condition.
    """
    return tuple(parse_condition(text, known) for text in texts)


def parse_condition(text: str, known: MetricSet = BUNDLED) -> Condition:
    """Parse one condition, such as `[baseline, tag:numbers] faithfulness.mean >= 85%`.

    Args:
        text: The condition.
        known: The metrics that there are.

    Raises:
        ConditionError: It is none.
    """
    reader = _Reader(text)
    if reader.is_at_end:
        reader.fail("there is nothing: write what the run is held to, such as pass_rate >= 0.9", 0)
    pipeline, tags = _scope(reader)
    measure = _measure(reader, known)
    statistic = _statistic(reader, measure)
    operator = _operator(reader)
    bound = _bound(reader, measure, operator)
    if not reader.is_at_end:
        reader.fail("expected nothing more: one condition a line")
    name = f"{measure}.{statistic}" if statistic else measure
    unit = "s" if measure == LATENCY else ""
    return Condition(
        text=f"{_scope_text(pipeline, tags)}{name} {operator} {bound.normalize():f}{unit}",
        pipeline=pipeline,
        tags=tags,
        measure=measure,
        statistic=statistic,
        is_at_least=operator.startswith(">"),
        bound=float(bound),
        is_strict=not operator.endswith("="),
    )


class _Reader:
    """A condition's text, and how far it was read."""

    def __init__(self, text: str) -> None:
        # A tab or a line's end would move the caret.
        self.text = "".join(" " if c.isspace() else c for c in text)
        self.at = 0
        self._skip()

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self.text)

    def take(self, pattern: re.Pattern[str]) -> str:
        """Read what `pattern` matches here, and the space behind it; nothing if it does not match."""
        found = pattern.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        self._skip()
        return found[0]

    def take_sign(self, sign: str) -> bool:
        """Read `sign` if it is here."""
        return bool(self.take(re.compile(re.escape(sign))))

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Return what is wrong at a character, here by default.

        Raises:
            ConditionError: Always.
        """
        at = self.at if at is None else at
        raise ConditionError(
            f"condition {printable(repr(self.text))}, character {at + 1}: {printable(problem)}\n"
            # On a line of its own, as whoever prints the message may put something before the first.
            f"  {printable(self.text)}\n  {' ' * at}^"
        )

    def _skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at


# --- scope ---


def _scope(reader: _Reader) -> tuple[str | None, tuple[str, ...]]:
    opened = reader.at
    if not reader.take_sign("["):
        return None, ()
    if "]" not in reader.text[reader.at :]:
        reader.fail("this bracket is not closed: write [PIPELINE], [tag:NAME] or both", opened)
    pipeline: str | None = None
    tags: list[str] = []
    for name, at in _names(reader):
        if name.startswith("tag:"):
            tags.append(_tag(reader, name, at))
        elif not name:
            reader.fail("expected the name of a pipeline, or tag:NAME", at)
        elif pipeline is not None:
            reader.fail(f"a second pipeline, {name!r}: write a condition for each", at)
        else:
            pipeline = name
    return pipeline, tuple(dict.fromkeys(tags))


def _names(reader: _Reader) -> Iterator[tuple[str, int]]:
    """Read up to the closing bracket; yield each name with the place where it begins."""
    end = reader.text.index("]", reader.at)
    at = reader.at
    for part in reader.text[at:end].split(","):
        yield part.strip(), at + len(part) - len(part.lstrip())
        at += len(part) + 1
    reader.at = end
    reader.take_sign("]")


def _tag(reader: _Reader, name: str, at: int) -> str:
    tag = name.removeprefix("tag:").strip()
    if not tag:
        reader.fail("expected a tag behind `tag:`", at + len("tag:"))
    return tag


def _scope_text(pipeline: str | None, tags: Sequence[str]) -> str:
    names = [*([pipeline] if pipeline is not None else []), *(f"tag:{tag}" for tag in tags)]
    return f"[{', '.join(names)}] " if names else ""


# --- what is measured ---


def _measure(reader: _Reader, known: MetricSet) -> str:
    at = reader.at
    if name := reader.take(_RETRIEVAL):
        try:
            return parse_metric(name).name
        except UsageError as error:
            reader.fail(str(error), at)
    word = reader.take(_WORD)
    measures = (*known.names, *_OTHERS)
    if not word:
        reader.fail(f"expected one of {', '.join(measures)}")
    if word not in measures and not known.takes_any:
        reader.fail(f"unknown metric or measure {word!r}{_hint(word, measures)}", at)
    return word


def _statistic(reader: _Reader, measure: str) -> str | None:
    dot = reader.at
    if not reader.take_sign("."):
        if measure in SHARES:
            return None
        if is_retrieval_metric(measure):
            return "mean"
        reader.fail(f"expected a statistic behind {measure}, such as {measure}.mean or {measure}.p95")
    if measure in SHARES:
        reader.fail(f"{measure} is one number: it has no statistic", dot)
    at = reader.at
    word = reader.take(_WORD)
    known = _STATISTICS if measure in (LATENCY, TOKENS) else (*_STATISTICS, PASS_RATE)
    if word not in known and not _PERCENTILE.fullmatch(word):
        problem = f"unknown statistic {word!r}" if word else "expected a statistic"
        reader.fail(f"{problem}{_hint(word, known, also=' and p1 to p99')}", at)
    return word


def _hint(word: str, known: Collection[str], also: str = "") -> str:
    near = get_close_matches(word, known, 1)
    return f", did you mean {near[0]!r}?" if near else f": known are {', '.join(known)}{also}"


# --- what it is held to ---


def _operator(reader: _Reader) -> str:
    operator = reader.take(_OPERATOR)
    if not operator:
        reader.fail(f"expected one of {', '.join(OPERATORS)}")
    return operator


def _bound(reader: _Reader, measure: str, operator: str) -> Decimal:
    """Read the number with its unit: a share, seconds or tokens."""
    at = reader.at
    number = reader.take(_NUMBER)
    if not number:
        reader.fail("expected a number, such as 0.85")
    unit_at = reader.at
    unit = reader.take(_UNIT)
    if measure == LATENCY:
        factor = SECONDS.get(unit or "s")
        if factor is None:
            reader.fail(f"unknown unit {unit!r} of {LATENCY}: known are {', '.join(SECONDS)}", unit_at)
    elif unit and (unit != "%" or measure == TOKENS):
        allowed = "no unit" if measure == TOKENS else "no unit but %"
        reader.fail(f"{measure} has {allowed}", unit_at)
    else:
        factor = Decimal("0.01") if unit else Decimal(1)
    bound = Decimal(number) * factor
    _check_reach(reader, measure, operator, bound, at)
    return bound


def _check_reach(reader: _Reader, measure: str, operator: str, bound: Decimal, at: int) -> None:
    if not math.isfinite(float(bound)):
        reader.fail("this number is too large", at)
    is_share = measure not in (LATENCY, TOKENS)
    if is_share and bound > 1:
        reader.fail(f"{measure} is from 0 to 1: write 0.85 or 85%", at)
    if (operator == "<" and bound == 0) or (is_share and operator == ">" and bound == 1):
        limit = "below 0" if bound == 0 else "above 1"
        reader.fail(f"{measure} is never {limit}: this would always fail", at)
