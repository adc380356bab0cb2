"""Threads that the end of the process does not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class DaemonThreads(ThreadPoolExecutor):
    """An executor that runs each call in a daemon thread of its own.

    The standard one is waited for when the interpreter ends: a server that does not answer would hold up
    Ctrl-C by minutes. How many run at once is the caller's to bound.
    """

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `call` in a new thread."""
        future: Future[Any] = Future()
        threading.Thread(target=_run, args=(future, call, args, kwargs), daemon=True).start()
        return future


def _run(
    future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)
