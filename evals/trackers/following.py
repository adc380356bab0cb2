"""Reading the records of a run while they are written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evals.replacing import next_lines

SECONDS_BETWEEN = 0.2


def follow(file: Path, *, is_over: Callable[[], bool]) -> Iterator[Mapping[str, Any]]:
    """Give the lines of `file` as they are written, to its last line of type `end`.

    Args:
        file: The records.
        is_over: Whether nobody writes them any more: what stands there then is all there will be.
    """
    with file.open("rb") as opened:
        while True:
            # Asked first: what was written before that is in what is read next.
            was_over = is_over()
            for line in next_lines(opened):
                event = json.loads(line)
                yield event
                if event["type"] == "end":
                    return
            if was_over:
                return
            time.sleep(SECONDS_BETWEEN)
