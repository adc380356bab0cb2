"""How hard a server is pressed: turns, what makes them fewer or more, and rates, on a clock of its own."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from rag_evals.rag.llm.http.throttle import NoTurnError, Throttle, Turn


@dataclass
class Time:
    """A clock that moves when it is slept on, or turned."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def hands() -> Time:
    return Time()


def throttle_on(hands: Time, most: int = 16, **bounds: int) -> Throttle:
    return Throttle(most, clock=hands.clock, sleep=hands.sleep, **bounds)


def a_round(throttle: Throttle, hands: Time, seconds: float = 0.1, refused: int = 0) -> None:
    """As many calls as may be under way, started together and ending together; some are refused."""
    with ExitStack() as under_way:
        turns: list[Turn] = [under_way.enter_context(throttle.slot()) for _ in range(throttle.limit)]
        hands.now += seconds
        for number, turn in enumerate(turns):
            if number < refused:
                turn.overloaded()
            else:
                turn.succeeded()
    hands.now += 0.001


# --- turns ---


def test_no_more_calls_than_allowed():
    """However many threads call, no more than the bound are under way, and all of them get their turn."""
    throttle = Throttle(3)
    lock = threading.Lock()
    now, seen = 0, []

    def call(number: int) -> int:
        nonlocal now
        with throttle.slot() as turn:
            with lock:
                now += 1
                seen.append(now)
            time.sleep(0.002)
            with lock:
                now -= 1
            turn.succeeded()
        return number

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(call, range(60))) == list(range(60))
    assert max(seen) == 3
    assert throttle.limit == 3


def test_first_come_first_served():
    """A thread that calls again at once does not push ahead of one that waits."""
    throttle = Throttle(1)
    order: list[str] = []

    def wait() -> None:
        with throttle.slot():
            order.append("waiting")

    with throttle.slot():
        thread = threading.Thread(target=wait)
        thread.start()
        while not throttle._waiting:
            time.sleep(0.001)
    with throttle.slot():
        order.append("again")
    thread.join()
    assert order == ["waiting", "again"]


def test_a_wait_has_an_end():
    """A turn that does not come in time is given up, and leaves nobody waiting in its place."""
    throttle = Throttle(1)
    with throttle.slot():
        with pytest.raises(NoTurnError, match=r"^no turn within 0\.0 s$"), throttle.slot(within=0.01):
            pass
        assert not throttle._waiting
    with throttle.slot(within=0):
        pass


def test_an_error_gives_the_turn_back():
    """A call that raises leaves its place to the next one."""
    throttle = Throttle(1)
    for _ in range(2):
        with pytest.raises(KeyError), throttle.slot(within=0):
            raise KeyError


def test_more_may_be_allowed_while_some_wait():
    """Whoever waits goes ahead as soon as the bound is raised."""
    throttle = Throttle(1)
    went = threading.Event()

    def wait() -> None:
        with throttle.slot():
            went.set()

    with throttle.slot():
        thread = threading.Thread(target=wait)
        thread.start()
        assert not went.wait(0.02)
        throttle.allow(2)
        assert went.wait(5)
        thread.join()
    assert (throttle.most, throttle.limit) == (2, 2)


def test_none_at_once_is_refused():
    """A bound below one would wait for ever."""
    with pytest.raises(ValueError, match=r"^0 calls at once: at least 1$"):
        Throttle(0)


# --- overload ---


def test_a_server_that_refuses_all_gets_half(hands):
    """A burst of refusals to calls started together counts once; it never ends below one."""
    throttle = throttle_on(hands)
    limits = []
    for _ in range(6):
        a_round(throttle, hands, refused=16)
        limits.append(throttle.limit)
    assert limits == [8, 4, 2, 1, 1, 1]


def test_refusals_of_calls_begun_before_a_cut_count_for_nothing(hands):
    """They were sent under the old bound, and say nothing about the new one."""
    throttle = throttle_on(hands)
    with ExitStack() as under_way:
        early = [under_way.enter_context(throttle.slot()) for _ in range(16)]
        hands.now += 0.1
        for _ in range(16):
            early[0].overloaded()
        assert throttle.limit == 8
        hands.now += 0.1
        for turn in early:
            turn.overloaded()
    assert throttle.limit == 8


def test_a_few_refusals_cost_a_little(hands):
    """A few refusals among sixteen are no reason to halve: the cut is half of the refused share."""
    throttle = throttle_on(hands)
    a_round(throttle, hands, refused=1)
    assert throttle.limit == 15
    a_round(throttle, hands, refused=5)
    assert throttle.limit == 12


def test_refusals_at_random_leave_work_to_do(hands):
    """A server that refuses a tenth of the calls, however few these are, keeps a good share of them."""
    throttle = throttle_on(hands, most=64)
    chance = random.Random(5)
    seen = []
    for _ in range(400):
        a_round(throttle, hands, refused=sum(chance.random() < 0.1 for _ in range(throttle.limit)))
        seen.append(throttle.limit)
    assert 9 < sum(seen[100:]) / 300 < 30


def test_it_grows_back_by_one_a_round(hands):
    """Each round trip without trouble allows one more, up to the bound and no further."""
    throttle = throttle_on(hands, most=6)
    for _ in range(3):
        a_round(throttle, hands, refused=16)
    limits = []
    for _ in range(7):
        limits.append(throttle.limit)
        a_round(throttle, hands)
    assert limits == [1, 2, 3, 4, 5, 6, 6]


def test_a_server_with_little_room_is_found_out(hands):
    """Where a server refuses what is beyond five at once, the bound settles there."""
    throttle = throttle_on(hands, most=64)
    seen = []
    for _ in range(60):
        a_round(throttle, hands, refused=max(0, throttle.limit - 5))
        seen.append(throttle.limit)
    assert set(seen[-30:]) <= {5, 6}


def test_calls_that_say_nothing_change_nothing(hands):
    """A call that failed for a reason of its own is neither a success nor an overload."""
    throttle = throttle_on(hands, most=2)
    for _ in range(50):
        with throttle.slot():
            hands.now += 0.1
    assert throttle.limit == 2


# --- a server that becomes slow ---


def test_slow_replies_are_no_trouble(hands):
    """Six times as slow is a busy server: it gets no less, as it would serve no more for it."""
    throttle = throttle_on(hands)
    for seconds in (0.1, 0.6) * 40:
        a_round(throttle, hands, seconds)
        assert throttle.limit == 16


def test_a_healthy_mix_is_never_throttled(hands):
    """Verdicts of one token beside long generations, each scattering widely, are no slow server."""
    throttle = throttle_on(hands)
    chance = random.Random(3)
    for _ in range(1500):
        with ExitStack() as under_way:
            calls = []
            for _ in range(16):
                typical = 8.0 if chance.random() < 0.2 else 0.1
                turn = under_way.enter_context(throttle.slot())
                calls.append((typical * chance.lognormvariate(0, 0.8), turn))
            start = hands.now
            for seconds, turn in sorted(calls, key=lambda call: call[0]):
                hands.now = start + seconds
                turn.succeeded()
        assert throttle.limit == 16


# --- rates ---


def test_requests_are_spread_over_the_minute(hands):
    """From the first second on one request follows the other at the rate: no burst at the start."""
    throttle = throttle_on(hands, requests_per_minute=120)
    times = []
    for _ in range(5):
        with throttle.slot():
            times.append(hands.now - 100)
    assert times == pytest.approx([0, 0.5, 1, 1.5, 2])


def test_little_is_saved_up(hands):
    """After a pause a second's allowance may go out at once, no more."""
    throttle = throttle_on(hands, requests_per_minute=180)
    hands.now += 3600
    times = []
    for _ in range(6):
        with throttle.slot():
            times.append(hands.now - 3700)
    assert times == pytest.approx([0, 0, 0, 0, 1 / 3, 2 / 3])


def test_tokens_are_spread_as_well(hands):
    """A call that costs more than can be saved up goes through; those behind it wait for what it owes."""
    throttle = throttle_on(hands, tokens_per_minute=6000)
    times = []
    for tokens in (1000, 50, 50):
        with throttle.slot(tokens=tokens):
            times.append(hands.now - 100)
    assert times == pytest.approx([0, 10, 10.5])


def test_what_was_really_used_counts(hands):
    """An estimate that was too high gives back, one that was too low takes more."""
    throttle = throttle_on(hands, tokens_per_minute=6000)
    with throttle.slot(tokens=1000):
        pass
    throttle.correct(estimated=1000, used=200)
    with throttle.slot(tokens=100):
        assert hands.now - 100 == pytest.approx(2)
    throttle.correct(estimated=100, used=300)
    with throttle.slot():
        assert hands.now - 102 == pytest.approx(3)


def test_the_longer_wait_counts(hands):
    """With both bounds a call waits for the one that is further away, not for their sum."""
    throttle = throttle_on(hands, requests_per_minute=60, tokens_per_minute=600)
    for _ in range(2):
        with throttle.slot(tokens=30):
            pass
    assert hands.slept == pytest.approx([3])


def test_a_rate_that_leaves_no_time(hands):
    """A call that could not be made in time is refused at once, and takes nothing of the allowance."""
    throttle = throttle_on(hands, requests_per_minute=6)
    with throttle.slot():
        pass
    with pytest.raises(NoTurnError, match=r"^the next turn comes in 10\.0 s$"), throttle.slot(within=5):
        pass
    assert hands.slept == []
    with throttle.slot(within=11):
        pass
    assert hands.slept == pytest.approx([10])


def test_threads_do_not_exceed_the_rate():
    """Many threads at once are spaced like one, from when the allowance began."""
    began = time.monotonic()
    throttle = Throttle(16, requests_per_minute=60 * 200)
    starts: list[float] = []

    def call(_: int) -> None:
        with throttle.slot():
            starts.append(time.monotonic())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(40)))
    assert max(starts) - began >= 0.19


# --- left alone ---


def test_no_turn_while_the_server_is_to_be_left_alone(hands):
    """Every call waits for the longest pause that was asked for, and only then for its turn."""
    throttle = throttle_on(hands)
    throttle.hold(30)
    throttle.hold(20)
    assert throttle.held == 30
    with throttle.slot(within=1) as turn:
        assert turn.began == 130
    assert (hands.slept, throttle.held) == ([30], 0)


def test_a_hold_that_is_too_long(hands):
    """A pause beyond the bound is not waited for."""
    throttle = throttle_on(hands)
    throttle.hold(3600)
    with (
        pytest.raises(NoTurnError, match=r"^the server is at its limit for 3,600 s more$"),
        throttle.slot(longest_hold=900),
    ):
        pass
    assert hands.slept == []
