"""The options of a run: declared once for pytest, read into one frozen value, parsed at the edge."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from evals.conditions import Condition, parse_condition
from evals.errors import UsageError, printable
from evals.judges.choosing import FORMS
from evals.metrics import DEFAULT_METRICS, METRICS
from evals.rules import Inconclusive, Mode, Rules
from evals.secrets import masked_text
from evals.sharding import Shard, parse_shard
from evals.trackers.references import is_reference

if TYPE_CHECKING:
    import pytest

DEFAULT_PIPELINES = ("baseline", "auto_merging")

WandbRuns = Literal["session", "pipeline"]
# What W&B does not take in the name of a project.
_NOT_IN_PROJECTS = "/\\#?%:"
_LONGEST_PROJECT = 128


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options and the ini file say.

    Attributes:
        root: The folder that relative paths start from.
        pipelines: Names of the pipeline fixtures.
        questions: Globs of question files, and references to artifacts of W&B with such files.
        generate: How many questions about the documents are generated, besides those of the files.
        docs: A document or a folder of documents.
        mode: `strict`: a breach fails its test. `gate`: breaches are reported, the run as a whole decides.
            `report`: nothing fails but the budget of unscored evaluations and conditions on coverage.
        gate: What the run is held to.
        inconclusive: What an INCONCLUSIVE verdict does: nothing, a warning, or the same as BLOCK.
        baseline: The run to compare with: a run, a path, `latest` or the name of a baseline; None without.
        baselines: Folder of baselines.
        margin: The drop against the baseline that is too much.
        update_baseline: Whether the run becomes the baseline; it fails then.
        rejudge: Whether the baseline's answers are judged anew by the judge of this run.
        repeat: How many times each question is put.
        judge_repeat: How many times each answer is judged.
        stop_early: Whether the run stops when the gate is decided.
        thresholds: Least value that is no breach, by metric; of others the judge card says it, else 0.5.
        metrics: Names of the metrics to score.
        html: File for the HTML report; None for none.
        max_unscored: Largest share of evaluations without a verdict that a run may have.
        model: Language model in place of the one that the pipelines name.
        judge: What judges, such as `choice` or `cross-encoder:NAME`.
        judge_model: Language model of the judge; the pipelines' own by default.
        judge_card: File of the judge card in place of the one that is found by the judge's fingerprint.
        judge_floor: Least balanced accuracy, lower interval bound, of a judge that a gate may trust.
        labels: Label file with people's verdicts on answers of the run; its headline is corrected by them.
        config: TOML file of pipelines in place of those that come with the package.
        offline: Fetch nothing, and make any connection but loopback an error.
        home: Folder of runs, indexes and the cache.
        cache: Whether answers, scores and vectors of earlier runs are reused.
        cache_mebibytes: Size from which on the cache drops what was not used for longest.
        refresh: What is made anew, and kept, although the cache has it: `answers`, `scores`, both or nothing.
        concurrency: Evaluations under way at once; 0 for one with a local model and 16 with a server.
        timeout: Seconds that one question may take in all; None for no bound.
        shard: The part of the questions that is evaluated; None for all.
        plan: Only say what a run would take.
        max_cost: USD that the run may cost; None for no bound.
        max_minutes: Minutes that the run may take; None for no bound.
        prices: TOML file of prices that go before the bundled ones.
        traces: Whether the steps of each evaluation are kept.
        otlp: Where they are sent: the URL of a collector, or `wandb`; None for nowhere.
        wandb: The W&B project that the run is sent to, perhaps with its entity before a slash; None for none.
        wandb_runs: Whether W&B gets one run a session or one a pipeline.
        trackers: Names of all trackers.
        tracker_wait: Seconds that a tracker may take when the session is over.
    """

    root: Path
    pipelines: tuple[str, ...]
    questions: tuple[str, ...]
    generate: int
    docs: Path | None
    mode: Mode
    gate: tuple[Condition, ...]
    inconclusive: Inconclusive
    baseline: str | None
    baselines: Path
    margin: float
    update_baseline: bool
    rejudge: bool
    repeat: int
    judge_repeat: int
    stop_early: bool
    html: Path | None
    thresholds: Mapping[str, float]
    metrics: tuple[str, ...]
    max_unscored: float
    model: str | None
    judge: str
    judge_model: str | None
    judge_card: Path | None
    judge_floor: float
    labels: Path | None
    config: Path | None
    offline: bool
    home: Path
    cache: bool
    cache_mebibytes: float
    refresh: tuple[str, ...]
    concurrency: int
    timeout: float | None
    shard: Shard | None
    plan: bool
    max_cost: float | None
    max_minutes: float | None
    prices: Path | None
    traces: bool
    otlp: str | None
    wandb: str | None
    wandb_runs: WandbRuns
    trackers: tuple[str, ...]
    tracker_wait: float

    @property
    def rules(self) -> Rules:
        """What the run as a whole is held to."""
        return Rules(
            self.mode,
            self.gate,
            self.inconclusive,
            self.max_unscored,
            self.judge_floor,
            self.margin,
            self.stop_early,
        )


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: `--evals-NAME` on the command line, `evals_NAME` in the ini file.

    Attributes:
        name: The name behind the prefix, with dashes.
        kind: The ini type; an option of `args` (words) or `linelist` (lines) may be given several times.
        default: The value when neither says anything.
        help: One line.
        metavar: What stands for the value in `--help`.
    """

    name: str
    kind: Literal["string", "args", "linelist", "bool"]
    default: Any
    help: str
    metavar: str = "TEXT"

    @property
    def flag(self) -> str:
        """Spelling on the command line."""
        return f"--evals-{self.name}"

    @property
    def ini(self) -> str:
        """Spelling in the ini file."""
        return f"evals_{self.name.replace('-', '_')}"


OPTIONS = (
    Option("pipelines", "args", [*DEFAULT_PIPELINES], "pipeline fixtures to evaluate", "NAME[,NAME]"),
    Option(
        "questions",
        "args",
        [],
        "question files (.jsonl, .json, .yaml, .txt), or wandb:PROJECT/NAME:ALIAS; may be repeated",
        "GLOB",
    ),
    Option("generate", "string", "0", "generate N questions about the documents, once, and ask them", "N"),
    Option("docs", "string", "", "a document or a folder of documents to answer from", "PATH"),
    Option(
        "mode",
        "string",
        "strict",
        "strict: a breach fails its test; gate: the run as a whole decides; report: nothing fails",
        "MODE",
    ),
    Option(
        "gate",
        "linelist",
        [],
        "what the run is held to, such as 'pass_rate >= 0.9'; may be repeated",
        "CONDITION",
    ),
    Option("inconclusive", "string", "warn", "what a verdict INCONCLUSIVE does: pass, warn or block", "WHAT"),
    Option(
        "baseline",
        "string",
        "",
        "run, path, 'latest', name of a baseline or wandb:PROJECT/RUN_ID to compare with",
        "RUN",
    ),
    Option("baselines", "string", "evals-baselines", "folder of baselines", "DIR"),
    Option("margin", "string", "0.05", "the drop against the baseline that is too much", "SHARE"),
    Option("update-baseline", "bool", False, "make this run the baseline, and fail: it is yours to commit"),
    Option("rejudge", "bool", False, "judge the baseline's answers anew, with the judge of this run"),
    Option("repeat", "string", "1", "how many times each question is put, as tests of their own", "N"),
    Option("judge-repeat", "string", "1", "how many times each answer is judged", "N"),
    Option("stop-early", "bool", False, "stop when the gate is decided, with the same error rates"),
    Option("html", "string", "", "write the HTML report of the run to this file", "FILE"),
    Option("thresholds", "args", [], "least value that is no breach; may be repeated", "METRIC=VALUE"),
    Option("metrics", "args", [*DEFAULT_METRICS], "metrics to score", "NAME[,NAME]"),
    Option("max-unscored", "string", "0.1", "share of evaluations without a verdict a run may have", "SHARE"),
    Option(
        "model", "string", "", "language model in place of the pipelines' own: name, path or URL", "MODEL"
    ),
    Option("judge", "string", "choice", f"what judges: {FORMS}", "JUDGE"),
    Option(
        "judge-model", "string", "", "language model of the judge; the pipelines' own by default", "MODEL"
    ),
    Option("judge-card", "string", "", "judge card in place of the one found by the fingerprint", "FILE"),
    Option(
        "judge-floor",
        "string",
        "0.70",
        "least balanced accuracy, lower bound, of a judge that a gate may trust",
        "SHARE",
    ),
    Option(
        "labels", "string", "", "people's verdicts on answers of this run, to correct its headline", "FILE"
    ),
    Option("config", "string", "", "TOML file of pipelines in place of the bundled one", "FILE"),
    Option("offline", "bool", False, "fetch nothing; any connection but loopback is an error"),
    Option("home", "string", ".rag-evals", "folder of runs, indexes and the cache", "DIR"),
    Option("no-cache", "bool", False, "make everything anew and keep nothing for the next run"),
    Option("refresh", "string", "", "make these anew although the cache has them", "answers|scores|all"),
    Option("cache-size", "string", "1024", "MiB from which on the cache drops what is oldest", "MIB"),
    Option(
        "concurrency",
        "string",
        "0",
        "evaluations under way at once (default: 1 with a local model, 16 with a server)",
        "N",
    ),
    Option("timeout", "string", "900", "seconds that one question may take in all; 0: no bound", "SECONDS"),
    Option("shard", "string", "", "evaluate one part of the questions; see rag-evals merge", "INDEX/COUNT"),
    Option("plan", "bool", False, "only say what the run would take: nothing is asked or judged"),
    Option("max-cost", "string", "", "USD that the run may cost", "USD"),
    Option("max-minutes", "string", "", "minutes that the run may take", "MINUTES"),
    Option("prices", "string", "", "TOML file of prices of models, before the bundled ones", "FILE"),
    Option("traces", "bool", False, "keep the steps of each evaluation with their times, in traces.jsonl"),
    Option("otlp", "string", "", "send the traces to a collector or to W&B, and keep them", "URL|wandb"),
    Option("wandb", "string", "", "send scores and tables to Weights & Biases", "[ENTITY/]PROJECT"),
    Option("wandb-runs", "string", "session", "W&B gets one run a session, or one a pipeline", "WHAT"),
    Option("trackers", "args", [], "further trackers, by the names of their entry points", "NAME[,NAME]"),
    Option("tracker-wait", "string", "10", "seconds a tracker may take when the session is over", "SECONDS"),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option for the command line and the ini file."""
    group = parser.getgroup("evals", "evaluation of retrieval-augmented generation")
    for option in OPTIONS:
        parser.addini(option.ini, option.help, type=option.kind, default=option.default)
        if option.kind == "bool":
            group.addoption(option.flag, action="store_true", default=None, help=option.help)
        else:
            action = "append" if option.kind in ("args", "linelist") else "store"
            group.addoption(
                option.flag, action=action, metavar=option.metavar, default=None, help=option.help
            )


def settings_from(config: pytest.Config) -> Settings:
    """Read the settings: the command line wins over the ini file, the ini file over the defaults.

    Paths on the command line start from the folder pytest was called in, those of the ini file from the
    folder of that file.

    Raises:
        UsageError: A value is wrong.
    """
    values = {option.ini: _value(config, option) for option in OPTIONS}
    root = config.rootpath
    here = config.invocation_params.dir

    def path(name: str) -> Path:
        start = here if config.getoption(name) else root
        return start / str(values[name])

    # The folder's own name is no pattern.
    start = Path(glob.escape(str(here if config.getoption("evals_questions") else root)))
    return Settings(
        root=root,
        pipelines=_names(values["evals_pipelines"]),
        questions=tuple(
            pattern if is_reference(pattern) else str(start / pattern) for pattern in _asked(config, values)
        ),
        generate=_generated(config, values),
        docs=path("evals_docs") if values["evals_docs"] else None,
        mode=parse_choice("mode", values["evals_mode"], get_args(Mode)),
        gate=parse_conditions(values["evals_gate"]),
        inconclusive=parse_choice("evals_inconclusive", values["evals_inconclusive"], get_args(Inconclusive)),
        baseline=values["evals_baseline"] or None,
        baselines=path("evals_baselines"),
        margin=parse_share("evals_margin", values["evals_margin"]),
        update_baseline=values["evals_update_baseline"],
        rejudge=values["evals_rejudge"],
        repeat=parse_count("evals_repeat", values["evals_repeat"]),
        judge_repeat=parse_count("evals_judge_repeat", values["evals_judge_repeat"]),
        stop_early=values["evals_stop_early"],
        html=path("evals_html") if values["evals_html"] else None,
        thresholds=parse_thresholds(values["evals_thresholds"]),
        metrics=parse_metrics(values["evals_metrics"]),
        max_unscored=parse_share("evals_max_unscored", values["evals_max_unscored"]),
        model=values["evals_model"] or None,
        judge=values["evals_judge"],
        judge_model=values["evals_judge_model"] or None,
        judge_card=path("evals_judge_card") if values["evals_judge_card"] else None,
        judge_floor=parse_share("evals_judge_floor", values["evals_judge_floor"]),
        labels=path("evals_labels") if values["evals_labels"] else None,
        config=path("evals_config") if values["evals_config"] else None,
        offline=values["evals_offline"],
        home=path("evals_home"),
        cache=not values["evals_no_cache"],
        cache_mebibytes=parse_number("evals_cache_size", values["evals_cache_size"]),
        refresh=parse_refresh(values["evals_refresh"]),
        concurrency=int(parse_number("evals_concurrency", values["evals_concurrency"], is_whole=True)),
        timeout=parse_number("evals_timeout", values["evals_timeout"]) or None,
        shard=parse_shard(values["evals_shard"]) if values["evals_shard"] else None,
        plan=values["evals_plan"],
        max_cost=_bound("evals_max_cost", values),
        max_minutes=_bound("evals_max_minutes", values),
        prices=path("evals_prices") if values["evals_prices"] else None,
        traces=values["evals_traces"] or bool(values["evals_otlp"]),
        otlp=parse_collector(values["evals_otlp"], values["evals_wandb"]) if values["evals_otlp"] else None,
        wandb=parse_project(values["evals_wandb"]) if values["evals_wandb"] else None,
        wandb_runs=parse_choice("evals_wandb_runs", values["evals_wandb_runs"], get_args(WandbRuns)),
        trackers=_names(
            (*(name for name in ("wandb", "otlp") if values[f"evals_{name}"]), *values["evals_trackers"])
        ),
        tracker_wait=parse_number("evals_tracker_wait", values["evals_tracker_wait"]),
    )


def _asked(config: pytest.Config, values: Mapping[str, Any]) -> list[str]:
    """Give the question files; those of the ini file give way to questions generated on the command line."""
    if config.getoption("evals_generate") is not None and config.getoption("evals_questions") is None:
        return [] if _generated(config, values) else values["evals_questions"]
    asked: list[str] = values["evals_questions"]
    return asked


def _generated(config: pytest.Config, values: Mapping[str, Any]) -> int:
    """Give how many are generated; the ini file's wish gives way to files named on the command line."""
    if config.getoption("evals_questions") is not None and config.getoption("evals_generate") is None:
        return 0
    return int(parse_number("evals_generate", values["evals_generate"], is_whole=True))


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Parse what a run is held to.

    Raises:
        UsageError: A text is no condition.
    """
    return tuple(map(parse_condition, texts))


def _bound(name: str, values: Mapping[str, Any]) -> float | None:
    return parse_number(name, values[name]) if values[name] else None


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    """Split at commas; a name given twice counts once."""
    names = (name.strip() for text in texts for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.ini)
    if option.ini == "evals_thresholds":
        # The command line changes single thresholds of the ini file; it does not replace the list.
        return [*config.getini(option.ini), *(given or ())]
    return config.getini(option.ini) if given is None else given


def parse_choice(name: str, text: str, choices: tuple[Any, ...]) -> Any:
    """Parse one of `choices`.

    Raises:
        UsageError: It is none of them.
    """
    if text not in choices:
        raise UsageError(f"unknown {name} {text!r}: one of {', '.join(choices)}")
    return text


def parse_count(name: str, text: str) -> int:
    """Parse a whole number from 1.

    Raises:
        UsageError: It is none.
    """
    count = int(parse_number(name, text, is_whole=True))
    if count < 1:
        raise UsageError(f"{name} = {text.strip()}: at least 1")
    return count


def parse_thresholds(texts: Iterable[str]) -> Mapping[str, float]:
    """Parse `METRIC=VALUE` each.

    Raises:
        UsageError: A text has another form, an unknown metric, or a value outside 0 to 1.
    """
    thresholds: dict[str, float] = {}
    for text in texts:
        metric, found, value = text.partition("=")
        if not found:
            raise UsageError(f"threshold {text!r}: write METRIC=VALUE, such as faithfulness=0.7")
        thresholds[metric.strip()] = parse_share(f"threshold {metric.strip()}", value)
    return checked_thresholds(thresholds)


def checked_thresholds(thresholds: Mapping[str, Any], where: str = "") -> Mapping[str, float]:
    """Give `thresholds` back if every metric is known and every value is a number from 0 to 1.

    Raises:
        UsageError: A metric is unknown, or a value is wrong.
    """
    for metric, value in thresholds.items():
        _check_metric(metric, f"{where}unknown metric {metric!r} in a threshold")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UsageError(f"{where}threshold {metric} = {value!r} is not a number")
        if not 0 <= value <= 1:
            raise UsageError(f"{where}threshold {metric} = {value} is outside 0..1")
    return MappingProxyType(dict(thresholds))


def parse_metrics(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse names of metrics, separated by commas.

    Raises:
        UsageError: A metric is unknown, or there is none.
    """
    names = _names(texts)
    for name in names:
        _check_metric(name, f"unknown metric {name!r}")
    if not names:
        raise UsageError(f"no metrics: known are {', '.join(METRICS)}")
    return names


def _check_metric(metric: str, problem: str) -> None:
    if metric not in METRICS:
        hint = get_close_matches(metric, METRICS, 1)
        tail = f", did you mean {hint[0]!r}?" if hint else f": known are {', '.join(METRICS)}"
        raise UsageError(f"{problem}{tail}")


def parse_refresh(text: str) -> tuple[str, ...]:
    """Parse what is to be made anew.

    Raises:
        UsageError: It is neither `answers` nor `scores` nor `all`.
    """
    known = {"": (), "answers": ("answers",), "scores": ("scores",), "all": ("answers", "scores")}
    if text not in known:
        raise UsageError(f"evals_refresh = {text}: one of answers, scores, all")
    return known[text]


def parse_project(text: str) -> str:
    """Parse the name of a W&B project, perhaps with its entity before a slash.

    Raises:
        UsageError: W&B would not take it.
    """
    entity, slash, project = text.strip().rpartition("/")
    wrong = [c for c in dict.fromkeys(f"{entity}{project}") if c in _NOT_IN_PROJECTS or not c.isprintable()]
    if wrong:
        raise UsageError(
            f"evals_wandb = {printable(text)}: a name has none of {' '.join(_NOT_IN_PROJECTS)}: "
            "give PROJECT or ENTITY/PROJECT"
        )
    if not project or (slash and not entity):
        raise UsageError(f"evals_wandb = {text}: give PROJECT or ENTITY/PROJECT")
    if len(project) > _LONGEST_PROJECT:
        raise UsageError(
            f"evals_wandb: the name of the project has {len(project)} characters, "
            f"and W&B takes {_LONGEST_PROJECT}"
        )
    return text.strip()


def parse_collector(text: str, project: str) -> str:
    """Parse where traces are sent.

    Raises:
        UsageError: It is no URL, has a secret in it, or is `wandb` without a project.
    """
    if text == "wandb":
        if not project:
            raise UsageError("evals_otlp = wandb: say which project with --evals-wandb ENTITY/PROJECT")
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"evals_otlp = {printable(text)}: give wandb, or a URL such as http://localhost:4318/v1/traces"
        )
    if masked_text(text) != text:
        raise UsageError(
            "evals_otlp: there is a credential in the URL, which would be recorded: "
            "set OTEL_EXPORTER_OTLP_HEADERS instead"
        )
    return text


def parse_number(name: str, text: str, *, is_whole: bool = False) -> float:
    """Parse a number from 0.

    Raises:
        UsageError: It is none, or below 0, or not whole where it must be.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (is_whole and value != int(value)):
        raise UsageError(f"{name} = {text.strip()}: not a {'whole ' if is_whole else ''}number")
    if value < 0:
        raise UsageError(f"{name} = {text.strip()}: at least 0")
    return value


def parse_share(name: str, text: str) -> float:
    """Parse a number from 0 to 1.

    Raises:
        UsageError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} = {text.strip()}: not a number") from None
    if not 0 <= value <= 1:
        raise UsageError(f"{name} = {text.strip()} is outside 0..1")
    return value
