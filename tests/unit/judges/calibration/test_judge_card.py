"""Judge cards: what a file keeps, which one is found, and how a calibration makes a score."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.calibration.accuracy import Accuracy, Bin
from rag_evals.evals.judges.calibration.judge_card import (
    Calibration,
    JudgeCard,
    MetricCard,
    Trust,
    card_to_json,
    find_card,
    load_card,
)
from rag_evals.evals.judges.calibration.probe import fit_probe
from rag_evals.evals.judges.calibration.set_figures import Agreement, Figures, SetFigures
from rag_evals.evals.runs.score import from_json

LOGISTIC = Calibration("faithfulness", {"yes": 2.0, "words": 0.5}, -1.0, None, 0.6)
ISOTONIC = replace(LOGISTIC, metric="relevancy", curve=((-1.0, 0.1), (0.0, 0.4), (3.0, 0.9)))
MEASURED = Accuracy(
    count=40,
    positives=25,
    auroc=Interval(0.9, 0.8, 0.95),
    balanced_accuracy=Interval(0.85, 0.75, 0.92),
    threshold=0.6,
    sensitivity=Interval(0.88, 0.7, 0.96),
    specificity=Interval(0.8, 0.6, 0.93),
    calibration_error=0.07,
    bins=(Bin(0.1, 0.4, 20, 0.2, 0.25), Bin(0.5, 0.9, 20, 0.8, 1.0)),
)
METRIC = MetricCard(
    calibration=LOGISTIC,
    accuracy=MEASURED,
    at_half=Interval(0.8, 0.7, 0.9),
    plain=Interval(0.7, 0.6, 0.8),
    baselines={"words found": Interval(0.6, 0.5, 0.7), "brevity": Interval(0.5, 0.4, 0.6)},
    gains={"yes": 0.6, "words": 0.88},
    method={"logistic": 0.31, "isotonic": 0.4},
    coverage=0.95,
    seconds=0.5,
    tokens=120.0,
    sets=(
        SetFigures(
            "ragtruth",
            70,
            Figures(40, 25, Interval(0.9, 0.8, 0.95), Interval(0.8, 0.7, 0.9), 0.8, None, {"brevity": 0.7}),
            None,
            Agreement(12, 0.85, 0.4),
        ),
    ),
)
LABELS = {"name": "primer.jsonl", "digest": "d" * 64, "examples": 42, "sources": 9}
CARD = JudgeCard("choice (qwen)", "f" * 64, LABELS, (METRIC, replace(METRIC, calibration=ISOTONIC)))


def write(path: Path, card: JudgeCard = CARD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card_to_json(card), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_card(path)
    return str(caught.value)


# --- files ---


def test_a_probe_is_kept(tmp_path):
    """It says of a state what it said before, to the last digit, and is part of the card's digest."""
    states = [np.array([[1.0, 2.0], [0.5, -3.0]], dtype=np.float32), np.array([[0.0, 1.0]], dtype=np.float32)]
    probed = replace(LOGISTIC, probe=fit_probe(states, [1, 0], [[1, 1], [0]]))
    card = replace(CARD, metrics=(replace(METRIC, calibration=probed),))
    kept = load_card(write(tmp_path / "card.json", card))
    assert kept == card
    state = np.array([0.3, 0.7], dtype=np.float32)
    assert kept.metrics[0].calibration.value({}, state) == probed.value({}, state)
    assert kept.digest != replace(CARD, metrics=(METRIC,)).digest


def test_round_trip(tmp_path):
    """What is read back equals what was written, points of the curve and bins too."""
    loaded = load_card(write(tmp_path / "card.json"))
    assert loaded == CARD
    assert loaded.digest == CARD.digest
    assert loaded.metric("relevancy").calibration.curve == ISOTONIC.curve


def test_the_text_is_sorted_and_stable(tmp_path):
    """Keys are sorted, a card read back gives the same text, and the order of a mapping does not matter."""
    text = card_to_json(CARD)
    line = json.loads(text)
    assert text == json.dumps(line, indent=1, sort_keys=True) + "\n"
    assert list(line) == ["fingerprint", "judge", "labels", "metrics", "schema", "type", "version"]
    assert (line["type"], line["schema"], line["version"]) == ("judge-card", 2, CARD.digest)
    assert card_to_json(load_card(write(tmp_path / "card.json"))) == text
    turned = replace(CARD, labels=dict(reversed(LABELS.items())))
    assert card_to_json(turned) == text


def test_a_card_with_a_figure_that_is_no_number_is_not_written():
    """NaN is no JSON, and no figure."""
    broken = replace(CARD, metrics=(replace(METRIC, coverage=math.nan),))
    with pytest.raises(ValueError, match=r"^Out of range float values are not JSON compliant: nan$"):
        card_to_json(broken)


def changed(tmp_path: Path, **changes) -> Path:
    """Write the card with some keys changed; None takes a key away."""
    line = {**json.loads(card_to_json(CARD)), **changes}
    path = tmp_path / "card.json"
    path.write_text(json.dumps({key: value for key, value in line.items() if value is not None}))
    return path


def metric_without(key: str) -> list[dict]:
    line = json.loads(card_to_json(CARD))["metrics"][0]
    return [{name: value for name, value in line.items() if name != key}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "run"}, "its type is 'run'"),
        ({"type": None}, "'type' is missing"),
        ({"fingerprint": None}, "'fingerprint' is missing"),
        ({"labels": None}, "'labels' is missing"),
        ({"metrics": None}, "'metrics' is missing"),
        ({"metrics": metric_without("plain")}, "'plain' is missing"),
        ({"metrics": metric_without("accuracy")}, "'accuracy' is missing"),
    ],
)
def test_other_content_is_refused(tmp_path, changes, reason):
    """What is wrong is said, and how to get a card."""
    assert refusal(changed(tmp_path, **changes)) == (
        f"{tmp_path}/card.json is no judge card ({reason}): give a file that `rag-evals calibrate` wrote."
    )


@pytest.mark.parametrize("metrics", [3, [3], [[]], [{"calibration": 1}], metric_without("coverage")])
def test_metrics_of_another_form_are_refused(tmp_path, metrics):
    """Whatever stands there, it is no traceback."""
    message = refusal(changed(tmp_path, metrics=metrics))
    assert message.startswith(f"{tmp_path}/card.json is no judge card (")
    assert message.endswith("): give a file that `rag-evals calibrate` wrote.")


def test_baselines_of_another_form_are_refused(tmp_path):
    """A list where a mapping belongs is no traceback either."""
    (line, _) = json.loads(card_to_json(CARD))["metrics"]
    message = refusal(changed(tmp_path, metrics=[{**line, "baselines": [1]}]))
    assert message == (
        f"{tmp_path}/card.json is no judge card ('list' object has no attribute 'items'): give a file that "
        "`rag-evals calibrate` wrote."
    )


def test_an_older_card_is_read(tmp_path):
    """A card of the first schema has no figures by set, and says all else."""
    path = changed(tmp_path, schema=1, metrics=[metric_without("sets")[0]])
    assert load_card(path).metrics == (replace(METRIC, sets=()),)


def test_a_newer_card_is_refused(tmp_path):
    """A card of a later schema is told from one that is broken."""
    assert refusal(changed(tmp_path, schema=3)) == (
        f"{tmp_path}/card.json is from a newer version of rag-evals: upgrade, or calibrate anew."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "list indices must be integers or slices, not str"),
    ],
    ids=["empty", "broken off", "a list"],
)
def test_a_file_that_is_no_json_object(tmp_path, text, reason):
    """A file of another kind is refused with what Python says of it."""
    (tmp_path / "card.json").write_text(text)
    assert refusal(tmp_path / "card.json") == (
        f"{tmp_path}/card.json is no judge card ({reason}): give a file that `rag-evals calibrate` wrote."
    )


def test_no_such_file(tmp_path):
    """A file that cannot be read is named with the system's reason."""
    assert refusal(tmp_path / "gone.json") == f"{tmp_path}/gone.json: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory"


# --- finding ---


def test_the_first_folder_with_the_readers_card(tmp_path):
    """Folders in their order, files by name; a card of another reader is none of this one."""
    mine, bundled = tmp_path / "mine", tmp_path / "bundled"
    write(mine / "a.json", replace(CARD, fingerprint="other"))
    write(mine / "b.json", replace(CARD, judge="mine, b"))
    write(mine / "c.json", replace(CARD, judge="mine, c"))
    write(bundled / "a.json", replace(CARD, judge="bundled"))
    assert find_card(CARD.fingerprint, [tmp_path / "gone", mine, bundled]).judge == "mine, b"
    assert find_card(CARD.fingerprint, [bundled, mine]).judge == "bundled"
    assert find_card("third", [mine, bundled]) is None
    assert find_card(CARD.fingerprint, []) is None


def test_files_that_are_no_cards_are_passed_over(tmp_path):
    """Broken, newer, of another kind, a folder, a dangling link: the card behind them is found."""
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(card_to_json(CARD).replace('"schema": 1', '"schema": 2'))
    (tmp_path / "c.json").write_bytes(b"\xff\xfe")
    (tmp_path / "d.json").mkdir()
    (tmp_path / "e.json").symlink_to(tmp_path / "gone")
    write(tmp_path / "f.txt", replace(CARD, judge="no .json"))
    write(tmp_path / "z.json")
    assert find_card(CARD.fingerprint, [tmp_path]) == CARD


# --- scores ---


@pytest.mark.parametrize(
    ("features", "total"),
    [
        ({"yes": 1.0, "words": 0.4}, 1.2),
        ({"yes": 0.5}, 0.0),
        ({}, -1.0),
        ({"yes": 0.5, "unheard of": 99.0}, 0.0),
    ],
    ids=["all", "one missing", "none", "one more"],
)
def test_logistic(features, total):
    """The weighted sum through the logistic function; a feature that is missing counts 0."""
    assert LOGISTIC.value(features) == pytest.approx(1 / (1 + math.exp(-total)))


@pytest.mark.parametrize(("yes", "value"), [(1e6, 1.0), (-1e6, 0.0)])
def test_logistic_far_out(yes, value):
    """However far from 0 a feature is, the score is a number from 0 to 1."""
    assert LOGISTIC.value({"yes": yes}) == value


@pytest.mark.parametrize(
    ("total", "value"),
    [(-9.0, 0.1), (-1.0, 0.1), (-0.5, 0.25), (0.0, 0.4), (1.5, 0.65), (3.0, 0.9), (9.0, 0.9)],
    ids=["below", "first", "between", "point", "between later", "last", "above"],
)
def test_isotonic(total, value):
    """Linear between the points, and flat beyond the first and the last."""
    assert ISOTONIC.value({"yes": (total + 1.0) / 2.0}) == pytest.approx(value)


def test_isotonic_of_one_point():
    """A reader that says nothing may leave a single point: its score is the score of all."""
    flat = replace(ISOTONIC, curve=((0.0, 0.5),))
    assert [flat.value({"yes": yes}) for yes in (-1.0, 0.5, 2.0)] == [0.5, 0.5, 0.5]


# --- identity and trust ---


def test_the_digest_is_of_what_changes_a_score():
    """Another weight, curve or threshold is another card; other figures of the same calibration are not."""

    def digest_with(**changes) -> str:
        return replace(CARD, metrics=(replace(METRIC, **changes),)).digest

    same = digest_with()
    assert digest_with(accuracy=replace(MEASURED, count=41), coverage=0.5, seconds=9.0, gains={}) == same
    assert replace(CARD, metrics=(METRIC,), labels={}, judge="other").digest == same
    for change in (
        {"weights": {"yes": 2.1, "words": 0.5}},
        {"intercept": 0.0},
        {"curve": ((0.0, 0.5),)},
        {"threshold": 0.61},
    ):
        assert digest_with(calibration=replace(LOGISTIC, **change)) != same


def test_metrics_of_a_card():
    """A metric by its name, the thresholds of all; one that was not labelled is not there."""
    assert CARD.metric("faithfulness") is METRIC
    assert CARD.metric("refusal") is None
    assert CARD.thresholds == {"faithfulness": 0.6, "relevancy": 0.6}


def test_trust_is_counts():
    """Of 25 that should pass 22 did, of 15 that should fail 12: what a correction works with."""
    trust, _ = CARD.trust
    assert trust == Trust("faithfulness", 0.6, Interval(0.85, 0.75, 0.92), (22, 25), (12, 15))
    assert from_json(Trust, json.loads(json.dumps(asdict(trust)))) == trust
