"""Where the controller of a cluster gives out: engine, pool and backend with actors that only wait.

No Ray and no pytest: what is left is what grows with the number of actors. Each of them waits as long as an
evaluation takes; the ideal is all of them at work all the time.

    python -m benchmarks.ray_controller
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections import deque
from concurrent.futures import Future
from typing import Any

from rag_evals.evals.engine.backends.cluster.actor import node_info
from rag_evals.evals.engine.backends.cluster.backend import ClusterBackend
from rag_evals.evals.engine.backends.cluster.messages import NodeSpec, Reply, Request
from rag_evals.evals.engine.backends.cluster.options import ClusterPlan
from rag_evals.evals.engine.engine import Engine
from rag_evals.evals.engine.task import Origin, Task
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.progress import Progress
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer, Context

from benchmarks.report import print_table, save

SPEC = NodeSpec((), None, ".", (), "", None)
HERE = node_info()
ANSWER = Answer("Two of eight. " * 10, tuple(Context("The router says. " * 16, "a.pdf", n) for n in range(6)))
SCORES = (Score("faithfulness", 0.9),)
# As many tasks are begun ahead as the tests of a session would have: they come in order.
AHEAD = 32


class WaitingActor:
    """An actor that waits, and gives the same answer each time."""

    def __init__(self, seconds: float) -> None:
        self.label = "an actor"
        self._seconds = seconds

    def about(self) -> Future[Any]:
        return _done(HERE)

    def begin(self) -> Future[Any]:
        return _done(None)

    async def evaluate(self, request: Request, name: str, seconds: float | None = None) -> Reply:
        await asyncio.sleep(self._seconds)
        return Reply(Evaluation(request.question, "waiting", ANSWER, SCORES, {}))

    def end(self) -> Future[Any]:
        return _done(None)

    def kill(self) -> None:
        pass


class WaitingCluster:
    """A cluster of any size."""

    def __init__(self, actors: int, seconds: float) -> None:
        self._actors, self._seconds = actors, seconds

    def actor(self, start: Any, spec: NodeSpec) -> WaitingActor:
        return WaitingActor(self._seconds)

    def room(self, needs: Any) -> int:
        return self._actors

    def missing(self, needs: Any) -> str:
        return ""

    def close(self) -> None:
        pass


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _never(spec: NodeSpec) -> Any:
    raise AssertionError(f"no session is begun: {spec}")


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--actors", type=int, nargs="*", default=[16, 100, 400, 800])
    parser.add_argument("--delay", type=float, default=0.5, help="seconds that each evaluation takes")
    options = parser.parse_args()
    results = {}
    for actors in options.actors:
        results[f"{actors} actors"] = measure(min(options.tasks, 200 * actors), actors, options.delay)
    columns = list(next(iter(results.values())))
    rows = [[name, *(f"{row[c]:,.3f}" for c in columns)] for name, row in results.items()]
    print_table([["", *columns], *rows])
    save("ray_controller", {"delay": options.delay, **results})


def measure(count: int, actors: int, delay: float) -> dict[str, float]:
    """Evaluate `count` tasks in order, as many begun ahead as a session has."""
    pipeline, judge = FakePipeline(lambda question: question), FakeJudge({})
    backend = ClusterBackend(
        lambda: WaitingCluster(actors, delay),
        ClusterPlan(),
        _never,
        lambda _: SPEC,
        cache=None,
        concurrency=0,
        seconds=900.0,
        ends=lambda: None,
        watcher=Progress(),
        say=print,
        tasks=count,
    )
    engine = Engine(backend=backend)
    origin = Origin("test", "pipeline", "judge")
    tasks = deque(
        Task(pipeline, Question(f"q{n}", f"What is {n}?"), judge, ("faithfulness",), "waiting", origin=origin)
        for n in range(count)
    )
    engine.submit(tasks[0]).result()  # all actors have begun
    start, processor = time.perf_counter(), _processor()
    under_way: deque[Future[Evaluation]] = deque()
    while tasks or under_way:
        while tasks and len(under_way) < AHEAD * actors:
            under_way.append(engine.submit(tasks.popleft()))
        under_way.popleft().result()
    seconds = time.perf_counter() - start
    used = _processor() - processor
    engine.close()
    return {
        "tasks": count,
        "seconds": seconds,
        "of ideal": count * delay / actors / seconds,
        "tasks/s": count / seconds,
        "processor ms/task": 1000 * used / count,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
