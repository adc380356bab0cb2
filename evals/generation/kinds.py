"""The kinds of question: what a model is shown for each and gives back, and how many of each are wanted.

The wordings and examples are in `evals/generation/writing/prompts.toml`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.generation.candidate import KINDS
from rag_evals.evals.judges.prompts import harmless_text
from rag_evals.rag.llm.protocol import Prompt

# Per cent.
DEFAULT_MIX: Mapping[str, int] = MappingProxyType(
    {
        "fact": 27,
        "number": 20,
        "list": 8,
        "definition": 10,
        "comparison": 5,
        "paraphrase": 10,
        "unanswerable": 10,
        "false_premise": 5,
        "distractor": 5,
    }
)
SYSTEM = "You write exam questions about texts and give them as JSON."


@dataclass(frozen=True, slots=True)
class QuestionKind:
    """How one kind of question is written.

    Attributes:
        name: One of `KINDS`.
        keys: What the model gives, in this order; all are texts.
        task: What it is told to do.
        examples: What it is shown, and what it would give for that.
    """

    name: str
    keys: tuple[str, ...]
    task: str
    examples: tuple[tuple[str, Mapping[str, str]], ...]

    def schema(self, choices: Mapping[str, Sequence[str]] = MappingProxyType({})) -> dict[str, Any]:
        """Return the JSON schema of what the model gives; keys of `choices` have no other values."""
        properties: dict[str, Any] = {key: {"type": "string"} for key in self.keys}
        properties |= {key: {"type": "string", "enum": list(values)} for key, values in choices.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.keys),
            "additionalProperties": False,
        }

    def prompt(self, given: Mapping[str, str]) -> Prompt:
        """Return the prompt: task and examples first, as all prompts of the kind share them.

        What is `given`, such as heading, text and sentence, is shown by its label.
        """
        examples = "".join(f"{one}JSON: {json.dumps(dict(reply))}\n\n" for one, reply in self.examples)
        return Prompt((f"{self.task}\n\n{examples}", f"{prompt_lines(given)}JSON:"), system=SYSTEM)


def prompt_lines(given: Mapping[str, str]) -> str:
    """Return what a model is shown, a line each, by its label."""
    return "".join(f"{label}: {harmless_text(text)}\n" for label, text in given.items() if text)


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
