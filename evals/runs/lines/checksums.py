"""Checksums of the lines of a run: damage to a line is noticed, and lines that were lost, moved or put in.

They tell of accidents, not of somebody who means it: who can write the file can write its checksums, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from rag_evals.rag.identity import canonical

KEY = "sum"
# Hex digits of the checksum of a line by itself, behind which those of the chain stand.
_DIGITS = 12
_SEAL = re.compile(rb',"sum":"([0-9a-f]{24})"\}$')

CHANGED = "was changed after it was written"
PUT_IN = "was put in after the run: it has no checksum"
NOT_BEHIND = "does not follow the line before it: lines between them are gone, or it was moved"


def sealed(line: str, before: str) -> tuple[bytes, str]:
    """Return a line with its checksum, and that checksum.

    Args:
        line: A JSON object that is not empty, as `canonical` writes it.
        before: The checksum of the line before it; "" for the first.
    """
    # Half of a surrogate pair (a file's name need not be valid Unicode) becomes JSON's own escape for it.
    data = line.encode(errors="backslashreplace")
    seal = _seal(data, before)
    return b'%s,"sum":"%s"}' % (data[:-1], seal.encode()), seal


def _seal(data: bytes, before: str) -> str:
    own = _hash(data)
    return own + _link(before, own)


def _link(before: str, own: str) -> str:
    return _hash(f"{before}{own}".encode())


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGITS // 2).hexdigest()


def unsealed(line: bytes) -> bytes:
    """Return a line without its checksum, if it ends in one."""
    found = _SEAL.search(line, max(0, len(line) - 40))
    return line[: found.start()] + b"}" if found else line


class Chain:
    """What the checksums of a file say, line by line."""

    def __init__(self) -> None:
        # Of the line before: its checksum; None where that is not known, as behind a damaged line.
        self._before: str | None = ""
        # Whether lines had one so far; None before the first line.
        self._is_sealed: bool | None = None

    def break_off(self) -> None:
        """Note that a line cannot be read: what follows it is not held against it."""
        self._before = None

    def check(self, line: bytes, event: Mapping[str, Any]) -> str:
        """Return what the checksum of the next line says: CHANGED, PUT_IN, NOT_BEHIND, or "" for nothing.

        Args:
            line: The line.
            event: The same, parsed.
        """
        seal, before, self._before = event.get(KEY), self._before, None
        if seal is None:
            self._is_sealed = bool(self._is_sealed)
            # A file of before there were checksums has none.
            return PUT_IN if self._is_sealed else ""
        is_first_sealed, self._is_sealed = self._is_sealed is False, True
        if not isinstance(seal, str) or len(seal) != 2 * _DIGITS or _own(line, event, seal) != seal[:_DIGITS]:
            return CHANGED
        self._before = seal
        is_behind = before is None or _link(before, seal[:_DIGITS]) == seal[_DIGITS:]
        return "" if is_behind and not is_first_sealed else NOT_BEHIND

    def last(self) -> str:
        """Return the checksum that the next line follows; "" where it is not known."""
        return self._before or ""


def _own(line: bytes, event: Mapping[str, Any], seal: str) -> str:
    """Return the checksum of a line by itself, of one that was only written in another form as well."""
    own = _hash(unsealed(line))
    if own == seal[:_DIGITS]:
        return own
    try:
        plain = canonical({key: value for key, value in event.items() if key != KEY})
    except ValueError:  # a number that is none: nothing that we write has one
        return ""
    return _hash(plain.encode(errors="backslashreplace"))
