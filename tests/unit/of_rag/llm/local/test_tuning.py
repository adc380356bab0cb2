"""What is known of a model on this machine: kept, found again, chosen from; no model runs here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.rag.llm.local import probe, speeds
from rag_evals.rag.llm.local.speeds import Speeds, Threads, Tuning, keep, speeds_of, tuning_of
from rag_evals.rag.models.resolve import Model

from benchmarks.tuning import Trial, rows_of

MODEL = Model("m", Path("m.gguf"), "0" * 64, "path")
DEFAULT = Speeds(100.0, 20.0)
FOUND = Tuning(Speeds(100.0, 30.0), Threads(prefill=2, decode=1))
TRIALS = (
    Trial("n_threads = 1", Speeds(60.0, 30.0), DEFAULT, 0.0, is_exact=True),
    Trial("flash_attn = true", Speeds(110.0, 20.0), DEFAULT, 0.0314, is_exact=False),
    Trial("n_batch = 9", None, DEFAULT, None, is_exact=False),
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep what is measured in a folder of the test's own."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_what_was_kept_is_found_again():
    """Speeds and threads come back as they were."""
    assert (speeds_of(MODEL), tuning_of(MODEL)) == (None, None)
    keep(MODEL, FOUND)
    assert (speeds_of(MODEL), tuning_of(MODEL)) == (FOUND.speeds, FOUND)


@pytest.mark.parametrize("other", ["weights", "processor", "library", "layers", "waiting"])
def test_another_model_or_machine_is_not_known(other, monkeypatch):
    """Speeds are those of these weights, on this processor, with this library; the name says nothing."""
    keep(MODEL, FOUND)
    model = replace(MODEL, name="renamed")
    assert tuning_of(model) == FOUND
    layers = -1 if other == "layers" else 0
    if other == "weights":
        model = replace(MODEL, sha256="1" * 64)
    elif other == "processor":
        monkeypatch.setattr(speeds, "processor", lambda: "another")
    elif other == "library":
        monkeypatch.setattr(speeds, "version", lambda name: f"{name} 99")
    elif other == "waiting":
        monkeypatch.setenv("GOMP_SPINCOUNT", "12345")
    assert tuning_of(model, n_gpu_layers=layers) is None


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"tuning": {}}', '{"tuning": null}'])
def test_a_broken_file_is_no_file(cache, text):
    """What cannot be read is measured anew, not said."""
    keep(MODEL, FOUND)
    (path,) = (cache / ".tuning").iterdir()
    path.write_text(text)
    assert tuning_of(MODEL) is None
    keep(MODEL, FOUND)
    assert tuning_of(MODEL) == FOUND


def test_a_file_of_another_version_is_no_file(cache):
    """A field more or less is another version's."""
    keep(MODEL, FOUND)
    (path,) = (cache / ".tuning").iterdir()
    data = json.loads(path.read_text())
    data["tuning"]["speeds"]["swim"] = 1.0
    path.write_text(json.dumps(data))
    assert speeds_of(MODEL) is None


def test_a_file_with_trials_is_still_read(cache):
    """They were kept beside speeds and threads by versions before."""
    keep(MODEL, FOUND)
    (path,) = (cache / ".tuning").iterdir()
    data = json.loads(path.read_text())
    data["tuning"]["trials"] = [{"setting": "n_threads = 1"}]
    path.write_text(json.dumps(data))
    assert tuning_of(MODEL) == FOUND


def test_a_cache_that_cannot_be_written(cache):
    """A file where the folder should be costs a measurement at each start and nothing else."""
    cache.mkdir()
    (cache / ".tuning").write_text("in the way")
    keep(MODEL, FOUND)
    assert speeds_of(MODEL) is None


def test_asking_for_speeds_imports_no_library(cache):
    """The planner asks before anything is loaded."""
    script = """
        import sys
        from pathlib import Path
        from rag_evals.rag.models.resolve import Model
        from rag_evals.rag.llm.local.speeds import speeds_of
        speeds_of(Model("m", Path("m.gguf"), "0" * 64, "path"))
        print(sorted({"llama_cpp", "numpy", "torch"} & set(sys.modules)))
    """
    code = "\n".join(line.strip() for line in script.splitlines())
    root = Path(__file__).parents[5]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("writers", "threads", "speeds"),
    [
        ({1: (60, 30), 2: (100, 20)}, (2, 1), (100, 30)),
        ({1: (60, 10), 2: (100, 20)}, (2, 2), (100, 20)),
        ({1: (60, 20.9), 2: (100, 20)}, (2, 2), (100, 20)),
        ({2: (100, 20)}, (2, 2), (100, 20)),
        ({1: (9, 9), 4: (130, 25), 8: (100, 20)}, (4, 4), (130, 25)),
    ],
)
def test_fewer_threads_are_taken_where_they_are_clearly_faster(writers, threads, speeds):
    """Reading and writing are chosen apart, and a gain within the noise changes nothing."""
    measured = {count: Speeds(*each) for count, each in writers.items()}
    found = probe.chosen(measured, measured, max(measured))
    assert found == Tuning(Speeds(*speeds), Threads(*threads))


def test_the_table():
    """Each setting is shown against the default at the same time, with what it does to verdicts."""
    assert [" | ".join(row) for row in rows_of(TRIALS)] == [
        "setting | read tokens/s | against default | written tokens/s | against default | verdicts",
        "n_threads = 1 | 60 | x 0.60 | 30.0 | x 1.50 | the same to the last bit",
        "flash_attn = true | 110 | x 1.10 | 20.0 | x 1.00 | differ by up to 0.031",
        "n_batch = 9 |  |  |  |  | llama.cpp does not run the model so",
    ]


@pytest.mark.parametrize(
    ("text", "usable", "cores"),
    [
        ("siblings : 8\ncpu cores : 4\n", 8, 4),
        ("siblings : 8\ncpu cores : 4\n", 2, 1),
        ("siblings : 2\ncpu cores : 2\n", 2, 2),
        ("processor : 0\n", 6, 6),
        ("siblings : 0\ncpu cores : 0\n", 6, 6),
    ],
)
def test_physical_cores(text, usable, cores, monkeypatch):
    """Two threads of a core count once; where the system does not say, each counts."""
    facts = dict(line.split(" : ") for line in text.splitlines())
    monkeypatch.setattr(speeds, "_cpu_facts", lambda *names: {n: facts[n] for n in names if n in facts})
    monkeypatch.setattr(speeds.os, "sched_getaffinity", lambda _: set(range(usable)))
    assert speeds.physical_cores() == cores
