"""Fields of an entry read one by one, every problem collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rag_evals.evals.base.fields import fits, number
from rag_evals.evals.base.messages import kind_name, quoted, short_repr
from rag_evals.rag.answer import Context

T = TypeVar("T")


def check_keys(entry: Mapping[Any, Any], known: Sequence[str], problems: list[str]) -> None:
    """Name every key that is neither known nor begins with `x-`, with the known one it may be meant for."""
    for key in entry:
        if not isinstance(key, str):
            problems.append(f"key {short_repr(key)} is not text but {kind_name(key)}")
        elif key not in known and not key.startswith("x-"):
            problems.append(f"unknown key {quoted(key)}{_hint(key, known)}")


def _hint(key: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else f"; known are {', '.join(known)}"


def parse_text(
    entry: Mapping[str, Any],
    key: str,
    problems: list[str],
    *,
    is_required: bool = False,
    may_be_blank: bool = False,
) -> str | None:
    """Return the text under a key, None when there is none; blank text is a problem unless allowed."""
    value = entry.get(key)
    if value is None:
        if is_required:
            problems.append(f'missing "{key}"')
        return None
    problem = text_problem(value, may_be_blank=may_be_blank)
    if problem:
        problems.append(f'"{key}" {problem}')
        return None
    return str(value)


def text_problem(value: object, *, may_be_blank: bool = False) -> str | None:
    """Return what keeps a value from being a text, None when it is one."""
    if not isinstance(value, str):
        return f"is not text but {kind_name(value)} ({short_repr(value)})"
    if not (may_be_blank or value.strip()):
        return "is empty"
    return None if is_encodable(value) else "holds half of a surrogate pair, which is no character"


def is_encodable(text: str) -> bool:
    """Return whether a text can be written as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_list(entry: Mapping[str, Any], key: str, members: str, problems: list[str]) -> list[Any]:
    """Return the list under a key, an empty one when there is none; its members are not looked at."""
    value = entry.get(key)
    if value is None or isinstance(value, list):
        return value or []
    problems.append(f'"{key}" is not a list of {members} but {kind_name(value)} ({short_repr(value)})')
    return []


def parse_objects(
    entry: Mapping[str, Any],
    key: str,
    members: str,
    parse: Callable[[dict[Any, Any], list[str]], T],
    problems: list[str],
) -> tuple[T, ...]:
    """Return what `parse` makes of each object of the list under a key; its problems get their place."""
    parsed = []
    for place, value in enumerate(parse_list(entry, key, members, problems)):
        found: list[str] = []
        if isinstance(value, dict):
            parsed.append(parse(value, found))
        else:
            found.append(f"not an object but {kind_name(value)} ({short_repr(value)})")
        problems += [f"{key}[{place}]: {problem}" for problem in found]
    return tuple(parsed)


def parse_object(entry: Mapping[str, Any], key: str, problems: list[str]) -> dict[Any, Any] | None:
    """Return the object under a key, None when there is none; its members are not looked at."""
    value = entry.get(key)
    if value is None or isinstance(value, dict):
        return value
    problems.append(f'"{key}" is not an object but {kind_name(value)} ({short_repr(value)})')
    return None


def parse_whole_number(entry: Mapping[str, Any], key: str, least: int, problems: list[str]) -> int | None:
    """Return the whole number under a key, None when there is none; one below `least` is a problem."""
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(f'"{key}" is not a whole number but {kind_name(value)} ({short_repr(value)})')
    elif value < least:
        problems.append(f'"{key}" = {value} is below {least}')
    else:
        return value
    return None


def parse_number(
    entry: Mapping[str, Any], key: str, least: float | None, problems: list[str]
) -> float | None:
    """Return the number under a key, None when there is none; one below `least`, if any, is a problem."""
    value = entry.get(key)
    if value is None:
        return None
    if not fits(number, value):  # a NaN fits as little as a text
        problems.append(f'"{key}" is not a number but {kind_name(value)} ({short_repr(value)})')
    elif least is not None and value < least:
        problems.append(f'"{key}" = {short_repr(value)} is below {least:g}')
    else:
        return float(value)
    return None


def check_span(start: int | None, end: int | None, problems: list[str]) -> None:
    """Name a span of characters that ends before it begins."""
    if start is not None and end is not None and end < start:
        problems.append(f'"end" = {end} is before "start" = {start}')


_CONTEXT_KEYS = ("text", "document", "page", "start", "end", "page_end", "score")


def parse_context_list(entry: Mapping[str, Any], problems: list[str]) -> tuple[Context, ...]:
    """Return the contexts of an entry, as texts or as the records have them."""
    contexts = []
    for place, value in enumerate(parse_list(entry, "contexts", "texts", problems)):
        if isinstance(value, dict):
            found: list[str] = []
            contexts.append(_parse_context(value, found))
            problems += [f"contexts[{place}]: {problem}" for problem in found]
        elif problem := text_problem(value):
            problems.append(f"contexts[{place}] {problem}")
        else:
            contexts.append(Context(str(value)))
    return tuple(contexts)


def _parse_context(value: Mapping[str, Any], problems: list[str]) -> Context:
    check_keys(value, _CONTEXT_KEYS, problems)
    context = Context(
        text=parse_text(value, "text", problems, is_required=True) or "",
        document=parse_text(value, "document", problems, may_be_blank=True) or "",
        page=parse_whole_number(value, "page", 1, problems),
        start=parse_whole_number(value, "start", 0, problems),
        end=parse_whole_number(value, "end", 0, problems),
        score=parse_number(value, "score", None, problems),
        page_end=parse_whole_number(value, "page_end", 1, problems),
    )
    check_span(context.start, context.end, problems)
    return context
