"""The audit of a set: what became of its items, by rule, kind and document, from the work beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_evals.evals.generation.rules.default_rules import CRITERIA
from rag_evals.evals.generation.rules.rule import Criterion
from rag_evals.evals.generation.work_file import WorkItem, load_header, load_work

OUTCOMES = ("kept", "dropped", "invalid")


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of some items.

    Attributes:
        outcomes: How many were kept, dropped and invalid.
        dropped: How many each rule dropped.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def items(self) -> int:
        """All of them."""
        return self.outcomes.total()

    @property
    def candidates(self) -> int:
        """Those that were questions, before any rule."""
        return self.outcomes["kept"] + self.outcomes["dropped"]

    def add(self, done: WorkItem) -> None:
        """Count one item."""
        self.outcomes[done.outcome] += 1
        if done.outcome == "dropped":
            self.dropped[done.rule or ""] += 1


@dataclass(frozen=True, slots=True)
class RuleTally:
    """What one rule did.

    Attributes:
        name: Its name.
        criterion: What it asks for; None for a rule that this version does not know.
        threshold: The threshold that it had; None where it needs none.
        measured: Candidates that it measured.
        dropped: Those that it dropped.
    """

    name: str
    criterion: Criterion | None
    threshold: float | None
    measured: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of the items of a set.

    Attributes:
        whole: Of all items.
        kinds: By kind, in the order in which they came.
        documents: By document; invalid items have none.
        rules: By rule, in the order in which they were asked.
        items: Each of them.
    """

    whole: Tally
    kinds: Mapping[str, Tally]
    documents: Mapping[str, Tally]
    rules: Sequence[RuleTally]
    items: Sequence[WorkItem]


def audit_of(work: Path) -> Audit:
    """Count what became of the items of a work file.

    Raises:
        GenerationError: The file cannot be read, or is damaged.
    """
    items = tuple(load_work(work))
    whole, kinds, documents = Tally(), dict[str, Tally](), dict[str, Tally]()
    for done in items:
        whole.add(done)
        kinds.setdefault(done.kind, Tally()).add(done)
        if done.candidate:
            documents.setdefault(done.candidate.passage.document, Tally()).add(done)
    return Audit(whole, kinds, documents, _rules(items, load_header(work)), items)


def _rules(items: Sequence[WorkItem], header: Mapping[str, Any]) -> tuple[RuleTally, ...]:
    known = {criterion.name: criterion for criterion in CRITERIA}
    measured = Counter(
        name for done in items for name, value in (done.values or {}).items() if value is not None
    )
    dropped = Counter(done.rule for done in items if done.rule)
    thresholds: dict[str, float] = dict(header.get("rules") or {})
    return tuple(
        RuleTally(name, known.get(name), thresholds.get(name), measured[name], dropped[name])
        for name in dict.fromkeys([*thresholds, *dropped])
    )


def audit_to_json(audit: Audit) -> dict[str, Any]:
    """Return the counts of an audit as JSON holds them; no text of a document or a model is in them."""
    return {
        "type": "question-audit",
        **_tally(audit.whole),
        "rules": [
            {
                "name": rule.name,
                "description": rule.criterion.description if rule.criterion else None,
                "side": rule.criterion.side if rule.criterion else None,
                "threshold": rule.threshold,
                "measured": rule.measured,
                "dropped": rule.dropped,
            }
            for rule in audit.rules
        ],
        "kinds": {kind: _tally(tally) for kind, tally in audit.kinds.items()},
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "items": tally.items,
        **{outcome: tally.outcomes[outcome] for outcome in OUTCOMES},
        "dropped_by": dict(sorted(tally.dropped.items())),
    }
