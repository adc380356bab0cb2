"""Limits of a server: every form of a pause, what is waited for and how long, and quotas that are spent."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rag_evals.rag.errors import RemoteError
from rag_evals.rag.llm.deadline import deadline
from rag_evals.rag.llm.http.limits import RateLimit, is_spent, told_pause
from rag_evals.rag.llm.http.throttle import Throttle

from tests.servers.openai import Faults, Said, reply
from tests.unit.of_rag.llm.conftest import PROMPT

GEMINI = (
    '[{"error": {"code": 429, "message": "You exceeded your current quota. Please retry in 45.8379s.", '
    '"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "45s"}]}}]'
)


def message_of(call: Any) -> str:
    with pytest.raises(RemoteError) as caught:
        call()
    return str(caught.value)


# --- forms of a pause ---


@pytest.mark.parametrize(
    ("headers", "text", "pause"),
    [
        ({"Retry-After": "34"}, "", 34),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"Retry-After": "1m30s"}, "", 90),
        ({"retry-after-ms": "3000", "Retry-After": "4"}, "", 3),
        ({"Retry-After": "0"}, "Please try again in 12s.", 12),
        ({}, GEMINI, 45),
        ({}, '{"retryDelay": "34.5s"}', 34.5),
        ({}, '{"retry_after": 7}', 7),
        ({}, '{"retry_after_ms": 700}', 0.7),
        ({}, '{"error": {"message": "slow down"}, "retry-after": "8"}', 8),
        ({}, "Rate limit reached ... Please try again in 1m30s. Visit", 90),
        ({}, "Please try again in 7m12.5s", 432.5),
        ({}, "Please try again in 6ms.", 0.006),
        ({}, "try again in 12 s", 12),
        ({}, "Please retry after 22 seconds.", 22),
        ({}, "Retry your request after 1 minute and 5 seconds.", 65),
        ({}, "wait for 2 hours", 7200),
        ({}, "Your limit resets in 45 seconds", 45),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, "", 360),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "8.64s",
                "x-ratelimit-remaining-tokens": "900",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            "",
            8.64,
        ),
        ({"RateLimit-Reset": "17"}, "", 17),
        ({}, "Rate limit is 20 requests per 60 seconds; try again later", None),
        ({}, "try again in 5 more requests", None),
        ({}, "wait for the 3rd of 12 models", None),
        ({}, "", None),
        ({"retry-after-ms": "soon", "x-ratelimit-reset": "soon"}, "", None),
    ],
)
def test_a_pause_is_told_in_many_forms(headers, text, pause):
    """In a header, in a field of the body, in words, or as the time when an allowance is full again."""
    assert told_pause(headers, text) == pytest.approx(pause)


def test_a_pause_is_told_as_a_time():
    """OpenRouter tells milliseconds since the epoch, others seconds, Anthropic a time."""
    now = datetime.now(UTC)
    when = now + timedelta(seconds=300)
    for headers in (
        {"X-RateLimit-Reset": str(int(when.timestamp() * 1000))},
        {"X-RateLimit-Reset": str(int(when.timestamp()))},
        {"anthropic-ratelimit-requests-reset": when.isoformat()},
    ):
        assert told_pause(headers, "") == pytest.approx(300, abs=20)


# --- what is waited for ---


@pytest.mark.parametrize(
    ("headers", "text", "least"),
    [({"retry-after-ms": "3000"}, "", 3), ({}, GEMINI, 45), ({"Retry-After": "600"}, "", 600)],
)
def test_a_limit_is_waited_for(start, pauses, headers, text, least):
    """As long as the server says, and a little more."""
    llm, _ = start(Said(text, 429, headers=headers), reply("Two."))
    assert llm.complete(PROMPT, max_tokens=9).text == "Two."
    assert len(pauses.slept) == 1
    assert least <= pauses.slept[0] <= 1.2 * least


def test_a_limit_of_a_minute_loses_nothing(start, pauses):
    """Without a word of how long, the pauses grow; it is not given up after a few tries."""
    llm, server = start(lambda body: Said("", 429) if pauses.clock() < 400 else reply("Two."))
    assert llm.complete(PROMPT, max_tokens=9).text == "Two."
    assert 400 <= pauses.clock() <= 460
    assert len(server.asked) < 30


def test_a_limit_has_an_end(start, pauses):
    """A server that says nothing else for as long as a question may take is given up, then at once."""
    llm, server = start(lambda body: Said("later", 429))
    message = message_of(lambda: llm.complete(PROMPT, max_tokens=9))
    waited = sum(pauses.slept)
    assert message == (
        f"{server.url}/chat/completions answered HTTP 429: later (tried {len(server.asked)} times over "
        f"{waited:.1f} s; it has said nothing else for {waited:,.0f} s)\n"
        "The server is asked too often: try again later, or set requests_per_minute."
    )
    assert 840 <= waited <= 900
    assert "(tried once over 0.0 s; it has said nothing else for" in message_of(
        lambda: llm.complete(PROMPT, max_tokens=9)
    )


def test_a_limit_is_a_sign_of_life(start, pauses):
    """However often a server is at its limit: it gets the whole patience when it is in trouble."""
    said = iter([*[Said("", 503)] * 8 * 9, *[Said("", 429)] * 5, reply("Two."), Said("", 503), reply("Two.")])
    llm, _ = start(lambda body: next(said))
    for _ in range(9):
        message_of(lambda: llm.complete(PROMPT, max_tokens=9))
    assert [llm.complete(PROMPT, max_tokens=9).text for _ in range(2)] == ["Two.", "Two."]


def test_the_wait_for_a_limit_is_not_the_questions(start):
    """The clock of a question stands still meanwhile, and whoever shows how the run goes is told."""
    told: list[float] = []
    limited = Said("", 429, headers={"retry-after-ms": "300"})
    llm, _ = start(limited, Said(reply("Two."), seconds=0.1), sleep=time.sleep, clock=time.monotonic)
    with deadline(0.6, on_wait=told.append) as bound:
        assert llm.complete(PROMPT, max_tokens=9).text == "Two."
        assert bound.left == pytest.approx(0.5, abs=0.09)
    assert [0.3 <= seconds <= 0.36 for seconds in told] == [True]


def test_the_runs_end_bounds_the_wait(start, pauses):
    """A run that has to end is not held up by a limit beyond that."""
    llm, server = start(Said("", 429, headers={"Retry-After": "100"}))
    with deadline(900, latest=time.monotonic() + 60):
        assert message_of(lambda: llm.complete(PROMPT, max_tokens=9)) == (
            f"{server.url}/chat/completions answered HTTP 429: (nothing) "
            "(tried once over 0.0 s; it asks for a pause of 100 s; "
            "the question has no time left for another try)\n"
            "The server is asked too often: try again later, or set requests_per_minute."
        )
    assert pauses.slept == []


@pytest.mark.parametrize("retry_after", ["", "4"])
def test_all_calls_share_the_wait(start, retry_after):
    """An allowance that is used up is waited for together: nothing is lost, and few calls are refused."""
    faults = Faults(allowance=10, window=0.4, retry_after=retry_after)
    fast = {"sleep": lambda seconds: time.sleep(seconds / 10), "clock": lambda: time.monotonic() * 10}
    llm, server = start(lambda body: reply("Two."), faults=faults, throttle=Throttle(8, **fast), **fast)
    with ThreadPoolExecutor(24) as pool:
        texts = list(pool.map(lambda _: llm.complete(PROMPT, max_tokens=9).text, range(60)))
    assert texts == ["Two."] * 60
    assert len(server.asked) < (120 if retry_after else 300)


def test_one_refusal_among_answers_stops_nobody(pauses):
    """A refusal by chance is that call's; where the next one is refused as well, others need not ask."""
    limit = RateLimit(pauses.clock)
    assert [(limit.pause(None, asked_at=0) <= 1, limit.is_lasting) for _ in range(3)] == [(True, False)] * 3
    pauses.sleep(1)
    assert (1 <= limit.pause(None, asked_at=1) <= 2, limit.is_lasting, limit.seconds) == (True, True, 1)
    limit.end()
    assert (limit.is_lasting, limit.seconds) == (False, 0)


# --- spent ---


@pytest.mark.parametrize(
    ("status", "text", "pause", "is_over"),
    [
        (
            429,
            '{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}',
            None,
            True,
        ),
        (429, '{"error": {"code": "insufficient_quota"}}', 20.0, True),
        (429, "You exceeded your current quota, please check your plan and billing details.", None, True),
        (429, GEMINI, 45.0, False),
        (429, '{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}', 45.0, True),
        (429, "Rate limit exceeded: free-models-per-day", None, False),
        (429, "Limit 200 per day", None, True),
        (429, "Resource has been exhausted (e.g. check quota).", None, False),
        (429, "Rate limit reached for requests per minute", None, False),
        (402, "Insufficient Balance", None, True),
        (402, "over the spending budget in flight", 5.0, False),
        (400, '{"error": {"message": "Your credit balance is too low to access the API."}}', None, True),
        (403, '{"error": {"code": "insufficient_quota"}}', None, True),
        (400, "the prompt says: insufficient funds", None, False),
        (500, "insufficient_quota", None, False),
    ],
)
def test_a_quota_that_is_spent(status, text, pause, is_over):
    """No wait fills it; a limit that is over in a minute is another matter, whatever the server calls it."""
    assert is_spent(status, text, pause) is is_over


def test_a_spent_quota_ends_at_once(start, pauses):
    """With that word, and for the whole run."""
    quota = Said({"error": {"message": "You exceeded it.", "code": "insufficient_quota"}}, status=429)
    llm, server = start(quota)
    with pytest.raises(RemoteError) as caught:
        llm.complete(PROMPT, max_tokens=9)
    assert str(caught.value) == (
        f"{server.url}/chat/completions answered HTTP 429: "
        '{"error": {"message": "You exceeded it.", "code": "insufficient_quota"}}\n'
        "Its quota is spent: pay for more, or name another model."
    )
    assert caught.value.is_final
    assert (len(server.asked), pauses.slept) == (1, [])
