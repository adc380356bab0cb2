"""An audit hook for offline runs: every connection but loopback is an error.

An audit hook sees the sockets of every library in the process and cannot be taken off again, which is
what a promise wants; it is installed only when asked for.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

from rag_evals.evals.base.errors import EvalsError


class OfflineError(EvalsError, OSError):
    """Raised when something connects beyond this machine although the run is offline."""


def forbid_connections() -> None:
    """Make every later connection or name look-up beyond this machine an `OfflineError`."""
    # Libraries that ask first, and processes that we start, are told as well.
    os.environ.update(HF_HUB_OFFLINE="1", PIP_NO_INDEX="1")
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" or event == "socket.sendto":
        address = arguments[1]
    elif event == "socket.getaddrinfo":
        address = arguments
    else:
        return
    # A Unix socket's address is a path: it never leaves this machine.
    if isinstance(address, tuple) and not _is_loopback(str(address[0])):
        raise OfflineError(
            f"offline: a connection to {address[0]} was refused; leave out --evals-offline to allow it"
        )


def _is_loopback(host: str) -> bool:
    if host in ("localhost", "", "None"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
