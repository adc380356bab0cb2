"""Offline means offline: nothing beyond this machine can be reached, whoever tries."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARE = (
    "from rag_evals.evals.engine.offline import forbid_connections; import socket; forbid_connections()\n"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    # The hook cannot be taken off again, so each trial is a process of its own.
    return subprocess.run([sys.executable, "-c", PREPARE + code], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("code", "host"),
    [
        ("socket.create_connection(('192.0.2.1', 80), timeout=5)", "192.0.2.1"),
        ("socket.getaddrinfo('example.invalid', 443)", "example.invalid"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "192.0.2.1"),
        ("import urllib.request; urllib.request.urlopen('http://192.0.2.1/')", "192.0.2.1"),
    ],
    ids=["connect", "look-up", "datagram", "library"],
)
def test_beyond_this_machine_is_an_error(code, host):
    """A connection, a name look-up, a datagram: each is refused with the way to allow it."""
    tried = run(code)
    assert tried.returncode == 1
    assert (
        f"offline: a connection to {host} was refused; leave out --evals-offline to allow it" in tried.stderr
    )


def test_loopback_and_local_sockets_stay_open():
    """A server on this machine can be reached, by address or by name, and so can a local socket pair."""
    code = (
        "server = socket.create_server(('127.0.0.1', 0)); port = server.getsockname()[1]\n"
        "socket.create_connection(('127.0.0.1', port)).close()\n"
        "socket.create_connection(('localhost', port)).close()\n"
        "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1).decode())"
    )
    tried = run(code)
    assert (tried.stdout, tried.stderr) == ("x\n", "")


def test_libraries_and_child_processes_are_told():
    """The hub's client and pip read their own switches: they are set as well."""
    tried = run("import os; print(os.environ['HF_HUB_OFFLINE'], os.environ['PIP_NO_INDEX'])")
    assert tried.stdout == "1 1\n"
