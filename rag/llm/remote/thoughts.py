"""Thoughts of a model in the text of its reply, in the marks of each family, and the answer behind them."""

from __future__ import annotations

import re

# How a block of thoughts begins and ends: Qwen, DeepSeek and most others; Magistral; Kimi; Seed; Gemma.
BLOCKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<seed:think>", "</seed:think>"),
    ("<|channel>thought", "<channel|>"),
)
# gpt-oss writes messages on channels: thoughts on `analysis`, the answer on `final`. Where a server drops
# special tokens, the names of the channels are left, glued to what stands beside them.
_CHANNEL = "<|channel|>"
_FINAL = re.compile(
    r"<\|channel\|>\s*final\b.*?<\|message\|>(.*?)(?:<\|(?:return|end|start)\|>|\Z)", re.DOTALL
)
_BARE_FINAL = re.compile(r"\Aanalysis.*?assistantfinal", re.DOTALL)
_BEGINNINGS = (*(opening.partition(">")[0] for opening, _ in BLOCKS), _CHANNEL, "<|start|>")
_CLOSINGS = "|".join(re.escape(closing) for _, closing in BLOCKS)
# The end of a block that the template began in the prompt: it stands at the beginning of a line, or right
# behind the last thought. In a sentence that speaks of such a mark it has blanks or quotes around it.
_END = re.compile(
    rf"^[ \t]*(?:{_CLOSINGS})|(?<=\S)(?:{_CLOSINGS})(?=\w|[ \t]*$)|(?<=[.!?] )(?:{_CLOSINGS})(?=[ \t]*$)",
    re.MULTILINE,
)


def begins_thoughts(token: str) -> bool:
    """Return whether a first token, or text, begins thoughts."""
    begun = token.lstrip()
    return begun.startswith(_BEGINNINGS) or begun == "analysis"


def without_thoughts(text: str, *, is_apart: bool = False) -> str:
    """Return the answer behind the thoughts; nothing where they have no end.

    Some templates begin the block in the prompt, so that only its end is in the text. That is not looked for
    where a server says thoughts beside the text (`is_apart`): a mark in it is then a word of the answer.
    """
    if text.lstrip().startswith((_CHANNEL, "<|start|>")):
        final = _FINAL.findall(text)
        return final[-1] if final else ""
    if bare := _BARE_FINAL.match(text):
        return text[bare.end() :]
    for opening, closing in BLOCKS:
        if text.lstrip().startswith(opening):
            return text.partition(closing)[2]
    end = None if is_apart else _END.search(text)
    if end is None or any(opening in text[: end.start()] for opening, _ in BLOCKS):
        return text
    return text[end.end() :]
