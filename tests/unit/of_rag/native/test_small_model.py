"""The small model of the self-test: what it must compute, worked out without llama.cpp."""

from __future__ import annotations

import numpy as np
import pytest
from rag_evals.rag.native.small_model import (
    EPSILON,
    F32,
    HEADS,
    KEY_HEADS,
    LOGITS,
    NEXT,
    PROMPT,
    Q4_K,
    Q6_K,
    Q8_0,
    ROPE_BASE,
    TOLERANCE,
    WIDTH,
    model_tensors,
    write_model,
)


def weights_of_q8_0(data):
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 34)
    return blocks[:, :2].copy().view(np.float16).astype(np.float64) * blocks[:, 2:].view(np.int8)


def weights_of_q4_k(data):
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 144)
    scale, least = (blocks[:, at : at + 2].copy().view(np.float16).astype(np.float64) for at in (0, 2))
    packed, numbers = blocks[:, 4:16], blocks[:, 16:].reshape(-1, 4, 32)
    # Six bits each: the first four scales and minima whole, the others' upper two bits beside those.
    low, high = packed[:, :8] & 63, packed[:, 8:]
    scales = np.hstack([low[:, :4], (high & 15) | ((packed[:, :4] >> 6) << 4)])
    minima = np.hstack([low[:, 4:], (high >> 4) | ((packed[:, 4:8] >> 6) << 4)])
    halves = np.stack([numbers & 15, numbers >> 4], axis=2).reshape(-1, 8, 32)
    return (scale * scales)[:, :, None] * halves - (least * minima)[:, :, None]


def weights_of_q6_k(data):
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 210)
    low, high = blocks[:, :128].reshape(-1, 2, 2, 32), blocks[:, 128:192].reshape(-1, 2, 1, 32)
    scales, scale = (
        blocks[:, 192:208].view(np.int8),
        blocks[:, 208:].copy().view(np.float16).astype(np.float64),
    )
    fours = np.concatenate([low & 15, low >> 4], axis=2)
    twos = np.concatenate([(high >> shift) & 3 for shift in (0, 2, 4, 6)], axis=2)
    numbers = (fours | (twos << 4)).astype(np.int64).reshape(-1, 16, 16) - 32
    return (scale * scales)[:, :, None] * numbers


def tensors():
    """The model's weights as plain numbers, by the layouts that GGUF documents."""
    read = {Q8_0: weights_of_q8_0, Q4_K: weights_of_q4_k, Q6_K: weights_of_q6_k}
    read[F32] = lambda data: np.frombuffer(data, np.float32).astype(np.float64)
    return {
        each.name.removesuffix(".weight"): read[each.kind](each.data).reshape(each.shape[::-1])
        for each in model_tensors()
    }


def normed(x):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)


def turned(x):
    """Rotary positions: neighbours are pairs."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None, None] * ROPE_BASE ** (-np.arange(half) / half)
    even, odd = x[..., 0::2], x[..., 1::2]
    pairs = [even * np.cos(angle) - odd * np.sin(angle), even * np.sin(angle) + odd * np.cos(angle)]
    return np.stack(pairs, axis=-1).reshape(x.shape)


def logits(tokens):
    """The logits after each token, in float64."""
    w = tensors()
    x = w["token_embd"][list(tokens)]
    h = normed(x)
    size = WIDTH // HEADS
    q, k, v = ((h @ w[f"blk.0.attn_{name}"].T).reshape(len(tokens), -1, size) for name in "qkv")
    k, v = (np.repeat(each, HEADS // KEY_HEADS, axis=1) for each in (turned(k), v))
    scores = np.einsum("ihd,jhd->hij", turned(q), k) / np.sqrt(size)
    scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    x = x + np.einsum("hij,jhd->ihd", share, v).reshape(len(tokens), -1) @ w["blk.0.attn_output"].T
    h = normed(x)
    gate, up = (h @ w[f"blk.0.ffn_{name}"].T for name in ("gate", "up"))
    x = x + (gate / (1 + np.exp(-gate)) * up) @ w["blk.0.ffn_down"].T
    return normed(x) @ w["output"].T


def test_logits_are_those_of_a_computation_without_llama_cpp():
    """What the self-test expects comes from the definition of the model, not from a build of llama.cpp."""
    computed = logits((*PROMPT, NEXT))[[-2, -1]]
    assert computed[:, : len(LOGITS[0])] == pytest.approx(np.array(LOGITS), abs=0.005)
    assert computed.std() > 3 * TOLERANCE


def test_the_file_is_the_same_every_time(tmp_path):
    write_model(tmp_path / "one.gguf")
    write_model(tmp_path / "two.gguf")
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()
    assert (tmp_path / "one.gguf").stat().st_size < 700_000
