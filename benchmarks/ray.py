"""How well a Ray cluster is used: a pipeline that waits 100 ms, on 4, 8 and 16 actors on this machine.

The whole way is measured: pytest, plugin, engine, pool, actors and their sessions. The ideal is as many
answers at once as there are actors, all the time from the moment when the last of them gave its first answer
to the moment when the last question was begun; what a task takes beyond its wait is the overhead. Seconds of
the controller's processor say what it could feed on a machine of its own.

    python -m benchmarks.ray
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.project import ASKING, UNHELD, write_project, write_questions
from benchmarks.report import print_table, save
from tests.servers.ray_cluster import ray_cluster

CONFTEST = """
import asyncio, os, time
import pytest
from rag_evals import pipeline_from
from rag_evals.testing import FakeJudge

PASSAGES = [f"The router sends each token to two of eight experts, says passage {n}. " * 4 for n in range(6)]

@pytest.fixture(scope="session")
def waiting():
    note = os.open(f"{NOTES!r}/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async def ask(question):
        os.write(note, f"{time.time()}\\n".encode())
        await asyncio.sleep(DELAY)
        return "Two of eight. " * 10, PASSAGES
    return pipeline_from(ask, name="waiting", fingerprint="benchmark")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--actors", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that each answer takes")
    parser.add_argument("--many", type=int, default=50_000, help="questions of the look at memory")
    parser.add_argument("--nodes", type=int, default=2)
    options = parser.parse_args()
    most = max(options.actors)
    results: dict[str, dict[str, float]] = {}
    with ray_cluster(options.nodes, -(-most // options.nodes)) as cluster:
        for actors in options.actors:
            results[f"{actors} actors"] = measure(options.questions, actors, options.delay, cluster.address)
            print(results)
        results["a node lost"] = measure(
            options.questions, most, options.delay, cluster.address, then=lambda: cluster.tell("remove")
        )
        cluster.tell("add")
        if options.many:
            results[f"{options.many:,} questions"] = measure(options.many, 4, 0.0, cluster.address)
    if options.many:
        results[f"{options.questions:,} questions, here"] = measure(options.questions, 1, 0.0)
        results[f"{options.many:,} questions, here"] = measure(options.many, 1, 0.0)
    columns = list(dict.fromkeys(name for row in results.values() for name in row))
    rows = [[name, *(f"{row[c]:,.2f}" if c in row else "" for c in columns)] for name, row in results.items()]
    print_table([["", *columns], *rows])
    load = os.getloadavg()[2]
    save("ray", {"delay": options.delay, "load of the machine, 15 min": load, **results})


def measure(
    count: int, actors: int, delay: float, address: str = "", then: Callable[[], None] | None = None
) -> dict[str, float]:
    """Run `count` questions on `actors` of a cluster, or in this process without one.

    Args:
        count: How many questions.
        actors: How many actors.
        delay: Seconds that each answer takes.
        address: Where the cluster is.
        then: Called when a third of the questions are answered.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        notes = project / "notes"
        notes.mkdir()
        conftest = CONFTEST.replace("{NOTES!r}", str(notes)).replace("DELAY", str(delay))
        write_project(project, conftest, ASKING.format(pipeline="waiting"), UNHELD)
        write_questions(project, count, "Did it rain on day {}?")
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--evals-no-cache"]
        if address:
            command += [f"--evals-ray={address}", f"--evals-ray-actors={actors}"]
        began = time.time()
        with (project / "said.txt").open("w") as said:
            process = subprocess.Popen(command, cwd=project, stdout=said, stderr=subprocess.STDOUT)
            if then:
                while len(times(notes)) < count // 3:
                    time.sleep(0.2)
                then()
            _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, (project / "said.txt").read_text()
        begun = times(notes)
        firsts = sorted(min(one) for one in times_by_actor(notes))
        ended = time.time()
        (run,) = (path for path in project.glob(".rag-evals/runs/*") if not path.is_symlink())
        recorded = [json.loads(line) for line in (run / "records.jsonl").open()][1:-1]
        ids = [line["question_id"] for line in recorded if line["type"] == "evaluation"]
        assert sorted(ids) == sorted(f"q{n}" for n in range(count)), "each question is recorded once"
    processor = usage.ru_utime + usage.ru_stime
    result = {
        "seconds": ended - began,
        "until all work": firsts[-1] - began,
        "processor ms/task": 1000 * processor / count,
        "peak MiB": usage.ru_maxrss / 1024,
        "asked": len(begun),
    }
    steady = [at for at in begun if at >= firsts[-1]]
    if delay and not then and len(steady) > 100:
        each = (steady[-1] - steady[0]) * actors / (len(steady) - 1)
        result |= {"of ideal": delay / each, "overhead ms": 1000 * (each - delay)}
    return result


def times(notes: Path) -> list[float]:
    """Return when each question was begun, in order."""
    return sorted(at for one in times_by_actor(notes) for at in one)


def times_by_actor(notes: Path) -> list[list[float]]:
    """Return when each question was begun, by the process that did."""
    found = ([float(line) for line in file.read_text().split()] for file in notes.iterdir())
    return [one for one in found if one]


if __name__ == "__main__":
    main()
