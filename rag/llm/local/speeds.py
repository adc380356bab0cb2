"""Speeds of a model on this machine, and with how many threads: measured once, kept on disk."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rag_evals.rag.identity import digest
from rag_evals.rag.llm.threads import let_threads_sleep
from rag_evals.rag.models.resolve import Model, cache_dir
from rag_evals.rag.models.store import keep_json


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens per second.

    Attributes:
        prefill: Tokens of a prompt read, in parts as long as a passage.
        decode: Tokens written, one by one.
    """

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads that read prompts, and those that write one token at a time, which have less to share."""

    prefill: int
    decode: int


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is known of a model on this machine: its speeds with these threads."""

    speeds: Speeds
    threads: Threads


def speeds_of(model: Model, *, n_gpu_layers: int = 0) -> Speeds | None:
    """Return how fast `model` ran on this machine when it was measured; None if it never was."""
    known = tuning_of(model, n_gpu_layers=n_gpu_layers)
    return known.speeds if known else None


def tuning_of(model: Model, *, n_gpu_layers: int = 0) -> Tuning | None:
    """Return all that is known of `model` on this machine; None if it was never measured."""
    try:
        kept = json.loads(_place(model, n_gpu_layers).read_text(encoding="utf-8"))["tuning"]
        return Tuning(Speeds(**kept["speeds"]), Threads(**kept["threads"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def keep(model: Model, tuning: Tuning, *, n_gpu_layers: int = 0) -> None:
    """Keep `tuning` for the next process; where the cache cannot be written it is measured anew."""
    told = {"model": model.name, "machine": _machine(), "tuning": asdict(tuning)}
    keep_json(_place(model, n_gpu_layers), told)


def _place(model: Model, n_gpu_layers: int) -> Path:
    key = digest([model.sha256, version("llama_cpp_python"), n_gpu_layers, _machine()])
    return cache_dir() / ".tuning" / f"{key}.json"


def _machine() -> dict[str, Any]:
    let_threads_sleep()  # as when the model runs: how threads wait says how many are best
    waiting = [os.environ.get(name, "") for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")]
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "waiting": waiting}


def processor() -> str:
    """Return the name of this machine's processor, as its system says it."""
    return _cpu_facts("model name").pop("model name", platform.processor() or platform.machine())


def physical_cores() -> int:
    """Return the cores that this process may use, two threads of one core counted once."""
    usable = len(os.sched_getaffinity(0))
    facts = _cpu_facts("siblings", "cpu cores")
    try:
        threads_a_core = int(facts["siblings"]) / int(facts["cpu cores"])
    except (KeyError, ValueError, ZeroDivisionError):
        return usable
    return max(1, round(usable / max(1.0, threads_a_core)))


def _cpu_facts(*names: str) -> dict[str, str]:
    """Return what the system says of its first processor; empty where it does not say it as Linux does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    facts = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in facts if name.strip() in names}
