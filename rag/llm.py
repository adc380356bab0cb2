"""Language models: the LLM protocol, and local llama.cpp models that reuse what they have already read.

Two calls are all the harness needs. `complete` writes text; `choose` reads the probability of each
offered option at the first answer position, which costs one forward pass and leaves nothing to parse.

The key/value cache is fed and reused at the borders of prompt parts only, each part in blocks counted
from its own start. A part evaluated together with its prefix gives logits that differ in the last digits
(up to 0.25 was seen) from the same part evaluated apart, so part borders are what makes a warm and a
cold cache agree to the last bit.
"""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import IOBase
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rag.answer import Tokens
from rag.config import LLMConfig
from rag.errors import ContextWindowError, ModelError
from rag.identity import digest
from rag.models import Model, resolve
from rag.threads import let_threads_sleep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Tokens; the logits of one take 600 kB with a vocabulary of 150,000.
LIKELIHOOD_BATCH = 64

SYSTEM = "You answer questions and check statements, using only the passages you are given."


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn in parts, and the system text before it.

    Every part is tokenized by itself and as plain text: a chat-template token written in a document is
    just letters. Put what several prompts share in the leading parts.
    """

    parts: tuple[str, ...]
    system: str = SYSTEM


@dataclass(frozen=True, slots=True)
class Completion:
    """Generated text; `finished` is False when it was cut at `max_tokens`."""

    text: str
    tokens: Tokens
    finished: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Probability of each option at the first answer position; with `other` they sum to 1.

    Attributes:
        probabilities: Probability by option.
        other: Probability of everything else.
        tokens: Tokens that the choice took.
        graded: False when a server gave text in place of probabilities: then one option has all of the
            probability, or none has any.
        text: The reply that an ungraded choice was read from, for the reason of a verdict that could not be
            had; None when graded.
    """

    probabilities: Mapping[str, float]
    other: float
    tokens: Tokens
    graded: bool = True
    text: str | None = None

    def share(self, option: str) -> float:
        """Give the probability of `option` against the other options alone; 0 where all have none."""
        offered = sum(self.probabilities.values())
        return self.probabilities[option] / offered if offered else 0.0


@runtime_checkable
class LLM(Protocol):
    """What the pipelines and the judges ask of a language model."""

    @property
    def name(self) -> str:
        """Name for people: the catalogue's name or the file's."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes a result."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as a prompt part."""

    def complete(self, prompt: Prompt, *, max_tokens: int) -> Completion:
        """Write the answer to `prompt`, greedily."""

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options` (single words) as the answer to `prompt`."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a text is to the model: the natural logarithm of the probability of each of its tokens."""

    logs: tuple[float, ...]
    tokens: Tokens


@runtime_checkable
class ReadsLikelihood(Protocol):
    """A model that also says how likely the words of its prompt are; servers seldom do."""

    def likelihood(self, prompt: Prompt) -> Likelihood:
        """Read how likely each token of the last part of `prompt` is behind what stands before it."""


class LocalLLM:
    """A chat model in a GGUF file, run by llama.cpp in this process.

    One call runs at a time, whichever thread it comes from. Decoding is greedy, so the same prompt gives
    the same tokens and the same probabilities, with a warm or a cold cache.

    Args:
        model: The resolved model file.
        config: Context size, threads, GPU layers.

    Raises:
        ModelError: The file cannot be loaded, or has no chat template.
    """

    def __init__(self, model: Model, config: LLMConfig) -> None:
        self.name = model.name
        self._model = model
        self._config = config
        self._llama = _load(model, config)
        self._template = _chat_template(model, self._llama)
        self._lock = threading.Lock()
        self._cached: list[tuple[int, ...]] = []

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, the library version and the settings that change a result."""
        import llama_cpp

        settings = {"n_gpu_layers": self._config.n_gpu_layers, "n_batch": self._config.n_batch}
        return digest({"weights": self._model.sha256, "llama_cpp": llama_cpp.__version__, **settings})

    @property
    def context_size(self) -> int:
        """Tokens the context window holds."""
        # llama.cpp rounds n_ctx up to a multiple of 256, llama-cpp-python's own buffer does not.
        return min(self._config.n_ctx, int(self._llama.n_ctx()))

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as a prompt part."""
        return len(self._tokenize(text))

    def complete(self, prompt: Prompt, *, max_tokens: int) -> Completion:
        """Write the answer to `prompt`, greedily, until the model ends it or `max_tokens` are written.

        Raises:
            ContextWindowError: Prompt and `max_tokens` do not fit the context window.
        """
        with self._lock:
            tokens = self._feed(self._blocks(prompt), room=max_tokens)
            generated: list[int] = []
            while len(generated) < max_tokens:
                token = int(self._logits().argmax())
                if self._is_end(token):
                    return Completion(self._text(generated), _with(tokens, generated), finished=True)
                generated.append(token)
                if len(generated) < max_tokens:
                    self._llama.eval([token])
            return Completion(self._text(generated), _with(tokens, generated), finished=False)

    def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Read the probability of each of `options` at the first answer position.

        An option's probability is the mass on the single tokens that spell it, in lower case, capitalized
        or upper case, with or without a leading space.

        Raises:
            ContextWindowError: The prompt does not fit the context window.
            ModelError: The model has no token of its own for an option.
        """
        import numpy as np

        spellings = {option: self._spellings(option) for option in options}
        with self._lock:
            tokens = self._feed(self._blocks(prompt), room=1)
            logits = self._logits().astype(np.float64)
        weights = np.exp(logits - logits.max())
        total = weights.sum()
        masses = {option: float(weights[ids].sum() / total) for option, ids in spellings.items()}
        return Choice(masses, max(0.0, 1.0 - sum(masses.values())), tokens)

    def likelihood(self, prompt: Prompt) -> Likelihood:
        """Read how likely each token of the last part of `prompt` is behind what stands before it.

        The part's first token is left out: what it follows may have been evaluated long ago. A `choose` that
        goes on from the same parts reuses all of them.

        Raises:
            ContextWindowError: The prompt does not fit the context window.
        """
        head, _ = self._template.around_user_turn(prompt.system)
        blocks = [self._tokenize(head, template=True), *map(self._tokenize, prompt.parts)]
        *before, last = [tuple(block) for block in blocks if block]
        with self._lock:
            tokens = self._rewind([*before, last], room=0)
            for block in before[len(self._cached) :]:
                self._evaluate(block)
            logs = self._evaluate_for_logs(last)
        return Likelihood(tuple(logs), tokens)

    def close(self) -> None:
        """Free the model's memory."""
        self._llama.close()

    def _blocks(self, prompt: Prompt) -> list[tuple[int, ...]]:
        """Tokenize `prompt`: the template's head, one block per part, the template's tail with the last.

        The tail goes with the last part because nothing is ever shared beyond it, and every block costs a
        pass over the weights.
        """
        head, tail = self._template.around_user_turn(prompt.system)
        *shared, last = [self._tokenize(part) for part in prompt.parts]
        blocks = [self._tokenize(head, template=True), *shared, last + self._tokenize(tail, template=True)]
        return [tuple(block) for block in blocks if block]

    def _tokenize(self, text: str, *, template: bool = False) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=template))

    def _feed(self, blocks: list[tuple[int, ...]], *, room: int) -> Tokens:
        """Bring the cache to hold exactly `blocks`, evaluating only those behind the common ones."""
        tokens = self._rewind(blocks, room=room)
        for block in blocks[len(self._cached) :]:
            self._evaluate(block)
        return tokens

    def _rewind(self, blocks: list[tuple[int, ...]], *, room: int) -> Tokens:
        """Drop from the cache what `blocks` do not begin with; say what they will cost."""
        length = sum(map(len, blocks))
        self._check_fits(length, room)
        # The last block is always evaluated: the logits behind it are what the caller wants.
        common = _common(self._cached, blocks[:-1])
        reused = sum(map(len, blocks[:common]))
        if not self._llama._ctx.kv_cache_seq_rm(0, reused, -1):
            # Some architectures (recurrent, sliding window) cannot forget a tail: start over.
            self._llama._ctx.kv_cache_clear()
            common = reused = 0
        self._cached = self._cached[:common]
        self._llama.n_tokens = reused
        return Tokens(evaluated=length - reused, reused=reused)

    def _evaluate(self, block: tuple[int, ...]) -> None:
        self._llama.eval(block)
        self._cached.append(block)

    def _evaluate_for_logs(self, block: tuple[int, ...]) -> list[float]:
        """Evaluate `block`; give the log probability of each of its tokens but the first."""
        import numpy as np

        logs: list[float] = []
        for start in range(0, len(block), LIKELIHOOD_BATCH):
            batch = block[start : start + LIKELIHOOD_BATCH]
            self._llama._batch.set_batch(batch=batch, n_past=self._llama.n_tokens, logits_all=True)
            self._llama._ctx.decode(self._llama._batch)
            self._llama.n_tokens += len(batch)
            logits = np.ctypeslib.as_array(
                self._llama._ctx.get_logits(), shape=(len(batch), self._llama.n_vocab())
            )
            following = block[start + 1 : start + 1 + len(batch)]
            logs += [float(row[token]) - _log_sum(row) for row, token in zip(logits, following, strict=False)]
        self._cached.append(block)
        return logs

    def _check_fits(self, length: int, room: int) -> None:
        excess = length + room - self.context_size
        if excess > 0:
            raise ContextWindowError(
                f"the prompt has {length:,} tokens and {room:,} are wanted for the answer, but the context "
                f"window of {self.name} holds {self.context_size:,}: {excess:,} too many. "
                "Raise n_ctx, or lower context_tokens or top_k."
            )

    def _logits(self) -> NDArray[np.float32]:
        """Logits behind the last evaluated token, shape (vocabulary,); valid until the next evaluation."""
        import numpy as np

        return np.ctypeslib.as_array(self._llama._ctx.get_logits_ith(-1), shape=(self._llama.n_vocab(),))

    def _is_end(self, token: int) -> bool:
        import llama_cpp

        return bool(llama_cpp.llama_vocab_is_eog(self._llama._model.vocab, token))

    def _text(self, tokens: list[int]) -> str:
        return bytes(self._llama.detokenize(tokens)).decode(errors="replace").strip()

    def _spellings(self, option: str) -> list[int]:
        words = (option.lower(), option.capitalize(), option.upper())
        spelled = [self._tokenize(space + word) for word in words for space in ("", " ")]
        ids = sorted({tokens[0] for tokens in spelled if len(tokens) == 1})
        if not ids:
            raise ModelError(
                f'{self.name} has no token of its own for the option "{option}": '
                "choose an option that is one short word, or another model."
            )
        return ids


@dataclass(frozen=True, slots=True)
class _Template:
    """The chat template of a GGUF file."""

    model: str
    source: str
    bos: str
    eos: str

    def around_user_turn(self, system: str) -> tuple[str, str]:
        """Render one system and one user turn; give the text before and behind the user's words.

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


def load_llm(config: LLMConfig, *, offline: bool = False) -> LLM:
    """Resolve the model that `config` names and load it, or make one that asks the server it names.

    Raises:
        ModelError: The model cannot be found, fetched, verified or loaded, or the server's address is wrong.
    """
    from rag import remote  # which imports this module

    if config.model.startswith(remote.PREFIX):
        return remote.remote_llm(config.model, offline=offline)
    return LocalLLM(resolve(config.model, offline=offline), config)


def _load(model: Model, config: LLMConfig) -> Any:
    let_threads_sleep()
    import llama_cpp
    from jinja2 import TemplateError

    _close_at_exit(llama_cpp._utils)
    try:
        return llama_cpp.Llama(
            str(model.path),
            n_ctx=config.n_ctx,
            n_batch=config.n_batch,
            n_ubatch=config.n_batch,
            n_threads=config.threads,
            n_threads_batch=config.threads,
            n_gpu_layers=config.n_gpu_layers,
            verbose=False,
        )
    except ValueError as error:
        raise ModelError(
            f"{model.path} is not a model that llama.cpp can load ({error}). "
            "Check it with `rag-evals models verify`, or give another file."
        ) from error
    except TemplateError as error:
        raise ModelError(
            f"the chat template of {model.name} cannot be read ({error}): use another model."
        ) from error


def _close_at_exit(module: ModuleType) -> None:
    """Close the files that `module` opened when it was imported.

    llama_cpp opens /dev/null twice and never closes it: where warnings are errors, each interpreter that
    loaded a model would end with two "Exception ignored in ... ResourceWarning".
    """
    for value in vars(module).values():
        if isinstance(value, IOBase):
            atexit.register(value.close)


def _chat_template(model: Model, llama: Any) -> _Template:
    source = llama.metadata.get("tokenizer.chat_template")
    if not source:
        llama.close()
        raise ModelError(
            f"{model.name} has no chat template in its GGUF file, so it cannot be used as a chat model: "
            "use an instruction-tuned model."
        )
    return _Template(
        model.name, source, _token_text(llama, llama.token_bos()), _token_text(llama, llama.token_eos())
    )


def _token_text(llama: Any, token: int) -> str:
    return str(llama._model.token_get_text(token)) if token >= 0 else ""


def _log_sum(logits: NDArray[np.float32]) -> float:
    """Give the logarithm of the sum of the exponentials of `logits`."""
    import numpy as np

    top = logits.max()
    return float(top) + math.log(np.exp(logits - top).sum(dtype=np.float64))


def _common(cached: list[tuple[int, ...]], wanted: list[tuple[int, ...]]) -> int:
    """Count the leading blocks that are equal."""
    count = 0
    for have, want in zip(cached, wanted, strict=False):
        if have != want:
            break
        count += 1
    return count


def _with(tokens: Tokens, generated: list[int]) -> Tokens:
    """Add generated tokens; all but the last were evaluated as well, which `generated` stands for."""
    return tokens + Tokens(generated=len(generated))
