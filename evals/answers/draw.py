"""A drawn sample of a log: by strata, the same whatever the order of its lines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction

from rag_evals.evals.base.drawn import Drawn


def draw(strata: Mapping[str, str], size: int, seed: int) -> dict[str, Drawn]:
    """Draw `size` of those that `strata` names, at most all, and say what each was drawn from.

    Each has a number of its own, which seed and id give, and the least numbers of each stratum are drawn: so
    many as is its share of all (`allocated`).

    Args:
        strata: The stratum of each, by id.
        size: How many are drawn.
        seed: Another one draws others.
    """
    members: dict[str, list[str]] = {}
    for name in sorted(strata, key=lambda name: _number(seed, name)):
        members.setdefault(strata[name], []).append(name)
    counts = allocated({stratum: len(names) for stratum, names in members.items()}, size)
    told = {stratum: Drawn(stratum, len(names), counts[stratum]) for stratum, names in members.items()}
    if not all(counts.values()):
        # Of a stratum without any nothing is known: what was drawn stands for all of them alike.
        told = dict.fromkeys(members, Drawn("", len(strata), sum(counts.values())))
    return {
        name: told[stratum] for stratum in sorted(members) for name in members[stratum][: counts[stratum]]
    }


def _number(seed: int, name: str) -> tuple[bytes, str]:
    return hashlib.sha256(f"{seed} {name}".encode()).digest(), name


def allocated(sizes: Mapping[str, int], size: int) -> dict[str, int]:
    """Return how many are drawn of each stratum: in proportion, by largest remainders.

    Each has at least one where `size` has room for it; what that takes is taken from those that are furthest
    above their share.

    Args:
        sizes: How many there are of each stratum, at least one.
        size: How many are drawn in all; all there are where they are fewer.
    """
    total = sum(sizes.values())
    if size >= total:
        return dict(sizes)
    shares = {stratum: Fraction(count * size, total) for stratum, count in sizes.items()}
    least = 1 if size >= len(sizes) else 0
    counts = {stratum: max(least, int(share)) for stratum, share in shares.items()}
    # By name where the remainders are alike.
    order = sorted(sizes, key=lambda stratum: (counts[stratum] - shares[stratum], stratum))
    missing = size - sum(counts.values())
    for stratum in order[: max(0, missing)]:
        counts[stratum] += 1
    for _ in range(-missing):
        most = max(
            (stratum for stratum in sizes if counts[stratum] > least),
            key=lambda stratum: (counts[stratum] - shares[stratum], stratum),
        )
        counts[most] -= 1
    return counts
