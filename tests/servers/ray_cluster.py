"""A Ray cluster of several nodes on this machine, in a process of its own.

    python -m tests.servers.ray_cluster NODES CPUS

Its first line is the address. Each line on standard input is done and said again: `remove` takes a node away,
hard, `hang` has its processes stand still before that, `add` adds one, `kill head` kills the process that
knows of all nodes and actors, `start head` starts it again; the end of the input ends the cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class RayCluster:
    """A running cluster.

    Args:
        process: The process that has it.

    Attributes:
        address: Where it is.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._read()

    def tell(self, what: str) -> None:
        """Have it `remove`, `hang` or `add` a node, `kill head` or `start head`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._read() == what

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def ray_cluster(nodes: int, cpus: int, settings: Mapping[str, str] | None = None) -> Iterator[RayCluster]:
    """Begin a cluster whose nodes say that they have so many processors.

    Args:
        nodes: How many nodes beside the head.
        cpus: What each of them says.
        settings: Settings of Ray's own for all its processes, as environment variables.
    """
    command = [sys.executable, "-P", "-m", "tests.servers.ray_cluster", str(nodes), str(cpus)]
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        **(settings or {}),
    }
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield RayCluster(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def _processes(node: Any) -> list[Any]:
    """Return the process of a node that others talk to, and those of its actors."""
    import psutil

    (raylet,) = node.all_processes["raylet"]
    process = psutil.Process(raylet.process.pid)
    return [process, *process.children(recursive=True)]


def _remove(cluster: Any, node: Any) -> None:
    """Take a node away; what stands still would not notice that its node is gone."""
    for process in _processes(node)[1:]:
        if process.status() == "stopped":
            process.kill()
    cluster.remove_node(node, allow_graceful=False)


def main() -> None:
    """Have a cluster until the input ends."""
    from ray.cluster_utils import Cluster

    count, cpus = map(int, sys.argv[1:])
    # No work on the head: any of the others may be taken away.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=cpus) for _ in range(count)]
    does = {
        "hang": lambda: [process.suspend() for process in _processes(nodes[-1])],
        "remove": lambda: _remove(cluster, nodes.pop()),
        "add": lambda: nodes.append(cluster.add_node(num_cpus=cpus)),
        "kill head": lambda: cluster.head_node.kill_gcs_server(),
        "start head": lambda: cluster.head_node.start_gcs_server(),
    }
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        does[line.strip()]()
        sys.stdout.write(line)
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
