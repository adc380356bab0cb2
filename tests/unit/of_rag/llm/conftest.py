"""A remote model and the loopback server that it asks, on a clock on which nobody really waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from rag_evals.rag.llm.http.server import Patience
from rag_evals.rag.llm.http.throttle import Throttle
from rag_evals.rag.llm.protocol import Prompt
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

from tests.servers.openai import Faults, LoopbackOpenAI, Said

PROMPT = Prompt(("Passage 1:\nRain fell.\n\n", "Did rain fall? Answer yes or no."), system="Be exact.")
OPTIONS = ("yes", "no")
UNSCRIPTED = Said("the script of this test has come to its end", status=400)

Start = Callable[..., tuple[RemoteLLM, LoopbackOpenAI]]


@dataclass
class Pauses:
    """A clock that moves by what is slept on it; nobody really waits."""

    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def clock(self) -> float:
        return sum(self.slept)

    def patience(self, **settings: Any) -> Patience:
        return Patience(**{"sleep": self.sleep, "clock": self.clock, **settings})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for variable in ("RAG_EVALS_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def start(pauses) -> Iterator[Start]:
    """Start a server that gives these answers in turn, or those of a function, and a model that asks it."""
    with ExitStack() as stack:

        def started(
            *said: Any,
            faults: Faults | None = None,
            throttle: Throttle | None = None,
            options: Mapping[str, Any] | None = None,
            **settings: Any,
        ) -> tuple[RemoteLLM, LoopbackOpenAI]:
            script = iter(said)
            answer = said[0] if callable(said[0]) else lambda body: next(script, UNSCRIPTED)
            server = stack.enter_context(LoopbackOpenAI(answer, faults or Faults()))
            llm = RemoteLLM(
                "m", server.url, patience=pauses.patience(**settings), throttle=throttle, **options or {}
            )
            stack.callback(llm.close)
            return llm, server

        yield started
