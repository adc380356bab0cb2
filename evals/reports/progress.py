"""The line that says how far a run is: what is left, what is evaluated, how it scores, how fast it goes."""

from __future__ import annotations

import io
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from rag_evals.evals.judges.metrics import in_order
from rag_evals.evals.reports.text import cut, one_line
from rag_evals.evals.runs.evaluation import Evaluation

if TYPE_CHECKING:
    from rag_evals.evals.generation.generate import GenerationProgress


LOG_WIDTH = 120  # columns of a line in a log
PERIOD = 30.0  # seconds from one such line to the next
# Evaluations that tell the pace: enough to leave out odd ones, few enough to follow a change.
RECENT = 20
# Evaluations that tell how many of those to come were made before.
RECENT_KINDS = 8
LONGEST_NAME = 40  # columns


def is_ci(environ: Mapping[str, str]) -> bool:
    """Return whether continuous integration runs this."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


class Progress:
    """What has happened in a run, as told from any thread, and the line that says it.

    Attributes:
        given_up: Why the evaluations to come need not be begun; None as long as they may be.
    """

    def __init__(self, total: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._total = total
        self._done = 0
        self.given_up: str | None = None
        self._begun: dict[tuple[str, str], float] = {}
        self._current: tuple[str, str] | None = None
        self._stage = ""
        self._waits_until = -math.inf
        self._values: dict[str, list[float]] = {}
        self._last = clock()
        # Seconds that the last ones took, and tokens of those that were computed.
        self._computed: deque[float] = deque(maxlen=RECENT)
        self._reused: deque[float] = deque(maxlen=RECENT)
        self._tokens: deque[int] = deque(maxlen=RECENT)
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

    def waiting(self, seconds: float) -> None:
        """Note that a server is at its limit, and left alone for so long."""
        with self._lock:
            self._waits_until = max(self._waits_until, self._clock() + seconds)

    def gave_up(self, reason: str) -> None:
        """Note that a model is not to be had any more."""
        self.given_up = reason

    def finished(self, evaluation: Evaluation) -> None:
        """Note an evaluation that is there, whether or not it was said to begin."""
        with self._lock:
            now = self._clock()
            key = (evaluation.pipeline, evaluation.question.id)
            # Where several are under way it is the time from one to the next that tells the pace.
            seconds = now - max(self._last, self._begun.pop(key, self._last))
            is_reused = {"answer", "scores"} <= set(evaluation.cached)
            (self._reused if is_reused else self._computed).append(seconds)
            if not is_reused:
                self._tokens.append(_new_tokens(evaluation))
            self._kinds.append(is_reused)
            self._done += 1
            self._last = now
            if key == self._current:
                self._current = None
            for score in evaluation.scores:
                values = self._values.setdefault(score.metric, [])
                if score.value is not None:
                    values.append(score.value)

    def line(self, width: int) -> str:
        """Return the line, the most important first, cut to `width` columns of a terminal."""
        with self._lock:
            pieces = list(self._pieces(self._clock()))
        return cut(" · ".join(filter(None, pieces)), width)

    def _pieces(self, now: float) -> Iterator[str]:
        yield self._count()
        yield self._wait(now)
        yield self._left(now)
        if self._current:
            name, question_id = map(one_line, self._current)
            yield f"{name} {cut(question_id, LONGEST_NAME)}"
            yield one_line(self._stage)
        yield self._means()
        yield self._rate()

    def _count(self) -> str:
        # A test may evaluate more than once: then there are more than were counted.
        total = f"/{max(self._total, self._done)}" if self._total else ""
        return f"evals {self._done}{total}"

    def _wait(self, now: float) -> str:
        left = self._waits_until - now
        return f"waiting for the server's limit, {duration(math.ceil(left))}" if left > 0 else ""

    def _means(self) -> str:
        return " ".join(
            f"{one_line(name)} {f'{fmean(self._values[name]):.2f}' if self._values[name] else '-'}"
            for name in in_order(self._values)
        )

    def _rate(self) -> str:
        seconds, tokens = sum(self._computed), sum(self._tokens)
        return f"{tokens / seconds:,.0f} tokens/s" if seconds > 0 and tokens else ""

    def _left(self, now: float) -> str:
        remaining = (self._total or 0) - self._done
        if remaining <= 0 or not self._done:
            return ""
        # Those to come are taken to be as often made before as the last few were.
        share = fmean(self._kinds)
        each = share * _pace(self._reused) + (1 - share) * _pace(self._computed)
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


def _pace(seconds: Iterable[float]) -> float:
    """Mean of the middle half: neither the loading of a model nor an endless answer counts."""
    ordered = sorted(seconds)
    odd = (len(ordered) + 1) // 4
    return fmean(ordered[odd : len(ordered) - odd]) if ordered else 0.0


def duration(seconds: float) -> str:
    """Return a duration as people say it: `40 s`, `3 min 40 s`, `25 min`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


@contextmanager
def progress(count: int, *, is_shown: bool = True) -> Iterator[Callable[[GenerationProgress], None]]:
    """Show questions kept, and the time left: a bar on a terminal, a line now and then in the log of CI."""
    from tqdm import tqdm

    is_bar = is_shown and sys.stderr.isatty()
    is_log = is_shown and not is_bar and is_ci(os.environ)
    said = time.monotonic()
    with tqdm(
        total=count,
        desc="writing",
        unit="question",
        disable=not (is_bar or is_log),
        file=sys.stderr if is_bar else io.StringIO(),
        ncols=LOG_WIDTH if is_log else None,
        leave=False,
    ) as bar:

        def show(outcome: GenerationProgress) -> None:
            nonlocal said
            bar.n = len(outcome.kept)
            if outcome.items == outcome.resumed:
                bar.initial = bar.n  # what was there before says nothing of the speed
                return
            bar.set_postfix_str(
                f"{sum(outcome.dropped.values())} dropped, {outcome.invalid} invalid", refresh=False
            )
            bar.refresh()
            if is_log and time.monotonic() - said >= PERIOD:
                said = time.monotonic()
                sys.stderr.write(f"{bar}\n")

        yield show
