"""Identities: SHA-256 over canonical JSON of everything that changes a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# Made once: `json.dumps` makes one for every call that is not its default.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> str:
    """Return `value` as one line of canonical JSON.

    Raises:
        ValueError: There is a NaN or an infinity in it.
    """
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """Return the SHA-256 of `value` as canonical JSON."""
    # surrogatepass: the name of a file need not be valid Unicode.
    return hashlib.sha256(canonical(value).encode(errors="surrogatepass")).hexdigest()


class Memory(Protocol):
    """Keeps bytes under keys; what it does not have, or does not have any more, is computed anew."""

    def recall(self, kind: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return what is kept of `keys`, which are all of one `kind`."""

    def keep(self, kind: str, items: Mapping[str, bytes]) -> None:
        """Keep `items` under their keys."""
