"""What is said of the cluster: its address, and how many actors of what size are to work on it."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import display_path, first_names, printable

AUTO = "auto"
LOCAL = "local"
# What an actor reserves where nothing else is said.
CPUS = "num_cpus"
GPUS = "num_gpus"
MEMORY = "memory"
ONE_CPU: Mapping[str, float] = {CPUS: 1.0}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}")


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where evaluations are made.

    Attributes:
        address: `auto`, `local` or `HOST:PORT`; None where they are made in this process.
        actors: How many actors; 0 for as many as the cluster has room for, also when it grows.
        resources: What each reserves: `num_cpus`, `num_gpus`, `memory` and resources of the cluster's own.
        config: TOML file that says more.
    """

    address: str | None = None
    actors: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The options and the TOML file together.

    Attributes:
        address: `auto`, `local` or `HOST:PORT`.
        actors: How many actors; 0 for as many as the cluster has room for.
        resources: What each reserves.
        home: Folder of indexes on each node, or on a storage that all nodes share; None for one of the
            node's own.
        pass_env: Environment variables that nodes get as they are here.
        wait_minutes: How long the first actor may take to begin.
        runtime_env: What Ray sets up on each node: working directory, packages, environment.
        lost_after: Seconds after which an actor that gives no sign of life is lost; also the head, but where
            that is more than Ray itself waits for it.
    """

    address: str = AUTO
    actors: int = 0
    resources: Mapping[str, float] = field(default_factory=lambda: ONE_CPU)
    home: str | None = None
    pass_env: tuple[str, ...] = ()
    wait_minutes: float = 10.0
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    lost_after: float = 60.0


def parse_address(text: str) -> str:
    """Parse where the cluster is.

    Raises:
        UsageError: It is neither `auto` nor `local` nor an address.
    """
    if text.startswith("ray://"):
        raise UsageError(
            f"evals_ray = {printable(text)}: pytest itself runs on a node of the cluster; send it there with "
            "ray job submit --working-dir . -- pytest evals --evals-ray"
        )
    if text in (AUTO, LOCAL) or _ADDRESS.fullmatch(text):
        return text
    raise UsageError(
        f"evals_ray = {printable(text)}: neither auto, local nor HOST:PORT; in front of a path write "
        "--evals-ray=auto"
    )


def parse_resources(text: str) -> Mapping[str, float]:
    """Parse `NAME=AMOUNT`, several separated by commas.

    Raises:
        UsageError: It has another form, or an amount is below 0.
    """
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {name.strip(): _amount(name.strip(), amount) for name, _, amount in pairs}


def _amount(name: str, said: object, source: str = "evals_ray_resources") -> float:
    try:
        amount = float(said) if isinstance(said, str | int | float) else math.nan
    except ValueError:
        amount = math.nan
    if isinstance(said, bool) or not math.isfinite(amount) or amount < 0 or not name:
        raise UsageError(
            f"{source}: {printable(name)} = {printable(str(said).strip())}: write NAME=AMOUNT, such as "
            "num_cpus=2,num_gpus=0.5"
        )
    return amount


def plan_from(options: ClusterOptions) -> ClusterPlan:
    """Put options and TOML file together; what an option says wins.

    Raises:
        UsageError: The file cannot be read, or says something that is not known.
    """
    plan = _read(options.config) if options.config else ClusterPlan()
    resources = {**plan.resources, **options.resources}
    return replace(
        plan, address=options.address or AUTO, actors=options.actors or plan.actors, resources=resources
    )


def _read(path: Path) -> ClusterPlan:
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{display_path(path)}: {printable(str(error))}") from error
    known = {"actors", "home", "lost_after", "pass_env", "resources", "runtime_env", "wait_minutes"}
    if unknown := sorted(said.keys() - known):
        raise UsageError(
            f"{display_path(path)}: unknown: {printable(first_names(unknown))}; known are "
            f"{', '.join(sorted(known))}"
        )
    for name, kind in (("resources", dict), ("runtime_env", dict), ("home", str), ("pass_env", list)):
        if not isinstance(said.get(name, kind()), kind):
            raise UsageError(f"{display_path(path)}: {name}: {_KINDS[kind]}")
    where = display_path(path)
    lost_after = _amount("lost_after", said.get("lost_after", 60.0), where)
    if lost_after < 1:
        raise UsageError(f"{where}: lost_after = {lost_after:g}: give the seconds, 1 or more")
    resources = {name: _amount(name, amount, where) for name, amount in said.get("resources", {}).items()}
    return ClusterPlan(
        actors=int(_amount("actors", said.get("actors", 0), where)),
        resources={**ONE_CPU, **resources},
        home=said.get("home"),
        pass_env=tuple(map(str, said.get("pass_env", ()))),
        wait_minutes=_amount("wait_minutes", said.get("wait_minutes", 10.0), where),
        runtime_env=said.get("runtime_env", {}),
        lost_after=lost_after,
    )


_KINDS: Mapping[type, str] = {dict: "a table", str: "a text", list: "a list of texts"}
