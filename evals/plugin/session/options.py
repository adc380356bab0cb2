"""The options: each declared once, for the command line, the ini file and the settings that come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag_evals.evals.plugin.session.option import Option

if TYPE_CHECKING:
    import pytest

DEFAULT_PIPELINES = ("baseline", "auto_merging")


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
        "cluster.address",
        "address",
        "",
        "make the evaluations on a Ray cluster: auto (where nothing is said), local or HOST:PORT",
        "ADDRESS",
        called="ray",
        bare="auto",
    ),
    Option(
        "cluster.actors",
        "whole",
        "0",
        "actors on the cluster (default: as many as it has room for)",
        "N",
        called="ray-actors",
    ),
    Option(
        "cluster.resources",
        "resources",
        "",
        "what each actor reserves, such as num_cpus=2,num_gpus=1",
        "NAME=AMOUNT",
        called="ray-resources",
    ),
    Option(
        "cluster.config",
        "path",
        "",
        "TOML file that says more of the cluster",
        "FILE",
        called="ray-config",
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
