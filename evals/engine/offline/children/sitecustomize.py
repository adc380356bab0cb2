"""What every Python runs as it starts that an offline session has started: it refuses connections as well.

Python imports the first `sitecustomize` on its path; the one that is hidden by this is run afterwards. Any
Python may come here: the standard library only, and nothing newer than audit hooks.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

# No service has this port, so nobody listens there; programs that heed variables of proxies are led to it.
NO_PROXY = ("127.0.0.1", 4)
_SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOKS_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
# Families of addresses that never leave this machine.
_LOCAL = [getattr(socket, name, None) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG")]


class OfflineError(OSError):
    """Raised when something connects beyond this machine although the session is offline."""


def refusal(event: str, arguments: tuple[Any, ...]) -> str:
    """Return why an audited event is refused in an offline session, empty where it is not."""
    if event in _SENDS:
        address = arguments[1]
        if address is None or arguments[0].family in _LOCAL:
            return ""
    elif event in _LOOKS_UP:
        address = arguments
    elif event == "socket.getnameinfo":
        address = arguments[0]
    else:
        return ""
    host = address[0] if isinstance(address, tuple) and address else address
    if isinstance(address, tuple) and address[:2] == NO_PROXY:
        host = "the network, by a proxy,"
    elif _is_loopback(host):
        return ""
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    name = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:200])
    return f"offline: a connection to {name} was refused; leave out --evals-offline to allow it"


def _is_loopback(host: Any) -> bool:
    if host is None:
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if text.lower() in ("localhost", ""):
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    reason = refusal(event, arguments)
    if reason:
        raise OfflineError(reason)


def _run_hidden(name: str) -> None:
    """Run the module that is called like this one and comes after it on the path."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - as entries of the path are
    spec = PathFinder.find_spec(name, [entry for entry in sys.path if entry != here])
    if spec is not None and spec.loader is not None:
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


if __name__ == "sitecustomize":
    sys.addaudithook(_refuse)
    _run_hidden(__name__)
