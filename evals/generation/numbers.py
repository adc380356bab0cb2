"""Is the number that answers a question the number of what is asked for? By what both call it."""

from __future__ import annotations

import re

from evals.evidence import stems

# What a number may be called that a source gives without a name.
_MEASURES = frozenset(
    """
    percentage percent share proportion fraction portion ratio rate number amount quantity size length width
    height depth dimension distance weight mass volume area age duration time period year date day month
    speed temperature price cost total sum count value range minimum maximum average mean median limit
    difference increase decrease reduction improvement gain drop change score by
    """.split()  # noqa: SIM905
)
_MEASURED = re.compile(
    r"\bwhat (?:is|are|was|were) the (?P<name>(?:[\w'-]+ ){0,4}?[\w'-]+)"
    r"(?= (?:of|for|between|in|on|with|at|per|by|that|when|used)\b|\?)",
    re.IGNORECASE,
)
# "a context of 32,768 tokens": the number is that of the context.
_ATTRIBUTE = r"\b(?P<name>(?![a-z-]+ed )[a-z-]{3,})s? of (?:about |up to |at least |only |over |around )?"


def misnamed(question: str, number: str, source: str) -> list[str]:
    """Give the names of `number` that only one of `question` and `source` has; none of what is no number.

    Those are what the question calls it, where the source has no word of that, and what the source says it
    is the size of, where the question has no word of that.
    """
    value = re.search(r"\d[\d,.]*\d|\d", number)
    if not value:
        return []
    asked, said = set(stems(question)), set(stems(source))
    names = [found["name"] for found in _MEASURED.finditer(question)]
    strange = [name for name in names if not (set(stems(name)) & (said | _MEASURES))]
    found = re.search(_ATTRIBUTE + re.escape(value[0]), source)
    if found and not set(stems(found["name"])) <= (asked | _MEASURES):
        strange.append(found["name"])
    return strange
