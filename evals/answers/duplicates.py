"""Answers that say to the same question what another says: word for word, or nearly so.

Nearly is: nine tenths of the runs of three words are the same, and every number and every negation. The
runs that fewest texts have are looked up first (the prefix filter of Chaudhuri et al. 2006 and of Bayardo et
al. 2007, All-Pairs), so that each text is compared with few others.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from unicodedata import normalize
from zlib import crc32

# Least share of common runs of words of two texts that are nearly the same.
ALIKE = 0.9
RUN = 3
# Texts that a text is compared with at most: of a log of one text with small changes all are alike a little.
MOST_COMPARED = 50

_WORD = re.compile(r"[\w'\N{RIGHT SINGLE QUOTATION MARK}]+")
_NEGATIONS = frozenset(
    (
        *("no", "not", "never", "none", "nor", "neither", "nothing", "nobody", "cannot", "without"),
        *("nicht", "kein", "keine", "keinen", "keiner", "nie", "niemals", "ohne"),
        *("ne", "pas", "jamais", "sans", "nunca", "sin", "não", "nem"),
    )
)
_WEIGHTY = re.compile(r"\d|n['\N{RIGHT SINGLE QUOTATION MARK}]t$")


@dataclass(frozen=True, slots=True)
class Wording:
    """What is compared of a question and its answer.

    Attributes:
        whole: A hash of all of it, but for letter case and white space.
        weighty: A hash of what changes the meaning: numbers and negations.
        runs: Hashes of its runs of three words, each once, rising.
    """

    whole: bytes
    weighty: bytes
    runs: array[int]


def wording_of(question: str, answer: str) -> Wording:
    """Return what is compared of a question and its answer."""
    texts = [normalize("NFKC", " ".join(text.split())).casefold() for text in (question, answer)]
    words = [word for text in texts for word in _WORD.findall(text)]
    weighty = sorted(word for word in words if word in _NEGATIONS or _WEIGHTY.search(word))
    starts = range(max(1, len(words) - RUN + 1))
    runs = {crc32(" ".join(words[n : n + RUN]).encode(errors="surrogatepass")) for n in starts}
    return Wording(_hash("\n".join(texts)), _hash(" ".join(weighty)), array("L", sorted(runs)))


def _hash(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()[:12]


def duplicates(wordings: Mapping[str, Wording]) -> dict[str, str]:
    """Return those that say what another says, by id, and which other: the first of them by id.

    The same in whatever order they are given.
    """
    first: dict[bytes, str] = {}
    found: dict[str, str] = {}
    for name in sorted(wordings):
        same = first.setdefault(wordings[name].whole, name)
        if same != name:
            found[name] = same
    near = _near({name: wordings[name] for name in first.values()})
    # What is the same as one that is nearly another's is nearly that one's, too.
    return near | {name: near.get(same, same) for name, same in found.items()}


def _near(wordings: Mapping[str, Wording]) -> dict[str, str]:
    """Return those that are nearly the same as one before them; `wordings` come in the order of ids."""
    index: dict[tuple[bytes, int], list[str]] = {}
    found: dict[str, str] = {}
    for name, rare in _rarest(wordings).items():
        wording = wordings[name]
        keys = [(wording.weighty, run) for run in rare]
        # Each once, in the order in which they were kept.
        rivals = sorted({rival for key in keys for rival in index.get(key, ())})[:MOST_COMPARED]
        same = next((rival for rival in rivals if _is_alike(wording, wordings[rival])), None)
        if same is not None:
            found[name] = same
            continue
        for key in keys:
            index.setdefault(key, []).append(name)
    return found


def _rarest(wordings: Mapping[str, Wording]) -> dict[str, list[int]]:
    """Return the rarest runs of each, of which any text alike has one; those of one text are left out."""
    import numpy as np

    if not wordings:
        return {}
    every = np.concatenate([np.asarray(one.runs, dtype=np.int64) for one in wordings.values()])
    known, counts = np.unique(every, return_counts=True)

    def rarest(runs: Any) -> list[int]:
        of_each = counts[np.searchsorted(known, runs)]
        order = np.lexsort((runs, of_each))[: len(runs) - math.ceil(ALIKE * len(runs)) + 1]
        return [int(runs[n]) for n in order if of_each[n] > 1]

    return {name: rarest(np.asarray(one.runs, dtype=np.int64)) for name, one in wordings.items()}


def _is_alike(one: Wording, other: Wording) -> bool:
    if one.weighty != other.weighty:
        return False
    ours, theirs = set(one.runs), set(other.runs)
    return len(ours & theirs) >= ALIKE * len(ours | theirs)
