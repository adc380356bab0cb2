"""The commands `calibrate` and `doctor`: what the judge is worth, and whether it can run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_home, add_offline
from rag_evals.evals.engine.offline import forbid_connections
from rag_evals.evals.judges.build import (
    CARDS,
    FORMS,
    LABELS,
    JudgeModels,
    judge_for,
    scorer_for,
    taken_judge,
)
from rag_evals.evals.judges.calibration.calibrate import calibrate
from rag_evals.evals.judges.calibration.card_check import ENDING, reference_of, reference_to_json
from rag_evals.evals.judges.calibration.injections.check import METRIC, is_steady, run_canaries
from rag_evals.evals.judges.calibration.judge_card import card_to_json
from rag_evals.evals.judges.calibration.labels.examples import usable_metrics
from rag_evals.evals.judges.calibration.labels.sets import load_sets, sample, set_names
from rag_evals.evals.judges.calibration.probe import LEAST_FOR_PROBE
from rag_evals.evals.judges.calibration.readings import Readings
from rag_evals.evals.judges.judge import Scorer
from rag_evals.evals.judges.metrics import DEFAULT_THRESHOLD
from rag_evals.evals.plugin.session.criteria import criteria_at
from rag_evals.evals.plugin.session.option_values import parse_share
from rag_evals.evals.plugin.session.own_metrics import loaded, with_packages
from rag_evals.evals.reports.terminal.judge import canary_lines, card_lines
from rag_evals.rag.config import judge_llm_for, shared_config
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.native.diagnosis import diagnose
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.profile import profile_of


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `calibrate`."""
    parser.add_argument(
        "--labels",
        action="append",
        required=True,
        metavar="SET",
        help="label file, ragtruth:PATH or mtrag:PATH (docs/labels.md); may be given several times",
    )
    parser.add_argument(
        "--answers", type=int, metavar="N", help="judge at most N answers of each set, of whole sources"
    )
    parser.add_argument("--out", type=Path, help="file of the card (default: in the folder cards of --home)")
    parser.add_argument(
        "--false-pass",
        type=float,
        metavar="SHARE",
        help="set the threshold so that at most this share of bad answers passes",
    )
    parser.add_argument(
        "--criteria",
        type=Path,
        metavar="PATH",
        help="folder of the tests whose conftest.py lists criteria of your own, which labels name",
    )
    _add_judge(parser)
    parser.set_defaults(run=_calibrate)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument(
        "--build", action="store_true", help="only try whether llama.cpp works on this processor"
    )
    parser.add_argument(
        "--threshold", type=float, help="least score that passes (default: the card's, or 0.5)"
    )
    _add_judge(parser)
    parser.set_defaults(run=_doctor)


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--judge", default="choice", help=f"what judges: {FORMS}")
    parser.add_argument("--judge-model", metavar="MODEL", help="language model: name, path or URL")
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    add_offline(parser)
    add_home(parser, "cards")


def _judge_models(options: argparse.Namespace) -> JudgeModels:
    if options.offline:
        forbid_connections()
    config = shared_config(options.config)
    judging = judge_llm_for(options.config, config.llm, options.judge_model)
    return JudgeModels(Resources(offline=options.offline), replace(config, llm=judging))


def _judge(options: argparse.Namespace) -> tuple[str, JudgeModels]:
    """Return the judge that is asked for and what it is made of; what `auto` takes is said."""
    models = _judge_models(options)
    if options.judge != "auto":
        return options.judge, models
    taken = taken_judge(models, (options.home / "cards", CARDS))
    print(printable(taken.line))
    return taken.spec, models


def _calibrate(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    if options.false_pass is not None:
        parse_share("--false-pass", str(options.false_pass))
    known = with_packages(criteria_at(options.criteria) if options.criteria else ())
    examples = load_sets(options.labels, (*known.criteria, *known.offered))
    labelled = sorted({name for one in examples for name, _ in one.labels})
    known = loaded(known, labelled)
    if options.answers is not None:
        examples = sample(examples, options.answers)
    probes = sum(one.label_for("faithfulness") is not None for one in examples) >= LEAST_FOR_PROBE
    scorer = scorer_for(*_judge(options), reads_states=probes, criteria=known.criteria)
    is_own = set(labelled) <= set(known.criteria)
    out = _writable(options.out or options.home / "cards" / _card_name(scorer, labelled if is_own else ()))
    progress = partial(tqdm, desc="judging", unit="answer", disable=None, leave=False)
    names = ", ".join(set_names(examples))
    kept = options.home / "readings" / f"{scorer.fingerprint[:16]}.jsonl"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        card = calibrate(
            scorer,
            examples,
            name=names,
            false_pass=options.false_pass,
            progress=progress,
            readings=Readings(scorer, kept),
            known=known,
        )
    except OSError as error:
        raise UsageError(f"what was read cannot be kept in {kept}: {error.strerror}") from error
    out.write_text(card_to_json(card), encoding="utf-8")
    if not (probes or is_own):  # a server does not show the states that a probe reads
        _write_reference(scorer, out)
    print("\n".join(card_lines(card)))
    for problem in usable_metrics(examples)[1]:
        print(f"\nleft out: {printable(problem)}")
    print(f"\nkept for the next calibration: {printable(str(kept))}")
    print(f"card: {printable(str(out))}")
    return 0


def _card_name(scorer: Scorer, criteria: Sequence[str]) -> str:
    """Return the name of a card's file: those of criteria of one's own alone lie beside the others."""
    return ".".join([scorer.fingerprint[:16], *criteria, "json"])


def _write_reference(scorer: Scorer, card: Path) -> None:
    """Write beside the card of a local model what its weights say of some bundled examples."""
    llm = getattr(scorer, "llm", None)
    if isinstance(llm, LocalLLM):
        reference = reference_of(scorer, llm.file, LABELS)
        card.with_suffix(ENDING).write_text(reference_to_json(reference), encoding="utf-8")


def _writable(path: Path) -> Path:
    """Return `path` if it can be written: said before a run of many minutes, not behind it.

    Raises:
        UsageError: It cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise UsageError(f"the card cannot be written to {path}: {error.strerror}") from error
    return path


def _doctor(options: argparse.Namespace) -> int:
    diagnosis = diagnose()
    print("\n".join(map(printable, diagnosis.lines)), flush=True)
    if diagnosis.problem:
        raise ModelError(printable(diagnosis.problem))
    return 0 if options.build else _canaries(options)


def _canaries(options: argparse.Namespace) -> int:
    folders = (options.home / "cards", CARDS)
    judge = judge_for(*_judge(options), metrics=(METRIC,), folders=folders)
    threshold = options.threshold
    if threshold is None:
        threshold = profile_of(judge).thresholds.get(METRIC, DEFAULT_THRESHOLD)
    card = getattr(judge, "card", None)
    print(
        f"judge: {printable(judge.name)}, {'its card' if card else 'uncalibrated'}, threshold {threshold:.2f}"
    )
    print("Two or three minutes on a small machine.\n", flush=True)
    outcomes = run_canaries(judge, threshold)
    print("\n".join(canary_lines(outcomes)))
    return 0 if is_steady(outcomes) else 1
