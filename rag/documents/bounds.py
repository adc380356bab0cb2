"""What reading one document may take: bounds that no document of people reaches, and how to change them."""

from __future__ import annotations

import contextvars
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from rag_evals.rag.errors import DocumentError

T = TypeVar("T")

PREFIX = "RAG_EVALS_DOCUMENT_"
# Seconds that a reader which is told to end may take; code of a library in C ends when it returns.
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one document may have and take.

    Attributes:
        pages: Pages that are read.
        characters: Characters of its text.
        seconds: To read all of it.
        page_seconds: To read one page of a PDF, and to open it.
        megabytes: Size of the file, and what an archive comes to unpacked.
    """

    pages: int = 20_000
    characters: int = 20_000_000
    seconds: int = 300
    page_seconds: int = 30
    megabytes: int = 512


def document_bounds(environment: Mapping[str, str] = os.environ) -> Bounds:
    """Return the bounds, as variables of the environment change them: `RAG_EVALS_DOCUMENT_PAGES` and so on.

    Raises:
        DocumentError: One of them is no positive whole number.
    """
    told = {}
    for field in fields(Bounds):
        name = f"{PREFIX}{field.name.upper()}"
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
            raise DocumentError(f"{name} must be a whole number from 1, not {text!r}")
        told[field.name] = int(text)
    return Bounds(**told)


def within(seconds: float, read: Callable[[], T]) -> T:
    """Return what `read` gives within so many seconds; it runs in a thread, which is ended after them.

    Raises:
        TimeoutError: It takes longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(read())
        except SystemExit:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        thread.join(max(0.0, seconds))
    finally:
        if thread.is_alive():
            _end(thread)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


class _Ended(SystemExit):
    """What ends a thread: no library keeps a SystemExit, and a thread ends with it without a word."""


def _end(thread: threading.Thread) -> None:
    """Have a thread of Python code end by itself; one that does not is left alone."""
    told = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        # Where it comes to a callback of the garbage collector it is lost there, and sent again.
        if not issubclass(unraisable.exc_type, _Ended):
            told(unraisable)

    sys.unraisablehook = hook
    try:
        until = time.monotonic() + _GRACE
        while thread.is_alive() and time.monotonic() < until:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Ended)
            )
            thread.join(0.5)
    finally:
        sys.unraisablehook = told
