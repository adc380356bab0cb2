"""What W&B's client says of itself is movement where it is new; what is tried again is none."""

from __future__ import annotations

from rag_evals.evals.trackers.wandb.client_progress import ClientProgress


def test_only_what_is_new_is_told():
    """Bytes, and what is begun or done; the same again, or less, is silence."""
    told = []
    progress = ClientProgress(None, told.append)
    for size, files, names in (
        (0, 0, ["history 0-9"]),
        (0, 0, ["history 0-9"]),
        (500_000, 1, ["history 0-9"]),
        (500_000, 1, []),
        (500_000, 1, ["history 0-9"]),
        (400_000, 1, []),
        (1_500_000, 2, []),
    ):
        progress.take(size, files, names)
        told.append("|")
    assert told == [
        *("0 files of 0.0 MB", "|", "|"),
        *("1 file of 0.5 MB", "|", "1 file of 0.5 MB", "|", "|", "|"),
        *("2 files of 1.5 MB", "|"),
    ]


def test_client_that_is_not_as_we_know_it():
    """Nothing is told, and nothing breaks."""
    told = []
    progress = ClientProgress(object(), told.append)
    progress._watch()
    assert told == []
