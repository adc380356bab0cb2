"""Deciding early: bets that are rarely won by chance, verdicts that stay, and what is left for the end."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from rag_evals.evals.gate.paired import Pairs, difference
from rag_evals.evals.gate.sequential import END_LEVEL, EarlyBound, EarlyDifference, Wealth, difference_at_end
from rag_evals.evals.gate.verdict import Verdict

MARGIN = 0.05


def looks(decider, values):
    """Return the number of values after which a verdict stands, and the verdict."""
    for number, value in enumerate(values, 1):
        decider.add(*value) if isinstance(value, tuple) else decider.add(value)
        if decider.verdict is not None:
            return number, decider.verdict
    return None, None


class TestWealth:
    def test_by_hand(self):
        """At 0.5 there is nothing to bet on first; then the mean is 0.75 and the variance 0.05125."""
        wealth = Wealth(np.array([0.5]))
        wealth.add(1.0)
        assert wealth.most[0] == 0.0
        wealth.add(1.0)
        bet = min(0.25 / (0.05125 + 0.25**2), 0.75 / 0.5)
        assert wealth.most[0] == pytest.approx(math.log(1 + bet * 0.5))

    def test_keeps_its_greatest(self):
        wealth = Wealth(np.array([0.3]))
        for _ in range(20):
            wealth.add(1.0)
        most = wealth.most[0]
        for _ in range(20):
            wealth.add(0.0)
        assert wealth.most[0] == most

    def test_is_rarely_great_by_chance(self):
        """Ville: a bet against the true mean reaches 20 times its stake in at most one of twenty games."""
        values = np.random.default_rng(0).random((2000, 300)) < 0.8
        wealth = Wealth(np.full(2000, 0.8))
        for value in values.T:
            wealth.add(value.astype(float))
        assert np.mean(wealth.most >= math.log(20)) <= 0.05


class TestEarlyBound:
    def test_at_least_for_sure(self):
        number, verdict = looks(EarlyBound(0.8), [1.0] * 100)
        assert verdict is Verdict.PASS
        assert number < 50

    def test_below_for_sure(self):
        number, verdict = looks(EarlyBound(0.8), [1.0, 0.0] * 50)
        assert verdict is Verdict.BLOCK
        assert number < 60

    def test_not_yet(self):
        assert looks(EarlyBound(0.8), [1.0, 1.0, 1.0, 1.0, 0.0] * 40) == (None, None)

    def test_stays(self):
        decider = EarlyBound(0.5)
        looks(decider, [1.0] * 50)
        for _ in range(500):
            decider.add(0.0)
        assert decider.verdict is Verdict.PASS

    def test_many_conditions_take_longer(self):
        assert looks(EarlyBound(0.8, conditions=10), [1.0] * 100) > looks(EarlyBound(0.8), [1.0] * 100)

    def test_takes_no_time(self):
        values = np.random.default_rng(4).random(2000)
        decider = EarlyBound(0.5)
        started = time.perf_counter()
        for value in values:
            decider.add(value)
        assert (time.perf_counter() - started) / 2000 < 0.0002


class TestEarlyDifference:
    def test_block(self):
        number, verdict = looks(EarlyDifference(MARGIN), [(1.0, 0.0), (1.0, 1.0)] * 50)
        assert verdict is Verdict.BLOCK
        assert number < 40

    def test_pass(self):
        number, verdict = looks(EarlyDifference(MARGIN), [(1.0, 1.0)] * 200)
        assert verdict is Verdict.PASS
        assert 80 < number < 120

    def test_worse_for_sure_but_by_less_than_the_margin_is_no_block(self):
        values = [(0.9, 0.88)] * 2000
        assert looks(EarlyDifference(MARGIN), values)[1] is Verdict.PASS

    def test_many_comparisons_take_longer_to_block_not_to_pass(self):
        down, same = [(0.9, 0.6)] * 100, [(0.9, 0.9)] * 200
        one, many = EarlyDifference(MARGIN), EarlyDifference(MARGIN, comparisons=20)
        assert looks(many, down) > looks(one, down)
        assert looks(EarlyDifference(MARGIN), same) == looks(EarlyDifference(MARGIN, comparisons=20), same)

    def test_stays(self):
        decider = EarlyDifference(MARGIN)
        looks(decider, [(1.0, 0.0)] * 50)
        for _ in range(500):
            decider.add(0.0, 1.0)
        assert decider.verdict is Verdict.BLOCK


class TestAtEnd:
    PAIRS = Pairs((1.0,) * 100, (0.0,) * 8 + (1.0,) * 92, ("",) * 100, "rate")

    def test_is_harder(self):
        """The p-value is multiplied by 0.05 / 0.04, and bounds err in 3 and 4 of 100."""
        once, last = difference(self.PAIRS, margin=MARGIN), difference_at_end(self.PAIRS, margin=MARGIN)
        assert last.p_worse == pytest.approx(once.p_worse * 1.25)
        assert last.low < once.low < once.value == last.value < once.high < last.high
        assert last.low == difference(self.PAIRS, margin=MARGIN, bound_alpha=0.03).low
        assert last.high == difference(self.PAIRS, margin=MARGIN, alpha=0.04).high
        assert last.detectable >= once.detectable

    def test_p_is_at_most_one(self):
        same = Pairs((1.0,) * 20, (1.0,) * 20, ("",) * 20, "rate")
        assert difference_at_end(same, margin=MARGIN).p_worse == 1.0

    def test_level_of_intervals(self):
        assert pytest.approx(0.965) == END_LEVEL
