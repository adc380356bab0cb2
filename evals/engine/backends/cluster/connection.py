"""The connection to a Ray cluster: found or begun here, its nodes, its actors."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.backends.cluster.actor import EvaluationActor, NodeSession
from rag_evals.evals.engine.backends.cluster.messages import LostError, NodeSpec
from rag_evals.evals.engine.backends.cluster.options import AUTO, CPUS, GPUS, LOCAL, MEMORY, ClusterPlan
from rag_evals.evals.engine.backends.cluster.ray_actor import RayActor

LEAST = (2, 52)
LOOPBACK = "127.0.0.1"
# Seconds in which the head has to answer a question.
ANSWERED = 5.0
# Seconds that an actor has to end what its fixtures made.
ENDING = 1.5
# Seconds that Ray has to end a cluster that was begun here.
SHUTDOWN = 2.5
# Seconds without a head after which Ray may end this process: what it has is reported by then.
AFTERWARDS = 3600
# Ray's names of what an actor reserves.
_NAMES: Mapping[str, str] = {CPUS: "CPU", GPUS: "GPU", MEMORY: "memory"}


def check_installed() -> None:
    """Look for Ray without importing it.

    Raises:
        UsageError: It is not there, or too old.
    """
    try:
        found = version("ray")
    except PackageNotFoundError:
        raise UsageError("evals_ray: Ray is not installed: pip install 'rag-evals[ray]'") from None
    if tuple(int(part) for part in found.split(".")[:2]) < LEAST:
        raise UsageError(f"evals_ray: Ray {found} is too old: pip install 'rag-evals[ray]' for 2.52 or later")


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node.

    Attributes:
        address: Its address in the cluster.
        resources: What it has in all, by Ray's names.
    """

    address: str
    resources: Mapping[str, float]


class Connection:
    """A connection to a cluster; it ends with `close`.

    Args:
        plan: Which cluster, and what of it.
        folder: The folder that is shipped where the cluster is not begun here.
        is_offline: Whether only this machine, or an address that is named, may be reached.

    Attributes:
        is_begun_here: Whether the cluster was begun by this process, on this machine alone.
        is_shipped: Whether the folder was shipped, or the job's working directory is it.

    Raises:
        UsageError: There is no such cluster.
    """

    _ray: Any  # has no types for all that is called

    def __init__(self, plan: ClusterPlan, folder: str, *, is_offline: bool = False) -> None:
        check_installed()
        # Before Ray is imported, and for the processes that it begins: it would tell its makers of its use.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Without a word Ray would end this process a minute after its head is gone: what is left to record
        # and to report then takes its time.
        with _told("RAY_gcs_rpc_server_reconnect_timeout_s", str(AFTERWARDS)):
            import ray

        self._ray = ray
        self._plan = plan
        self.is_begun_here = False
        self.is_shipped = True
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            self._connect(folder, is_offline=is_offline)

    def _connect(self, folder: str, *, is_offline: bool) -> None:
        address = self._plan.address
        if address == AUTO:
            address = os.environ.get("RAY_ADDRESS") or AUTO
        if address != LOCAL:
            try:
                self._init(address=address, runtime_env=self._runtime_env(folder))
            except ConnectionError as error:
                if address != AUTO:
                    raise UsageError(
                        f"evals_ray: no Ray cluster answers at {printable(address)}: {_first_line(error)}"
                    ) from error
            else:
                if is_offline and address == AUTO and not self._is_here():
                    self.close()
                    raise UsageError(
                        "evals_ray = auto under --evals-offline: the cluster is on other machines; name it, "
                        "as in --evals-ray=HOST:PORT"
                    )
                return
        environment = self._runtime_env(folder)
        environment.pop("working_dir", None)
        with _loopback_alone(self._ray):
            self._init(
                address=LOCAL, include_dashboard=False, _node_ip_address=LOOPBACK, runtime_env=environment
            )
        self.is_begun_here, self.is_shipped = True, False

    def _init(self, **options: Any) -> None:
        try:
            with _own_signals():
                self._ray.init(
                    log_to_driver=False, configure_logging=False, logging_level=logging.ERROR, **options
                )
        except ConnectionError:
            raise
        except Exception as error:  # Ray raises Exception itself where a node does not start
            raise UsageError(f"evals_ray: {_first_line(error)}") from error

    def _runtime_env(self, folder: str) -> dict[str, Any]:
        """Return what Ray is to set up on nodes; a submitted job has a working directory already."""
        environment = dict(self._plan.runtime_env)
        passed = {name: os.environ[name] for name in self._plan.pass_env if name in os.environ}
        if passed:
            environment["env_vars"] = {**environment.get("env_vars", {}), **passed}
        if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
            environment.pop("working_dir", None)
            return environment
        environment.setdefault("working_dir", folder)
        environment["excludes"] = [*_LEFT_OUT, *environment.get("excludes", ())]
        return environment

    def _is_here(self) -> bool:
        """Return whether all nodes have an address of this machine's own."""
        return all(_is_own(node.address) for node in self.nodes())

    def nodes(self) -> list[ClusterNode]:
        """Return the nodes that are alive.

        Raises:
            Exception: The head does not answer.
        """
        # Not ray.nodes(): asked of a head that was started anew, that ends this process.
        client = self._ray._private.worker.global_worker.gcs_client
        found = client.get_all_node_info(timeout=ANSWERED)
        alive = (info for info in found.values() if info.state == 0)
        return [ClusterNode(str(one.node_manager_address), dict(one.resources_total)) for one in alive]

    def ask_head(self) -> object:
        """Ask the head for the nodes.

        Raises:
            LostError: It is another one.
            Exception: It does not answer.
        """
        try:
            return self.nodes()
        except Exception as error:
            if "WrongClusterID" in str(error):
                raise LostError("the cluster's head was started anew, and knows of nothing") from error
            raise

    def room(self, needs: Mapping[str, float]) -> int:
        """Return for how many actors the nodes have room, were nothing else on them."""
        return sum(_fitting(node.resources, _in_words_of_ray(needs)) for node in self.nodes())

    def missing(self, needs: Mapping[str, float]) -> str:
        """Say what no node has; "" where some node has enough of all."""
        wanted = _in_words_of_ray(needs)
        found = [node.resources for node in self.nodes()]
        if any(_fitting(resources, wanted) for resources in found):
            return ""
        parts = []
        for name, amount in needs.items():
            most = max((one.get(_NAMES.get(name, name), 0.0) for one in found), default=0.0)
            if most < amount:
                parts.append(f"{name} = {amount:g} (the most that a node has is {most:g})")
        return ", ".join(parts) or ", ".join(f"{name} = {amount:g}" for name, amount in needs.items())

    def actor(self, start: Callable[[NodeSpec], NodeSession], spec: NodeSpec) -> RayActor:
        """Begin an actor; it waits until a node has room for it."""
        needs = dict(self._plan.resources)
        options: dict[str, Any] = {name: needs.pop(name) for name in (CPUS, GPUS, MEMORY) if name in needs}
        kind = self._ray.remote(EvaluationActor)
        handle = kind.options(
            **options,
            resources=needs or None,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        ).remote(start, spec)
        return RayActor(self._ray, handle, self._plan.lost_after)

    def close(self) -> None:
        """End the connection, and a cluster that was begun here; it takes no longer than some seconds."""
        if not self._is_ours:
            return
        ending = threading.Thread(target=self._ray.shutdown, daemon=True)
        ending.start()
        ending.join(SHUTDOWN)


@contextmanager
def _told(name: str, value: str) -> Iterator[None]:
    """Have the environment, which Ray and its processes read as they begin, say something meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Leave what SIGTERM does as it is: Ray would have it raise SystemExit wherever pytest is just then."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _loopback_alone(ray: Any) -> Iterator[None]:
    """Have a cluster that begins here keep to this machine: no port of it is open to others.

    Ray takes an address of the machine in place of the loopback address, and then listens to all, but where
    clusters of several machines are switched off, as they are on macOS.
    """
    constants = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        with _told(_CLUSTERS, "0"):
            yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


# Where Ray's processes are told whether there may be other machines.
_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# What no node needs of the folder.
_LEFT_OUT = (".git", ".venv", "venv", ".rag-evals", ".pytest_cache", "node_modules", "__pycache__")


def _in_words_of_ray(needs: Mapping[str, float]) -> dict[str, float]:
    return {_NAMES.get(name, name): amount for name, amount in needs.items() if amount}


def _fitting(resources: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """Return how many actors fit on a node."""
    if not wanted:
        return 1
    return int(min(resources.get(name, 0.0) / amount for name, amount in wanted.items()))


def _is_own(address: str) -> bool:
    """Return whether an address is this machine's: only such a one can be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__
