"""How DeepEval's and ragas' metrics judge the same answers with the same model, behind a server on loopback.

Each framework gets an environment of its own, with pinned versions, in a folder; verdicts are kept there as
they come, and a run that was broken off goes on from there. Seconds are of the processor.

    python -m benchmarks.frameworks --faithfulness ragtruth:FILE --relevancy FILE --answers 24 --kept FOLDER
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from rag_evals.evals.judges.build import JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrated_judge import score_from
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.sets import load_sets
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.rag.config import load_configs
from rag_evals.rag.models.resolve import resolve
from rag_evals.rag.pipelines.resources import Resources
from tqdm import tqdm

from benchmarks.frameworks.server import CountingServer, Used
from benchmarks.in_process import run_here
from benchmarks.report import arguments, print_table, save
from tests.servers.llama_server import llama_server

# Versions that work with each other: those that a plain install takes with ragas cannot be imported.
PINS = {
    "deepeval": ("deepeval==4.3.1", "openai==3.57.0"),
    "ragas": ("ragas==0.4.3", "langchain-community==0.3.31", "instructor==1.17.0", "openai==2.54.0"),
}
VERDICTS = Path(__file__).with_name("verdicts.py")
OURS = "choice"
# Tokens of the server's window: these frameworks write long prompts and long replies.
WINDOW = 8192


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--faithfulness", help="set of answers labelled in faithfulness")
    parser.add_argument("--relevancy", help="set of answers labelled in relevancy")
    parser.add_argument("--answers", type=int, default=24, help="so many of each metric, half of them good")
    parser.add_argument("--kept", type=Path, required=True, help="folder of environments and verdicts")
    parser.add_argument("--framework", nargs="+", default=list(PINS), help=", ".join(PINS))
    options = parser.parse_args()
    sets = {metric: getattr(options, metric) for metric in ("faithfulness", "relevancy")}
    asked = [
        (metric, example)
        for metric, spec in sets.items()
        if spec
        for example in halves(load_sets([spec]), metric, options.answers)
    ]
    options.kept.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for judge in (OURS, *options.framework):
        verdicts = _ours(asked) if judge == OURS else _theirs(judge, asked, options.kept)
        rows += [row_of(judge, metric, asked, verdicts) for metric, spec in sets.items() if spec]
        print_table([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)])
        command = " ".join(["python -m benchmarks.frameworks", *arguments()])
        save("frameworks", {"pins": PINS, "rows": rows}, command)


def halves(examples: Sequence[Labelled], metric: str, count: int) -> list[Labelled]:
    """Return `count` examples, of as many sources as there are, half of them good."""
    taken = []
    for label in (0, 1):
        fit = [one for one in examples if one.label_for(metric) == label]
        first: dict[str, Labelled] = {}
        for one in fit:
            first.setdefault(one.source, one)
        rest = [one for one in fit if first[one.source] is not one]
        taken += [*first.values(), *rest][: count // 2]
    return taken


def _ours(asked: Sequence[tuple[str, Labelled]]) -> list[dict[str, Any]]:
    """Judge with what is ours and has no card, as theirs has none."""
    resources, config = Resources(offline=True), next(iter(load_configs(None).values()))
    # Here, where its processor time is counted: a model's own process may be one that others began.
    run_here(resources, config.llm)
    models = JudgeModels(resources, config)
    scorer = scorer_for(OURS, models)
    scorer.read(["relevancy"], asked[0][1].question, asked[0][1].answer)  # loads what there is to load
    verdicts = []
    for metric, example in tqdm(asked, desc=OURS, disable=None, leave=False):
        started = processor_seconds()
        raw_scores = scorer.read([metric], example.question, example.answer)[metric]
        seconds = processor_seconds() - started
        value = score_from(METRICS[metric], example.question, raw_scores, None).value
        used = raw_scores.tokens
        verdicts.append(
            {"value": value, "problem": raw_scores.reason, "seconds": seconds}
            | {"requests": 0, "read": used.evaluated, "written": used.generated}
        )
    return verdicts


def _theirs(framework: str, asked: Sequence[tuple[str, Labelled]], kept: Path) -> list[dict[str, Any]]:
    """Judge with a framework, as far as that was not done."""
    file = kept / f"{framework}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    known = {line["key"]: line for line in map(json.loads, lines)}
    missing = [one for one in asked if _key(*one) not in known]
    if missing:
        with file.open("a") as out:
            for line in _judged(framework, missing, kept):
                known[line["key"]] = line
                print(json.dumps(line), file=out, flush=True)
    return [known[_key(*one)] for one in asked]


def _judged(framework: str, missing: Sequence[tuple[str, Labelled]], kept: Path) -> Iterator[dict[str, Any]]:
    """Yield the verdict on each example, as it comes.

    Raises:
        RuntimeError: The framework's process ended.
    """
    config = next(iter(load_configs(None).values()))
    model = resolve(config.llm.model, offline=True)
    embedder = Resources(offline=True).embedder(config.embedder)
    settings = ("--n_ctx", str(WINDOW), "--n_threads", "2")
    log = kept / f"{framework}.log"
    with (
        llama_server(model.path, kept / "server.log", *settings) as url,
        CountingServer(url, embedder) as counting,
        log.open("w") as said,
        subprocess.Popen(
            [str(_environment(framework, kept)), "-P", str(VERDICTS), framework, counting.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as judging,
    ):
        assert judging.stdin
        assert judging.stdout
        for metric, example in tqdm(missing, desc=framework, disable=None, leave=False):
            before, started = replace(counting.used), processor_seconds()
            print(json.dumps(_as_asked(metric, example)), file=judging.stdin, flush=True)
            verdict = judging.stdout.readline()
            if not verdict:
                raise RuntimeError(f"{framework} ended: see {log}")
            taken = {"seconds": processor_seconds() - started}
            yield {
                "key": _key(metric, example),
                **json.loads(verdict),
                **_since(before, counting.used),
                **taken,
            }


def processor_seconds() -> float:
    """Return the processor time of this process and all that it started, whatever else runs."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _environment(framework: str, kept: Path) -> Path:
    """Return the Python of a framework's environment, which is made where there is none."""
    python = kept / f"{framework}-environment" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-P", "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-P", "-m", "pip", "install", "--quiet", *PINS[framework]], check=True)
    return python


def _key(metric: str, example: Labelled) -> str:
    return f"{metric} {example.question.id}"


def _as_asked(metric: str, example: Labelled) -> dict[str, Any]:
    answer = example.answer
    contexts = [context.text for context in answer.contexts]
    return {
        "metric": metric,
        "question": example.question.question,
        "answer": answer.text,
        "contexts": contexts,
    }


def _since(before: Used, used: Used) -> dict[str, int]:
    return {name: value - getattr(before, name) for name, value in asdict(used).items()}


def row_of(
    judge: str, metric: str, asked: Sequence[tuple[str, Labelled]], verdicts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the verdicts of a metric are worth, and what they took.

    Where there is no verdict a gate learns nothing: it counts as 0.5 in AUROC, and as no pass.
    """
    of_metric = [
        (one, verdict) for (name, one), verdict in zip(asked, verdicts, strict=True) if name == metric
    ]
    labels = [one.label_for(metric) or 0 for one, _ in of_metric]
    values = [verdict["value"] for _, verdict in of_metric]
    sources = [one.source for one, _ in of_metric]
    found = accuracy([0.5 if value is None else value for value in values], labels, sources)
    verdicts_found = [float(value is not None and value >= 0.5) for value in values]
    return {
        "judge": judge,
        "metric": metric,
        "answers": len(of_metric),
        "verdicts": sum(value is not None for value in values),
        "auroc": asdict(found.auroc),
        "balanced accuracy": asdict(accuracy(verdicts_found, labels, sources).balanced_accuracy),
        **{key: fmean(v[key] for _, v in of_metric) for key in ("seconds", "requests", "read", "written")},
    }


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
