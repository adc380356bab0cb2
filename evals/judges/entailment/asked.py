"""Trained judges that are language models: asked in the words that they were trained on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.choice.grader import LEAST_MASS
from rag_evals.evals.judges.prompts import harmless_text
from rag_evals.rag.answer import Tokens
from rag_evals.rag.errors import ContextWindowError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.profile import Profile, load, profile_of_model
from rag_evals.rag.retrieval.entailment import Ask, Entailment, Entailments, Form

# Counts up when what is asked, or how it is read, changes in a way that no setting shows.
VERSION = 1
# Tokens of a window where the model does not say how many its own has: servers do not.
TOKENS = 4096
# What a reply of tags takes: an empty thought, and the verdict between its own.
_REPLY_TOKENS = 48
_SCORE = re.compile(r"<score>\s*(yes|no)\s*</score>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asking:
    """How a family of judging language models is asked.

    Attributes:
        name: What users write for it.
        prompt: Makes the prompt of a premise and a claim.
        good: The word that says the claim is supported.
        is_tagged: Whether the word stands between tags; else the reply begins with it.
        around: Tokens that the prompt takes besides premise and claim, at most.
    """

    name: str
    prompt: Callable[[str, str], Prompt]
    good: str
    is_tagged: bool
    around: int


def _minicheck(premise: str, claim: str) -> Prompt:
    return Prompt(
        (f"Document: {premise}", f"\nClaim: {claim}"),
        system="Determine whether the provided claim is consistent with the corresponding "
        "document. Consistency "
        "in this context implies that all information presented in the claim is "
        "substantiated by the document. "
        "If not, it should be considered inconsistent. Please assess the claim's "
        "consistency with the document "
        'by responding with either "Yes" or "No".',
    )


def _guardian(premise: str, claim: str) -> Prompt:
    return Prompt(
        (
            f"<documents>\n{premise}\n</documents>",
            f"\n\nAssistant: {claim}",
            "\n\n<guardian><no-think>As a judge agent, assess whether the provided text "
            "meets the given judging "
            "criteria using all available information, including conversations, documents, "
            "and tools. Provide "
            "your score immediately without explanation. Output empty <think>\n</think> tags "
            "followed by your "
            "score in <score></score> tags.\n\n### Criteria: A text is considered ungrounded "
            "or unfaithful if "
            "it includes information lacking support from, or directly contradicting, the "
            "provided document(s). "
            "This risk arises when the text fabricates details, misinterprets the content, "
            "or makes unsupported "
            "extrapolations beyond what is explicitly stated in the document(s).\n\n### "
            "Scoring Schema: If the "
            "last assistant's text meets the criteria, return 'yes'; otherwise, return 'no'.",
        ),
        system="",
    )


# A Bespoke-MiniCheck says whether a claim is supported; a Granite Guardian whether there is a risk.
ASKINGS: Mapping[str, Asking] = {
    asking.name: asking
    for asking in (
        Asking("minicheck", _minicheck, good="yes", is_tagged=False, around=128),
        Asking("guardian", _guardian, good="no", is_tagged=True, around=320),
    )
}


class AskedModel:
    """A judging language model as what reads a premise and a claim.

    Args:
        llm: The model, in a GGUF file or behind a server.
        asking: How its family is asked.

    Attributes:
        name: Name for people.
        form: It reads passages as one document.
        profile: What else is known of it.
    """

    def __init__(self, llm: LLM, asking: Asking) -> None:
        self.name = llm.name
        self.form = Form(asking.name, "named")
        self.fingerprint = digest({"asking": asking.name, "version": VERSION, "llm": llm.fingerprint})
        self.profile: Profile = replace(
            profile_of_model(llm),
            identity={"reader": asking.name, "version": VERSION, "llm": llm.fingerprint},
        )
        self._llm = llm
        self._asking = asking

    @property
    def limit(self) -> int:
        """Tokens that fit premise and claim together; the model is loaded for it."""
        return int(getattr(self._llm, "context_size", TOKENS)) - self._asking.around - _REPLY_TOKENS

    def load(self) -> None:
        """Load the model now.

        Raises:
            ModelError: It cannot be loaded.
        """
        load(self._llm)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as a part of a prompt."""
        return self._llm.count_tokens(text) if text else 0

    def read(self, asks: Sequence[tuple[str, str] | Ask]) -> Entailments:
        """Ask of each premise and claim, one after the other: what stands first is read once.

        Raises:
            NoVerdict: The model says something else, or the prompt is too long for it.
        """
        said = [self._ask(*Ask(*ask)[:2]) for ask in asks]
        return Entailments(tuple(each for each, _ in said), sum((tokens for _, tokens in said), Tokens()))

    def _ask(self, premise: str, claim: str) -> tuple[Entailment, Tokens]:
        prompt = self._asking.prompt(harmless_text(premise), harmless_text(claim))
        try:
            return self._by_tags(prompt) if self._asking.is_tagged else self._by_first_word(prompt)
        except ContextWindowError as error:
            raise NoVerdict(str(error)) from error

    def _by_first_word(self, prompt: Prompt) -> tuple[Entailment, Tokens]:
        choice = self._llm.choose(prompt, ("yes", "no"))
        if 1.0 - choice.other < LEAST_MASS:
            said = f"the judge said {choice.text[:80]!r}, neither yes nor no" if choice.text else None
            raise NoVerdict(
                said or f"only {1.0 - choice.other:.2f} of the judge's probability fell on yes or no"
            )
        return Entailment(choice.share(self._asking.good), graded=choice.graded), choice.tokens

    def _by_tags(self, prompt: Prompt) -> tuple[Entailment, Tokens]:
        reply = self._llm.complete(prompt, max_tokens=_REPLY_TOKENS)
        verdicts = _SCORE.findall(reply.text)
        if len(verdicts) != 1:
            raise NoVerdict(f"the judge said {reply.text[:80]!r}, no <score> of yes or no")
        return Entailment(float(verdicts[0].lower() == self._asking.good), graded=False), reply.tokens
