"""Other wordings of a question, written by the language model, to be searched for as well."""

# ruff: noqa: RUF001 - quotes of every kind stand around lines

from __future__ import annotations

import re

from rag_evals.rag.answer import Tokens, question_part
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.tracing.conventions import spoken
from rag_evals.rag.tracing.spans import OpenSpan

TASK = (
    "Write {count} other search queries that would find passages with the answer: in other words, with the "
    "names and numbers of the question. One query a line, nothing else."
)
# Tokens of one wording; a longer one is cut, and the lines before it count.
LONGEST = 40
# What a list's item begins with, and quotes around a line.
_MARKS = re.compile(r"\s*(?:[-*•]|\(?\d{1,2}[.):](?=\s))?\s*[\"'“‘«]?(.*?)[\"'”’»]?\s*\Z")


def expand(llm: LLM, question: str, count: int, step: OpenSpan) -> tuple[tuple[str, ...], Tokens]:
    """Return at most `count` other wordings of a question, and the tokens that they took.

    The model writes greedily, so that the same question has the same wordings. A line that repeats the
    question or another line is left out.
    """
    prompt = Prompt((question_part(question), TASK.format(count=count)))
    written = llm.complete(prompt, max_tokens=count * LONGEST)
    step.set_from(spoken, llm.name, written.tokens, prompt.parts, written.text)
    lines = written.text.splitlines()
    if not written.finished and len(lines) > 1:
        lines.pop()
    return wordings_in(lines, question)[:count], written.tokens


def wordings_in(lines: list[str], question: str) -> tuple[str, ...]:
    """Return the wordings in the lines of a reply, without marks and numbers, each once."""
    found = {_folded(question): ""}
    for line in lines:
        match = _MARKS.match(line)
        if match and any(map(str.isalnum, match[1])):
            found.setdefault(_folded(match[1]), match[1].strip())
    return tuple(wording for wording in found.values() if wording)


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
