"""The input forms of trained faithfulness judges: what text each reads, and what its verdict is read from.

No two families read the same text, and a judge that is given another family's form says something all the
same. Each form here is that of the makers' own code; the catalogue says which model has which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# What the verdict is read from: labels named in the config; the second of two; two words of the vocabulary at
# the first step of a decoder; the second of two labels at the first token; one of two labels at each token.
Head = Literal["named", "second", "step", "first", "tokens"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a trained judge reads a premise and a claim.

    Attributes:
        name: What users write for it.
        head: What its verdict is read from.
        template: The one text that it reads; empty where it reads a pair.
        architectures: How the names of its classes end in a config; empty for any.
        most: Tokens that its makers give it at once; 0 for as many as its config says.
        window_tokens: Tokens of a premise that its makers give it at once; 0 for as many as fit.
        window_words: As that, in words.
        joins: Whether passages are read together where they fit; else each is read alone.
        asks: What stands around the passages, with the question, for a judge that is shown it; else empty.
    """

    name: str
    head: Head
    template: str = ""
    architectures: tuple[str, ...] = ()
    most: int = 0
    window_tokens: int = 0
    window_words: int = 0
    joins: bool = True
    asks: str = ""

    def premise(self, passages: Sequence[str], question: str) -> str:
        """Return `passages` as the judge reads them together."""
        if not self.asks:
            return "\n".join(passages)
        listed = "\n".join(f"passage {n}: {passage}" for n, passage in enumerate(passages, start=1))
        return self.asks.format(question=question, count=len(passages), passages=listed)

    def text(self, premise: str, claim: str, eos: str) -> str:
        """Return the one text that the judge reads; `eos` is its tokenizer's mark of an end."""
        return self.template.format(premise=premise, claim=claim, eos=eos)


# Cross-encoders of natural language inference: a pair, each passage by itself.
NLI = Form("nli", "named", joins=False)
FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        NLI,
        # MiniCheck (Tang et al. 2024), RoBERTa and DeBERTa: no pair, whose separators would be others.
        Form(
            "minicheck",
            "second",
            "{premise}{eos}{claim}",
            ("ForSequenceClassification",),
            most=2048,
            window_tokens=400,
        ),
        Form(
            "minicheck-flan-t5",
            "step",
            "predict: {premise}{eos}{claim}",
            ("T5ForConditionalGeneration",),
            most=2048,
            window_words=500,
        ),
        # FactCG (Lei et al. 2025).
        Form(
            "factcg",
            "second",
            "{premise}\n\nChoose your answer: based on the paragraph above can we conclude that "
            '"{claim}"?\n\nOPTIONS:\n- Yes\n- No\nI think the answer is ',
            ("ForSequenceClassification",),
            most=2048,
            window_words=550,
        ),
        # HHEM-2.1-open (Vectara): the class that its config names is code; the weights are those of T5's
        # encoder with a head on each token, of which the first counts.
        Form(
            "hhem",
            "first",
            "<pad> Determine if the hypothesis is true given the premise?\n\n"
            "Premise: {premise}\n\nHypothesis: {claim}",
            ("HHEMv2ForSequenceClassification", "T5ForTokenClassification"),
            most=2048,
        ),
        # LettuceDetect and TinyLettuce (Kovács and Recski 2025): the whole answer, token by token.
        Form(
            "lettucedetect",
            "tokens",
            architectures=("ForTokenClassification",),
            most=4096,
            asks="Briefly answer the following question:\n{question}\nBear in mind that your response should "
            "be strictly based on the following {count} passages:\n{passages}\nIn case the passages do not "
            "contain the necessary information to answer the question, please reply with: "
            '"Unable to answer based on given passages."\noutput:',
        ),
    )
}


def architecture_of(folder: Path) -> tuple[str, str]:
    """Return what the config of a model folder names: the class, and the kind of model; "" where nothing."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        classes, kind = config.get("architectures") or [""], config.get("model_type") or ""
        return str(classes[0]), str(kind)
    except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return "", ""


def form_of_folder(folder: Path) -> Form:
    """Return the form of the model in `folder`, as far as its config tells: that of an NLI model otherwise.

    A MiniCheck and a FactCG cannot be told from each other, nor from a classifier of anything else.
    """
    name, kind = architecture_of(folder)
    if kind.startswith("HHEM"):
        return FORMS["hhem"]
    telling = ("minicheck-flan-t5", "hhem", "lettucedetect")
    return next((FORMS[form] for form in telling if name.endswith(FORMS[form].architectures)), NLI)
