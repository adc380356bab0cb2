"""The chat template of a GGUF file, rendered in a sandbox, within bounds, by a process that is ended."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelError, one_line
from rag_evals.rag.models.resolve import Model
from rag_evals.rag.native.children import child_environment

# What a template may take. Those of published models have 20 kB at most, and render in milliseconds.
CHARACTERS = 1_000_000  # of the template, and of what it writes beyond the words it is given
SECONDS = 5  # of a processor
BYTES = 512 * 2**20
# A process that is kept waiting, as on a machine under load, is not at fault.
_WAITING_SECONDS = 120
_PROGRAM = Path(__file__).with_name("template_process.py")
_MARKER = "\x00user\x00"


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The chat template of a GGUF file."""

    model: str
    source: str
    bos: str
    eos: str

    def check(self) -> None:
        """Check that the template can be compiled.

        Raises:
            ModelError: It cannot.
        """
        self._rendered("cannot be read", [])

    def around_user_turn(self, system: str) -> tuple[str, str]:
        """Render one system and one user turn; return the text before and behind the user's words.

        Templates that refuse or drop a system turn get the system text at the head of the user's.

        Raises:
            ModelError: The template fails, takes too much time or memory, or drops the user's words.
        """
        with_system = [{"role": "system", "content": system}, {"role": "user", "content": _MARKER}]
        folded = [{"role": "user", "content": f"{system}\n\n{_MARKER}"}]
        first, second = self._rendered("fails", [with_system, folded], given=len(system))
        rendered = first.get("text", "")
        if system not in rendered or _MARKER not in rendered:
            if "error" in second:
                raise self._refusal("fails", second["error"])
            rendered = second["text"]
        head, found, tail = rendered.partition(_MARKER)
        if not found:
            raise ModelError(f"the chat template of {self.model} drops the user's words: use another model.")
        return head, tail

    def _rendered(
        self, what: str, conversations: list[list[dict[str, str]]], *, given: int = 0
    ) -> list[dict[str, str]]:
        """Return for each conversation its `text`, or the `error` that the template raises."""
        if len(self.source) > CHARACTERS:
            raise self._refusal(what, f"it has {len(self.source):,} characters")
        asked = {
            "source": self.source,
            "tokens": {"bos_token": self.bos, "eos_token": self.eos},
            "conversations": conversations,
            "characters": CHARACTERS + 2 * given,
            "seconds": SECONDS,
            "bytes": BYTES,
        }
        too_much = {"error": f"it takes more than {SECONDS} s or {BYTES // 2**20} MiB"}
        try:
            ran = subprocess.run(
                [sys.executable, "-P", str(_PROGRAM)],
                input=json.dumps(asked).encode(),
                capture_output=True,
                env=child_environment(),
                timeout=_WAITING_SECONDS,
                check=False,
            )
            told = json.loads(ran.stdout) if ran.returncode == 0 else too_much
        except (subprocess.TimeoutExpired, ValueError):
            told = too_much
        if isinstance(told, dict):
            raise self._refusal(what, told["error"])
        rendered: list[dict[str, str]] = told
        return rendered

    def _refusal(self, what: str, reason: str) -> ModelError:
        return ModelError(
            f"the chat template of {self.model} {what} ({one_line(reason)}): use another model."
        )


def read_chat_template(model: Model, llama: Any) -> ChatTemplate:
    """Return the chat template that a loaded model has in its file.

    Raises:
        ModelError: It has none, or one that cannot be read.
    """
    source = llama.chat_template
    if not source:
        llama.close()
        raise ModelError(
            f"{model.name} has no chat template in its GGUF file, so it cannot be used as a chat model: "
            "use an instruction-tuned model."
        )
    bos, eos = llama.token_bos(), llama.token_eos()
    template = ChatTemplate(model.name, source, _token_text(llama, bos), _token_text(llama, eos))
    try:
        template.check()
    except ModelError:
        llama.close()
        raise
    return template


def _token_text(llama: Any, token: int) -> str:
    return str(llama._model.token_get_text(token)) if token >= 0 else ""
