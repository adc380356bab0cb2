"""The prompts of generation: what a model is told and shown for each kind of question, from prompts.toml.

The examples are what a small model goes by; without them the 1.5B model asks "What does the sentence say?"
and answers with the whole sentence. They stand before the passage, so that they are read once a run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

from rag_evals.evals.generation.kinds import QuestionKind, prompt_lines

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
PROMPT_VERSION: int = _TABLES["version"]
EXAMPLE_WORDS: tuple[str, ...] = tuple(_TABLES["example_words"])
DETAILS: tuple[str, ...] = tuple(_TABLES["details"])
# That a model may choose from.
DETAILS_SHOWN = 6


def _kind(table: Mapping[str, Any]) -> QuestionKind:
    task = Template(table["task"]).substitute(alone=_TABLES["alone"])
    return QuestionKind(table["name"], tuple(table["keys"]), task, tuple(map(_example, table["example"])))


def _example(table: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """Return what is shown, and what is given for it; the words of a passage may be exchanged for others."""
    passage = _TABLES["passages"].get(table.get("passage"), {"heading": "", "text": ""})
    text = passage["text"].replace(*table.get("instead", ("", "")))
    return prompt_lines({"Heading": passage["heading"], "Text": text, **table["shown"]}), table["reply"]


# A distractor is written as a fact or a number: that a similar sentence says something else is no matter
# of the prompt. Shown both sentences, the 1.5B model gave nothing valid in four of four tries.
PROMPTS: Mapping[str, QuestionKind] = MappingProxyType(
    {kind["name"]: _kind(kind) for kind in _TABLES["kind"]}
)
