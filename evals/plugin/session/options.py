"""The options: each declared once, for the command line, the ini file and the settings that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.plugin.terminal.pytest_internals import toml_value

if TYPE_CHECKING:
    import pytest

# How the value of an option is read: by `READERS` of `option_values`, imported by sessions that evaluate.
Kind = Literal[
    "as_it_is",
    "bound",
    "collector",
    "conditions",
    "count",
    "folder",
    "if_any",
    "inconclusive",
    "mask",
    "metrics",
    "mode",
    "names",
    "negated",
    "number",
    "part",
    "path",
    "paths",
    "project",
    "questions",
    "refresh",
    "retrieval_metrics",
    "seconds",
    "shard",
    "share",
    "thresholds",
    "wandb_runs",
    "whole",
]
DEFAULT_PIPELINES = ("baseline", "auto_merging")

# Ini types by the type of the default.
_KINDS: Mapping[type, Literal["string", "args", "bool", "linelist"]] = {
    str: "string",
    list: "args",
    bool: "bool",
    tuple: "linelist",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What is said of an option.

    Attributes:
        name: The option, as the ini file spells it.
        value: What the command line says, else the ini file, else the default.
        start: Where relative paths start from: on the command line the folder pytest was called in, in the
            ini file the folder of that file.
        is_typed: Whether the command line says it.
    """

    name: str
    value: Any
    start: Path
    is_typed: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: `--evals-NAME` on the command line, `evals_NAME` in the ini file.

    Attributes:
        field: The field of the settings that it becomes; `GROUP.FIELD` in one of their parts.
        kind: How the value is read.
        default: What counts when neither says anything: a text, a list (words) or a tuple (lines) where the
            option may be given several times, False for a switch.
        help: One line.
        metavar: What stands for the value in `--help`.
        called: The name with dashes, where it is not that of the field.
        is_added: Whether the command line adds to what the ini file says, in place of replacing it.
    """

    field: str
    kind: Kind
    default: str | list[str] | tuple[str, ...] | bool
    help: str
    metavar: str = "TEXT"
    called: str = ""
    is_added: bool = False

    @property
    def name(self) -> str:
        """The name behind the prefix, with dashes."""
        return self.called or self.field.rpartition(".")[2].replace("_", "-")

    @property
    def flag(self) -> str:
        """Spelling on the command line."""
        return f"--evals-{self.name}"

    @property
    def ini(self) -> str:
        """Spelling in the ini file."""
        return f"evals_{self.name.replace('-', '_')}"

    def add_to(self, parser: pytest.Parser, group: pytest.OptionGroup) -> None:
        """Declare it for the command line and the ini file."""
        kind = _KINDS[type(self.default)]
        default = list(self.default) if isinstance(self.default, tuple) else self.default
        parser.addini(self.ini, self.help, type=kind, default=default)
        if kind == "bool":
            group.addoption(self.flag, action="store_true", default=None, help=self.help)
            return
        action = "store" if kind == "string" else "append"
        group.addoption(self.flag, action=action, metavar=self.metavar, default=None, help=self.help)

    def given(self, config: pytest.Config) -> Given:
        """Return what is said of it."""
        typed = config.getoption(self.ini)
        if typed is None:
            # `--rootdir` may name another place than where the ini file is.
            file = getattr(config, "inipath", None)
            return Given(self.ini, self.in_file(config), file.parent if file else config.rootpath)
        value = [*self.in_file(config), *typed] if self.is_added else typed
        return Given(self.ini, value, config.invocation_params.dir, is_typed=True)

    def in_file(self, config: pytest.Config) -> Any:
        """Return what the ini file says, or the default; a typed value of TOML as the text that it is.

        Raises:
            UsageError: It is of a type that no setting has.
        """
        value, kind = toml_value(config, self.ini), type(self.default)
        if value is None:
            return config.getini(self.ini)
        if kind is bool and isinstance(value, bool):
            return value
        if kind in (list, tuple) and isinstance(value, list) and all(map(_is_scalar, value)):
            return [str(one) for one in value]
        if kind is not bool and _is_scalar(value):
            return [str(value)] if kind in (list, tuple) else str(value)
        wanted = {bool: "true or false", str: "a text or a number"}.get(kind, "a list of texts or numbers")
        raise UsageError(f"{self.ini} = {value!r}: it takes {wanted}")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("evals", "evaluation of retrieval-augmented generation")
    for option in OPTIONS:
        option.add_to(parser, group)


OPTIONS = (
    Option("pipelines", "names", [*DEFAULT_PIPELINES], "pipeline fixtures to evaluate", "NAME[,NAME]"),
    Option(
        "questions",
        "questions",
        [],
        "question files (.jsonl, .json, .yaml, .txt), or wandb:PROJECT/NAME:ALIAS; may be repeated",
        "GLOB",
    ),
    Option(
        "answers",
        "questions",
        [],
        "judge the answers of these logs (.jsonl), in place of asking a pipeline; may be repeated",
        "GLOB",
    ),
    Option("mask", "mask", (), "mask secrets, emails, phones, re:PATTERN in logs; may be repeated", "WHAT"),
    Option("sample", "whole", "0", "draw N of the logged answers; 0: judge all of them", "N"),
    Option("seed", "whole", "0", "seed of the sample", "N"),
    Option("stratify", "as_it_is", "", "field of the log by whose values the sample is drawn", "FIELD"),
    Option("generate", "whole", "0", "generate N questions about the documents, once, and ask them", "N"),
    Option("docs", "path", "", "a document or a folder of documents to answer from", "PATH"),
    Option("ocr", "if_any", "", "command that writes the text of page {page} of {file}, an image", "COMMAND"),
    Option(
        "follow_links", "as_it_is", False, "read what links lead to that lead out of the folder of documents"
    ),
    Option(
        "rules.mode",
        "mode",
        "strict",
        "strict: a breach fails its test; gate: the run as a whole decides; report: nothing fails",
        "MODE",
    ),
    Option(
        "rules.conditions",
        "conditions",
        (),
        "what the run is held to, such as 'pass_rate >= 0.9'; may be repeated",
        "CONDITION",
        called="gate",
    ),
    Option(
        "rules.inconclusive",
        "inconclusive",
        "warn",
        "what a verdict INCONCLUSIVE does: pass, warn or block",
        "WHAT",
    ),
    Option(
        "baseline",
        "if_any",
        "",
        "run, path, 'latest', name of a baseline or wandb:PROJECT/RUN_ID to compare with",
        "RUN",
    ),
    Option("baselines", "folder", "evals-baselines", "folder of baselines", "DIR"),
    Option("rules.margin", "share", "0.05", "the drop against the baseline that is too much", "SHARE"),
    Option(
        "update_baseline", "as_it_is", False, "make this run the baseline, and fail: it is yours to commit"
    ),
    Option("rejudge", "as_it_is", False, "judge the baseline's answers anew, with the judge of this run"),
    Option("repeat", "count", "1", "how many times each question is put, as tests of their own", "N"),
    Option("judge_repeat", "count", "1", "how many times each answer is judged", "N"),
    Option("rules.stop_early", "as_it_is", False, "stop when the gate is decided, with the same error rates"),
    Option("html", "path", "", "write the HTML report of the run to this file", "FILE"),
    Option(
        "thresholds",
        "thresholds",
        [],
        "least value that is no breach; may be repeated",
        "METRIC=VALUE",
        is_added=True,
    ),
    Option(
        "metrics",
        "metrics",
        ["faithfulness", "relevancy", "refusal"],
        "metrics to score",
        "NAME[,NAME]",
    ),
    Option(
        "retrieval_metrics",
        "retrieval_metrics",
        ["retrieval.recall@8", "retrieval.ndcg@10", "retrieval.mrr"],
        "metrics of retrieval to score",
        "NAME[,NAME]",
    ),
    Option("tau", "share", "0.5", "share of a source that a passage must cover to be relevant", "SHARE"),
    Option("only", "part", "", "evaluate only this: retrieval, without a language model, or answers", "PART"),
    Option(
        "rules.max_unscored", "share", "0.1", "share of evaluations without a verdict a run may have", "SHARE"
    ),
    Option(
        "model", "if_any", "", "language model in place of the pipelines' own: name, path or URL", "MODEL"
    ),
    Option(
        "judge",
        "as_it_is",
        "choice",
        "what judges: choice, cross-encoder:NAME, minicheck, guardian, llamaindex, auto (the best on this "
        "machine), or ensemble:JUDGE+JUDGE",
        "JUDGE",
    ),
    Option(
        "judge_model", "if_any", "", "language model of the judge; the pipelines' own by default", "MODEL"
    ),
    Option("judge_card", "path", "", "judge card in place of the one found by the fingerprint", "FILE"),
    Option("reasons", "as_it_is", False, "have the judging model write one sentence on each breach"),
    Option(
        "rules.judge_floor",
        "share",
        "0.70",
        "least balanced accuracy, lower bound, of a judge that a gate may trust",
        "SHARE",
    ),
    Option(
        "labels",
        "paths",
        [],
        "people's verdicts on answers of this run, to correct its headline; may be repeated",
        "FILE",
    ),
    Option("config", "path", "", "TOML file of pipelines in place of the bundled one", "FILE"),
    Option("offline", "as_it_is", False, "fetch nothing; what would reach beyond this machine is an error"),
    Option(
        "mask_texts",
        "as_it_is",
        False,
        "mask secrets in questions, answers and passages, too, in all that is kept, shown or sent",
    ),
    Option("home", "folder", ".rag-evals", "folder of runs, indexes and the cache", "DIR"),
    Option(
        "cache",
        "negated",
        False,
        "make everything anew and keep nothing for the next run",
        called="no-cache",
    ),
    Option(
        "refresh",
        "refresh",
        "",
        "make these anew although the cache has them",
        "answers|scores|all",
    ),
    Option(
        "cache_mebibytes",
        "number",
        "1024",
        "MiB from which on the cache drops what is oldest",
        "MIB",
        called="cache-size",
    ),
    Option(
        "concurrency",
        "whole",
        "0",
        "evaluations under way at once (default: 1 with a local model, 16 with a server)",
        "N",
    ),
    Option(
        "timeout",
        "seconds",
        "900",
        "seconds that one question may take in all; 0: no bound",
        "SECONDS",
    ),
    Option(
        "shard",
        "shard",
        "",
        "evaluate one part of the questions; see rag-evals merge",
        "INDEX/COUNT",
    ),
    Option(
        "goes_on",
        "if_any",
        "",
        "go on with a run that was interrupted: its id, or latest",
        "RUN",
        called="continue",
    ),
    Option("plan", "as_it_is", False, "only say what the run would take: nothing is asked or judged"),
    Option("bounds.usd", "bound", "", "USD that the run may cost", "USD", called="max-cost"),
    Option("bounds.minutes", "bound", "", "minutes that the run may take", "MINUTES", called="max-minutes"),
    Option("prices", "path", "", "TOML file of prices of models, before the bundled ones", "FILE"),
    Option(
        "traces", "as_it_is", False, "keep the steps of each evaluation with their times, in traces.jsonl"
    ),
    Option(
        "trackers.otlp",
        "collector",
        "",
        "send the traces to a collector or to W&B, and keep them",
        "URL|wandb",
    ),
    Option(
        "trackers.wandb",
        "project",
        "",
        "send scores and tables to Weights & Biases",
        "[ENTITY/]PROJECT",
    ),
    Option(
        "trackers.wandb_runs",
        "wandb_runs",
        "session",
        "W&B gets one run a session, or one a pipeline",
        "WHAT",
    ),
    Option(
        "trackers.others",
        "names",
        [],
        "further trackers, by the names of their entry points",
        "NAME[,NAME]",
        called="trackers",
    ),
    Option(
        "trackers.wait",
        "number",
        "10",
        "seconds in which nothing moves after which a tracker is given up, when the session is over",
        "SECONDS",
        called="tracker-wait",
    ),
    Option(
        "trackers.max_wait",
        "number",
        "120",
        "seconds that a tracker may take in all when the session is over",
        "SECONDS",
        called="tracker-max-wait",
    ),
)


def in_file(field: str, config: pytest.Config) -> Any:
    """Return what the ini file says of the option of a field of the settings, or the default.

    Raises:
        UsageError: It is of a type that no setting has.
    """
    return next(option for option in OPTIONS if option.field == field).in_file(config)
