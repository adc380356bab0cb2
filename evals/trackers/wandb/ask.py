"""Asking W&B about one artifact, by a process of its own that is ended with all that it began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rag_evals.evals.trackers.guard import kill
from rag_evals.evals.trackers.messages import messages_in
from rag_evals.evals.trackers.wandb.reference import Reference
from rag_evals.rag.native.children import child_environment

# Seconds: the process ends by itself when nothing comes; this is for one that cannot.
MOST_SECONDS = 600.0


class NotThere(Exception):  # it is no error where a copy stands in
    """Says why W&B did not give an artifact; whoever asked makes an error for people of it.

    Attributes:
        reason: In words for people.
        is_passing: Whether it may be otherwise later, so that a copy may stand in.
    """

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_passing = is_passing


def server_address() -> str:
    """Return the address of the server as the environment has it; empty for W&B's own."""
    return os.environ.get("WANDB_BASE_URL", "")


def ask(
    reference: Reference, scratch: Path, *, home: Path | None, aliases: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Ask for an artifact, and return what the process says of it.

    Args:
        reference: What is asked for.
        scratch: An empty folder; what is fetched is in its `files`.
        home: Folder with the copies, which are not fetched again; None where no files are wanted.
        aliases: What it is to be called as well.

    Raises:
        NotThere: It was not done.
    """
    if find_spec("wandb") is None:
        raise NotThere("the package wandb is not installed (pip install wandb)", is_passing=True)
    where = "/".join(filter(None, (reference.entity, reference.project)))
    asked = {
        "path": f"{where}/{reference.name}:{reference.alias}",
        "project": reference.project,
        "name": reference.name,
        "home": str(home.absolute()) if home else None,
        "server": server_address(),
        "scratch": str(scratch.absolute()),
        "aliases": list(aliases),
    }
    messages = messages_in(_output_of(asked, scratch))
    for message in messages:
        if "problem" in message:
            raise NotThere(str(message["problem"]), is_passing=bool(message.get("is_passing")))
        if "artifact" in message:
            return dict(message["artifact"])
    raise NotThere("the process that asks W&B ended before it was done", is_passing=True)


def _output_of(asked: Mapping[str, Any], scratch: Path) -> bytes:
    command = [
        sys.executable,
        "-P",
        "-m",
        "rag_evals.evals.trackers.wandb.artifact_process",
        json.dumps(asked),
    ]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.DEVNULL,
            env=_environment(scratch),
            start_new_session=True,
        )
        try:
            process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill(process)
        said.seek(0)
        return said.read()


def _environment(scratch: Path) -> dict[str, str]:
    """Return our own environment, with the client's files in `scratch` and without its reports on itself."""
    own = str(scratch.absolute() / "client")
    return child_environment(
        WANDB_DIR=own,
        WANDB_DATA_DIR=own,
        WANDB_CACHE_DIR=own,
        WANDB_ERROR_REPORTING="false",
        WANDB_SILENT="true",
        # It asks who we are, which nobody wants to know.
        WANDB_X_DISABLE_VIEWER="true",
    )
