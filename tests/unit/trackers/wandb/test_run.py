"""What the W&B tracker makes of the errors of its client; all else of it is shown against a server."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from rag_evals.evals.trackers.messages import text_of
from rag_evals.evals.trackers.tracker import Ending, TrackedRun, TrackerError
from rag_evals.evals.trackers.wandb.run import WandbTracker

# A run id and a port that look like the codes of errors.
RUN, SERVER = "20261123-140401-429403", "http://127.0.0.1:40429"
RESUMING = f"Failed to get resume status for run {RUN}"
RETRYING = f"{RESUMING}: context deadline exceeded\nwhile retrying"


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> WandbTracker:
    monkeypatch.setenv("WANDB_BASE_URL", SERVER)
    tracker = WandbTracker()
    options = {"project": "rag", "entity": "team"}
    tracker._told = TrackedRun(RUN, RUN, None, None, Path.cwd() / ".rag-evals" / "runs" / RUN, options, ())
    return tracker


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("No API key configured.", "there is no API key (`wandb login`, or set WANDB_API_KEY)"),
        (f"{RESUMING}: returned error 401: {{}}", f"{SERVER} does not accept the API key (401)"),
        (f"{RESUMING}: returned error 403: {{}}", f"there is no permission for team/rag at {SERVER} (403)"),
        ("permission denied", f"there is no permission for team/rag at {SERVER}"),
        (f"{RESUMING}: returned error 404: {{}}", f"{SERVER} knows no team/rag (404)"),
        (f"{RETRYING}: HTTP 429: fault", f"{SERVER} takes no more requests for now (429)"),
        (f"{RETRYING}: HTTP 500: fault", f"{SERVER} answers with errors of its own (5xx)"),
        (f'{RETRYING}: Post "{SERVER}": dial tcp: connect: co', f"there is no connection to {SERVER}"),
        (
            f"{RESUMING}: POST {SERVER} giving up: context deadline exceeded",
            f"there is no answer from {SERVER}",
        ),
        ("entity team not found\nduring upsertBucket", "entity team not found during upsertBucket"),
    ],
)
def test_reason_is_read_from_the_words(tracker, said, reason):
    """The number of an error is one only behind the word: ids of runs and ports have all numbers."""
    assert tracker._reason(Exception(said)) == reason


def test_text_of_an_error():
    """One line; of a full disk without the paths, and where there are no words, the kind of error."""
    full = OSError(errno.ENOSPC, "No space left on device", "a.json", None, "b.json")
    assert text_of(full) == "No space left on device"
    assert text_of(FileNotFoundError(errno.ENOENT, "No such file", "a")) == "[Errno 2] No such file: 'a'"
    assert text_of(ValueError("two\n lines")) == "two lines"
    assert text_of(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize(
    ("because", "line"),
    [
        ("No space left on device", "No space left on device"),
        ("there is no connection to S", "offline, as there is no connection to S; No space left on device"),
    ],
)
def test_incomplete_offline_copy_is_one_line(tracker, monkeypatch, because, line):
    """A run that went offline and then lost some of its copy says both in its error, and nothing else."""

    def full(ending: Ending) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tracker._offline_because, tracker._is_offline = because, True
    tracker._run = object()
    assert tracker.where() == (f"offline, as {because}; `rag-evals replay {RUN}` sends it",)
    monkeypatch.setattr(tracker, "_log_end", full)
    with pytest.raises(TrackerError) as caught:
        tracker.finish(Ending(None, (), True, {}, {}, (), (), None))
    assert str(caught.value) == line
    assert tracker.where() == ()
