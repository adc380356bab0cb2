"""A language model of 600 kB, written as a GGUF file: what the self-test runs.

One layer of the llama architecture, its weights random blocks of the quantised types that real models are
made of (Q4_K, Q6_K, Q8_0), in rows of 256: the kernels that llama.cpp picks by processor all have work to do.
The same bytes come out everywhere, so what the model computes is known: `LOGITS`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEADS, KEY_HEADS, INNER, WORDS = 256, 4, 2, 512, 320
EPSILON = 1e-5
ROPE_BASE = 10000.0
F32, Q8_0, Q4_K, Q6_K = 0, 8, 12, 14
ALIGNMENT = 32
_STRING, _ARRAY, _UINT32, _FLOAT32, _INT32 = 8, 9, 4, 6, 5

# A prompt long enough for the kernels of many tokens at once, and one token after it.
PROMPT = tuple(range(3, 43))
NEXT = 100
# The logits of the first 16 words after each, computed in float64 from the weights (a test does it again).
# llama.cpp rounds activations to eight bits on its way: 0.08 off with AVX-512. The logits deviate by 1.04.
LOGITS = (
    (1.91, 0.61, -0.2, 0.95, 1.42, 2.47, -1.34, 1.29, -0.07, 0.43, -0.99, -1.01, -2.44, 0.7, -0.2, -0.29),
    (0.88, 0.55, -0.04, -0.42, -0.22, 0.96, 0.11, -1.49, 0.35, 0.96, 0.19, -0.89, 0.15, -1.73, 1.14, 1.31),
)
TOLERANCE = 0.3


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a GGUF file: name, sizes with the row's first, type and bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: bytes


def write_model(path: Path) -> None:
    """Write the model to `path`."""
    tensors = list(model_tensors())
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(_FIELDS))]
    head += [_string(key) + value for key, value in _FIELDS.items()]
    offset = 0
    for tensor in tensors:
        head.append(_string(tensor.name) + struct.pack("<I", len(tensor.shape)))
        head.append(struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, tensor.kind, offset))
        offset += _padded(len(tensor.data))
    with path.open("wb") as file:
        for part in (b"".join(head), *(tensor.data for tensor in tensors)):
            file.write(part + bytes(_padded(len(part)) - len(part)))


def model_tensors() -> Iterator[Tensor]:
    """Yield the tensors of the model: the same ones every time."""
    rng = random.Random(20240229)
    keys = WIDTH // HEADS * KEY_HEADS
    yield _weights("token_embd", WIDTH, WORDS, Q8_0, rng)
    yield _ones("blk.0.attn_norm")
    yield _weights("blk.0.attn_q", WIDTH, WIDTH, Q4_K, rng)
    yield _weights("blk.0.attn_k", WIDTH, keys, Q8_0, rng)
    yield _weights("blk.0.attn_v", WIDTH, keys, Q6_K, rng)
    yield _weights("blk.0.attn_output", WIDTH, WIDTH, Q4_K, rng)
    yield _ones("blk.0.ffn_norm")
    yield _weights("blk.0.ffn_gate", WIDTH, INNER, Q4_K, rng)
    yield _weights("blk.0.ffn_up", WIDTH, INNER, Q8_0, rng)
    yield _weights("blk.0.ffn_down", INNER, WIDTH, Q6_K, rng)
    yield _ones("output_norm")
    yield _weights("output", WIDTH, WORDS, Q6_K, rng)


def _weights(name: str, row: int, rows: int, kind: int, rng: random.Random) -> Tensor:
    make, length = {Q8_0: (_block_q8_0, 32), Q4_K: (_block_q4_k, 256), Q6_K: (_block_q6_k, 256)}[kind]
    data = b"".join(make(rng) for _ in range(row * rows // length))
    return Tensor(f"{name}.weight", (row, rows), kind, data)


def _ones(name: str) -> Tensor:
    return Tensor(f"{name}.weight", (WIDTH,), F32, struct.pack("<f", 1.0) * WIDTH)


# The scales give the weights a mean of 0 and a deviation of about 1/16, that of 1/sqrt(256).
def _block_q8_0(rng: random.Random) -> bytes:
    return struct.pack("<e", 8.4e-4) + rng.randbytes(32)


def _block_q4_k(rng: random.Random) -> bytes:
    return struct.pack("<ee", 2.4e-4, 7.5 * 2.4e-4) + rng.randbytes(12 + 128)


def _block_q6_k(rng: random.Random) -> bytes:
    scales = bytes(byte & 31 for byte in rng.randbytes(16))
    return rng.randbytes(128 + 64) + scales + struct.pack("<e", 1.9e-4)


def _padded(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _text(text: str) -> bytes:
    return struct.pack("<I", _STRING) + _string(text)


def _number(value: float) -> bytes:
    kind, form = (_UINT32, "I") if isinstance(value, int) else (_FLOAT32, "f")
    return struct.pack(f"<I{form}", kind, value)


def _array(kind: int, items: list[bytes]) -> bytes:
    return struct.pack("<IIQ", _ARRAY, kind, len(items)) + b"".join(items)


def _words() -> list[str]:
    single = [f"<0x{byte:02X}>" for byte in range(256)]
    return ["<unk>", "<s>", "</s>", *single, *(f"word{n}" for n in range(WORDS - 259))]


# Kinds of tokens, as llama.cpp numbers them: 1 normal, 2 unknown, 3 control, 6 byte.
_KINDS = [2, 3, 3, *[6] * 256, *[1] * (WORDS - 259)]
_FIELDS = {
    "general.architecture": _text("llama"),
    "general.name": _text("self-test"),
    "general.alignment": _number(ALIGNMENT),
    "llama.block_count": _number(1),
    "llama.context_length": _number(256),
    "llama.embedding_length": _number(WIDTH),
    "llama.feed_forward_length": _number(INNER),
    "llama.attention.head_count": _number(HEADS),
    "llama.attention.head_count_kv": _number(KEY_HEADS),
    "llama.attention.layer_norm_rms_epsilon": _number(EPSILON),
    "llama.rope.freq_base": _number(ROPE_BASE),
    "tokenizer.ggml.model": _text("llama"),
    "tokenizer.ggml.tokens": _array(_STRING, [_string(word) for word in _words()]),
    "tokenizer.ggml.scores": _array(_FLOAT32, [struct.pack("<f", 0.0)] * WORDS),
    "tokenizer.ggml.token_type": _array(_INT32, [struct.pack("<i", kind) for kind in _KINDS]),
    "tokenizer.ggml.bos_token_id": _number(1),
    "tokenizer.ggml.eos_token_id": _number(2),
}
