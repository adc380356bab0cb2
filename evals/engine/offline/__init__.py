"""Offline runs: every connection, datagram and name look-up beyond this machine is an error.

An audit hook sees the sockets of every library in the process and cannot be taken off again, which is
what a promise wants; it is installed only when asked for. Python processes that are started install it
too, other programs are led to a proxy that is not there. What no Python sees, sockets of native code and of
programs that heed no proxy, only the kernel could refuse: docs/running.md says how.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.engine.offline.children import sitecustomize
from rag_evals.evals.engine.offline.children.sitecustomize import NO_PROXY, refusal

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")


class OfflineError(EvalsError, OSError):
    """Raised when something connects beyond this machine although the run is offline."""


def forbid_connections() -> None:
    """Make every later connection, datagram or look-up beyond this machine an `OfflineError`."""
    # Libraries that ask first, and processes that we start, are told as well.
    os.environ.update(HF_HUB_OFFLINE="1", PIP_NO_INDEX="1")
    here, path = str(Path(sitecustomize.__file__).parent), os.environ.get("PYTHONPATH", "")
    if here not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, path]))
    for name in (spelling for proxy in _PROXIES for spelling in (proxy, proxy.upper())):
        os.environ.pop(name, None)  # one on this machine would lead beyond it
        # For the processes alone: in this one an error is to name who was to be reached.
        os.putenv(name, "http://{}:{}".format(*NO_PROXY))
    os.putenv("no_proxy", "localhost,127.0.0.1,::1")
    os.putenv("NO_PROXY", "localhost,127.0.0.1,::1")
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    reason = refusal(event, arguments)
    if reason:
        raise OfflineError(reason)
