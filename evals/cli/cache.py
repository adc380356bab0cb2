"""The command `cache`: what earlier runs made, why it was made anew, and how it is dropped."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.base.files import all_lines
from rag_evals.evals.base.messages import listing, printable
from rag_evals.evals.cli.arguments import add_baselines, add_home
from rag_evals.evals.engine.cache import DEFAULT_MEBIBYTES, FILE, Cache, Entry, Maker
from rag_evals.evals.gate.comparison.config_changes import parting
from rag_evals.evals.reports.text import aligned
from rag_evals.evals.runs.evaluation import ANSWER, SCORES, answer_from_json
from rag_evals.evals.runs.score import judgement_from_json

HOURS = {"h": 1, "d": 24, "w": 168}
# Lines of differences between two makers, and of what is wrong with files, before the rest is only counted.
LISTED = 10
WIDTH = 100


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs of `cache`."""
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    stats = verbs.add_parser("stats", help="how much is kept of each kind")
    stats.set_defaults(run=_stats)
    explain = verbs.add_parser("explain", help="what was made for a question, when, and why anew")
    explain.add_argument("question", metavar="ID", help="the question's id")
    explain.set_defaults(run=_explain)
    prune = verbs.add_parser("prune", help="drop what was not used lately")
    prune.add_argument(
        "--older-than", required=True, metavar="TIME", help="not used for so long: 12h, 30d, 8w"
    )
    prune.add_argument(
        "--keep-baselines", action="store_true", help="spare what the baselines were made from"
    )
    add_baselines(prune)
    prune.set_defaults(run=_prune)
    verify = verbs.add_parser("verify", help="read every item and drop those that are damaged")
    verify.set_defaults(run=_verify)
    for verb in (stats, explain, prune, verify):
        add_home(verb, "the cache")


def _opened(options: argparse.Namespace) -> Cache:
    return Cache(options.home / FILE)


def _check(cache: Cache) -> None:
    """Check that the file can be read.

    Raises:
        UsageError: Something is.
    """
    if cache.problem:
        raise UsageError(printable(cache.problem))


def _is_empty(cache: Cache) -> bool:
    """Return whether nothing was ever kept, and say so."""
    if cache.path.exists():
        return False
    print(f"nothing is kept yet: there is no {printable(str(cache.path))}")
    return True


# --- stats ---


def _stats(options: argparse.Namespace) -> int:
    cache = _opened(options)
    if _is_empty(cache):
        return 0
    entries, size = cache.entries(), cache.size
    cache.close()
    _check(cache)
    by_kind = sorted(entries, key=lambda entry: entry.kind)
    rows = [_row(kind, list(group)) for kind, group in groupby(by_kind, key=lambda entry: entry.kind)]
    rows = [("kind", "items", "size", "oldest use", "newest use"), *rows, _row("all", entries)]
    print("\n".join(map(printable, aligned(rows))))
    print(f"\nfile: {printable(str(cache.path))}, {_bytes(size)} in use; times are UTC")
    print(
        f"From {DEFAULT_MEBIBYTES:,} MiB on a run drops what was not used for longest, "
        "unless --evals-cache-size says another size."
    )
    return 0


def _row(kind: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    uses = [entry.used for entry in entries]
    span = (_time(min(uses)), _time(max(uses))) if uses else ("-", "-")
    return (kind, f"{len(entries):,}", _bytes(sum(entry.size for entry in entries)), *span)


# --- explain ---


def _explain(options: argparse.Namespace) -> int:
    cache = _opened(options)
    # What is kept of an answer under the passages it was written from is the same answer once more.
    entries = [entry for entry in cache.entries(options.question) if entry.kind in (ANSWER, SCORES)]
    _check(cache)
    if not entries:
        raise UsageError(_unknown(options.question, cache))
    lines = [f"question {options.question}; times are UTC"]
    by_maker = sorted(entries, key=lambda entry: (entry.kind, _name(entry)))
    for (kind, name), group in groupby(by_maker, key=lambda entry: (entry.kind, _name(entry))):
        lines += ["", f"{kind} by {name}", *_history(list(group), cache)]
    cache.close()
    print("\n".join(map(printable, lines)))
    return 0


def _unknown(question: str, cache: Cache) -> str:
    known = sorted({entry.subject for entry in cache.entries() if entry.subject is not None})
    cache.close()
    near = get_close_matches(question, known, 3)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif known:
        hint = f"it knows {len(known):,} ids, such as {', '.join(map(repr, known[:3]))}"
    else:
        hint = "it knows no question at all"
    return printable(f"nothing is kept about a question {question!r} in {cache.path}: {hint}")


def _name(entry: Entry) -> str:
    return entry.maker.name if entry.maker else "something unknown"


def _history(entries: Sequence[Entry], cache: Cache) -> Iterator[str]:
    """Yield the lines about items of one maker, oldest first, each beside the one before it."""
    before: Entry | None = None
    for entry in entries:
        yield f"  made {_time(entry.created)}, last used {_time(entry.used)}"
        changes = _changes(before, entry) if before else []
        yield from (f"    {change}" for change in changes[:LISTED])
        if len(changes) > LISTED:
            yield f"    and {len(changes) - LISTED:,} more"
        yield f"    {_shown(entry, cache)}"
        before = entry


def _changes(before: Entry, entry: Entry) -> list[str]:
    if before.maker is None or entry.maker is None:
        return []
    if before.maker.fingerprint != entry.maker.fingerprint:
        return differences(before.maker, entry.maker)
    return ["made by the same: what it was given is another (question, repeat, answer or passages)"]


def differences(before: Maker, after: Maker) -> list[str]:
    """Return a line for each difference between two makers, as far as they say what they are made of."""
    old, new = dict(_flat(before.identity)), dict(_flat(after.identity))
    changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    lines = [_difference(name, old, new) for name in changed]
    return lines or [
        f"fingerprint: {_text(before.fingerprint)} -> {_text(after.fingerprint)} "
        "(it does not say what it is made of)"
    ]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is in `value` by dotted names; a list of plain values is one value."""
    if isinstance(value, list) and any(isinstance(part, list | dict) for part in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{name}.{key}" if name else str(key))


def _difference(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if name not in new:
        return f"{name}: gone"
    if name not in old:
        return f"{name}: new" if _is_hash(new[name]) else f"{name}: new, {_text(new[name])}"
    if ".documents." in name and _is_hash(old[name]):
        return f"{name}: changed"
    if isinstance(old[name], str) and isinstance(new[name], str) and not _is_hash(new[name]):
        start = parting(old[name], new[name])
        return f"{name}: {_text(old[name], start)} -> {_text(new[name], start)}"
    return f"{name}: {_text(old[name])} -> {_text(new[name])}"


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _text(value: Any, start: int = 0, width: int = 40) -> str:
    if _is_hash(value):
        return f"{value[:8]}…"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{'…' if start else ''}{_line(text[start:], width)}"


def _line(text: str, width: int = WIDTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _shown(entry: Entry, cache: Cache) -> str:
    """Return the item in one line: the answer's text, or the scores."""
    data = cache.recall(entry.kind, [entry.key], is_use=False).get(entry.key)
    if data is None:
        return "damaged: `rag-evals cache verify` drops it"
    try:
        item = json.loads(data)
        if entry.kind == ANSWER:
            return f'"{_line(answer_from_json(item).text)}"'
        scores = judgement_from_json(item).scores
    except (ValueError, KeyError, TypeError, AttributeError):
        return "of another form: made by another version of rag-evals"
    said = (f"{s.metric} {'unscored' if s.value is None else f'{s.value:.2f}'}" for s in scores)
    return ", ".join(said) or "no score"


# --- prune ---


def _prune(options: argparse.Namespace) -> int:
    seconds = parse_age(options.older_than)
    spared = baseline_keys(options.baselines) if options.keep_baselines else frozenset()
    cache = _opened(options)
    if _is_empty(cache):
        return 0
    count = len(cache.entries())
    gone = cache.prune(unused_since=time.time() - seconds, spared=spared)
    size = cache.size
    cache.close()
    _check(cache)
    without = f", without the {len(spared):,} that baselines were made from" if options.keep_baselines else ""
    print(f"dropped {gone:,} of {count:,} items: not used for {options.older_than}{without}")
    print(f"file: {printable(str(cache.path))}, {_bytes(size)} in use")
    return 0


def parse_age(text: str) -> float:
    """Parse a time such as 12h, 30d or 8w; gives seconds.

    Raises:
        UsageError: It has another form.
    """
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text.strip())
    if not match:
        raise UsageError(
            f"--older-than {printable(text)}: write a number and h, d or w, such as 12h, 30d or 8w"
        )
    return float(match[1]) * HOURS[match[2]] * 3600


def baseline_keys(folder: Path) -> frozenset[str]:
    """Return the keys of the items that the baselines in `folder` were made from.

    Raises:
        RunFileError: A baseline cannot be read: what it stands on would be dropped.
    """
    keys: set[str] = set()
    problems: list[str] = []
    for file in sorted(folder.glob("*.jsonl")):
        try:
            lines = [*all_lines(file)]
        except OSError as error:
            problems.append(f"{file}: {error.strerror or error}")
            continue
        for number, line in enumerate(lines, 1):
            try:
                keys.update(_keys_in(line))
            except ValueError as error:
                problems.append(f"{file}:{number}: {error}")
    if problems:
        headline = "baselines cannot be read, so nothing is dropped:"
        raise RunFileError(listing(headline, map(printable, problems), LISTED))
    return frozenset(keys)


def _keys_in(line: bytes) -> list[str]:
    """Return the keys that a line of a baseline names.

    Raises:
        ValueError: It is no such line.
    """
    try:
        event = parse_json(line)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(event, dict):
        raise ValueError("is no object")
    keys = event.get("keys") or {}
    if not isinstance(keys, dict) or not all(isinstance(key, str | None) for key in keys.values()):
        raise ValueError("keys is no object of texts")
    return [key for key in keys.values() if key]


# --- verify ---


def _verify(options: argparse.Namespace) -> int:
    cache = _opened(options)
    if _is_empty(cache):
        return 0
    damaged = cache.verify()
    whole = len(cache.entries())
    cache.close()
    _check(cache)
    for entry in damaged:
        about = f" about {entry.subject}" if entry.subject is not None else ""
        print(printable(f"damaged and dropped: {entry.kind}{about}, made {_time(entry.created)} UTC"))
    items = "item" if whole == 1 else "items"
    print(f"{whole:,} {items} whole, {len(damaged):,} damaged: {printable(str(cache.path))}")
    return 1 if damaged else 0


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
