"""What a run says of itself, its pipelines and its judges: lines of the records, read as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from rag_evals.evals.questions.shard import Shard

Mode = Literal["strict", "gate", "report"]
Inconclusive = Literal["pass", "warn", "block"]
# What of a suite a run is to evaluate.
Part = Literal["retrieval", "answers"]
ComponentKind = Literal["pipeline", "judge"]
COMPONENTS: tuple[ComponentKind, ...] = ("pipeline", "judge")
T = TypeVar("T")
# What a run was held to; an older one does not say all of it.
RULES = (
    "mode",
    "metrics",
    "criteria",
    "retrieval_metrics",
    "tau",
    "thresholds",
    "max_unscored",
    "judge_floor",
    "gate",
    "inconclusive",
    "margin",
    "stop_early",
)


@dataclass(frozen=True, slots=True)
class RunHeader:
    """The first line of a run; what it does not say has the value that such a run went by.

    Attributes:
        run: The run's id; None where the line has none.
        shard: Which part of the questions it evaluated; None for all of them.
        mode: `strict`, `gate` or `report`.
        metrics: What was to be scored.
        criteria: What it said of the criteria and checks of its own that were to be scored, by name.
        retrieval_metrics: What of retrieval was to be scored.
        tau: Share of a source that a passage had to cover, to be relevant to it.
        thresholds: Least values that are no breach, by metric, as they were given.
        max_unscored: Largest share of evaluations that may be without a verdict.
        judge_floor: Least balanced accuracy, lower bound, of a judge that is trusted.
        gate: Conditions on the run.
        inconclusive: What INCONCLUSIVE does: `pass`, `warn` or `block`.
        margin: The drop against the baseline that is too much.
        stop_early: Whether the run was to stop when it was decided.
        offline: Whether nothing was to be sent.
        trackers: What each tracker was told, by its name.
        questions: The files that the questions came from: `path`, from the run folder, and `digest`.
        used: What was fetched for the run: each has its `artifact`.
        stale: Ids of the questions that do not belong to the documents.
        notes: What was wrong with the run that a baseline was made of.
        line: The whole line, with whatever else it has.
    """

    run: str | None = None
    shard: Shard | None = None
    mode: Mode = "strict"
    metrics: Sequence[str] = ()
    criteria: Mapping[str, Any] = field(default_factory=dict)
    retrieval_metrics: Sequence[str] = ()
    tau: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    max_unscored: float = 0.1
    judge_floor: float = 0.7
    gate: Sequence[str] = ()
    inconclusive: Inconclusive = "warn"
    margin: float = 0.05
    stop_early: bool = False
    offline: bool = False
    trackers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    questions: tuple[Mapping[str, Any], ...] = ()
    used: tuple[Mapping[str, Any], ...] = ()
    stale: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    line: Mapping[str, Any] = field(default_factory=dict)


def header_from_json(line: Mapping[str, Any]) -> RunHeader:
    """Return what the first line of a run says; members of lists that another version wrote are left out."""
    shard, trackers = line.get("shard"), line.get("trackers")
    return RunHeader(
        **{name: line[name] for name in RULES if line.get(name) is not None},
        run=str(line["run"]) if "run" in line else None,
        shard=Shard(*shard) if shard else None,
        offline=bool(line.get("offline")),
        trackers=trackers if isinstance(trackers, dict) else {},
        questions=_members(line, "questions", dict),
        used=_members(line, "used", dict),
        stale=_members(line, "stale", str),
        notes=tuple(map(str, _members(line, "notes", object))),
        line=line,
    )


def _members(line: Mapping[str, Any], name: str, kind: type[T]) -> tuple[T, ...]:
    given = line.get(name)
    return tuple(one for one in given if isinstance(one, kind)) if isinstance(given, list) else ()


@dataclass(frozen=True, slots=True)
class ComponentInfo:
    """What a run says of a pipeline or a judge.

    Attributes:
        kind: `pipeline` or `judge`.
        name: Its name.
        fingerprint: Its fingerprint.
        settings: What it says of itself; None where the line has none.
        identity: What the fingerprint is made of, by name; None where the line has none.
        versioned: Whether the fingerprint tells when it changes.
        remarks: What of a pipeline's documents was not read or will not be found, a line each; of a judge
            what is to be known of its verdicts.
        others: Whatever else the line has; it stays when the line is written again.
    """

    kind: ComponentKind
    name: str
    fingerprint: str
    settings: Mapping[str, Any] | None = None
    identity: Mapping[str, Any] | None = None
    versioned: bool = True
    remarks: tuple[str, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def documents(self) -> Mapping[str, Any] | None:
        """The documents of a pipeline with their hashes, by name; None where it does not tell."""
        index = (self.identity or {}).get("index")
        documents = index.get("documents") if isinstance(index, dict) else None
        return documents if isinstance(documents, dict) else None


def component_from_json(line: Mapping[str, Any]) -> ComponentInfo:
    """Return what a line of the records says of a pipeline or a judge.

    Raises:
        KeyError: It has no name or no fingerprint.
    """
    others = dict(line)
    kind, name, fingerprint = (others.pop(key) for key in ("type", "name", "fingerprint"))
    objects = [key for key in ("settings", "identity") if isinstance(line.get(key), dict)]
    given = {key: others.pop(key) for key in objects}
    # Only that it is not is ever written.
    versioned = others.pop("versioned") if line.get("versioned") is False else True
    remarks = _members(others, "remarks", str)
    others.pop("remarks", None)
    return ComponentInfo(
        kind, str(name), str(fingerprint), **given, versioned=versioned, remarks=remarks, others=others
    )


def component_to_json(info: ComponentInfo) -> dict[str, Any]:
    """Return the line of the records."""
    given = {"settings": info.settings, "identity": info.identity}
    return {
        **info.others,
        "type": info.kind,
        "name": info.name,
        "fingerprint": info.fingerprint,
        **{key: value for key, value in given.items() if value is not None},
        **({} if info.versioned else {"versioned": False}),
        **({"remarks": list(info.remarks)} if info.remarks else {}),
    }


def as_json(described: object) -> dict[str, Any]:
    """Return what something says of itself; what JSON has no form for becomes text."""
    return dict(json.loads(json.dumps(described, default=str))) if isinstance(described, Mapping) else {}
