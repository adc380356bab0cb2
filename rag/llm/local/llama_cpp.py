"""Local models run by llama.cpp, which read nothing twice that they have just read.

The key/value cache is fed and reused at the borders of prompt parts only, each part in blocks counted
from its own start. A part evaluated together with its prefix gives logits that differ in the last digits
(up to 0.25 was seen) from the same part evaluated apart, so part borders are what makes a warm and a
cold cache agree to the last bit.

llama.cpp could hold several prompts at once as sequences of one cache. They would share its cells, and the
same prompt in other cells adds up its attention in another order (logits differ by up to 0.8), so the cache
holds one prompt, and `kept_prefixes` keeps copies of what leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from rag_evals.rag.answer import Tokens
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.errors import ContextWindowError, ModelError
from rag_evals.rag.llm.local.chat_template import ChatTemplate, read_chat_template
from rag_evals.rag.llm.local.grammar import Grammar, Greedy, Logits, is_json
from rag_evals.rag.llm.local.hidden_states import HiddenStates
from rag_evals.rag.llm.local.kept_prefixes import Prefixes, Saved, TokenBlock, common, length_of
from rag_evals.rag.llm.local.loading import load_llama
from rag_evals.rag.llm.local.repetition import repeated_from
from rag_evals.rag.llm.protocol import Choice, Completion, Likelihood, Prompt, States
from rag_evals.rag.models.resolve import Model

# Tokens; the logits of one take 600 kB with a vocabulary of 150,000.
LIKELIHOOD_BATCH = 64


class LlamaCppModel:
    """A chat model in a GGUF file, run by llama.cpp in the process that calls it; loaded when first wanted.

    Decoding is greedy, so the same prompt gives the same tokens and the same probabilities, with a warm or a
    cold cache. It is called by one thread at a time.
    """

    def __init__(self, model: Model, config: LLMConfig) -> None:
        self.name = model.name
        self._model = model
        self._config = config
        self._loaded: tuple[Any, ChatTemplate] | None = None
        self._hidden: HiddenStates | None = None
        self._cached: list[TokenBlock] = []
        # The first of the cached blocks that went in in smaller batches than it otherwise does, if any did.
        self._in_pieces: int | None = None
        self._prefixes = Prefixes(config.kept_tokens)
        self._turns: dict[str, tuple[str, str]] = {}

    def load(self) -> None:
        """Load the model now, where it is not loaded yet.

        Raises:
            ModelError: The file cannot be loaded, has no chat template, or is larger than the free memory.
        """
        self._ready()

    def context_size(self) -> int:
        """Return the tokens that the context window holds."""
        # llama.cpp rounds n_ctx up to a multiple of 256, llama-cpp-python's own buffer does not.
        return min(self._config.n_ctx, int(self._llama.n_ctx()))

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text` as a prompt part."""
        return len(self._tokenize(text))

    def complete(
        self, prompt: Prompt, *, max_tokens: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Write the answer to `prompt`, greedily, until the model ends it or `max_tokens` are written.

        A text that goes round in circles ends there, and what it says again is left out of it. With a
        `schema` each token is the most probable of those that continue a JSON value of it, and the text ends
        with that value.

        Raises:
            ContextWindowError: Prompt and `max_tokens` do not fit the context window.
            ModelError: llama.cpp has no grammar for `schema`.
        """
        with Greedy() if schema is None else Grammar(self._llama, schema) as picker:
            tokens = self._feed(self.blocks(prompt), room=max_tokens)
            generated: list[int] = []
            pieces: list[str] = []
            while len(generated) < max_tokens:
                token = picker.best(self._logits())
                if self._is_end(token):
                    return Completion(self._text(generated), _with(tokens, generated), finished=True)
                generated.append(token)
                pieces.append(self._piece(token))
                if schema is not None and "}" in pieces[-1] and is_json(self._text(generated)):
                    return Completion(self._text(generated), _with(tokens, generated), finished=True)
                repeated = repeated_from(pieces)
                if repeated is not None:
                    text = self._text(generated[:repeated])
                    return Completion(text, _with(tokens, generated), finished=False)
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

        spellings = {option: self.spellings(option) for option in options}
        tokens = self._feed(self.blocks(prompt), room=1)
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
        last, tokens = self._come_to_last_part(prompt)
        logs = self._evaluate_for_logs(last)
        return Likelihood(tuple(logs), tokens)

    def states(self, prompt: Prompt) -> States:
        """Read the hidden states of the last part of `prompt`, at half the model's depth.

        A `choose` that goes on from the same parts reuses all of them.

        Raises:
            ContextWindowError: The prompt does not fit the context window.
            ModelError: The model's layers do not go by the names that llama.cpp gives them elsewhere.
        """
        import numpy as np

        last, tokens = self._come_to_last_part(prompt)
        assert self._hidden is not None, "it is there once the model is"
        with self._hidden.kept() as kept:
            self._read(last)
        states = np.concatenate(kept) if kept else np.empty(0, dtype=np.float32)
        if states.size != len(last) * self._llama.n_embd():
            raise ModelError(
                f"llama.cpp does not show the hidden states of {self.name}: judge by a model of another "
                "kind, or without a card that rests on them."
            )
        pieces = [bytes(self._llama.detokenize([token])) for token in last]
        return States(states.reshape(len(last), -1), token_spans(prompt.parts[-1], pieces), tokens)

    def _come_to_last_part(self, prompt: Prompt) -> tuple[TokenBlock, Tokens]:
        """Evaluate all of `prompt` that stands before its last part; return that part, and what all costs."""
        head, _ = self._around(prompt.system)
        blocks = [self._tokenize(head, template=True), *map(self._tokenize, prompt.parts)]
        *before, last = [tuple(block) for block in blocks if block]
        tokens = self._rewind([*before, last], room=0)
        for block in before[len(self._cached) :]:
            self._read(block)
        return last, tokens

    @property
    def _llama(self) -> Any:
        return self._ready()[0]

    @property
    def _template(self) -> ChatTemplate:
        return self._ready()[1]

    def _ready(self) -> tuple[Any, ChatTemplate]:
        if self._loaded is None:
            llama, self._hidden = load_llama(self._model, self._config)
            self._loaded = llama, read_chat_template(self._model, llama)
        return self._loaded

    def blocks(self, prompt: Prompt) -> list[TokenBlock]:
        """Tokenize `prompt`: the template's head, one block per part, the template's tail with the last.

        The tail goes with the last part because nothing is ever shared beyond it, and every block costs a
        pass over the weights.
        """
        head, tail = self._around(prompt.system)
        *shared, last = [self._tokenize(part) for part in prompt.parts]
        blocks = [self._tokenize(head, template=True), *shared, last + self._tokenize(tail, template=True)]
        return [tuple(block) for block in blocks if block]

    def _around(self, system: str) -> tuple[str, str]:
        """Return the template's text before and behind the user's words; rendered once for a system text."""
        if system not in self._turns:
            self._turns[system] = self._template.around_user_turn(system)
        return self._turns[system]

    def _tokenize(self, text: str, *, template: bool = False) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=template))

    def _feed(self, blocks: list[TokenBlock], *, room: int) -> Tokens:
        """Bring the cache to hold exactly `blocks`, evaluating only those behind the common ones."""
        tokens = self._rewind(blocks, room=room)
        for block in blocks[len(self._cached) : -1]:
            self._read(block)
        self._evaluate(blocks[-1])
        return tokens

    def _rewind(self, blocks: list[TokenBlock], *, room: int) -> Tokens:
        """Bring the cache to hold the longest known beginning of `blocks`; return what the rest will cost."""
        length = length_of(blocks)
        self._check_fits(length, room)
        # The last block is always evaluated: the logits behind it are what the caller wants.
        wanted = blocks[:-1]
        kept = common(self._cached, wanted)
        better = self._prefixes.longest(wanted, beyond=kept)
        # A block in pieces may go on to the verdict on it, and is not kept for anything else.
        whole = self._cached if self._in_pieces is None else self._cached[: self._in_pieces + 1]
        self._save(self._prefixes.worth_saving(whole, beyond=kept))
        if better:
            self._restore(better)
            kept = common(better.blocks, wanted)
        reused = length_of(blocks[:kept])
        if not self._llama._ctx.kv_cache_seq_rm(0, reused, -1):
            # Some architectures (recurrent, sliding window) cannot forget a tail: start over.
            self._llama._ctx.kv_cache_clear()
            kept = reused = 0
        self._cached = blocks[:kept]
        if self._in_pieces is not None and kept <= self._in_pieces:
            self._in_pieces = None
        self._llama.n_tokens = reused
        return Tokens(evaluated=length - reused, reused=reused)

    def _save(self, blocks: tuple[TokenBlock, ...]) -> None:
        """Copy the keys and values of `blocks`, which the cache begins with, to where they outlast it."""
        import llama_cpp
        import numpy as np

        llama = self._llama
        if not blocks or not llama._ctx.kv_cache_seq_rm(0, length_of(blocks), -1):
            return
        size = llama_cpp.llama_state_seq_get_size(llama.ctx, 0)
        state = np.empty(size, dtype=np.uint8)
        if llama_cpp.llama_state_seq_get_data(llama.ctx, _bytes_of(state), size, 0) == size:
            self._prefixes.keep(Saved(blocks, state))

    def _restore(self, saved: Saved) -> None:
        """Copy saved keys and values back; the cache then holds them and nothing else."""
        import llama_cpp

        llama = self._llama
        # An empty cache takes them into its first cells, where they were computed.
        llama_cpp.llama_memory_clear(llama._ctx.memory, False)
        if not llama_cpp.llama_state_seq_set_data(llama.ctx, _bytes_of(saved.state), saved.state.size, 0):
            raise ModelError(
                f"llama.cpp does not take back {length_of(saved.blocks):,} tokens that it gave away. "
                "Set kept_tokens = 0 for this model, and please report it."
            )

    def _read(self, block: TokenBlock) -> None:
        """Evaluate `block` for its keys and values alone.

        The logits behind it, which nobody wants, would take a pass over the whole vocabulary.
        """
        llama = self._llama
        for start in range(0, len(block), llama.n_batch):
            batch = block[start : start + llama.n_batch]
            llama._batch.set_batch(batch=batch, n_past=llama.n_tokens, logits_all=False)
            llama._batch.batch.logits[len(batch) - 1] = False
            llama._ctx.decode(llama._batch)
            llama.n_tokens += len(batch)
        self._cached.append(block)

    def _evaluate(self, block: TokenBlock) -> None:
        self._llama.eval(block)
        self._cached.append(block)

    def _evaluate_for_logs(self, block: TokenBlock) -> list[float]:
        """Evaluate `block`; return the log probability of each of its tokens but the first."""
        import numpy as np

        logs: list[float] = []
        size = min(LIKELIHOOD_BATCH, self._llama.n_batch)
        if min(len(block), self._llama.n_batch) > size and self._in_pieces is None:
            self._in_pieces = len(self._cached)
        for start in range(0, len(block), size):
            batch = block[start : start + size]
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
        excess = length + room - self.context_size()
        if excess > 0:
            raise ContextWindowError(
                f"the prompt has {length:,} tokens and {room:,} are wanted for the answer, but the context "
                f"window of {self.name} holds {self.context_size():,}: {excess:,} too many. "
                "Raise n_ctx, or lower context_tokens or top_k."
            )

    def _logits(self) -> Logits:
        """Logits behind the last evaluated token, shape (vocabulary,); valid until the next evaluation."""
        import numpy as np

        return np.ctypeslib.as_array(self._llama._ctx.get_logits_ith(-1), shape=(self._llama.n_vocab(),))

    def _is_end(self, token: int) -> bool:
        import llama_cpp

        return bool(llama_cpp.llama_vocab_is_eog(self._llama._model.vocab, token))

    def _piece(self, token: int) -> str:
        # A token may be half a character: such ones must not all look the same.
        return bytes(self._llama.detokenize([token])).decode(errors="backslashreplace")

    def _text(self, tokens: list[int]) -> str:
        return bytes(self._llama.detokenize(tokens)).decode(errors="replace").strip()

    def spellings(self, option: str) -> list[int]:
        """Return the tokens that spell `option` by themselves.

        Raises:
            ModelError: There is none.
        """
        words = (option.lower(), option.capitalize(), option.upper())
        spelled = [self._tokenize(space + word) for word in words for space in ("", " ")]
        ids = sorted({tokens[0] for tokens in spelled if len(tokens) == 1})
        if not ids:
            raise ModelError(
                f'{self.name} has no token of its own for the option "{option}": '
                "choose an option that is one short word, or another model."
            )
        return ids


def token_spans(text: str, pieces: Sequence[bytes]) -> tuple[tuple[int, int], ...]:
    """Return the offsets, in characters, of the tokens of `text` that are spelled as `pieces`.

    A character that several tokens share is in the span of each. There are none where the pieces do not spell
    the text, but for what a tokenizer puts before it.
    """
    data, spelled = text.encode(), b"".join(pieces)
    shift = spelled.find(data)
    if shift < 0:
        return ()
    # By the offset in bytes: how many characters have begun, and how many have ended.
    begun = [0, *accumulate(byte & 0xC0 != 0x80 for byte in data)]
    ended = [begun[at] - (at < len(data) and data[at] & 0xC0 == 0x80) for at in range(len(data) + 1)]
    borders = [min(max(at - shift, 0), len(data)) for at in accumulate(map(len, pieces), initial=0)]
    return tuple((ended[start], begun[end]) for start, end in pairwise(borders))


def _log_sum(logits: Logits) -> float:
    """Return the logarithm of the sum of the exponentials of `logits`."""
    import numpy as np

    top = logits.max()
    return float(top) + math.log(np.exp(logits - top).sum(dtype=np.float64))


def _bytes_of(state: Any) -> Any:
    """Return `state` as llama.cpp takes it, without a copy."""
    import ctypes

    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _with(tokens: Tokens, generated: list[int]) -> Tokens:
    """Add generated tokens; all but the last were evaluated as well, which `generated` stands for."""
    return tokens + Tokens(generated=len(generated))
