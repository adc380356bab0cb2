"""The environment of a run: the state of the git repository that it was made in, asked of git itself."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rag_evals.evals.runs.masking import masked_text

SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Git:
    """Asks git in one folder, in all no longer than until a moment of the monotonic clock."""

    folder: Path
    until: float

    def ask(self, *arguments: str) -> str | None:
        """Return what git prints; None when it fails, is not there, or takes too long."""
        # Without optional locks nothing is written; what would ask for a password asks nobody.
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        # A monitor of the file system would be begun by it and stay.
        command = ["git", "-c", "core.fsmonitor=false", *arguments]
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            return None
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace").strip()


def git_state(folder: Path, *, seconds: float = SECONDS) -> dict[str, Any] | None:
    """Return commit, branch, whether anything is not committed, and the remote without user and password.

    What was not told within the seconds is None.

    Returns:
        `commit` (None before the first), `branch` (None without one), `remote` (None without one) and `dirty`
        (None in a repository without files of its own); None where there is no repository, or no git.
    """
    git = _Git(folder, time.monotonic() + seconds)
    inside = git.ask("rev-parse", "--is-inside-work-tree")
    if inside is None:
        return None
    return {
        "commit": git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}"),
        # Unlike `rev-parse` it also knows the branch before its first commit.
        "branch": git.ask("symbolic-ref", "--quiet", "--short", "HEAD"),
        "remote": _remote(git),
        # Last, as in a large repository it may be what takes too long.
        "dirty": _is_dirty(git) if inside == "true" else None,
    }


def _is_dirty(git: _Git) -> bool | None:
    changed = git.ask("status", "--porcelain", "--untracked-files=normal")
    return None if changed is None else bool(changed)


def _remote(git: _Git) -> str | None:
    """Return the address of `origin`, or of the first remote."""
    names = (git.ask("remote") or "").split()
    if not names:
        return None
    url = git.ask("remote", "get-url", "origin" if "origin" in names else names[0])
    return without_user(url) if url else None


def without_user(url: str) -> str:
    """Leave out user, password and query of a URL; of `user@host:path` the user."""
    if "://" not in url:
        return masked_text(url.rpartition("@")[2] if "@" in url.partition("/")[0] else url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return masked_text(url)
    return masked_text(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


PACKAGES = (
    "rag-evals",
    "llama-cpp-python",
    "llama-index-core",
    "sentence-transformers",
    "transformers",
    "torch",
    "numpy",
    "scipy",
    "pypdf",
    "pytest",
)


def installed_versions() -> dict[str, str]:
    """Return the version by package, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
