"""The command that measures what is quoted: each figure stands in its result, and a regression is told."""

from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import BENCHMARKS, FIGURES, at, changes_in
from benchmarks.report import RESULTS

MACHINE = {"cores": 2, "processor": "one"}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_stands_in_its_result(figure):
    assert figure.benchmark in BENCHMARKS
    result = json.loads((RESULTS / f"{figure.benchmark}.json").read_text())
    assert float(at(result, figure.keys)) > 0


def verdicts(before, now, machine=MACHINE):
    """What becomes of the figures of `overhead`."""
    of = [{"milliseconds a test over bare, new": told, "times bare, new": 2.0} for told in (before, now)]
    results = [
        {
            "machine": on,
            "results": [{}, {**one, "times bare, unchanged": 2.0}],
            "sessions": {"milliseconds over": 40.0},
        }
        for on, one in zip((MACHINE, machine), of, strict=True)
    ]
    return [change.verdict for change in changes_in("overhead", *results)]


@pytest.mark.parametrize(
    ("now", "verdict"), [(0.8, "the same"), (0.9, "the same"), (0.93, "worse"), (0.6, "better")]
)
def test_what_moves_beyond_noise_is_told(now, verdict):
    """A time that rose by more than 15 % is worse."""
    assert verdicts(0.8, now) == [verdict, "the same", "the same", "the same"]


def test_times_of_another_machine_are_not_compared():
    found = verdicts(0.8, 3.0, {"cores": 2, "processor": "other"})
    assert found == ["new", "the same", "the same", "new"]


def test_more_is_better_of_a_share():
    """A share of the possible that fell is worse, on whatever machine."""
    results = [{"machine": MACHINE, "all answered": {"of ideal": share}} for share in (0.93, 0.85)]
    (change,) = changes_in("concurrency", results[0], {**results[1], "machine": {}})
    assert (change.verdict, round(change.moved, 3)) == ("worse", 0.086)


def test_without_a_result_of_before_it_is_new():
    (change,) = changes_in("concurrency", None, {"machine": MACHINE, "all answered": {"of ideal": 0.9}})
    assert (change.verdict, change.before) == ("new", None)
