"""The names of retrieval metrics, such as `retrieval.ndcg@10`, and what they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import quoted
from rag_evals.evals.runs.score import RETRIEVAL

Kind = Literal["recall", "precision", "iou", "hit", "mrr", "ndcg", "map", "unjudged"]

# What each metric is of: all passages, or the first k of them.
_OF_ALL: tuple[Kind, ...] = ("recall", "precision", "iou", "mrr", "map")
_OF_FIRST: tuple[Kind, ...] = ("recall", "precision", "hit", "ndcg", "unjudged")
# Those of the option, which every session of pytest declares without importing this.
DEFAULT_METRICS = ("retrieval.recall@8", "retrieval.ndcg@10", "retrieval.mrr")
_FORM = re.compile(r"(?P<kind>[^@]*)(?:@(?P<k>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RetrievalMetric:
    """One figure of a ranked list of passages.

    Attributes:
        kind: What is calculated; `recall` and `precision` are of characters without `k`, of ranks with it.
        k: How many passages count, from the first; None for all.
    """

    kind: Kind
    k: int | None = None

    @property
    def name(self) -> str:
        """The name in options, records and reports."""
        return f"{RETRIEVAL}{self.kind}" + (f"@{self.k}" if self.k else "")


def is_retrieval_metric(name: str) -> bool:
    """Return whether a name is that of a metric of retrieval; of one that is unknown, too."""
    return name.startswith(RETRIEVAL)


def is_of_characters(metric: RetrievalMetric) -> bool:
    """Return whether a metric is of characters, and not of ranks."""
    return metric.k is None and metric.kind in ("recall", "precision", "iou")


@lru_cache(maxsize=256)
def parse_metric(name: str) -> RetrievalMetric:
    """Return the metric that `name` names.

    Raises:
        UsageError: There is none: one line that says why, with the name that was perhaps meant.
    """
    form = _FORM.fullmatch(name.removeprefix(RETRIEVAL))
    word, k = (form["kind"], form["k"]) if form else (name, None)
    kind = next((one for one in dict.fromkeys((*_OF_ALL, *_OF_FIRST)) if one == word), None)
    if kind is None or not is_retrieval_metric(name):
        raise UsageError(f"unknown metric {quoted(name)}{_hint(word, k)}")
    if k is None and kind not in _OF_ALL:
        raise UsageError(f"{name} needs a number of passages, such as {RETRIEVAL}{kind}@10")
    if k is not None and kind not in _OF_FIRST:
        raise UsageError(f"{quoted(name)}: {RETRIEVAL}{kind} is of all passages and takes no k")
    return RetrievalMetric(kind, None if k is None else _parse_k(name, k))


def _parse_k(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise UsageError(f"{quoted(name)}: k is a whole number up to 999999, not {quoted(text)}")
    if int(text) == 0:
        raise UsageError(f"{quoted(name)}: k is 0, and passages are counted from 1")
    return int(text)


def _hint(word: str, k: str | None) -> str:
    known = [*_OF_ALL, *(f"{kind}@K" for kind in _OF_FIRST)]
    close = get_close_matches(word.casefold().removeprefix("retrieval"), [*_OF_ALL, *_OF_FIRST], 1)
    if not close:
        return f": known are {', '.join(f'{RETRIEVAL}{one}' for one in known)}"
    takes_k = close[0] in _OF_FIRST and (close[0] not in _OF_ALL or k is not None)
    number = k if k and k.isdecimal() and int(k) else "10"
    return f", did you mean {quoted(RETRIEVAL + close[0] + (f'@{number}' if takes_k else ''))}?"
