"""How far a run is, in one line: what is evaluated, how it scores, how fast it goes, how long it takes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from evals.errors import printable
from evals.metrics import METRICS
from evals.records import Evaluation
from evals.reports.wrapping import columns_of, cut

# Evaluations that tell the pace: enough to leave out odd ones, few enough to follow a change.
RECENT = 20
# Evaluations that tell how many of those to come were made before.
RECENT_KINDS = 8
MINUTE = 60.0  # seconds
LONGEST_NAME = 40  # columns
SEPARATOR = " · "


@dataclass(frozen=True, slots=True)
class _Finished:
    at: float
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the line; of those that do not fit, the one of the highest `rank` goes first."""

    text: str
    rank: int


class Progress:
    """Is told what happens, from any thread, and gives the line that says how far the run is.

    Args:
        total: Number of evaluations of the run, where it is known.
        clock: Gives seconds that only ever grow; `line` is asked with the same.
    """

    def __init__(self, total: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._total = total
        self._done = 0
        self._begun: dict[tuple[str, str], float] = {}
        self._current: tuple[str, str] | None = None
        self._stage = ""
        self._values: dict[str, list[float]] = {}
        self._last = clock()
        self._computed: deque[_Finished] = deque(maxlen=RECENT)
        self._reused: deque[_Finished] = deque(maxlen=RECENT)
        self._kinds: deque[bool] = deque(maxlen=RECENT_KINDS)

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to say: a number to reach, or an evaluation."""
        return bool(self._total or self._done or self._current)

    def expect(self, total: int) -> None:
        """Note how many evaluations the run has."""
        with self._lock:
            self._total = total

    def started(self, pipeline: str, question_id: str) -> None:
        """Note that an evaluation begins."""
        with self._lock:
            self._current = (pipeline, question_id)
            self._begun[self._current] = self._clock()
            self._stage = ""

    def stage(self, name: str) -> None:
        """Note what the evaluation that began last is at, such as `judge`."""
        with self._lock:
            self._stage = name

    def finished(self, evaluation: Evaluation) -> None:
        """Note an evaluation that is there, whether or not it was said to begin."""
        with self._lock:
            now = self._clock()
            key = (evaluation.pipeline, evaluation.question.id)
            # Where several are under way it is the time from one to the next that tells the pace.
            seconds = now - max(self._last, self._begun.pop(key, self._last))
            entry = _Finished(now, seconds, _new_tokens(evaluation))
            is_reused = {"answer", "scores"} <= set(evaluation.cached)
            (self._reused if is_reused else self._computed).append(entry)
            self._kinds.append(is_reused)
            self._done += 1
            self._last = now
            if key == self._current:
                self._current = None
            for score in evaluation.scores:
                values = self._values.setdefault(score.metric, [])
                if score.value is not None:
                    values.append(score.value)

    def line(self, width: int, now: float) -> str:
        """Give the line, at most `width` columns of a terminal wide; pieces that do not fit are left out.

        Args:
            width: Columns.
            now: Seconds, by the clock.
        """
        with self._lock:
            pieces = [piece for piece in self._pieces(now) if piece.text]
        while len(pieces) > 1 and columns_of(_joined(pieces)) > width:
            pieces.remove(max(pieces, key=lambda piece: piece.rank))
        return cut(_joined(pieces), width)

    def _pieces(self, now: float) -> Iterable[_Piece]:
        yield _Piece(self._count(), 0)
        if self._current:
            name, question_id = (printable(" ".join(part.split())) for part in self._current)
            yield _Piece(f"{name} {cut(question_id, LONGEST_NAME)}", 2)
            yield _Piece(printable(self._stage), 4)
        yield _Piece(self._means(), 3)
        yield _Piece(self._rate(now), 5)
        yield _Piece(self._left(now), 1)

    def _count(self) -> str:
        # A test may evaluate more than once: then there are more than were counted.
        total = f"/{max(self._total, self._done)}" if self._total else ""
        return f"evals {self._done}{total}"

    def _means(self) -> str:
        known = [name for name in METRICS if name in self._values]
        names = [*known, *(name for name in self._values if name not in METRICS)]
        return " ".join(
            f"{printable(name)} {f'{fmean(self._values[name]):.2f}' if self._values[name] else '-'}"
            for name in names
        )

    def _rate(self, now: float) -> str:
        """Tokens a second over the evaluations of the last minute, at least over the last one."""
        recent = [entry for entry in self._computed if now - entry.at <= MINUTE] or [*self._computed][-1:]
        seconds = sum(entry.seconds for entry in recent)
        tokens = sum(entry.tokens for entry in recent)
        return f"{tokens / seconds:,.0f} tokens/s" if seconds > 0 and tokens else ""

    def _left(self, now: float) -> str:
        remaining = (self._total or 0) - self._done
        if remaining <= 0 or not self._done:
            return ""
        # Those to come are taken to be as often made before as the last few were.
        share = fmean(self._kinds)
        reused, computed = _pace(self._reused), _pace(self._computed)
        each = share * (reused or 0.0) + (1 - share) * (computed or 0.0)
        # What the present one has had already; a slow one does not eat the time of those behind it.
        spent = min(each, now - self._last)
        return f"{duration(remaining * each - spent)} left"


def _new_tokens(evaluation: Evaluation) -> int:
    """Count the tokens that this run evaluated and generated, not those of what was made before."""
    return sum(
        tokens.evaluated + tokens.generated
        for stage, tokens in evaluation.tokens.items()
        if ("scores" if stage == "judge" else "answer") not in evaluation.cached
    )


def _pace(entries: Iterable[_Finished]) -> float | None:
    """Mean seconds of the middle half: neither the loading of a model nor an endless answer counts."""
    seconds = sorted(entry.seconds for entry in entries)
    if not seconds:
        return None
    quarter = (len(seconds) + 1) // 4
    return fmean(seconds[quarter : len(seconds) - quarter])


def duration(seconds: float) -> str:
    """Say a duration as people do: `40 s`, `3 min 40 s`, `25 min`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _joined(pieces: Iterable[_Piece]) -> str:
    return SEPARATOR.join(piece.text for piece in pieces)
