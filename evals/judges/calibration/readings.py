"""What a scorer read of labelled examples, kept: a calibration of an hour goes on where it was broken off."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.files import next_lines, open_plain
from rag_evals.evals.judges.calibration.labels.examples import Labelled, content_of
from rag_evals.evals.judges.judge import RawScore, RawScores, Scorer
from rag_evals.evals.judges.prompts import judged_question
from rag_evals.evals.runs.score import context_from_json, context_to_json, fields_of, from_fields, without
from rag_evals.rag.answer import Tokens
from rag_evals.rag.identity import digest


class Readings:
    """Reads examples, each once: what was read is in a file, a line each, and is taken from there.

    Args:
        scorer: What reads.
        path: The file; None to keep nothing. Lines of other scorers, and damaged ones, are passed over.

    Raises:
        OSError: The file is there and cannot be read.
    """

    def __init__(self, scorer: Scorer, path: Path | None = None) -> None:
        self.scorer = scorer
        self._path = path
        self._kept = dict(_lines(path)) if path and path.exists() else {}

    def read(self, metric: str, example: Labelled) -> tuple[RawScores, float]:
        """Return the raw scores of `example` by `metric`, and the seconds that they took.

        Raises:
            OSError: They cannot be kept.
        """
        key = self._key(metric, example)
        if key not in self._kept:
            self._kept[key] = self._read(metric, example)
            if self._path:
                with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(json.dumps({"key": key, **_to_json(*self._kept[key])}) + "\n")
        return self._kept[key]

    def has(self, metric: str, example: Labelled) -> bool:
        """Return whether `example` was read for `metric`."""
        return self._key(metric, example) in self._kept

    def _key(self, metric: str, example: Labelled) -> str:
        content = content_of(example)
        criterion = getattr(self.scorer, "criteria", {}).get(metric)
        own = {"criterion": criterion.fingerprint} if criterion else {}
        read = {name: content[name] for name in _READ if name in content}
        return digest({"scorer": self.scorer.fingerprint, "metric": metric, **own, **read})

    def _read(self, metric: str, example: Labelled) -> tuple[RawScores, float]:
        # `refusal` of a question that has no answer is the probability that the reply declines, as labelled.
        question = replace(judged_question(example.question), answerable=metric != "refusal")
        start = time.perf_counter()
        raw_scores = self.scorer.read([metric], question, example.answer)[metric]
        return raw_scores, time.perf_counter() - start


# What of an example is read: not its labels.
_READ = ("id", "question", "history", "reference", "contexts", "answer")


def _lines(path: Path) -> Iterator[tuple[str, tuple[RawScores, float]]]:
    """Yield what is kept, and cut off what a process that was killed left behind the last whole line."""
    with open_plain(path) as file:
        for line in next_lines(file):
            try:
                value = parse_json(line.decode())
                yield value["key"], _from_json(value)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        end = file.tell()
    os.truncate(path, end)


def _to_json(raw_scores: RawScores, seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "reason": raw_scores.reason,
        "tokens": fields_of(raw_scores.tokens),
        "items": [_item_to_json(item) for item in raw_scores.items],
    }


def _from_json(value: Mapping[str, Any]) -> tuple[RawScores, float]:
    items = tuple(map(_item_from_json, value["items"]))
    tokens = from_fields(Tokens, value["tokens"])
    return RawScores(items, tokens, value["reason"]), float(value["seconds"])


def _item_to_json(item: RawScore) -> dict[str, Any]:
    closest = {"closest": context_to_json(item.closest)} if item.closest else {}
    state = {} if item.state is None else {"state": base64.b64encode(item.state.astype("<f2")).decode()}
    # Nothing that is labelled cites.
    kept = without(fields_of(item), "citations")
    return {**kept, "closest": None, "state": None, **closest, **state}


def _item_from_json(value: Mapping[str, Any]) -> RawScore:
    import numpy as np

    item = from_fields(RawScore, {**value, "unsupported": tuple(value.get("unsupported") or ())})
    state = value["state"]
    return replace(
        item,
        closest=context_from_json(value["closest"]) if value["closest"] else None,
        state=None if state is None else np.frombuffer(base64.b64decode(state), dtype="<f2"),
    )
