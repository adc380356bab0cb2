"""What changed between two runs: configuration, model, prompt, corpus, judge, versions, machine.

Things are compared by their names, never by their place in a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run
from rag_evals.rag.identity import canonical

# In the order in which they are listed.
KINDS = ("configuration", "model", "prompt", "corpus", "judge", "versions", "machine")
WIDTH = 80
_RUN = ("mode", "metrics", "thresholds", "max_unscored", "judge_floor")
_MODELS = ("llm", "embedder", "reranker")
_PROMPTS = ("instruction", "prompt")
_WEIGHTS = " weights"
# There is no value, which is not the same as null.
_NOTHING: Any = object()

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different.

    Attributes:
        what: One of `KINDS`.
        path: Its name, with dots; begins with the pipeline's or the judge's name where it belongs to one.
        before: Its value in the baseline, cut for display; empty where there was none.
        after: Its value in the run, in the same way.
    """

    what: str
    path: str
    before: str
    after: str


def changes_between(run: Run, base: Run) -> tuple[Change, ...]:
    """Return what is different, sorted by kind and name; of things that both runs tell."""
    old, new = _trees(base, run)
    found = [_change(path, before, after) for path, before, after in _differences(old, new)]
    changed = {(change.what, change.path) for change in found}
    kept = [change for change in found if not _is_told_by_name(change, changed)]
    return tuple(sorted(kept, key=lambda change: (KINDS.index(change.what), change.path)))


def _trees(base: Run, run: Run) -> tuple[Tree, Tree]:
    """Return both runs as objects of the same form: kind, name of the thing, name of the value."""
    old: Tree = {kind: {} for kind in KINDS}
    new: Tree = {kind: {} for kind in KINDS}
    for name, *sides in _shared(base.pipelines, run.pipelines):
        for tree, told in zip((old, new), sides, strict=True):
            for kind, values in _sorted_out(told).items():
                tree[kind][name] = values
    for name, before, after in _judges(base, run):
        old["judge"][name], new["judge"][name] = before, after
    before_line, after_line = base.header.line, run.header.line
    for tree, line in ((old, before_line), (new, after_line)):
        tree["configuration"]["run"] = {
            key: line[key] for key in _RUN if key in before_line and key in after_line
        }
        for key in ("versions", "machine"):
            if before_line.get(key) and after_line.get(key):
                tree[key] = line[key]
    return _keyed(old), _keyed(new)


def _shared(base: Iterable[ComponentInfo], run: Iterable[ComponentInfo]) -> Iterator[tuple[str, Tree, Tree]]:
    old, new = _named(base), _named(run)
    yield from ((name, *_told(old[name], new[name])) for name in sorted(old.keys() & new.keys()))


def _judges(base: Run, run: Run) -> Iterator[tuple[str, Tree, Tree]]:
    """Yield the judges of the same name, and those that take each other's place: the only ones left."""
    yield from _shared(base.judges, run.judges)
    old, new = _named(base.judges), _named(run.judges)
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    if not old or not new:
        return
    if len(gone) == len(come) == 1:
        before, after = _told(old[gone[0]], new[come[0]])
        yield come[0], {**before, "name": gone[0]}, {**after, "name": come[0]}
    else:
        yield from ((name, {}, {"name": name}) for name in come)
        yield from ((name, {"name": name}, {}) for name in gone)


def _named(components: Iterable[ComponentInfo]) -> dict[str, ComponentInfo]:
    return {one.name: one for one in components}


def _told(before: ComponentInfo, after: ComponentInfo) -> tuple[Tree, Tree]:
    """Return what both tell of themselves; their fingerprints where that is nothing."""
    has_settings = bool(before.settings and after.settings)
    has_identity = bool(before.identity and after.identity)
    # Settings that changed say more than a fingerprint that changed with them.
    is_explained = has_settings and before.settings != after.settings
    sides: list[Tree] = [
        {
            **({"identity": one.identity} if has_identity else {}),
            **({"settings": one.settings} if has_settings else {}),
            **({} if has_identity or is_explained else {"fingerprint": one.fingerprint}),
        }
        for one in (before, after)
    ]
    return sides[0], sides[1]


def _sorted_out(told: Mapping[str, Any]) -> Tree:
    """Sort what a pipeline tells of itself by kind."""
    identity, settings = _object(told.get("identity")), _object(told.get("settings"))
    index = _object(identity.get("index"))
    weights = {f"{key}{_WEIGHTS}": identity[key] for key in _MODELS if key in identity}
    if "embedder" in index:
        weights[f"embedder{_WEIGHTS}"] = index["embedder"]
    # Settings have the names of the models where the knobs have nothing.
    knobs = {**_object(identity.get("knobs")), **settings}
    prompts = {key: value for key, value in {**knobs, **identity}.items() if key in _PROMPTS}
    models = {key: value for key, value in settings.items() if key in _MODELS}
    others = _without(identity, ("knobs", "index", *_MODELS, *_PROMPTS))
    # The index of the settings is a fingerprint.
    plain = _without(knobs, ("name", "index" if index else "", *_MODELS, *_PROMPTS))
    own = {"fingerprint": told["fingerprint"]} if "fingerprint" in told else {}
    return {
        "configuration": {**others, **plain, **_without(index, ("documents", "embedder")), **own},
        "model": {**models, **weights},
        "prompt": prompts,
        "corpus": _object(index.get("documents")),
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(values: Mapping[str, Any], names: Sequence[str]) -> Tree:
    return {key: value for key, value in values.items() if key not in names}


def _keyed(value: Any) -> Any:
    """Return lists in a form without places: by the names of their members, else as one value."""
    if isinstance(value, dict):
        return {key: _keyed(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    names = [part.get("name") if isinstance(part, dict) else None for part in value]
    if value and all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return {name: _keyed(part) for name, part in zip(names, value, strict=True)}
    return canonical(value)


def _differences(old: Tree, new: Tree) -> Iterator[tuple[list[str], Any, Any]]:
    """Yield the path and both values of everything that is different."""
    from deepdiff import DeepDiff

    # Names that begin with two underscores are no less ours than others.
    found = DeepDiff(old, new, view="tree", ignore_private_variables=False, ignore_numeric_type_changes=True)
    for kind, levels in found.items():
        for level in levels:
            path = [str(name) for name in level.path(output_format="list")]
            before = _NOTHING if kind == "dictionary_item_added" else level.t1
            after = _NOTHING if kind == "dictionary_item_removed" else level.t2
            yield from _leaves(path, before, after)


def _leaves(path: list[str], before: Any, after: Any) -> Iterator[tuple[list[str], Any, Any]]:
    """Yield what came or went as a whole value by value."""
    plain = [_NOTHING if isinstance(value, dict) else value for value in (before, after)]
    if any(value is not _NOTHING for value in plain):
        yield path, plain[0], plain[1]
    old, new = _object(before), _object(after)
    for name in sorted(old.keys() | new.keys()):
        yield from _leaves([*path, name], old.get(name, _NOTHING), new.get(name, _NOTHING))


def _change(path: Sequence[str], before: Any, after: Any) -> Change:
    is_long = isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > WIDTH
    start = parting(before, after) if is_long else 0
    return Change(path[0], ".".join(path[1:]), _shown(before, start), _shown(after, start))


def _is_told_by_name(change: Change, changed: set[tuple[str, str]]) -> bool:
    """Return whether a model's weights changed only because another model was named."""
    if change.what != "model" or not change.path.endswith(_WEIGHTS):
        return False
    name = change.path.removesuffix(_WEIGHTS)
    return any(kind == "model" and path in (name, f"{name}.model") for kind, path in changed)


def parting(before: str, after: str) -> int:
    """Return where two texts begin to differ, a little before the word."""
    pairs = enumerate(zip(before, after, strict=False))
    same = next((n for n, (one, other) in pairs if one != other), min(len(before), len(after)))
    return max(0, before.rfind(" ", 0, max(0, same - 15)))


def _shown(value: Any, start: int = 0) -> str:
    if value is _NOTHING:
        return ""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    line = " ".join(f"{'…' if start else ''}{text[start:].lstrip()}".split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
