"""How often the gate blocks a run that did not change, and one that got worse, beside "the mean went down".

python -m benchmarks.gate
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

import numpy as np
from rag_evals.evals.gate.paired import Pairs, difference, paired_verdict
from rag_evals.evals.gate.verdict import Verdict

from benchmarks.report import print_table, save

MARGIN = 0.05
SEED = 5
# Name, questions, share of verdicts newly failing, and newly passing.
CASES = (
    ("no change, one verdict in ten flips", 100, 0.05, 0.05),
    ("pass rate down by 0.10", 100, 0.15, 0.05),
    ("pass rate down by 0.10", 150, 0.15, 0.05),
    ("pass rate down by 0.10", 200, 0.15, 0.05),
)


def main() -> None:
    """Simulate, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=20_000)
    options = parser.parse_args()
    rows = [shares(*case, options.trials) for case in CASES]
    print_table([list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)])
    save("gate", {"trials": options.trials, "seed": SEED, "margin": MARGIN, "rows": rows})


def shares(name: str, count: int, lost: float, gained: float, trials: int) -> dict[str, object]:
    """Return the share of simulated runs that each rule blocks and passes."""
    drawn = np.random.default_rng(SEED).random((trials, count))
    failing, passing = (drawn < lost).sum(axis=1), ((drawn >= lost) & (drawn < lost + gained)).sum(axis=1)
    verdicts = [verdict(int(f), int(p), count) for f, p in zip(failing, passing, strict=True)]
    return {
        "run": name,
        "questions": count,
        **{each.value: verdicts.count(each) / trials for each in Verdict},
        "mean went down": float((failing > passing).mean()),
    }


@functools.cache
def verdict(failing: int, passing: int, count: int) -> Verdict:
    """Return the gate's verdict on verdicts that changed; the counts are all it depends on."""
    before = _values((1.0, failing), (0.0, passing), (1.0, count - failing - passing))
    after = _values((0.0, failing), (1.0, passing), (1.0, count - failing - passing))
    pairs = Pairs(before, after, ("",) * count, "rate")
    return paired_verdict(difference(pairs, margin=MARGIN), margin=MARGIN)


def _values(*runs: tuple[float, int]) -> tuple[float, ...]:
    values: Sequence[float] = [value for value, times in runs for _ in range(times)]
    return tuple(values)


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
