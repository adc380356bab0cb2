"""`rag-evals calibrate` with a real small model: a card is written, and the next run names it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.judges.calibration.judge_card import load_card

from tests.servers.openai import LoopbackOpenAI, graded

ROOT = Path(__file__).parents[2]
MODEL = "smollm2-135m-instruct"

# What a small model says of these is of no use; that it says it, and the same again, is what is tested.
FACTS = {
    "router": (
        "The router sends each token to two of eight experts.",
        "The router sends each token to all experts.",
    ),
    "volcano": ("The volcano erupted at dawn.", "The volcano erupted at noon."),
    "bread": ("A good loaf needs flour, water and salt.", "A good loaf needs eggs and sugar."),
    "chess": ("The queen moves along ranks and files.", "The queen jumps like a knight."),
}

CONFTEST = """
import pytest
from rag_evals.testing import FakePipeline
from rag_evals import Answer, Context

pytest_plugins = ["rag_evals.fixtures.judges", "rag_evals.fixtures.pipelines"]

@pytest.fixture(scope="session")
def baseline():
    passage = Context("The router sends each token to two of eight experts.", "moe.md")
    return FakePipeline({"How many?": Answer("Each token goes to two experts.", (passage,))}, name="baseline")
"""
INI = """
[pytest]
filterwarnings = error
asyncio_default_fixture_loop_scope = function
evals_pipelines = baseline
evals_questions = questions.jsonl
evals_max_unscored = 1
"""
TEST = """
def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result()
"""


def write_labels(path: Path) -> Path:
    """Write 24 examples from four sources, of both classes."""
    lines = [
        {
            "id": f"{source}-{n}",
            "question": f"What of the {source}?",
            "contexts": [{"text": right, "document": f"{source}.md"}],
            "answer": right if n % 2 else wrong,
            "faithful": n % 2,
            "source": source,
        }
        for source, (right, wrong) in FACTS.items()
        for n in range(6)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def small_config(folder: Path) -> Path:
    """Write the bundled pipelines with one thread: beside other work that takes as long as alone."""
    text = (
        (ROOT / "rag" / "pipelines.toml").read_text().replace("n_ctx = 4096", "n_ctx = 1024\nn_threads = 1")
    )
    path = folder / "small.toml"
    path.write_text(text)
    return path


def calibration(home: Path, *more: object) -> tuple[object, ...]:
    options = ("--judge-model", MODEL, "--offline", "--home", home, "--config", small_config(home))
    return ("rag_evals.evals.cli", "calibrate", "--labels", home / "labels.jsonl", *options, *more)


def calibrate(home: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return run(*calibration(home, *more), folder=ROOT)


def without_seconds(path: Path) -> str:
    return re.sub(r'"seconds": [\d.e-]+', '"seconds": 0', path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labels."""
    folder = tmp_path_factory.mktemp("home")
    write_labels(folder / "labels.jsonl")
    return folder


@pytest.fixture(scope="module")
def calibrated(home) -> list[subprocess.CompletedProcess[str]]:
    """What two calls of the command printed, side by side: the second writes `again/card.json`."""
    calls = ((), ("--out", home / "again" / "card.json"))
    with ThreadPoolExecutor() as threads:
        done = list(threads.map(lambda more: calibrate(home, *more), calls))
    assert [(call.returncode, call.stderr) for call in done] == [(0, "")] * 2
    return done


@pytest.fixture(scope="module")
def path(home, calibrated) -> Path:
    """The card that was written where runs look for it."""
    card, reference = sorted((home / "cards").iterdir())
    assert reference.name == f"{card.stem}.reference.json"
    return card


@pytest.mark.model
def test_a_card_is_written_and_shown(calibrated, path):
    """The file is named after the reader's fingerprint; the table has every figure."""
    card, lines = load_card(path), calibrated[0].stdout.splitlines()
    assert path.name == f"{card.fingerprint[:16]}.json"
    assert (card.judge, card.labels["name"]) == (f"choice ({MODEL})", "labels.jsonl")
    (metric,) = card.metrics
    assert metric.calibration.metric == "faithfulness"
    assert {"yes", "gain", "words", "pairs", "numbers", "names"} == set(metric.gains)
    assert 0.4 < metric.coverage <= 1.0
    assert metric.tokens > 0
    assert lines[0] == (
        f"judge: choice ({MODEL}) ({card.fingerprint[:12]}), measured on labels.jsonl: "
        "24 examples from 4 sources"
    )
    kept = path.parents[1] / "readings" / f"{path.stem}.jsonl"
    assert lines[-3:] == ["", f"kept for the next calibration: {kept}", f"card: {path}"]
    labels = [line.strip().split("  ")[0] for line in lines if line.startswith("  ")]
    # Of this model it is said as well that it has shown nothing.
    labels = [label for label in labels if not label.startswith("no better than")]
    assert labels[:10] == [
        "AUROC",
        "AUROC, uncalibrated",
        "AUROC of words found alone",
        "AUROC of least sentence alone",
        "AUROC of brevity alone",
        "balanced accuracy at 0.50",
        "right answers that pass",
        "wrong answers that fail",
        "calibration error",
        "coverage",
    ]


@pytest.mark.model
def test_the_same_card_again(home, calibrated, path):
    """But for the seconds, another calibration writes the same file byte for byte, wherever it is told to."""
    assert calibrated[1].stdout.splitlines()[-1] == f"card: {home}/again/card.json"
    assert without_seconds(home / "again" / "card.json") == without_seconds(path)


@pytest.mark.model
def test_the_next_run_names_the_card(home, path, tmp_path):
    """A run with the same judge finds the card by itself: its name, its threshold, the corrected headline."""
    (metric,) = load_card(path).metrics
    for name, text in (("conftest.py", CONFTEST), ("pytest.ini", INI), ("test_it.py", TEST)):
        (tmp_path / name).write_text(text)
    (tmp_path / "questions.jsonl").write_text('{"id": "q", "question": "How many?"}\n')
    # With "=": pytest takes a path that stands alone for one of tests, and looks for its ini file from there.
    options = (f"--evals-home={home}", f"--evals-config={small_config(home)}", "--evals-offline")
    done = run("pytest", "-p", "no:cacheprovider", *options, "--evals-judge-model", MODEL, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = metric.accuracy.balanced_accuracy
    lines = done.stdout.splitlines()
    assert (
        f"judge: choice ({MODEL}), balanced accuracy on labels.jsonl: faithfulness {told.value:.2f} "
        f"({told.low:.2f} to {told.high:.2f})"
    ) in lines
    records = (home / "runs" / "latest" / "records.jsonl").read_text().splitlines()
    (line,) = [line for line in map(json.loads, records) if line["type"] == "evaluation"]
    assert line["scores"]["faithfulness"]["threshold"] == metric.calibration.threshold
    assert line["scores"]["relevancy"]["threshold"] == 0.5


CRITERIA = """
@pytest.fixture(scope="session")
def evals_criteria(pytestconfig):
    from rag_evals import Criterion
    return [Criterion("is_right", asks="Is the reply right?")]
"""


@pytest.fixture
def knowing() -> Iterator[LoopbackOpenAI]:
    """A model on a server that takes what is right for right, but for doubts of its own."""

    def answer(body: dict[str, Any]) -> Any:
        asked = json.dumps(body)
        share = 0.8 if any(f"Reply: {right}" in asked for right, _ in FACTS.values()) else 0.3
        return graded({"yes": share, "no": 1.0 - share})

    with LoopbackOpenAI(answer) as server:
        yield server


def test_a_criterion_is_calibrated(knowing, tmp_path):
    """Labels name it, warnings of its project are errors; the next run is calibrated by its card."""
    for name, text in (("conftest.py", CONFTEST + CRITERIA), ("pytest.ini", INI), ("test_it.py", TEST)):
        (tmp_path / name).write_text(text)
    (tmp_path / "questions.jsonl").write_text('{"id": "q", "question": "How many?"}\n')
    lines = map(json.loads, write_labels(tmp_path / "facts.jsonl").read_text().splitlines())
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(f"{json.dumps(line | {'is_right': line.pop('faithful')})}\n" for line in lines))
    home, model = tmp_path / "home", f"openai:knowing@{knowing.url}"
    command = ("rag_evals.evals.cli", "calibrate", "--labels", labels, "--criteria", tmp_path)
    done = run(*command, "--judge-model", model, "--offline", "--home", home, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (card,) = (home / "cards").iterdir()
    assert re.fullmatch(r"[0-9a-f]{16}\.is_right\.json", card.name)
    (metric,) = load_card(card).metrics
    told = metric.accuracy.balanced_accuracy
    options = (f"--evals-home={home}", "--evals-offline", "--evals-metrics=is_right")
    done = run("pytest", "-p", "no:cacheprovider", *options, "--evals-judge-model", model, folder=tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (judge,) = [line for line in done.stdout.splitlines() if line.startswith("judge: ")]
    assert judge == (
        "judge: choice (openai:knowing@127.0.0.1), balanced accuracy on labels.jsonl: "
        f"is_right {told.value:.2f} ({told.low:.2f} to {told.high:.2f})"
    )
    records = (home / "runs" / "latest" / "records.jsonl").read_text().splitlines()
    (line,) = [line for line in map(json.loads, records) if line["type"] == "evaluation"]
    assert line["scores"]["is_right"]["threshold"] == metric.calibration.threshold


@pytest.mark.parametrize(
    ("conftest", "said"),
    [
        (
            "",
            "{path} has no criteria: give the folder of the tests whose conftest.py has a fixture "
            "evals_criteria",
        ),
        (
            "def evals_criteria():\n    return [3]",
            "evals_criteria (conftest.py:2), number 1: a number (3): give a Criterion, a check such as "
            "contains(...), or a function of the question and the answer",
        ),
    ],
)
def test_criteria_that_are_none(tmp_path, conftest, said):
    """One message with status 4, before labels are read."""
    if conftest:
        (tmp_path / "conftest.py").write_text(f"import pytest\n@pytest.fixture\n{conftest}\n")
    command = ("rag_evals.evals.cli", "calibrate", "--labels", "none.jsonl", "--criteria", tmp_path)
    done = run(*command, folder=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"ERROR: {said.format(path=tmp_path)}\n"


def test_labels_that_do_not_serve(tmp_path):
    """Wrong labels are one message with status 4, before any model is loaded."""
    write_labels(tmp_path / "labels.jsonl")
    text = (tmp_path / "labels.jsonl").read_text().replace('"faithful": 0', '"faithful": 2', 1)
    (tmp_path / "labels.jsonl").write_text(text)
    done = calibrate(tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "ERROR: 1 problem in label files:\n"
        f'  {tmp_path}/labels.jsonl:1: "faithful" = 2 is no label: write 1, 0 or null\n'
    )


def test_a_share_that_is_none(tmp_path):
    """A share is from 0 to 1."""
    write_labels(tmp_path / "labels.jsonl")
    done = calibrate(tmp_path, "--false-pass", "10")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "ERROR: --false-pass = 10.0 is outside 0..1\n"


def test_an_ensemble_is_not_calibrated_as_a_whole(tmp_path):
    """What to do instead is said."""
    write_labels(tmp_path / "labels.jsonl")
    done = calibrate(tmp_path, "--judge", "ensemble:choice+llamaindex")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "ERROR: ensemble:choice+llamaindex has several judges: calibrate each of them, the ensemble uses "
        "their cards.\n"
    )
