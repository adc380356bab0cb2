"""How the threads of the model libraries wait for each other."""

from __future__ import annotations

import os


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait, unless OMP_WAIT_POLICY says otherwise.

    OpenMP reads this once, when the first library that uses it is loaded (torch, llama.cpp), so it is called
    before either is imported. By default the threads spin: two processes on two cores (`pytest -n2`)
    took 5 to 50 times as long that way.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
