"""Limits of a server: how long it asks to be left alone, in any of the forms, and when a quota is spent."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Seconds before the second try where the server tells none, doubled before each further one.
FIRST_PAUSE = 1.0
LONGEST_BACKOFF = 60.0  # most limits are those of a minute
LEAST_PAUSE = 0.1

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
_DURATION = rf"(?:\d+(?:\.\d+)?\s*{_UNIT}(?:,?\s*(?:and\s+)?)?)+"
_IN_WORDS = re.compile(
    r"(?:try|retry|retrying|retried|resets?|again|wait|waiting)\b[^.\d\n]{0,40}?"
    rf"(?:\b(?:in|after|for|at least|about)\s+)?(?P<duration>{_DURATION})",
    re.IGNORECASE,
)
_FIELD = re.compile(
    r'"(?P<name>retry[_-]?delay|retry[_-]?after(?:[_-](?P<unit>ms|seconds))?)"\s*:\s*"?(?P<value>[\d.]+[a-z]*)"?',
    re.IGNORECASE,
)
_RESET = re.compile(r"ratelimit(?:-\w+)?-reset")

_SPENT = re.compile(
    r"insufficient[ _-]?(?:quota|balance|credits?|funds)|exceeded_current_quota|PerDay"
    r"|billing[ _](?:hard[ _]limit|not[ _]active)|credit balance is too low|out of credits|payment required",
    re.IGNORECASE,
)
# In a refusal of the request itself the words may be those of a document that the server quotes.
_SPENT_BY_NAME = re.compile(
    r'"(?:code|type)"\s*:\s*"(?:insufficient|billing|arrearage|exceeded_current_quota)'
    r"|credit balance is too low",
    re.IGNORECASE,
)
# Gemini says the same of a limit that is over in a minute, and then says when.
_SPENT_WITHOUT_A_PAUSE = re.compile(r"exceeded your current quota|per day|daily|monthly", re.IGNORECASE)


def is_spent(status: int, text: str, pause: float | None) -> bool:
    """Return whether a refusal is about a quota or an account that is empty: no wait will fill it.

    Args:
        status: The HTTP status.
        text: What the server says.
        pause: The seconds that it asks to wait; None where it asks for none.
    """
    if status in (400, 403):
        return _SPENT_BY_NAME.search(text) is not None
    if status not in (402, 429):
        return False
    if _SPENT.search(text):
        return True
    return not pause and (status == 402 or _SPENT_WITHOUT_A_PAUSE.search(text) is not None)


def told_pause(headers: Mapping[str, str], text: str) -> float | None:
    """Return the seconds that a server asks for, in a header, a field or words; None where it asks for none.

    Args:
        headers: Headers of the answer, whatever their case.
        text: Its body.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    found = [
        _milliseconds(lower.get("retry-after-ms")),
        asked_pause(lower.get("retry-after")),
        *_pauses_in(text),
    ]
    # "0" asks for nothing, and the next form may tell more.
    return next((pause for pause in found if pause), None) or _until_reset(lower)


def asked_pause(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date; None where there is none, or none that can be read."""
    value = (value or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    if re.fullmatch(_DURATION, value):
        return _seconds(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date with the zone -0000 is in UTC and comes without a zone.
    return _until(when if when.tzinfo else when.replace(tzinfo=UTC))


class RateLimit:
    """The limit that a server is at, for all that call it; it ends with the first answer.

    Args:
        clock: Seconds of a clock that never goes back.

    Attributes:
        is_given_up: Whether it lasted longer than anybody waits: until an answer each call is tried once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._rounds = 0
        self._round_over = 0.0
        self.is_given_up = False

    def pause(self, told: float | None, *, asked_at: float) -> float:
        """Return the seconds before the next try: as told and a little more, or backed off.

        Args:
            told: What the server asks for.
            asked_at: When the call began that was refused. One that began before the pause of another was
                over says nothing new.
        """
        now = self._clock()
        with self._lock:
            self._since = now if self._since is None else self._since
            # A little before, since clocks are sums.
            is_new = not self._rounds or asked_at >= self._round_over - 0.001
            self._rounds += is_new
            backoff = min(LONGEST_BACKOFF, FIRST_PAUSE * 2.0 ** (self._rounds - 1))
            # Not the same for all: else all would come back together.
            pause = (
                max(LEAST_PAUSE, told * random.uniform(1.0, 1.2))
                if told
                else backoff * random.uniform(0.5, 1.0)
            )
            self._round_over = now + pause if is_new else self._round_over
        return pause

    @property
    def is_lasting(self) -> bool:
        """Whether a call that began after a pause was refused again, with no answer between."""
        return self._rounds > 1

    @property
    def seconds(self) -> float:
        """How long the server has answered nothing else."""
        return 0.0 if self._since is None else self._clock() - self._since

    def end(self) -> None:
        """Note an answer."""
        if self._since is not None:
            with self._lock:
                self._since, self._rounds, self.is_given_up = None, 0, False


def _pauses_in(text: str) -> Iterator[float]:
    for field in _FIELD.finditer(text):
        number = re.fullmatch(r"\d+(?:\.\d+)?", field["value"])
        unit = "ms" if field["unit"] == "ms" else "s"
        yield _seconds(field["value"] + unit if number else field["value"])
    if words := _IN_WORDS.search(text):
        yield _seconds(words["duration"])


def _seconds(duration: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(milli|ms|[smhd])", duration.lower())
    return sum(float(number) * _UNITS["ms" if unit == "milli" else unit] for number, unit in parts)


def _milliseconds(value: str | None) -> float | None:
    return float(value) / 1000 if re.fullmatch(r"\d{1,12}(\.\d+)?", (value or "").strip()) and value else None


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Read the headers that say when an allowance is full again, first of one that is used up."""
    names = [name for name in headers if _RESET.search(name)]
    used_up = [name for name in names if headers.get(name.replace("reset", "remaining")) == "0"]
    pauses = [_reset(headers[name].strip()) for name in used_up or names]
    return max((pause for pause in pauses if pause is not None), default=None)


def _reset(value: str) -> float | None:
    """Read a duration, seconds, seconds or milliseconds since the epoch, or a time."""
    if re.fullmatch(r"\d{1,14}(\.\d+)?", value):
        number = float(value)
        number = number / 1000 if number > 1e11 else number
        return max(0.0, number - datetime.now(UTC).timestamp()) if number > 1e9 else number
    if re.fullmatch(_DURATION, value):
        return _seconds(value)
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return _until(when) if when.tzinfo else None


def _until(when: datetime) -> float:
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
