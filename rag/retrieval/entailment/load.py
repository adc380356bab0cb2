"""From the name of a trained judge to the judge: its form, its folder, its tokenizer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.catalogue import CatalogueEntry, load_catalogue
from rag_evals.rag.models.judges import TrainedJudge, hub_entry, judge_named, load_judges
from rag_evals.rag.models.resolve import Model, resolve
from rag_evals.rag.retrieval.entailment.forms import FORMS, NLI, Form, form_of_folder
from rag_evals.rag.retrieval.entailment.model import EntailmentModel
from rag_evals.rag.retrieval.entailment.pair_classifier import EXAMPLE

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def load_entailment(
    name: str, *, offline: bool = False, models_folder: Path | None = None
) -> EntailmentModel:
    """Resolve an entailment model and load it.

    Its form is that of the catalogue of judges, by its name or that of its repository; of others it is told
    from the config of the folder, unless it is written before the name: `FORM@NAME`.

    Args:
        name: A name of the catalogues, a repository of the Hugging Face hub ("owner/name"), or a folder.
        offline: Try no network at all.
        models_folder: Where the processes of a session share their models; None for a process of its own.

    Raises:
        ModelError: The model cannot be found, fetched, verified or loaded, is a reranker, a language model,
            or no trained model of its form.
    """
    form, name = _split(name)
    judge = judge_named(name)
    if judge and judge.asked:
        raise ModelError(
            f"{name} is a language model that is asked in its own words, not a cross-encoder: write "
            f"--evals-judge {judge.asked} --evals-judge-model MODEL, where MODEL is the path "
            "of a GGUF file of it "
            "or openai:NAME@URL for a server that runs it."
        )
    model = _found(name, judge, offline=offline)
    form = form or (FORMS[judge.form] if judge else form_of_folder(model.path))
    words = _words(model, form, offline=offline)
    return EntailmentModel(model, form, words=words, models_folder=models_folder)


def _split(name: str) -> tuple[Form | None, str]:
    """Return the form that is written before the name, if one is, and the name."""
    form, found, rest = name.partition("@")
    return (FORMS[form], rest) if found and rest and form in FORMS else (None, name)


def _found(name: str, judge: TrainedJudge | None, *, offline: bool) -> Model:
    if judge and (name == judge.name or not Path(name).exists()):
        return _from_hub(judge.repo, judge.entry, offline=offline)
    catalogue = load_catalogue()
    if name in catalogue and catalogue[name].kind == "reranker":
        raise ModelError(
            f"{name} is a reranker: it says what a passage is about, not what follows from it. "
            f"Use an entailment model, {EXAMPLE}."
        )
    if name in catalogue or not _HUB_NAME.fullmatch(name) or Path(name).exists():
        return resolve(name, offline=offline)
    return _from_hub(name, hub_entry(name), offline=offline)


def _from_hub(name: str, entry: CatalogueEntry, *, offline: bool, files: str = "") -> Model:
    """Resolve a repository of the hub that is not among the models by name, by the ways of those."""
    try:
        return replace(resolve(entry.name, offline=offline, catalogue={entry.name: entry}), name=name)
    except ModelError as error:
        text = str(error).replace(f"{entry.name!r}", f"{name!r}")
        command = f"hf download {name}{files} --local-dir {entry.name}"
        raise ModelError(text.replace(f"rag-evals models fetch {entry.name}", command)) from error


def _words(model: Model, form: Form, *, offline: bool) -> Model | None:
    """Resolve the tokenizer of a judge whose own folder has none; None where it is there."""
    entry = next((one.words for one in load_judges().values() if one.words and one.form == form.name), None)
    if form == NLI or entry is None or entry.hub is None or (model.path / "tokenizer.json").is_file():
        return None
    files = "".join(f" {file.name}" for file in entry.files)
    return _from_hub(entry.hub.repo, entry, offline=offline, files=files)
