"""Settings: what is read from where, and what is said of values that are wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.answers.masking import Mask
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.gate.condition import parse_condition
from rag_evals.evals.judges.metrics import METRICS, checked_thresholds
from rag_evals.evals.plugin.session.option_values import (
    parse_choice,
    parse_count,
    parse_number,
    parse_refresh,
    parse_share,
    parse_thresholds,
)
from rag_evals.evals.plugin.session.options import OPTIONS
from rag_evals.evals.plugin.session.settings import Settings, check_gate, check_settings, settings_from
from rag_evals.evals.questions.shard import Shard
from rag_evals.evals.trackers.otlp import parse_collector
from rag_evals.evals.trackers.wandb.reference import parse_project


@dataclass
class Config:
    """What `settings_from` asks of pytest's configuration."""

    rootpath: Path
    options: dict[str, Any] = field(default_factory=dict)
    ini: dict[str, Any] = field(default_factory=dict)

    @property
    def invocation_params(self):
        return self

    @property
    def dir(self):
        return self.rootpath / "sub"

    def getoption(self, name):
        return self.options.get(name)

    def getini(self, name):
        defaults = {option.ini: option.default for option in OPTIONS}
        return self.ini.get(name, defaults[name])


def settings(*, ini=(), **options) -> Settings:
    return settings_from(Config(Path("/project"), options, dict(ini)))


def problem(call, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    return str(caught.value)


# --- reading ---


# What the ini file may say of each option, and the setting that comes of nothing and of that.
EXAMPLES = {
    "evals_pipelines": ("pipelines", ("baseline", "auto_merging"), ["mine"], ("mine",)),
    "evals_questions": (
        "questions",
        (),
        ["q/*.jsonl", "/abs/*.txt"],
        ("/project/q/*.jsonl", "/abs/*.txt"),
    ),
    "evals_answers": ("answers", (), ["a/*.jsonl"], ("/project/a/*.jsonl",)),
    "evals_mask": ("mask", None, ["emails"], Mask(("emails",))),
    "evals_sample": ("sample", 0, "200", 200),
    "evals_seed": ("seed", 0, "7", 7),
    "evals_stratify": ("stratify", "", "channel", "channel"),
    "evals_generate": ("generate", 0, "20", 20),
    "evals_docs": ("docs", None, "docs", Path("/project/docs")),
    "evals_ocr": ("ocr", None, "ocr.sh {file} {page}", "ocr.sh {file} {page}"),
    "evals_follow_links": ("follow_links", False, True, True),
    "evals_mode": ("rules.mode", "strict", "report", "report"),
    "evals_gate": (
        "rules.conditions",
        (),
        ["pass_rate >= 0.9", "coverage >= 0.95"],
        (parse_condition("pass_rate >= 0.9"), parse_condition("coverage >= 0.95")),
    ),
    "evals_inconclusive": ("rules.inconclusive", "warn", "block", "block"),
    "evals_baseline": ("baseline", None, "main", "main"),
    "evals_baselines": ("baselines", Path("/project/evals-baselines"), "kept", Path("/project/kept")),
    "evals_margin": ("rules.margin", 0.05, "0.1", 0.1),
    "evals_update_baseline": ("update_baseline", False, True, True),
    "evals_rejudge": ("rejudge", False, True, True),
    "evals_repeat": ("repeat", 1, "3", 3),
    "evals_judge_repeat": ("judge_repeat", 1, "2", 2),
    "evals_stop_early": ("rules.stop_early", False, True, True),
    "evals_html": ("html", None, "report.html", Path("/project/report.html")),
    "evals_thresholds": ("thresholds", {}, ["faithfulness=0.7"], {"faithfulness": 0.7}),
    "evals_metrics": (
        "metrics",
        ("faithfulness", "relevancy", "refusal"),
        ["correctness", "faithfulness,correctness"],
        ("correctness", "faithfulness"),
    ),
    "evals_retrieval_metrics": (
        "retrieval_metrics",
        ("retrieval.recall@8", "retrieval.ndcg@10", "retrieval.mrr"),
        ["retrieval.hit@3,retrieval.map"],
        ("retrieval.hit@3", "retrieval.map"),
    ),
    "evals_tau": ("tau", 0.5, "0.8", 0.8),
    "evals_only": ("only", None, "retrieval", "retrieval"),
    "evals_max_unscored": ("rules.max_unscored", 0.1, "0", 0.0),
    "evals_model": ("model", None, "small", "small"),
    "evals_judge": ("judge", "choice", "llamaindex", "llamaindex"),
    "evals_judge_model": ("judge_model", None, "large", "large"),
    "evals_judge_card": ("judge_card", None, "card.json", Path("/project/card.json")),
    "evals_reasons": ("reasons", False, True, True),
    "evals_judge_floor": ("rules.judge_floor", 0.7, "0.6", 0.6),
    "evals_labels": ("labels", (), ["labels.jsonl"], (Path("/project/labels.jsonl"),)),
    "evals_config": ("config", None, "p.toml", Path("/project/p.toml")),
    "evals_offline": ("offline", False, True, True),
    "evals_mask_texts": ("mask_texts", False, True, True),
    "evals_home": ("home", Path("/project/.rag-evals"), "/runs", Path("/runs")),
    "evals_no_cache": ("cache", True, True, False),
    "evals_refresh": ("refresh", (), "all", ("answers", "scores")),
    "evals_cache_size": ("cache_mebibytes", 1024, "0.5", 0.5),
    "evals_concurrency": ("concurrency", 0, "64", 64),
    "evals_ray": ("cluster.address", None, "10.0.0.1:6379", "10.0.0.1:6379"),
    "evals_ray_actors": ("cluster.actors", 0, "8", 8),
    "evals_ray_resources": ("cluster.resources", {}, "num_gpus=0.5", {"num_gpus": 0.5}),
    "evals_ray_config": ("cluster.config", None, "ray.toml", Path("/project/ray.toml")),
    "evals_timeout": ("timeout", 900, "0", None),
    "evals_shard": ("shard", None, "2/5", Shard(2, 5)),
    "evals_continue": ("goes_on", None, "latest", "latest"),
    "evals_plan": ("plan", False, True, True),
    "evals_max_cost": ("bounds.usd", None, "1.5", 1.5),
    "evals_max_minutes": ("bounds.minutes", None, "0", 0),
    "evals_prices": ("prices", None, "prices.toml", Path("/project/prices.toml")),
    "evals_traces": ("traces", False, True, True),
    "evals_otlp": ("trackers.otlp", None, "wandb", "wandb"),
    "evals_wandb": ("trackers.wandb", None, " team/rag ", "team/rag"),
    "evals_wandb_runs": ("trackers.wandb_runs", "session", "pipeline", "pipeline"),
    "evals_trackers": ("trackers.others", (), ["mlflow, wandb"], ("mlflow", "wandb")),
    "evals_tracker_wait": ("trackers.wait", 10, "2.5", 2.5),
    "evals_tracker_max_wait": ("trackers.max_wait", 120, "600", 600),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_options(name):
    """Without anything said a setting is its default; paths of the ini file start from its folder."""
    field, default, said, value = EXAMPLES[name]
    assert attrgetter(field)(settings()) == default
    assert attrgetter(field)(settings(ini={name: said})) == value


def test_every_option_is_a_setting():
    """Each option has an example above, in the order of `--help`, and makes a setting of its own."""
    assert [option.ini for option in OPTIONS] == list(EXAMPLES)
    assert [option.field for option in OPTIONS] == [field for field, *_ in EXAMPLES.values()]
    parts = {"rules", "bounds", "trackers", "cluster"}
    names = [name for name in Settings.__dataclass_fields__ if name not in {"root", "known", *parts}]
    names += [
        f"{part}.{name}" for part in parts for name in attrgetter(part)(settings()).__dataclass_fields__
    ]
    assert sorted(option.field for option in OPTIONS) == sorted(names)


def test_all_trackers():
    """W&B and a collector that are asked for are trackers; one named twice is told once."""
    read = settings(ini={name: EXAMPLES[name][2] for name in ("evals_otlp", "evals_wandb", "evals_trackers")})
    assert read.trackers.names == ("wandb", "otlp", "mlflow")


def test_what_is_sent_is_kept():
    """Whoever sends traces keeps them, too."""
    assert [settings(ini=ini).is_traced for ini in ({}, {"evals_traces": True}, {"evals_otlp": "wandb"})] == [
        False,
        True,
        True,
    ]


def test_command_line_wins_and_starts_from_where_one_stands():
    """The command line replaces the ini file's values; its paths start from the current folder."""
    read = settings(
        ini={
            "evals_questions": ["q.jsonl"],
            "evals_docs": "docs",
            "evals_home": "runs",
            "evals_max_unscored": "1",
        },
        evals_questions=["more.jsonl"],
        evals_docs="here",
        evals_home="there",
        evals_max_unscored="0.25",
    )
    assert read.questions == ("/project/sub/more.jsonl",)
    assert (read.docs, read.home) == (Path("/project/sub/here"), Path("/project/sub/there"))
    assert read.rules.max_unscored == 0.25


@pytest.mark.parametrize(
    ("ini", "line", "asked"),
    [
        ({"evals_generate": "20"}, {}, (["/project/q.jsonl"], 20)),
        ({}, {"evals_generate": "5"}, ([], 5)),
        ({"evals_generate": "20"}, {"evals_questions": ["more.jsonl"]}, (["/project/sub/more.jsonl"], 0)),
        ({}, {"evals_generate": "5", "evals_questions": ["more.jsonl"]}, (["/project/sub/more.jsonl"], 5)),
        ({"evals_generate": "20"}, {"evals_generate": "0"}, (["/project/q.jsonl"], 0)),
    ],
)
def test_questions_of_the_command_line_are_all_there_are(ini, line, asked):
    """Whoever names files, or has questions generated, on the command line asks none of the ini file."""
    read = settings(ini={"evals_questions": ["q.jsonl"], **ini}, **line)
    assert (list(read.questions), read.generate) == asked


@pytest.mark.parametrize(
    ("ini", "line", "asked"),
    [
        ({"evals_questions": ["q.jsonl"], "evals_generate": "5"}, {"evals_answers": ["a.jsonl"]}, (1, 0, 0)),
        ({"evals_questions": ["q.jsonl"], "evals_answers": ["a.jsonl"]}, {}, (1, 0, 0)),
        ({"evals_answers": ["a.jsonl"]}, {"evals_questions": ["q.jsonl"]}, (0, 1, 0)),
        ({"evals_answers": ["a.jsonl"]}, {"evals_generate": "5"}, (0, 0, 5)),
        ({"evals_answers": ["a.jsonl"]}, {"evals_pipelines": ["mine"]}, (1, 0, 0)),
    ],
)
def test_logs_take_the_place_of_questions(ini, line, asked):
    """Nothing is asked where answers are there already; what the command line says wins."""
    read = settings(ini=ini, **line)
    assert (len(read.answers), len(read.questions), read.generate) == asked


def test_thresholds_of_the_command_line_change_single_ones():
    """A threshold on the command line replaces that one of the ini file and leaves the others."""
    read = settings(
        ini={"evals_thresholds": ["faithfulness=0.7", "relevancy=0.6"]},
        evals_thresholds=["relevancy=0.9", "relevancy = 0.8"],
    )
    assert read.thresholds == {"faithfulness": 0.7, "relevancy": 0.8}


def test_pipelines_are_told_with_commas_or_one_by_one():
    """Names may be given in one option or several, with blanks; one given twice is evaluated once."""
    read = settings(evals_pipelines=["baseline, mine", "other,", " ", "mine"])
    assert read.pipelines == ("baseline", "mine", "other")


def test_folder_names_are_no_patterns():
    """Brackets in the name of the project's folder are not taken for a pattern."""
    config = Config(Path("/project [old]"), ini={"evals_questions": ["q*.jsonl"]})
    assert settings_from(config).questions == ("/project [[]old]/q*.jsonl",)


def test_thresholds_cannot_be_changed():
    """Settings are a value: what one test does to them cannot reach another."""
    with pytest.raises(TypeError):
        settings().thresholds["relevancy"] = 0.0


def test_options_and_ini_values_have_one_name():
    """Each option is spelled alike on the command line and in the ini file."""
    assert [(option.flag, option.ini) for option in OPTIONS if "-" in option.name] == [
        ("--evals-follow-links", "evals_follow_links"),
        ("--evals-update-baseline", "evals_update_baseline"),
        ("--evals-judge-repeat", "evals_judge_repeat"),
        ("--evals-stop-early", "evals_stop_early"),
        ("--evals-retrieval-metrics", "evals_retrieval_metrics"),
        ("--evals-max-unscored", "evals_max_unscored"),
        ("--evals-judge-model", "evals_judge_model"),
        ("--evals-judge-card", "evals_judge_card"),
        ("--evals-judge-floor", "evals_judge_floor"),
        ("--evals-mask-texts", "evals_mask_texts"),
        ("--evals-no-cache", "evals_no_cache"),
        ("--evals-cache-size", "evals_cache_size"),
        ("--evals-ray-actors", "evals_ray_actors"),
        ("--evals-ray-resources", "evals_ray_resources"),
        ("--evals-ray-config", "evals_ray_config"),
        ("--evals-max-cost", "evals_max_cost"),
        ("--evals-max-minutes", "evals_max_minutes"),
        ("--evals-wandb-runs", "evals_wandb_runs"),
        ("--evals-tracker-wait", "evals_tracker_wait"),
        ("--evals-tracker-max-wait", "evals_tracker_max_wait"),
    ]


# --- refusing ---


@pytest.mark.parametrize(
    ("text", "message"),
    [("0", "evals_repeat = 0: at least 1"), ("1.5", "evals_repeat = 1.5: not a whole number")],
)
def test_wrong_counts(text, message):
    """A number of times is whole and at least 1."""
    assert problem(parse_count, "evals_repeat", text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/b/c", r"evals_wandb = a/b/c: a name has none of / \ # ? % :: give PROJECT or ENTITY/PROJECT"),
        ("a:b", r"evals_wandb = a:b: a name has none of / \ # ? % :: give PROJECT or ENTITY/PROJECT"),
        ("/rag", "evals_wandb = /rag: give PROJECT or ENTITY/PROJECT"),
        ("team/", "evals_wandb = team/: give PROJECT or ENTITY/PROJECT"),
        ("x" * 129, "evals_wandb: the name of the project has 129 characters, and W&B takes 128"),
    ],
)
def test_wrong_projects(text, message):
    """What W&B would not take is said before anything runs."""
    assert problem(parse_project, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "localhost:4318",
            "evals_otlp = localhost:4318: give wandb, or a URL such as http://localhost:4318/v1/traces",
        ),
        (
            "https://me:pw@host/v1/traces",
            "evals_otlp: there is a credential in the URL, which would be recorded: "
            "set OTEL_EXPORTER_OTLP_HEADERS instead",
        ),
    ],
)
def test_wrong_collectors(text, message):
    """Where traces go is a URL that may be recorded, or W&B."""
    assert problem(parse_collector, text) == message


EARLY = {"evals_stop_early": True, "evals_gate": ["pass_rate >= 0.9"]}


@pytest.mark.parametrize(
    ("ini", "message"),
    [
        ({"evals_otlp": "wandb"}, "evals_otlp = wandb: say which project with --evals-wandb ENTITY/PROJECT"),
        (
            {"evals_stop_early": True},
            "evals_stop_early: there is nothing to decide: give --evals-gate or --evals-baseline",
        ),
        (
            {**EARLY, "evals_repeat": "2", "evals_shard": "1/2", "evals_rejudge": True},
            "evals_stop_early takes one question after the other, without evals_repeat, evals_shard, "
            "evals_rejudge",
        ),
    ],
)
def test_options_that_do_not_go_together(ini, message):
    """What one option needs, or cannot have, of others is said before anything runs."""
    assert problem(check_settings, settings(ini=ini)) == message


def test_early_stop_in_parallel():
    """Workers do not take one question after the other."""
    with pytest.raises(UsageError) as caught:
        check_settings(settings(ini=EARLY), is_parallel=True)
    assert str(caught.value) == "evals_stop_early takes one question after the other, without -n"
    check_settings(settings(ini=EARLY))


def test_a_cluster_takes_no_workers():
    """It works on many questions at once itself."""
    with pytest.raises(UsageError) as caught:
        check_settings(settings(ini={"evals_ray": "auto"}), is_parallel=True)
    assert str(caught.value) == "evals_ray: the cluster works on many questions at once; leave out -n"
    check_settings(settings(ini={"evals_ray": "auto", "evals_answers": "a.jsonl", "evals_rejudge": True}))


def test_a_gate_needs_something_to_hold():
    """A run that is to decide is held to a condition of an option or a mark, or to a baseline."""
    assert problem(check_gate, settings(ini={"evals_mode": "gate"}), ()) == (
        "evals_mode = gate, but there is nothing to hold the run to: give --evals-gate CONDITION, "
        "such as 'pass_rate >= 0.9', or --evals-baseline RUN"
    )
    check_gate(settings(ini={"evals_mode": "gate"}), [parse_condition("pass_rate >= 0.9")])
    for name in ("evals_gate", "evals_baseline", "evals_update_baseline"):
        check_gate(settings(ini={"evals_mode": "gate", name: EXAMPLES[name][2]}), ())
    check_gate(settings(), ())


@pytest.mark.parametrize("text", ["Strict", "", "reports"])
def test_unknown_mode(text):
    """A mode that does not exist is named with those that do."""
    assert (
        problem(parse_choice, "mode", text, ("strict", "gate"))
        == f"unknown mode {text!r}: one of strict, gate"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faithfulness", "threshold 'faithfulness': write METRIC=VALUE, such as faithfulness=0.7"),
        ("", "threshold '': write METRIC=VALUE, such as faithfulness=0.7"),
        ("faithfulness=", "threshold faithfulness = : not a number"),
        ("faithfulness=high", "threshold faithfulness = high: not a number"),
        ("faithfulness=0,7", "threshold faithfulness = 0,7: not a number"),
        ("faithfulness = 1.2", "threshold faithfulness = 1.2 is outside 0..1"),
        ("faithfulness=-0.1", "threshold faithfulness = -0.1 is outside 0..1"),
        ("faithfulness=nan", "threshold faithfulness = nan is outside 0..1"),
        ("faithfulness=inf", "threshold faithfulness = inf is outside 0..1"),
        (
            "faithfullness=0.7",
            "unknown metric 'faithfullness' in a threshold, did you mean 'faithfulness'?",
        ),
        (
            "tone=0.7",
            f"unknown metric 'tone' in a threshold: known are {', '.join(METRICS)}",
        ),
    ],
)
def test_wrong_thresholds(text, message):
    """A wrong threshold is named with what it should be."""
    assert problem(parse_thresholds, ["relevancy=0.6", text]) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0.5", "here: threshold faithfulness = '0.5' is not a number"),
        (True, "here: threshold faithfulness = True is not a number"),
        (None, "here: threshold faithfulness = None is not a number"),
        (1.5, "here: threshold faithfulness = 1.5 is outside 0..1"),
        (float("nan"), "here: threshold faithfulness = nan is outside 0..1"),
    ],
)
def test_wrong_values_of_thresholds_in_code(value, message):
    """A threshold of a marker is checked as one of the command line is."""
    assert problem(checked_thresholds, {"faithfulness": value}, "here: ") == message


def test_unknown_metrics_of_thresholds_in_code():
    """The place of a wrong threshold comes first."""
    assert problem(checked_thresholds, {"relevance": 0.5}, "question q1: ") == (
        "question q1: unknown metric 'relevance' in a threshold, did you mean 'relevancy'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "evals_max_unscored = : not a number"),
        ("10%", "evals_max_unscored = 10%: not a number"),
        ("10", "evals_max_unscored = 10 is outside 0..1"),
        ("nan", "evals_max_unscored = nan is outside 0..1"),
    ],
)
def test_wrong_shares(text, message):
    """A share that is none is named with its option."""
    assert problem(parse_share, "evals_max_unscored", text) == message


def test_bounds_are_shares():
    """All and nothing are shares."""
    assert [parse_share("n", text) for text in ("0", "1", " 0.50 ", "1e-3")] == [0.0, 1.0, 0.5, 0.001]


@pytest.mark.parametrize(
    ("text", "is_whole", "message"),
    [
        ("many", False, "evals_timeout = many: not a number"),
        ("", False, "evals_timeout = : not a number"),
        ("nan", False, "evals_timeout = nan: not a number"),
        ("inf", True, "evals_timeout = inf: not a whole number"),
        ("1.5", True, "evals_timeout = 1.5: not a whole number"),
        ("-1", False, "evals_timeout = -1: at least 0"),
    ],
)
def test_wrong_number(text, is_whole, message):
    """A number that is none, not whole or below zero is named with its option."""
    assert problem(lambda: parse_number("evals_timeout", text, is_whole=is_whole)) == message


def test_unknown_refresh():
    """What cannot be made anew is named with what can."""
    assert problem(parse_refresh, "verdicts") == "evals_refresh = verdicts: one of answers, scores, all"


@pytest.mark.parametrize(
    ("parse", "arguments", "message"),
    [
        (parse_number, ("evals_timeout", "0\x1f0"), "evals_timeout = 0\ufffd0: not a number"),
        (parse_share, ("evals_margin", "\x9b2J"), "evals_margin = \ufffd2J: not a number"),
        (parse_choice, ("mode", "##[x]", ("strict",)), "unknown mode '# #[x]': one of strict"),
        (parse_thresholds, (["\x1ba=1"],), "unknown metric '\\x1ba' in a threshold: known are"),
    ],
)
def test_what_is_quoted_can_be_shown(parse, arguments, message):
    """A value that is wrong is named without what would drive a terminal or a CI runner."""
    assert problem(parse, *arguments).startswith(message)
