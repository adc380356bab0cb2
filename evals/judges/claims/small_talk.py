"""Sentences that are said to the reader and of nothing: greetings, offers, wishes."""

# ruff: noqa: RUF001 - quotes of every kind are marks

from __future__ import annotations

import re

# Offers are made of these words alone, but for what they are about: a clause of its own does not fit in.
_OFFER = (
    r"(?: (?:if|you(?:'d|r)?|i|me|us|it|this|that|there|is|are|do|does|not|can|could|have|need|want|would"
    r"|like|any|some|more|further|other|additional|follow-up|specific|questions?|details?|information|help|to"
    r"|a|the|for|with|ask|know|reach|out|explain|assist|clarify|clarification|anything|something|else|unclear"
    r"|or|elaborate|expand|provide)\b)*(?: (?:about|on|of) (?:the |this |these )?[a-z-]+)?"
)
_PADDING = re.compile(
    r"sure(?: thing)?|certainly|of course|absolutely|(?:great|good|excellent) question|thank you|thanks"
    r"|(?:i )?hope (?:this|that) helps|(?:i am )?happy to help"
    r"|(?:does|did) (?:this|that) (?:help|make sense|answer (?:your|the) question)"
    r"|here (?:is|are) (?:[a-z]+ ){0,3}(?:answer|summary|overview|points|details|steps|reasons|differences)"
    rf"|(?:(?:please )?(?:let me know|feel free|do not hesitate)|would you like|is there anything){_OFFER}"
)


def pads(sentence: str) -> bool:
    """Whether `sentence` says nothing of anything: a greeting, an offer, thanks."""
    return bool(_PADDING.fullmatch(plain(sentence).rstrip(" ?:")))


def plain(sentence: str) -> str:
    """Return a sentence as the patterns spell it: lower case, no marks or contractions, no final stop."""
    text = re.sub(r"[*_\"“”`]|\[\d+\]", "", sentence.lower().replace("’", "'"))
    text = re.sub(r"\bcan't\b|\bcannot\b", "can not", text).replace("n't", " not").replace("i'm ", "i am ")
    return " ".join(text.split()).rstrip(" .!…")
