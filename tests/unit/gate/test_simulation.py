"""How often the gate is wrong, and how often it sees what is there: seeded simulations of whole runs.

`pytest -s` prints the figures; docs/decisions/0010-gate-statistics.md quotes them.
"""

from __future__ import annotations

import functools
import math
import sys

import numpy as np
import pytest
from rag_evals.evals.base.intervals import Sample, mean_interval, quantile_interval, rate_interval, wilson
from rag_evals.evals.gate.paired import Pairs, difference, paired_verdict, reaches
from rag_evals.evals.gate.sequential import (
    EARLY_BLOCK,
    EARLY_BOUND,
    EARLY_PASS,
    END_LEVEL,
    EarlyDifference,
    Wealth,
    difference_at_end,
)
from rag_evals.evals.gate.verdict import Verdict
from scipy.special import ndtr

MARGIN = 0.05
TRIALS = 4000
SLOW_TRIALS = 2000


def say(line):
    sys.stdout.write(line + "\n")


def rates(seed, count, lost, gained, trials=TRIALS):
    """Return trials of changed verdicts: -1 newly failing, 1 newly passing."""
    drawn = np.random.default_rng(seed).random((trials, count))
    return np.where(drawn < lost, -1.0, np.where(drawn < lost + gained, 1.0, 0.0))


def scores(seed, count, drop, spread, trials=SLOW_TRIALS):
    """Return trials of paired differences of scores."""
    return np.random.default_rng(seed).normal(-drop, spread, (trials, count)).clip(-1, 1)


def flipped(lost, gained, count):
    same = (1.0,) * (count - lost - gained)
    before, after = (1.0,) * lost + (0.0,) * gained, (0.0,) * lost + (1.0,) * gained
    return Pairs(before + same, after + same, ("",) * count, "rate")


@functools.cache
def of_verdicts(lost, gained, count, compare):
    """Return the verdict on a run by its counts, which are all it depends on."""
    return paired_verdict(compare(flipped(lost, gained, count), margin=MARGIN), margin=MARGIN)


def of_scores(changes, compare, clusters=None):
    before = np.where(changes < 0, 1.0, 0.0)
    pairs = Pairs(tuple(before), tuple(before + changes), clusters or ("",) * len(changes), "score")
    return paired_verdict(compare(pairs, margin=MARGIN), margin=MARGIN)


def verdict_of(changes, kind, compare=difference):
    if kind == "score":
        return of_scores(changes, compare)
    return of_verdicts(int((changes < 0).sum()), int((changes > 0).sum()), len(changes), compare)


def shares(verdicts):
    return {verdict: verdicts.count(verdict) / len(verdicts) for verdict in Verdict}


def fixed(trials, kind):
    """Return the shares of verdicts when every question is asked."""
    return shares([verdict_of(changes, kind) for changes in trials])


def early(trials, kind):
    """Return the shares of verdicts when runs may stop early, and the mean share of questions asked."""
    stops = stopped(trials)
    verdicts = [
        verdict or verdict_of(changes, kind, difference_at_end)
        for changes, (verdict, _) in zip(trials, stops, strict=True)
    ]
    return shares(verdicts), float(np.mean([asked for _, asked in stops])) / trials.shape[1]


def stopped(trials):
    """Return each trial's early verdict (or None) and the questions asked: `EarlyDifference`, all at once."""
    rows, count = trials.shape
    above, below = Wealth(np.full(rows, (1 - MARGIN) / 2)), Wealth(np.full(rows, 0.5))
    found = [(None, count)] * rows
    sums = np.zeros(rows)
    for asked in range(1, count + 1):
        value = trials[:, asked - 1]
        sums += value
        above.add((1 + value) / 2)
        below.add((1 - value) / 2)
        is_block = (below.most >= math.log(1 / EARLY_BLOCK)) & reaches(sums / asked, MARGIN)
        is_pass = above.most >= math.log(1 / EARLY_PASS)
        for row in np.flatnonzero(is_block | is_pass):
            if found[row][0] is None:
                found[row] = (Verdict.BLOCK if is_block[row] else Verdict.PASS, asked)
    return found


def went_down(trials):
    """Return how often the plain rule blocks: the mean went down."""
    return float((trials.mean(axis=1) < 0).mean())


def told(name, found, asked=None):
    asking = "" if asked is None else f", {asked:.0%} of the questions"
    say(f"{name}: " + ", ".join(f"{verdict} {share:.4f}" for verdict, share in found.items()) + asking)
    return found


class TestVerdicts:
    def test_no_change(self):
        """One in ten verdicts flips, either way."""
        trials = rates(1, 100, 0.05, 0.05)
        found = told("rates, no change, 100", fixed(trials, "rate"))
        assert found["BLOCK"] <= 0.05
        plain = went_down(trials)
        say(f"  mean went down: BLOCK {plain:.4f}")
        assert 0.40 <= plain <= 0.50, "half of the runs, but for those whose flips are even"

    @pytest.mark.parametrize(("count", "least"), [(100, 0.60), (150, 0.80), (200, 0.90)])
    def test_down_by_a_tenth(self, count, least):
        trials = rates(2, count, 0.15, 0.05)
        found = told(f"rates, down 0.10, {count}", fixed(trials, "rate"))
        assert found["PASS"] <= 0.01
        assert found["BLOCK"] >= least

    @pytest.mark.parametrize("count", [50, 100, 200])
    def test_down_by_the_margin_passes_one_in_twenty(self, count):
        found = told(f"rates, down 0.05, {count}", fixed(rates(3, count, 0.08, 0.03), "rate"))
        assert found["PASS"] <= 0.06

    @pytest.mark.parametrize("flips", [5, 10, 20])
    def test_detectable_is_what_is_detected(self, flips):
        """A true drop as large as said is called BLOCK about 80 times in 100."""
        drop = difference(flipped(flips, flips, 100), margin=MARGIN).detectable
        share = max(flips / 50, drop)
        trials = rates(4, 100, (share + drop) / 2, (share - drop) / 2)
        found = told(f"detectable, {flips} and {flips} flips", fixed(trials, "rate"))
        assert found["BLOCK"] == pytest.approx(0.80, abs=0.02)


class TestScores:
    def test_no_change(self):
        trials = scores(5, 100, 0.0, 0.25)
        found = told("scores, no change, 100", fixed(trials, "score"))
        assert found["BLOCK"] <= 0.05
        plain = went_down(trials)
        say(f"  mean went down: BLOCK {plain:.4f}")
        assert 0.45 <= plain <= 0.55

    def test_no_change_of_the_mean_by_many_small_drops_and_a_few_large_gains(self):
        """Wilcoxon's test alone would block one run in eight."""
        drawn = np.random.default_rng(25).random((400, 50))
        trials = np.where(drawn < 0.1, 0.95, -0.95 / 9) + 0.01 * (drawn - 0.5)
        assert told("scores, skewed, 50", fixed(trials, "score"))["BLOCK"] <= 0.05

    def test_an_answer_in_twenty_breaks(self):
        """A drop of the margin that 40 questions hardly show: all the others are steady."""
        rng = np.random.default_rng(26)
        trials = rng.normal(0, 0.02, (400, 40)) - (rng.random((400, 40)) < 0.05)
        assert told("scores, rare break, 40", fixed(trials.clip(-1, 1), "score"))["PASS"] <= 0.05

    def test_down_by_a_tenth(self):
        found = told("scores, down 0.10, 100", fixed(scores(6, 100, 0.10, 0.25), "score"))
        assert found["PASS"] <= 0.01
        assert found["BLOCK"] >= 0.90

    @pytest.mark.parametrize("count", [20, 60, 150])
    def test_detectable_is_what_is_detected(self, count):
        """Where chance and the margin ask for the same drop, both together are met a little less often."""
        noise = scores(7, count, 0.0, 0.25, 1)[0]
        pairs = Pairs(tuple(-noise.clip(max=0)), tuple(noise.clip(min=0)), ("",) * count, "score")
        drop = difference(pairs, margin=MARGIN).detectable
        found = told(f"detectable, {count}", fixed(scores(8, count, drop, noise.std(ddof=1), 600), "score"))
        assert 0.72 <= found["BLOCK"] <= 0.84


class TestDocuments:
    """20 documents of 5 questions, alike in how they change."""

    CLUSTERS = tuple(f"{place // 5}.pdf" for place in range(100))

    def changes(self, seed, rows, drop):
        rng = np.random.default_rng(seed)
        shared = np.repeat(rng.normal(0, 0.1, (rows, 20)), 5, axis=1)
        return (shared + rng.normal(-drop, 0.15, (rows, 100))).clip(-1, 1)

    def verdicts(self, trials, clusters):
        return shares([of_scores(changes, difference, clusters) for changes in trials])

    def test_no_change(self):
        found = told("documents, no change", self.verdicts(self.changes(23, 250, 0.0), self.CLUSTERS))
        assert found["BLOCK"] <= 0.05

    def test_down_by_the_margin(self):
        trials = self.changes(24, 250, MARGIN)
        found = told("documents, down 0.05", self.verdicts(trials, self.CLUSTERS))
        ignored = told("documents ignored, down 0.05", self.verdicts(trials, ("",) * 100))
        assert found["PASS"] <= 0.07
        assert ignored["PASS"] > found["PASS"] + 0.02


class TestStoppingEarly:
    def test_is_what_the_class_does(self):
        trials = np.concatenate([rates(9, 200, 0.3, 0.05, 30), scores(10, 200, 0.0, 0.1, 30)])
        for changes, (verdict, asked) in zip(trials, stopped(trials), strict=True):
            one = EarlyDifference(MARGIN)
            undecided = 0
            for change in changes:
                undecided += one.verdict is None
                one.add(float(change < 0), float(change < 0) + change)
            assert (one.verdict, undecided) == (verdict, asked)

    def test_no_change(self):
        found, asked = early(rates(1, 100, 0.05, 0.05), "rate")
        told("early: rates, no change, 100", found, asked)
        assert found["BLOCK"] <= 0.05

    @pytest.mark.parametrize(("count", "least"), [(100, 0.60), (150, 0.80), (200, 0.90)])
    def test_down_by_a_tenth(self, count, least):
        found, asked = early(rates(2, count, 0.15, 0.05), "rate")
        told(f"early: rates, down 0.10, {count}", found, asked)
        assert found["PASS"] <= 0.01
        assert found["BLOCK"] >= least

    @pytest.mark.parametrize("count", [50, 100, 200])
    def test_down_by_the_margin_passes_one_in_twenty(self, count):
        found, asked = early(rates(3, count, 0.08, 0.03), "rate")
        told(f"early: rates, down 0.05, {count}", found, asked)
        assert found["PASS"] <= 0.05

    def test_scores_down_by_a_tenth(self):
        found, asked = early(scores(6, 100, 0.10, 0.25), "score")
        told("early: scores, down 0.10, 100", found, asked)
        assert found["PASS"] <= 0.01
        assert found["BLOCK"] >= 0.90

    @pytest.mark.parametrize(
        ("name", "trials", "kind", "verdict"),
        [
            ("rates, down 0.30, 200", rates(11, 200, 0.33, 0.03), "rate", "BLOCK"),
            ("rates, nothing flips, 200", rates(12, 200, 0.0, 0.0), "rate", "PASS"),
            ("rates, 2 in 100 flip, 200", rates(13, 200, 0.01, 0.01), "rate", "PASS"),
            ("rates, 4 in 100 flip, 400", rates(14, 400, 0.02, 0.02), "rate", "PASS"),
            ("scores, down 0.30, 200", scores(15, 200, 0.30, 0.25), "score", "BLOCK"),
            ("scores, no change, spread 0.1, 200", scores(16, 200, 0.0, 0.1), "score", "PASS"),
        ],
    )
    def test_clear_cases_ask_less(self, name, trials, kind, verdict):
        found, asked = early(trials, kind)
        told(f"early: {name}", found, asked)
        assert found[verdict] >= 0.95
        assert asked <= 0.70

    def test_bound(self):
        """At a rate of just the bound either verdict, early or at the end, comes in one run of forty."""
        values = (np.random.default_rng(17).random((TRIALS, 200)) < 0.85).astype(float)
        above, below = Wealth(np.full(TRIALS, 0.85)), Wealth(np.full(TRIALS, 0.15))
        for value in values.T:
            above.add(value)
            below.add(1 - value)
        enough = math.log(2 / EARLY_BOUND)
        ends = [rate_interval(Sample(tuple(row), ("",) * 200), level=END_LEVEL) for row in values]
        is_pass = (above.most >= enough) | [end.low > 0.85 for end in ends]
        is_block = (below.most >= enough) | [end.high < 0.85 for end in ends]
        say(f"early: bound: PASS {is_pass.mean():.4f}, BLOCK {is_block.mean():.4f}")
        assert max(is_pass.mean(), is_block.mean()) <= 0.03
        assert (is_pass | is_block).mean() <= 0.05


class TestCoverage:
    """How often intervals hold the truth: about 95 times in 100."""

    @pytest.mark.parametrize(("share", "count"), [(0.5, 50), (0.8, 100), (0.9, 100), (0.95, 200)])
    def test_rates(self, share, count):
        passed = np.random.default_rng(18).binomial(count, share, TRIALS)
        ends = [wilson(number / count, count) for number in range(count + 1)]
        assert np.mean([ends[number].low <= share <= ends[number].high for number in passed]) >= 0.93

    @pytest.mark.parametrize(("count", "least"), [(10, 0.91), (30, 0.93), (100, 0.93)])
    def test_means(self, count, least):
        """Scores as judges give them: many at 1, the others anywhere."""
        rng = np.random.default_rng(19)
        trials = np.where(rng.random((700, count)) < 0.6, 1.0, rng.random((700, count)))
        assert held(f"mean, {count}", trials, 0.8, mean_interval) >= least

    @pytest.mark.parametrize(("q", "count"), [(0.1, 20), (0.1, 100), (0.5, 50), (0.95, 20), (0.95, 200)])
    def test_quantiles(self, q, count):
        trials = np.random.default_rng(20).random((1000, count))
        give = functools.partial(quantile_interval, q=q)
        assert held(f"quantile {q}, {count}", trials, q, give) >= 0.945

    @pytest.mark.parametrize(("documents", "alike"), [(8, 0.1), (8, 0.3), (15, 0.3), (40, 0.3)])
    def test_documents(self, documents, alike):
        """Five questions a document, the answers of one document being alike."""
        trials, clusters = of_documents(21, 500, documents, alike)
        verdicts = (trials < 0.8).astype(float)
        found = (
            held(f"rate, {documents} documents", verdicts, 0.8, rate_interval, clusters),
            held(f"mean, {documents} documents", trials, 0.5, mean_interval, clusters),
            held(f"p10, {documents} documents", trials, 0.1, lambda s: quantile_interval(s, 0.1), clusters),
        )
        assert min(found) >= 0.925

    def test_documents_as_questions_hold_too_seldom(self):
        """What clusters are for: 40 documents whose questions are taken as 200 of their own."""
        trials, _ = of_documents(22, 500, 40, 0.3)
        assert held("mean, clusters ignored", trials, 0.5, mean_interval) <= 0.85


def of_documents(seed, rows, documents, alike, each=5):
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(rows, documents)), each, axis=1)
    own = rng.normal(size=(rows, documents * each))
    clusters = tuple(f"{place // each}.pdf" for place in range(documents * each))
    return ndtr(math.sqrt(alike) * shared + math.sqrt(1 - alike) * own), clusters


def held(name, trials, truth, give, clusters=None):
    clusters = clusters or ("",) * trials.shape[1]
    found = [give(Sample(tuple(row), clusters)) for row in trials]
    share = float(np.mean([each.low <= truth <= each.high for each in found]))
    say(f"{name}: {share:.3f} hold")
    return share
