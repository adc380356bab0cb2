"""One run against another: by hand, against scipy and statsmodels, at the edges, and the rule itself."""

from __future__ import annotations

import time
from dataclasses import fields, replace

import numpy as np
import pytest
from rag_evals.evals.base.intervals import holm, wilson
from rag_evals.evals.gate.paired import Difference, Pairs, difference, paired_verdict, reaches, tango
from rag_evals.evals.gate.verdict import Verdict
from scipy.optimize import brentq
from scipy.stats import binom, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar

MARGIN = 0.05
Z = 1.6448536269514722


def verdicts(lost, gained, count, clusters=None):
    same = (1.0,) * (count - lost - gained)
    before, after = (1.0,) * lost + (0.0,) * gained, (0.0,) * lost + (1.0,) * gained
    return Pairs(before + same, after + same, clusters or ("",) * count, "rate")


def scores(changes, clusters=None, kind="score"):
    changes = np.asarray(changes, dtype=float)
    before = np.where(changes < 0, 1.0, 0.0)
    return Pairs(tuple(before), tuple(before + changes), clusters or ("",) * len(changes), kind)


def compared(pairs):
    return difference(pairs, margin=MARGIN)


def by_document(documents, each):
    return tuple(f"{number}.pdf" for number in range(documents) for _ in range(each))


class TestVerdicts:
    def test_figures(self):
        found = compared(verdicts(15, 5, 100))
        assert (found.count, found.before, found.after) == (100, 0.95, 0.85)
        assert found.value == pytest.approx(-0.10)

    def test_p_by_hand(self):
        """Four lost and one gained: (5 + 1) / 32."""
        assert compared(verdicts(4, 1, 20)).p_worse == pytest.approx(6 / 32)

    @pytest.mark.parametrize(("lost", "gained"), [(15, 5), (9, 2), (30, 29), (3, 0)])
    def test_p_is_half_of_statsmodels_two_sided_one(self, lost, gained):
        told = mcnemar([[70, lost], [gained, 10]], exact=True).pvalue
        found = compared(verdicts(lost, gained, 100)).p_worse
        assert found == pytest.approx(told / 2)

    def test_nothing_changed(self):
        found = compared(verdicts(0, 0, 100))
        assert (found.value, found.p_worse) == (0.0, 1.0)
        assert found.high == pytest.approx(wilson(0.0, 100, Z).high)
        assert found.low == -found.high

    def test_interval_is_where_the_score_test_rejects(self):
        """At each end the statistic of Tango 1998, with its likelihood maximised by search, is 1.645."""
        found = tango(15, 5, 100, Z)
        for end, sign in ((found.low, 1), (found.high, -1)):
            share = _likeliest_loss(15, 5, 100, end)
            statistic = (-10 - 100 * end) / np.sqrt(100 * (2 * share + end * (1 - end)))
            assert statistic == pytest.approx(sign * Z, abs=1e-4)

    def test_interval_mirrors(self):
        worse, better = tango(12, 3, 80, Z), tango(3, 12, 80, Z)
        assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))

    @pytest.mark.parametrize("count", [50, 100])
    def test_lower_bound_holds(self, count):
        """Exact, by enumeration: at a true drop of the margin about one run in twenty passes."""
        for gained in (0.0, 0.02, 0.05, 0.1):
            assert _share_of_passes(count, MARGIN + gained, gained) <= 0.055

    def test_repeats_are_scores(self):
        shares = scores((-0.5, 0.0, 0.5, -0.5, -0.5, -0.5, -1.0) * 3, kind="rate")
        assert compared(shares) == compared(replace(shares, kind="score"))


def _likeliest_loss(lost, gained, count, drift):
    """Return the share of losses where the log likelihood is flat, the share of gains being `drift` more."""

    def slope(share):
        same = 1 - 2 * share - drift
        return lost / share + gained / (share + drift) - 2 * (count - lost - gained) / same

    least, most = max(0.0, -drift) + 1e-9, (1 - drift) / 2 - 1e-9
    return brentq(slope, least, most)


def _share_of_passes(count, lost, gained):
    total = 0.0
    for changed in range(count + 1):
        chance = binom.pmf(changed, count, lost + gained)
        if chance < 1e-7:
            continue
        for down in range(changed + 1):
            if tango(down, changed - down, count, Z).low > -MARGIN:
                total += chance * binom.pmf(down, changed, lost / (lost + gained))
    return total


class TestScores:
    def test_p_is_scipys(self):
        changes = np.random.default_rng(0).normal(-0.05, 0.2, 60).clip(-1, 1)
        told = wilcoxon(changes, alternative="less").pvalue
        assert compared(scores(changes)).p_worse == pytest.approx(told)

    @pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
    def test_p_of_few_is_scipys_exact_one(self, count):
        changes = np.random.default_rng(count).normal(-0.1, 0.2, count)
        told = wilcoxon(changes, alternative="less", method="exact").pvalue
        assert compared(scores(changes)).p_worse == pytest.approx(told)

    def test_equal_changes_by_hand(self):
        """Three of -0.5 and one of 0.5: ranks all 2.5, and 5 of 16 flips are as low."""
        assert compared(scores((-0.5, -0.5, -0.5, 0.5))).p_worse == pytest.approx(5 / 16)

    def test_zeros_are_dropped(self):
        changes = np.random.default_rng(1).normal(-0.1, 0.2, 30).clip(-1, 1)
        assert compared(scores((*changes, *(0.0,) * 70))).p_worse == compared(scores(changes)).p_worse

    def test_rounding_is_no_change(self):
        found = compared(Pairs((0.3,) * 10, (0.1 + 0.2,) * 10, ("",) * 10, "score"))
        assert (found.value, found.p_worse) == (0.0, 1.0)

    @pytest.mark.parametrize("change", [0.0, -0.2, 0.3])
    def test_equal_changes_are_not_certain(self, change):
        found = compared(scores((change,) * 20))
        others = wilson(0.0, 20, Z).high
        assert found.value == pytest.approx(change)
        assert found.low == pytest.approx(change - others * (1 + change))
        assert found.high == pytest.approx(change + others * (1 - change))

    def test_few_steady_scores_exclude_no_rare_break(self):
        """Of 20 scores that hardly moved, an answer in twenty may still break; of 200 not."""
        rng = np.random.default_rng(8)
        few, many = (compared(scores(rng.normal(0, 0.02, count))) for count in (20, 200))
        assert few.low == pytest.approx(few.value - wilson(0.0, 20, Z).high * (1 + few.value))
        assert few.high < 0.02
        assert paired_verdict(few, margin=MARGIN) is Verdict.INCONCLUSIVE
        assert paired_verdict(many, margin=MARGIN) is Verdict.PASS

    def test_a_normal_spread(self):
        """A 90 % interval of 100 normal differences is about 1.66 standard errors wide on either side."""
        changes = np.random.default_rng(2).normal(-0.1, 0.15, 100)
        found = compared(scores(changes))
        error = changes.std(ddof=1) / 10
        assert found.low == pytest.approx(changes.mean() - 1.66 * error, abs=0.1 * error)
        assert found.high == pytest.approx(changes.mean() + 1.66 * error, abs=0.1 * error)


class TestDocuments:
    def test_flips_whole_documents(self):
        """Eight documents of which all fell: 1 of 256 flips, however many questions they have."""
        found = compared(verdicts(40, 0, 40, by_document(8, 5)))
        assert found.p_worse == pytest.approx(1 / 256)

    def test_is_mcnemars_where_documents_have_one_changed_verdict_each(self):
        clusters = by_document(12, 2)
        before = (1.0, 1.0) * 12
        after = (0.0, 1.0) * 10 + (1.0, 1.0) * 2
        found = compared(Pairs(before, after, clusters, "rate"))
        assert found.p_worse == pytest.approx(compared(verdicts(10, 0, 24)).p_worse)

    @pytest.mark.parametrize("kind", ["rate", "score"])
    def test_answers_alike_widen(self, kind):
        fell = np.repeat(np.random.default_rng(3).random(20) < 0.3, 5).astype(float)
        plain = compared(scores(-fell, kind=kind))
        clustered = compared(scores(-fell, by_document(20, 5), kind))
        assert clustered.low < plain.low
        assert clustered.high > plain.high
        assert clustered.p_worse > plain.p_worse
        assert clustered.detectable > plain.detectable

    def test_one_document_leaves_the_questions(self):
        assert compared(verdicts(5, 2, 40, ("a.pdf",) * 40)) == compared(verdicts(5, 2, 40))


class TestEdges:
    def test_no_pairs(self):
        found = compared(Pairs((), (), (), "rate"))
        assert found == Difference(0, 0.0, 0.0, 0.0, -1.0, 1.0, 1.0, None)
        assert paired_verdict(found, margin=MARGIN) is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize("change", [-1.0, -0.4, 0.0, 0.4, 1.0])
    @pytest.mark.parametrize("kind", ["rate", "score"])
    def test_one_pair_decides_nothing(self, change, kind):
        found = compared(scores((change,), kind=kind))
        assert paired_verdict(found, margin=MARGIN) is Verdict.INCONCLUSIVE
        assert found.detectable is None

    @pytest.mark.parametrize("kind", ["rate", "score"])
    @pytest.mark.parametrize("count", [*range(16), 50, 600])
    def test_figures_are_figures(self, count, kind):
        rng = np.random.default_rng(count)
        for changes in (
            rng.integers(-1, 2, count),
            rng.normal(0, 0.2, count).clip(-1, 1),
            np.zeros(count),
            np.ones(count),
            -np.ones(count),
            np.append(np.zeros(max(0, count - 1)), -1.0),
        ):
            clusters = tuple(f"{place % 7}.pdf" for place in range(len(changes)))
            for pairs in (scores(changes, kind=kind), scores(changes, clusters, kind)):
                found = compared(pairs)
                numbers = [getattr(found, field.name) for field in fields(found)]
                assert all(number is None or np.isfinite(number) for number in numbers)
                assert -1 <= found.low <= found.value <= found.high <= 1
                assert 0 <= found.p_worse <= 1
                assert found.detectable is None or MARGIN < found.detectable <= 1

    def test_same_every_time(self):
        pairs = scores(np.random.default_rng(5).normal(0, 0.2, 50), by_document(10, 5))
        assert compared(pairs) == compared(pairs)

    def test_takes_no_time(self):
        """A run makes one comparison for each metric, pipeline and tag."""
        changes = np.random.default_rng(6).normal(0, 0.2, 400).clip(-1, 1)
        compared(scores(changes))
        started = time.perf_counter()
        for _ in range(5):
            compared(scores(changes))
        assert (time.perf_counter() - started) / 5 < 0.25, "about 0.03 s on one core"


class TestDetectable:
    def test_fewer_than_five_questions_detect_nothing(self):
        assert compared(verdicts(4, 0, 4)).detectable is None
        assert compared(scores((-0.5, -0.2, -0.3, -0.1))).detectable is None

    def test_no_verdict_changed(self):
        """With 100 questions five losses are needed: 0.0663 makes five or more in 80 runs of 100."""
        found = compared(verdicts(0, 0, 100)).detectable
        assert binom.sf(4, 100, found) == pytest.approx(0.80, abs=0.005)

    def test_falls_with_questions_and_rises_with_flips(self):
        by_count = [
            compared(verdicts(count // 20, count // 20, count)).detectable for count in (40, 100, 400)
        ]
        by_flips = [compared(verdicts(flips, flips, 100)).detectable for flips in (0, 2, 5, 10, 20)]
        assert by_count == sorted(by_count, reverse=True)
        assert by_flips == sorted(by_flips)

    def test_is_never_below_the_margin(self):
        changes = np.random.default_rng(7).normal(0, 0.01, 1000)
        assert MARGIN < difference(scores(changes), margin=MARGIN).detectable < 0.051


class TestDecide:
    BASE = Difference(100, 0.9, 0.8, -0.1, -0.15, -0.05, 0.01, 0.1)

    def test_block(self):
        assert paired_verdict(self.BASE, margin=MARGIN) is Verdict.BLOCK

    def test_worse_by_less_than_the_margin(self):
        found = replace(self.BASE, value=-0.04, low=-0.06)
        assert paired_verdict(found, margin=MARGIN) is Verdict.INCONCLUSIVE

    def test_worse_by_chance(self):
        assert paired_verdict(replace(self.BASE, p_worse=0.05), margin=MARGIN) is Verdict.INCONCLUSIVE

    def test_worse_for_sure_and_yet_not_inferior(self):
        found = replace(self.BASE, value=-0.02, low=-0.03, p_worse=0.001)
        assert paired_verdict(found, margin=MARGIN) is Verdict.PASS

    def test_lower_bound_at_the_margin_does_not_pass(self):
        found = replace(self.BASE, value=0.0, low=-0.05, p_worse=0.5)
        assert paired_verdict(found, margin=MARGIN) is Verdict.INCONCLUSIVE

    def test_a_drop_of_just_the_margin_blocks(self):
        """0.80 - 0.85 is -0.04999999999999993."""
        assert paired_verdict(replace(self.BASE, value=0.80 - 0.85), margin=MARGIN) is Verdict.BLOCK
        assert reaches(0.80 - 0.85, 0.05)
        assert not reaches(-0.0499, 0.05)

    def test_many_small_drops_and_a_few_large_gains_are_no_drop(self):
        """Wilcoxon's p is tiny, the mean may well be 0."""
        found = compared(scores((-0.25,) * 24 + (0.9,) * 4))
        assert found.value < -MARGIN
        assert found.p_worse < 0.05
        assert found.high > 0
        assert paired_verdict(found, margin=MARGIN) is Verdict.INCONCLUSIVE

    def test_adjusted_p_counts(self):
        adjusted = holm([self.BASE.p_worse] * 6)[0]
        assert paired_verdict(self.BASE, margin=MARGIN, p_adjusted=adjusted) is Verdict.INCONCLUSIVE
