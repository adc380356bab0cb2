"""The chat template of a GGUF file, rendered in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.resolve import Model


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The chat template of a GGUF file."""

    model: str
    source: str
    bos: str
    eos: str

    def around_user_turn(self, system: str) -> tuple[str, str]:
        """Render one system and one user turn; return the text before and behind the user's words.

        Templates that refuse or drop a system turn get the system text at the head of the user's.

        Raises:
            ModelError: The template fails, or drops the user's words.
        """
        marker = "\x00user\x00"
        try:
            rendered = self._render(
                [{"role": "system", "content": system}, {"role": "user", "content": marker}]
            )
        except ModelError:
            rendered = ""
        if system not in rendered or marker not in rendered:
            rendered = self._render([{"role": "user", "content": f"{system}\n\n{marker}"}])
        head, found, tail = rendered.partition(marker)
        if not found:
            raise ModelError(f"the chat template of {self.model} drops the user's words: use another model.")
        return head, tail

    def _render(self, turns: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> None:
            raise TemplateError(message)

        # A template comes with downloaded weights: it runs in a sandbox, set up as transformers does.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = refuse
        try:
            # A model that would think aloud gets an empty thought, where its template knows that switch: the
            # first answer position is then that of the answer.
            return environment.from_string(self.source).render(
                messages=turns,
                add_generation_prompt=True,
                enable_thinking=False,
                bos_token=self.bos,
                eos_token=self.eos,
            )
        except Exception as error:  # a stranger's program may raise anything
            raise ModelError(
                f"the chat template of {self.model} fails ({error}): use another model."
            ) from error


def read_chat_template(model: Model, llama: Any) -> ChatTemplate:
    """Return the chat template that a loaded model has in its file.

    Raises:
        ModelError: It has none.
    """
    source = llama.metadata.get("tokenizer.chat_template")
    if not source:
        llama.close()
        raise ModelError(
            f"{model.name} has no chat template in its GGUF file, so it cannot be used as a chat model: "
            "use an instruction-tuned model."
        )
    return ChatTemplate(
        model.name, source, _token_text(llama, llama.token_bos()), _token_text(llama, llama.token_eos())
    )


def _token_text(llama: Any, token: int) -> str:
    return str(llama._model.token_get_text(token)) if token >= 0 else ""
