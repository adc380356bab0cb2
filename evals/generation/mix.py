"""How many of each kind: parsed from an option, and told as reached; and how many there can be at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evals.errors import GenerationError, printable
from evals.generation.candidates import KINDS
from evals.generation.passages import Survey
from evals.generation.running import Outcome
from evals.generation.targets import Target


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


def check_capacity(count: int, surveyed: Survey, targets: Sequence[Target]) -> None:
    """See that the documents can give `count` questions: one for each sentence that can be asked about.

    Raises:
        GenerationError: They cannot; says how many they can give, and why not more.
    """
    if count <= len(targets):
        return
    passages, documents = len(surveyed.passages), surveyed.documents
    lines = [
        f"{count} questions are wanted, but the documents can give at most {len(targets)}: one for each "
        f"sentence that can be asked about by itself, of {passages} passage{'s' * (passages != 1)} in "
        f"{documents} document{'s' * (documents != 1)} of {surveyed.words:,} words",
        *(f"  left out: {line}" for line in surveyed.lines),
        f"Ask for {len(targets)} or fewer, or give more documents." if targets else "Give more documents.",
    ]
    raise GenerationError("\n".join(lines))


def mix_lines(mix: Mapping[str, int], outcome: Outcome) -> list[str]:
    """Give the mix as wanted and as reached, a line a kind, under a headline."""
    counts = Counter(candidate.kind for candidate in outcome.kept)
    whole = max(1, len(outcome.kept))
    width = max(map(len, mix))
    lines = [f"{'kind':{width}}  wanted  reached  kept  tried"]
    for kind, share in mix.items():
        why = f"  {outcome.given_up[kind]}" if kind in outcome.given_up else ""
        reached = f"{100 * counts[kind] / whole:.0f} %"
        lines.append(
            f"{kind:{width}}  {share:4d} %  {reached:>7}  {counts[kind]:4d}  {outcome.tried[kind]:5d}{why}"
        )
    return lines
