"""What a run says of the log that its answers are from: how many there are, and which of them count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.answers.masking import mask_line
from rag_evals.evals.base.messages import printable

# Duplicates and strata that are named; the others are only counted.
MOST_NAMED = 100
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LogSummary:
    """A log of answers, and what was drawn of it.

    Attributes:
        lines: How many answers it has.
        duplicates: How many of them say what another says, and do not count.
        named: The first of these, each with the one that counts in its place, which may be the same again.
        drawn: How many of those that count are judged.
        without_contexts: How many of those that are judged tell no contexts.
        seed: The seed of the sample; None where nothing was drawn.
        by: The field by whose values it was drawn; "" for none.
        strata: Its values, with how many there are and how many were drawn; the first of them.
        count_of_strata: How many strata there are.
        missed: How many of them nothing was drawn from.
        masked: How many places were masked, by what they were; None where nothing was asked for.
        behind_gaps: How many of those that are judged are turns without all that was said before.
    """

    lines: int
    duplicates: int = 0
    named: tuple[tuple[str, str], ...] = ()
    drawn: int = 0
    without_contexts: int = 0
    seed: int | None = None
    by: str = ""
    strata: tuple[tuple[str, int, int], ...] = ()
    count_of_strata: int = 0
    missed: int = 0
    masked: Mapping[str, int] | None = None
    behind_gaps: int = 0

    @property
    def population(self) -> int:
        """How many answers count: each that is there more than once counts once."""
        return self.lines - self.duplicates

    def told(self) -> list[str]:
        """Return what is to be known of it, a line each."""
        lines = [self._drawn()]
        if self.duplicates:
            lines.append(self._doubled())
        if self.missed:
            lines.append(
                f"{self.missed:,} of {_count(self.count_of_strata, 'value')} of {self.by} have no answer "
                "in the sample: it counts as drawn from all alike"
            )
        if self.masked is not None:
            lines.append(mask_line(Counter(self.masked)))
        if self.without_contexts:
            tell = "tells no contexts, and is" if self.without_contexts == 1 else "tell no contexts, and are"
            lines.append(
                f"{self.without_contexts:,} of {_count(self.drawn, 'answer')} {tell} unscored in what is "
                "held against them, such as faithfulness: --evals-metrics relevancy,refusal leaves that out"
            )
        if self.behind_gaps:
            turns = "turn is" if self.behind_gaps == 1 else "turns are"
            lines.append(
                f"{self.behind_gaps:,} {turns} judged without all that was said before: the log has neither "
                "every earlier turn nor a history"
            )
        return [printable(line) for line in lines]

    def _doubled(self) -> str:
        """Name the first of those that say what another says."""
        named = [
            f"{name} ({'again' if name == other else f'as {other}'})" for name, other in self.named[:_SHOWN]
        ]
        more = self.duplicates - len(named)
        rest = f" and {more:,} more" if more else ""
        say = "says what another says" if self.duplicates == 1 else "say what others say"
        what = f"{self.duplicates:,} of {_count(self.lines, 'logged answer')} {say}"
        return f"{what}, and what is said twice counts once: {', '.join(named)}{rest}"

    def _drawn(self) -> str:
        """Return how many answers are judged, and how they were drawn."""
        if self.seed is None:
            return _count(self.drawn, "logged answer")
        strata = f" by {self.by} in {self.count_of_strata:,} strata" if self.by else ""
        every = "all " if self.drawn == self.population else ""
        counts = f"{every}{self.drawn:,} of {self.population:,} logged answers"
        return f"{counts}, drawn{strata} with seed {self.seed}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def summary_to_json(summary: LogSummary) -> dict[str, Any]:
    """Return what the first line of a run says of its log; what says nothing is left out."""
    sample = {
        "seed": summary.seed,
        "population": summary.population,
        "by": summary.by or None,
        "strata": [list(stratum) for stratum in summary.strata] or None,
        "count_of_strata": summary.count_of_strata or None,
        "missed": summary.missed or None,
    }
    told = {
        "lines": summary.lines,
        "drawn": summary.drawn,
        "duplicates": summary.duplicates or None,
        "named": [list(pair) for pair in summary.named] or None,
        "without_contexts": summary.without_contexts or None,
        "masked": None if summary.masked is None else dict(summary.masked),
        "behind_gaps": summary.behind_gaps or None,
        **(sample if summary.seed is not None else {}),
    }
    return {name: value for name, value in told.items() if value is not None}


def told_of(head: Mapping[str, Any]) -> list[str]:
    """Return what is to be known of the log of a run by its first line; nothing of a run without one."""
    told = head.get("answers")
    summary = summary_from_json(told) if isinstance(told, dict) else None
    return [f"answers: {line}" for line in summary.told()] if summary else []


def _masked(told: Any) -> dict[str, int] | None:
    return {str(word): int(count) for word, count in told.items()} if isinstance(told, dict) else None


def summary_from_json(told: Mapping[str, Any]) -> LogSummary | None:
    """Return what a run says of its log; None where another version said it otherwise."""
    try:
        return LogSummary(
            lines=int(told["lines"]),
            duplicates=int(told.get("duplicates") or 0),
            named=tuple((str(name), str(other)) for name, other in told.get("named") or ()),
            drawn=int(told["drawn"]),
            without_contexts=int(told.get("without_contexts") or 0),
            seed=None if told.get("seed") is None else int(told["seed"]),
            by=str(told.get("by") or ""),
            strata=tuple((str(name), int(of), int(drawn)) for name, of, drawn in told.get("strata") or ()),
            count_of_strata=int(told.get("count_of_strata") or 0),
            missed=int(told.get("missed") or 0),
            masked=_masked(told.get("masked")),
            behind_gaps=int(told.get("behind_gaps") or 0),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
