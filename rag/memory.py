"""What is remembered from one run to the next; who keeps it is not this package's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Memory(Protocol):
    """Keeps bytes under keys; what it does not have, or does not have any more, is computed anew."""

    def recall(self, kind: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Give what is kept of `keys`, which are all of one `kind`."""

    def keep(self, kind: str, items: Mapping[str, bytes]) -> None:
        """Keep `items` under their keys."""
