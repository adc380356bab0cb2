"""Offline means offline: nothing beyond this machine can be reached, whoever tries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PREPARE = (
    "from rag_evals.evals.engine.offline import forbid_connections; import socket; forbid_connections()\n"
)
DATAGRAM = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
ASYNC = """
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    {}
asyncio.run(main())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # The hook cannot be taken off again, so each trial is a process of its own.
    return subprocess.run(
        [sys.executable, "-c", PREPARE + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("code", "host"),
    [
        ("socket.create_connection(('192.0.2.1', 80), timeout=5)", "192.0.2.1"),
        ("socket.socket().connect_ex(('192.0.2.1', 80))", "192.0.2.1"),
        ("import _socket; _socket.socket().connect(('192.0.2.1', 80))", "192.0.2.1"),
        ("socket.socket(socket.AF_INET6).connect(('::ffff:192.0.2.1', 80))", "::ffff:192.0.2.1"),
        ("socket.getaddrinfo('example.invalid', 443)", "example.invalid"),
        ("socket.getaddrinfo('None', 443)", "None"),
        ("socket.getaddrinfo('localhost.example.invalid', 443)", "localhost.example.invalid"),
        ("socket.gethostbyname('example.invalid')", "example.invalid"),
        ("socket.gethostbyname_ex('example.invalid')", "example.invalid"),
        ("socket.gethostbyaddr('192.0.2.1')", "192.0.2.1"),
        ("socket.getnameinfo(('192.0.2.1', 80), 0)", "192.0.2.1"),
        (f"{DATAGRAM}.sendto(b'x', ('192.0.2.1', 53))", "192.0.2.1"),
        (f"{DATAGRAM}.sendmsg([b'x'], [], 0, ('192.0.2.1', 53))", "192.0.2.1"),
        (
            ASYNC.format(
                "await loop.create_datagram_endpoint(asyncio.DatagramProtocol, None, ('192.0.2.1', 9))"
            ),
            "192.0.2.1",
        ),
        (ASYNC.format("await asyncio.open_connection('192.0.2.1', 80)"), "192.0.2.1"),
        ("import urllib.request; urllib.request.urlopen('http://192.0.2.1/')", "192.0.2.1"),
    ],
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
        "socket.gethostbyname('localhost'); socket.getnameinfo(('127.0.0.1', 80), 0)\n"
        "socket.getaddrinfo(None, 80); socket.getaddrinfo(b'127.0.0.1', 80)\n"
        "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))\n"
        "a.sendmsg([b'x'], [], 0, a.getsockname()); a.sendto(b'x', a.getsockname())\n"
        "a, b = socket.socketpair(); a.sendmsg([b'x']); print(b.recv(1).decode())"
    )
    tried = run(code)
    assert (tried.stdout, tried.stderr) == ("x\n", "")


def test_libraries_and_child_processes_are_told():
    """The hub's client and pip read their own switches: they are set as well."""
    tried = run("import os; print(os.environ['HF_HUB_OFFLINE'], os.environ['PIP_NO_INDEX'])")
    assert tried.stdout == "1 1\n"


CHILD = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
OF_CHILD = (
    "OfflineError: offline: a connection to 192.0.2.1 was refused; leave out --evals-offline to allow it\n"
)


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, '-c', {}])",
        "subprocess.run([sys.executable, '-P', '-c', {}], env=child_environment())",
        "os.system(shlex.join([sys.executable, '-c', {}]))",
        "multiprocessing.get_context('fork').Process(target=exec, args=({},)).start()",
        "multiprocessing.get_context('spawn').Process(target=exec, args=({},)).start()",
        "subprocess.run([sys.executable, '-c', 'import subprocess, sys;"
        " subprocess.run([sys.executable, *sys.argv[1:]])', '-c', {}])",
    ],
    ids=["python", "ours", "shell", "fork", "spawn", "grandchild"],
)
def test_python_processes_are_offline_too(start):
    """Whoever starts a Python in an offline session starts one that connects to nothing beyond it."""
    code = (
        "import multiprocessing, os, shlex, subprocess, sys\n"
        "from rag_evals.rag.native.children import child_environment\n" + start.format(repr(CHILD))
    )
    # What `spawn` starts prepares the module of its parent, which is none here.
    assert run(code).stderr.endswith(OF_CHILD)


def test_other_programs_find_no_proxy():
    """Programs that heed the variables of proxies are led nowhere, whatever proxy is set; loopback stays."""
    code = (
        "import os, subprocess; print(os.environ.get('http_proxy'), flush=True)\n"
        "subprocess.run('echo $http_proxy $HTTPS_PROXY $all_proxy $no_proxy', shell=True)\n"
    )
    told = run(code, http_proxy="http://127.0.0.1:3128", no_proxy="example.com")
    proxy = "http://127.0.0.1:4"
    assert told.stdout == f"None\n{proxy} {proxy} {proxy} localhost,127.0.0.1,::1\n"
    fetch = "import urllib.request; urllib.request.urlopen('https://example.invalid/')"
    refused = "offline: a connection to the network, by a proxy, was refused"
    assert refused in run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {fetch!r}])").stderr


def test_what_runs_at_the_start_still_runs(tmp_path):
    """A `sitecustomize` that processes had before they have still."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.theirs = __file__\n")
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(theirs)'])"
    told = run(code, PYTHONPATH=str(tmp_path))
    assert (told.stdout, told.stderr) == (f"{tmp_path / 'sitecustomize.py'}\n", "")
