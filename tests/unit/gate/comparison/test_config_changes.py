"""What changed: by name, never by place, and only what both runs tell."""

from __future__ import annotations

import copy
import random
import subprocess
import sys

from rag_evals.evals.gate.comparison.config_changes import Change, changes_between
from rag_evals.evals.runs.header import RunHeader, component_from_json, header_from_json
from rag_evals.evals.runs.run import Run

SHA = {name: name * 64 for name in "abcdef"}
PIPELINE = {
    "type": "pipeline",
    "name": "one",
    "fingerprint": SHA["a"],
    "settings": {
        "name": "one", "top_k": 8, "chunk_sizes": [160], "instruction": "Answer.", "embedder": "minilm",
        "reranker": "none", "llm": {"model": "qwen", "n_ctx": 4096}, "index": SHA["b"],
    },
    "identity": {
        "knobs": {"name": "one", "top_k": 8, "chunk_sizes": [160], "embedder": "", "llm": {"model": ""}},
        "index": {"documents": {"a.md": SHA["a"], "b.md": SHA["b"]}, "embedder": SHA["c"]},
        "llm": SHA["d"],
        "reranker": SHA["e"],
        "prompt": ["Passage 1:\n", "Question: "],
    },
}  # fmt: skip
JUDGE = {
    "type": "judge",
    "name": "fake",
    "fingerprint": SHA["a"],
    "settings": {"metrics": ["faithfulness"]},
    "identity": {"reader": {"llm": SHA["a"], "version": 1}, "card": None},
}
HEAD = {
    "mode": "gate",
    "thresholds": {"faithfulness": 0.5},
    "versions": {"torch": "2.0"},
    "machine": {"os": "x"},
}


def run(*abouts, **head) -> Run:
    return Run(
        "r",
        header_from_json({**HEAD, **head}),
        tuple(map(component_from_json, abouts or (PIPELINE, JUDGE))),
        (),
    )


def changed(about: dict, **values) -> dict:
    """Return `about` with values set by their dotted names, dots written as two underscores; None removes."""
    made = copy.deepcopy(about)
    for path, value in values.items():
        *parents, name = path.split("__")
        inner = made
        for parent in parents:
            inner = inner[parent]
        inner[name] = value
        if value is None:
            del inner[name]
    return made


def lines(after: Run, before: Run | None = None) -> list[str]:
    return [
        f"{c.what} {c.path}: {c.before or '()'} -> {c.after or '()'}"
        for c in changes_between(after, before or run())
    ]


def test_nothing_changed():
    assert changes_between(run(), run()) == ()
    assert changes_between(Run("r", RunHeader(), (), ()), run()) == ()


def test_every_kind():
    """Listed by kind, then by name; a value that came or went has an empty side."""
    pipeline = changed(
        PIPELINE,
        settings__top_k=4,
        settings__chunk_sizes=[1024, 160],
        settings__instruction="Answer briefly.",
        settings__llm={"model": "llama", "n_ctx": 4096},
        settings__extra=True,
        identity__llm=SHA["f"],
        identity__index__documents={"a.md": SHA["c"], "c.md": SHA["d"]},
        identity__index__embedder=SHA["f"],
    )
    judge = changed(JUDGE, identity__reader__version=2)
    after = run(
        pipeline, judge, thresholds={"faithfulness": 0.6}, machine={"os": "y"},
        versions={"torch": "2.1", "numpy": "2"},
    )  # fmt: skip
    assert lines(after) == [
        "configuration one.chunk_sizes: [160] -> [1024,160]",
        "configuration one.extra: () -> true",
        "configuration one.top_k: 8 -> 4",
        "configuration run.thresholds.faithfulness: 0.5 -> 0.6",
        # Only the weights of the embedder changed; the answering model is another by its name.
        "model one.embedder weights: cccccccccccc -> ffffffffffff",
        "model one.llm.model: qwen -> llama",
        "prompt one.instruction: Answer. -> Answer briefly.",
        "corpus one.a.md: aaaaaaaaaaaa -> cccccccccccc",
        "corpus one.b.md: bbbbbbbbbbbb -> ()",
        "corpus one.c.md: () -> dddddddddddd",
        "judge fake.identity.reader.version: 1 -> 2",
        "versions numpy: () -> 2",
        "versions torch: 2.0 -> 2.1",
        "machine os: x -> y",
    ]


def test_what_only_one_run_tells():
    """A baseline tells no machine; that is no change."""
    bare = {key: value for key, value in PIPELINE.items() if key in ("type", "name", "fingerprint")}
    older = Run("r", header_from_json({"mode": "gate"}), (component_from_json(bare),), ())
    assert lines(run(PIPELINE), older) == []
    assert lines(run(changed(PIPELINE, fingerprint=SHA["f"])), older) == [
        "configuration one.fingerprint: aaaaaaaaaaaa -> ffffffffffff"
    ]


def test_fingerprints_stand_only_where_nothing_else_is_told():
    before = changed(PIPELINE, identity=None)
    after = changed(before, fingerprint=SHA["f"], settings__top_k=4)
    assert lines(run(after), run(before)) == ["configuration one.top_k: 8 -> 4"]


def test_judges():
    """One that takes another's place is compared with it; of several, some come and some go."""
    other = changed(JUDGE, name="new", identity__reader__version=2)
    assert lines(run(PIPELINE, other)) == [
        "judge new.identity.reader.version: 1 -> 2",
        "judge new.name: fake -> new",
    ]
    third = changed(JUDGE, name="third")
    assert lines(run(PIPELINE, other, third)) == [
        "judge fake.name: fake -> ()",
        "judge new.name: () -> new",
        "judge third.name: () -> third",
    ]


def test_lists_are_compared_by_name():
    """Members with names have no place; other lists are one value."""
    one = changed(PIPELINE, settings__steps=[{"name": "a", "k": 1}, {"name": "b", "k": 2}])
    two = changed(PIPELINE, settings__steps=[{"name": "b", "k": 2}, {"name": "a", "k": 3}])
    assert lines(run(two), run(one)) == ["configuration one.steps.a.k: 1 -> 3"]


def test_null_is_a_value():
    one, two = copy.deepcopy(PIPELINE), copy.deepcopy(PIPELINE)
    one["settings"]["__odd"], two["settings"]["__odd"] = None, 1
    one["settings"]["deep"], two["settings"]["deep"] = {"x": {"y": 1}}, 5
    assert lines(run(two), run(one)) == [
        "configuration one.__odd: null -> 1",
        "configuration one.deep: () -> 5",
        "configuration one.deep.x.y: 1 -> ()",
    ]
    # 1 and 1.0 are one number.
    one["settings"]["__odd"], two["settings"] = 1.0, {**one["settings"], "__odd": 1}
    assert lines(run(two), run(one)) == []


def test_long_texts_are_cut_where_they_part():
    start = "word " * 40
    one = changed(PIPELINE, settings__instruction=f"{start}the end is here " + "x" * 200)
    two = changed(PIPELINE, settings__instruction=f"{start}the end is there " + "x" * 200)
    (change,) = changes_between(run(two), run(one))
    assert change == Change(
        "prompt",
        "one.instruction",
        "…word the end is here " + "x" * 57 + "…",
        "…word the end is there " + "x" * 56 + "…",
    )
    assert len(change.before) == len(change.after) == 80


def test_the_order_is_fixed():
    """Whatever the seed of hashes, and the order of keys."""
    code = (
        "from rag_evals.evals.gate.comparison.config_changes import changes_between; from "
        "rag_evals.evals.runs.run import Run;"
        "from rag_evals.evals.runs.header import header_from_json;"
        "versions = lambda k: {f'p{n}': str(n * k) for n in range(50)};"
        "r = lambda k: Run('r', header_from_json({'versions': versions(k)}), (), ());"
        "print([c.path for c in changes_between(r(1), r(2))])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    names = [f"p{n}" for n in range(50)]
    shuffled = random.Random(1).sample(names, 50)
    after = Run("r", header_from_json({"versions": dict.fromkeys(shuffled, "1")}), (), ())
    before = Run("r", header_from_json({"versions": dict.fromkeys(names, "2")}), (), ())
    assert [c.path for c in changes_between(after, before)] == sorted(names)
