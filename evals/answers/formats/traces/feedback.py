"""What people and evaluators said of an answer: the thumb of whoever asked, and scores by name."""

from __future__ import annotations

import re
from typing import Any

from rag_evals.evals.answers.logged_answer import Feedback

# Only these names mean whoever asked: `correctness = 1` of an evaluator is no thumb, nor is a star of five.
_NAMED = re.compile(r"(?i)feedback|thumb|user[-_ ]?score|(?:^|[-_ ])(?:dis)?like[sd]?(?:$|[-_ ])")
_UP = ("up", "thumbs_up", "thumbsup", "positive", "good", "like", "liked", "helpful", "yes", "true", "1")
_DOWN = (
    *(
        "down",
        "thumbs_down",
        "thumbsdown",
        "negative",
        "bad",
        "dislike",
        "disliked",
        "unhelpful",
        "no",
        "false",
    ),
    *("0", "-1"),
)
_SIGNS = {"\N{THUMBS UP SIGN}": "up", "\N{THUMBS DOWN SIGN}": "down"}


def thumb_of(name: str, value: Any) -> Feedback | None:
    """Return the thumb that a score of this name is; None for one that means something else."""
    if not _NAMED.search(name):
        return None
    if isinstance(value, bool):
        return "up" if value else "down"
    if isinstance(value, int | float):
        return "up" if value == 1 else "down" if value in (0, -1) else None
    if not isinstance(value, str):
        return None
    word = re.sub(r"(?<=\w)[\s-]+", "_", value.strip().casefold())
    word = _SIGNS.get(word[:1], word)
    return "up" if word in _UP else "down" if word in _DOWN else None
