"""What a run says of its pipelines and judges: the lines that describe them, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ComponentKind = Literal["pipeline", "judge"]
COMPONENTS: tuple[ComponentKind, ...] = ("pipeline", "judge")


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
        others: Whatever else the line has; it stays when the line is written again.
    """

    kind: ComponentKind
    name: str
    fingerprint: str
    settings: Mapping[str, Any] | None = None
    identity: Mapping[str, Any] | None = None
    versioned: bool = True
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
    return ComponentInfo(kind, str(name), str(fingerprint), **given, versioned=versioned, others=others)


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
    }
