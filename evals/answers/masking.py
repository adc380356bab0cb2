"""What must not be kept of logged answers: secrets, e-mail addresses, numbers of telephones, own patterns.

Lines are masked as they are read: nothing of what stood there is in an id, a record or a file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import count_of, quoted
from rag_evals.evals.runs.masking import MASK, masked

SECRETS, EMAILS, PHONES = "secrets", "emails", "phones"
WORDS = (SECRETS, EMAILS, PHONES)
OWN = "re:"
_NOUNS = {
    SECRETS: ("secret", "secrets"),
    EMAILS: ("e-mail address", "e-mail addresses"),
    PHONES: ("telephone number", "telephone numbers"),
}
# Of these nothing is masked: they are no words of anybody, and answers are found by them.
_FOUND_BY = ("id", "time", "model", "feedback", "seconds", "tokens", "thresholds", "turn")

# Each part is bounded, so that a long run of letters is gone through once and not once a letter.
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}(?:xn--[\w-]{1,59}|[^\W\d_]{2,24})")
# International numbers begin with + or 00, national ones with 0, an area code in brackets, or have the
# three groups of North America; all have eight digits or more, so that no date and no price is one.
_PHONE = re.compile(
    r"(?<![\w.,:/+-])(?:"
    r"(?:\+|00)[1-9](?:[ ./()-]{0,3}\d){7,14}"
    r"|\(0?\d{2,5}\)[ ./-]{0,2}\d(?:[ ./-]?\d){4,11}"
    r"|0[1-9](?:[ ./-]{0,2}\d){7,11}"
    r"|[2-9]\d{2}[ .-][2-9]\d{2}[ .-]\d{4}"
    r")(?![\w/-])"
)
_PATTERNS = {EMAILS: ("@", _EMAIL), PHONES: ("", _PHONE)}


@dataclass(frozen=True, slots=True)
class Mask:
    """What is masked.

    Attributes:
        words: Which of `WORDS`.
        own: Patterns of the user's own.
    """

    words: tuple[str, ...]
    own: tuple[re.Pattern[str], ...] = ()

    @property
    def told(self) -> list[str]:
        """What it is, as it is asked for."""
        return [*self.words, *(OWN + pattern.pattern for pattern in self.own)]


@dataclass(frozen=True, slots=True)
class CountedMasking:
    """Masks lines, and counts what was masked.

    Attributes:
        mask: What is masked.
        counts: How often, by word.
    """

    mask: Mask
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line with `***` in place of all that is masked."""
        plain, counts = masked_entry(entry, self.mask)
        self.counts.update(counts)
        return plain


def masking_of(mask: Mask | None) -> CountedMasking | None:
    """Return what masks lines, if anything is to be masked."""
    return CountedMasking(mask) if mask else None


def parse_mask(texts: Sequence[str], option: str) -> Mask | None:
    """Parse what `--mask` was given: words parted by commas, or `re:` and a pattern; None for nothing.

    Raises:
        UsageError: Something is neither; `option` is named.
    """
    words: dict[str, None] = {}
    own = []
    for text in texts:
        if text.startswith(OWN):
            own.append(_pattern(text.removeprefix(OWN), option))
            continue
        for word in filter(None, map(str.strip, text.split(","))):
            if word not in WORDS:
                raise UsageError(f"{option} {quoted(word)} is none of {', '.join(WORDS)}, nor {OWN}PATTERN")
            words[word] = None
    return Mask(tuple(words), tuple(own)) if words or own else None


def _pattern(text: str, option: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{option} {quoted(OWN + text)} is no regular expression: {error}") from error
    if pattern.match(""):
        raise UsageError(f"{option} {quoted(OWN + text)} fits an empty text: say what it must hold")
    return pattern


def masked_entry(entry: Mapping[str, Any], mask: Mask) -> tuple[dict[str, Any], Counter[str]]:
    """Return a line of a log with `***` in place of all that is masked, and how often that was, by word.

    An id that has to be masked is left out: another one is made of what is left.
    """
    counts: Counter[str] = Counter()
    plain = {key: value if key in _FOUND_BY else _masked(value, mask, counts) for key, value in entry.items()}
    if isinstance(entry.get("id"), str) and _masked(entry["id"], mask, Counter()) != entry["id"]:
        del plain["id"]
    return plain, counts


def mask_line(counts: Counter[str]) -> str:
    """Return how many places were masked, in words."""
    kinds = [f"{counts[word]} {nouns[counts[word] != 1]}" for word, nouns in _NOUNS.items() if counts[word]]
    kinds += [f"{counts[word]} by {word}" for word in counts if word not in _NOUNS]
    return f"{count_of(counts.total(), 'place')} masked: {', '.join(kinds)}" if kinds else "no place masked"


def _masked(value: Any, mask: Mask, counts: Counter[str]) -> Any:
    if SECRETS in mask.words:
        plain = masked(value)
        if plain != value:
            counts[SECRETS] += max(_masks(plain) - _masks(value), 1)
        value = plain
    return _by_patterns(value, mask, counts)


def _masks(value: Any) -> int:
    return json.dumps(value).count(MASK)


def _by_patterns(value: Any, mask: Mask, counts: Counter[str]) -> Any:
    if isinstance(value, str):
        return _text(value, mask, counts)
    if isinstance(value, Mapping):
        return {key: _by_patterns(part, mask, counts) for key, part in value.items()}
    return [_by_patterns(part, mask, counts) for part in value] if isinstance(value, list) else value


def _text(text: str, mask: Mask, counts: Counter[str]) -> str:
    for word in mask.words:
        sign, pattern = _PATTERNS.get(word, ("", None))
        if pattern is not None and sign in text:
            text, count = pattern.subn(MASK, text)
            counts.update({word: count} if count else {})
    for pattern in mask.own:
        text, count = pattern.subn(MASK, text)
        counts.update({OWN + pattern.pattern: count} if count else {})
    return text
