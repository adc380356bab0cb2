"""The state of real git repositories."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from rag_evals.evals.runs.environment import git_state, without_user


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Neither the settings of whoever runs the tests nor the repository that they run in."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """One file, committed."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--initial-branch=main")
    (folder / "a.txt").write_text("a")
    git(folder, "add", "a.txt")
    git(folder, "commit", "-m", "a")
    return folder


def test_committed(repository):
    """The commit and the branch; a folder in the repository tells the same."""
    state = {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False, "branch": "main", "remote": None}
    (repository / "below").mkdir()
    assert git_state(repository) == git_state(repository / "below") == state


@pytest.mark.parametrize("file", ["a.txt", "new.txt"])
def test_not_committed(repository, file):
    """A change counts, and a new file; one that is ignored does not."""
    (repository / ".git/info/exclude").write_text("ignored.txt\n")
    (repository / "ignored.txt").write_text("b")
    assert git_state(repository)["dirty"] is False
    (repository / file).write_text("b")
    assert git_state(repository)["dirty"] is True


def test_no_branch(repository):
    """A checked-out commit is on no branch, as in most of CI."""
    git(repository, "checkout", "--detach")
    assert git_state(repository)["branch"] is None
    assert git_state(repository)["commit"] == git(repository, "rev-parse", "HEAD")


def test_before_the_first_commit(tmp_path):
    """The branch is there, the commit is not."""
    git(tmp_path, "init", "--initial-branch=trunk")
    assert git_state(tmp_path) == {"commit": None, "dirty": False, "branch": "trunk", "remote": None}


def test_bare(repository, tmp_path):
    """A repository without files cannot have changed ones."""
    git(tmp_path, "clone", "--bare", str(repository), "bare")
    state = git_state(tmp_path / "bare")
    assert (state["commit"], state["dirty"]) == (git(repository, "rev-parse", "HEAD"), None)


def test_remote(repository):
    """`origin` before others, without user and password."""
    git(repository, "remote", "add", "other", "https://example.invalid/other.git")
    assert git_state(repository)["remote"] == "https://example.invalid/other.git"
    git(repository, "remote", "add", "origin", "https://me:pass-word@example.invalid/team/rag.git?token=x")
    assert git_state(repository)["remote"] == "https://example.invalid/team/rag.git"


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("https://u:p@host/x.git", "https://host/x.git"),
        ("https://ghp_abc@host:8443/x.git", "https://host:8443/x.git"),
        ("ssh://git@host/x.git", "ssh://host/x.git"),
        ("git@host:team/x.git", "host:team/x.git"),
        ("u:p@host:team/x.git", "host:team/x.git"),
        ("../x@2", "../x@2"),
        ("https://[broken/x", "https://[broken/x"),
        ("file:///srv/x.git", "file:///srv/x.git"),
    ],
)
def test_without_user(url, without):
    """Every form of address that git takes."""
    assert without_user(url) == without


def test_nothing_is_written(repository):
    """Asking does not refresh the index, which another git may be at."""
    index = repository / ".git/index"
    os.utime(repository / "a.txt", (1, 1))
    before = (index.read_bytes(), index.stat().st_mtime_ns)
    assert git_state(repository)["dirty"] is False
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before


def test_no_repository(tmp_path):
    """A folder like any other, or none at all."""
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "nowhere") is None


def test_damaged(repository):
    """What can be told is told."""
    (repository / ".git/index").write_bytes(b"nonsense")
    state = git_state(repository)
    assert (state["dirty"], state["branch"]) == (None, "main")


def test_no_git(repository, monkeypatch):
    """A machine without git."""
    monkeypatch.setenv("PATH", str(repository))
    assert git_state(repository) is None


def test_a_git_that_hangs(repository, monkeypatch):
    """All its answers together have the time that one has."""
    fake = repository / "git"
    fake.write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))
    start = time.monotonic()
    assert git_state(repository, seconds=0.3) is None
    assert time.monotonic() - start < 1.5


def test_a_git_that_is_slow(repository, monkeypatch):
    """What was not told in time is not known."""
    fake = repository / "git"
    fake.write_text('#!/bin/sh\ncase "$*" in *is-inside*) echo true;; *) exec /bin/sleep 20;; esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))
    start = time.monotonic()
    assert git_state(repository, seconds=0.5) == dict.fromkeys(("commit", "dirty", "branch", "remote"))
    assert time.monotonic() - start < 1.8
