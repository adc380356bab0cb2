"""Copies of W&B's artifacts under `home/wandb/ENTITY/PROJECT/NAME/VERSION`, and what their aliases meant.

`known.json` beside the versions has what is known of them. It counts for the server it came from alone, and a
version of which a file is missing or has another size is not there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.fields import count, fields, fits, keyed, maybe, number, text
from rag_evals.evals.base.files import new_path, read_plain

FOLDER = "wandb"
KNOWN = "known.json"
ENTITIES = "entities.json"
SESSIONS = "sessions.json"
# Sessions of which it is remembered what a reference meant to them.
MOST_SESSIONS = 50
# What stands in the files: of a version, of an alias, and of what came of a reference in a session.
_VERSION = fields({"server": text, "files": keyed(count)})
_ALIAS = fields({"server": text, "version": text, "at": number})
_OUTCOME = fields({}, {"problem": text, "entity": text, "version": text, "warning": maybe(text)})


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of one artifact.

    Attributes:
        folder: Their folder.
        server: Address of the server, as the environment has it; empty for W&B's own.
    """

    folder: Path
    server: str

    def version(self, version: str) -> Path | None:
        """Return the folder of a version, if it is there with all of its files."""
        about: Any = _object(self._known().get("versions")).get(version)
        folder = self.folder / version
        if not fits(_VERSION, about) or about["server"] != self.server:
            return None
        return folder if all(_is_whole(folder / n, size) for n, size in about["files"].items()) else None

    def alias(self, alias: str) -> tuple[str, float] | None:
        """Return the version that an alias meant, and when (seconds since 1970)."""
        about: Any = _object(self._known().get("aliases")).get(alias)
        is_known = fits(_ALIAS, about) and about["server"] == self.server
        return (about["version"], float(about["at"])) if is_known else None

    def add(self, version: str, made: Path, files: Mapping[str, int]) -> None:
        """Take the folder `made` as a version, in place of one that is not whole."""
        target = self.folder / version
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
        self._note("versions", version, {"server": self.server, "files": dict(files)})

    def note_alias(self, alias: str, version: str, at: float) -> None:
        """Note what an alias means now."""
        self._note("aliases", alias, {"server": self.server, "version": version, "at": at})

    def _note(self, kind: str, name: str, about: Mapping[str, Any]) -> None:
        known = self._known()
        self._write({**known, kind: {**_object(known.get(kind)), name: about}})

    def _known(self) -> dict[str, Any]:
        return read_object(self.folder / KNOWN)

    def _write(self, known: Mapping[str, Any]) -> None:
        write_object(self.folder / KNOWN, known)


def copies_in(home: Path, entity: str, project: str, name: str, server: str) -> Copies:
    """Return the copies of an artifact; nothing is made of it before there is one."""
    return Copies(home / FOLDER / entity / project / name, server)


def session_outcome(home: Path, session: str, reference: str) -> Mapping[str, Any] | None:
    """Return what came of a reference in a session; None when nobody of it asked before."""
    outcome = _object(read_object(home / FOLDER / SESSIONS).get(session)).get(reference)
    return dict(outcome) if outcome and fits(_OUTCOME, outcome) else None


def note_session(home: Path, session: str, reference: str, outcome: Mapping[str, Any]) -> None:
    """Note what came of a reference in a session: all of its processes are told the same."""
    file = home / FOLDER / SESSIONS
    sessions = read_object(file)
    mine = {**_object(sessions.pop(session, None)), reference: dict(outcome)}
    last = dict([*sessions.items()][1 - MOST_SESSIONS :])
    write_object(file, {**last, session: mine})


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is not there, or damaged, is an empty one."""
    try:
        value = parse_json(read_plain(file))
    except (OSError, ValueError):
        return {}
    return dict(_object(value))


def write_object(file: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with new_path(file) as scratch:
        scratch.write_text(json.dumps(value, indent=1), "utf-8")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_whole(file: Path, size: Any) -> bool:
    try:
        return not file.is_symlink() and file.is_file() and file.stat().st_size == size
    except OSError:
        return False
