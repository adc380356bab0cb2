"""How many of each kind: parsed from an option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evals.errors import GenerationError, printable
from evals.generation.candidates import KINDS


def parse_mix(text: str) -> dict[str, int]:
    """Read a mix such as `fact=40,number=60`, in per cent; without numbers all kinds get the same share.

    Raises:
        GenerationError: A kind or a share is none, or the shares do not sum to 100; every offender is named.
    """
    entries = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    names = [name.strip() for name, _, _ in entries]
    problems = [f"  {printable(name) or '(nothing)'}: no such kind" for name in names if name not in KINDS]
    problems += [f"  {name}: named twice" for name, count in Counter(names).items() if count > 1]
    problems += [
        f"  {printable(name.strip())}={printable(share.strip())}: not a whole number from 0 to 100"
        for name, sign, share in entries
        if sign and not (share.strip().isdecimal() and int(share) <= 100)
    ]
    if not problems and not any(sign for _, sign, _ in entries) and names:
        return _alike(names)
    if not problems:
        whole = sum(int(share or 0) for _, _, share in entries)
        if whole == 100:
            return {name.strip(): int(share or 0) for name, _, share in entries if int(share or 0)}
        problems = [f"  the shares sum to {whole}, not to 100"]
    raise GenerationError(
        "\n".join([f"--kinds {printable(text)} is no mix:", *problems, f"Kinds are {', '.join(KINDS)}."])
    )


def _alike(names: Sequence[str]) -> dict[str, int]:
    share, rest = divmod(100, len(names))
    return {name: share + (place < rest) for place, name in enumerate(names)}
