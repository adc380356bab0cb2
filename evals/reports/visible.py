"""Text that hides nothing: what a page shows is what stands in it."""

from __future__ import annotations

import re

# What would hide or turn around the text beside it: control characters, but for line ends and tabs, and
# embeddings, overrides and isolates of direction.
_TRICKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def shown(text: object) -> str:
    """Give text without characters that hide what stands beside them or turn it around."""
    return _TRICKS.sub(_REPLACEMENT, str(text))
