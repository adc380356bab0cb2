"""Threads of the model libraries: how they wait for each other."""

from __future__ import annotations

import os

# Turns of a loop, some microseconds: as long as the others take for their part of a matrix, mostly.
SPINS = "1000"


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep when they wait for long, unless the environment says otherwise.

    OpenMP reads this once, when the first library that uses it is loaded (torch, llama.cpp), so it is called
    before either is imported. By default the threads spin: two processes on two cores took 5 to 50 times as
    long that way. Asleep at once, they cost each pass of a small model up to a third of its time, so they
    spin for a moment first.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if os.environ["OMP_WAIT_POLICY"].lower() == "passive":
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
