"""A Ray cluster of several nodes on this machine, in a process of its own.

    python -m tests.servers.ray_cluster NODES CPUS

Its first line is the address; a line `remove` on standard input takes a node away, hard, `add` adds one, and
the end of the input ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        """Have it `remove` or `add` a node."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._read() == what

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def ray_cluster(nodes: int, cpus: int) -> Iterator[RayCluster]:
    """Begin a cluster whose nodes say that they have so many processors."""
    command = [sys.executable, "-P", "-m", "tests.servers.ray_cluster", str(nodes), str(cpus)]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield RayCluster(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def main() -> None:
    """Have a cluster until the input ends."""
    from ray.cluster_utils import Cluster

    count, cpus = map(int, sys.argv[1:])
    # No work on the head: any of the others may be taken away.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=cpus) for _ in range(count)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=cpus))
        sys.stdout.write(line)
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
