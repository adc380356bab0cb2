"""Turns: one call at a time, those of one evaluation together, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise

from rag_evals.rag.native.hosting.turns import Turns


def order_of(turns: Turns, clients: Sequence[str], calls: int, *, pause: float, work: float) -> str:
    """Let each client make some calls, with a pause between two; return the order in which they ran."""
    order: list[str] = []
    barrier = threading.Barrier(len(clients))

    def run(client: str) -> None:
        barrier.wait()
        for _ in range(calls):
            with turns.turn(client):
                order.append(client)
                time.sleep(work)
            time.sleep(pause)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return "".join(order)


def switches(order: str) -> int:
    return sum(a != b for a, b in pairwise(order))


def test_calls_of_one_client_stay_together():
    """As long as its next call comes at once, the others wait."""
    order = order_of(Turns(linger=0.5), "ab", 5, pause=0.002, work=0.005)
    assert sorted(order) == list("aaaaabbbbb")
    assert switches(order) == 1


def test_others_come_when_a_client_pauses():
    """A client that does something else meanwhile has lost its turn."""
    order = order_of(Turns(linger=0.001), "ab", 4, pause=0.1, work=0.02)
    assert switches(order) >= 5


def test_nobody_waits_for_ever():
    """A client whose calls never pause is asked to wait once it has had the model for long."""
    order = order_of(Turns(linger=0.5, longest=0.05), "ab", 12, pause=0.0, work=0.01)
    assert switches(order) >= 2


def test_the_first_to_come_is_the_first_to_be_served():
    """Among those who wait, order is that of coming."""
    turns = Turns(linger=0.0)
    order: list[str] = []

    def run(client: str) -> None:
        with turns.turn(client):
            order.append(client)

    threads = []
    with turns.turn("first"):
        for client in "abcd":
            threads.append(threading.Thread(target=run, args=(client,)))
            threads[-1].start()
            time.sleep(0.02)
    for thread in threads:
        thread.join(5)
    assert order == list("abcd")


def test_a_lone_client_never_waits():
    """With nobody else there is nothing to wait for."""
    turns = Turns(linger=5.0)
    began = time.monotonic()
    for _ in range(50):
        with turns.turn("a"):
            pass
    assert time.monotonic() - began < 1
