"""The trained judges that are known by name, their input forms, and what was published of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.catalogue import CatalogueEntry
from rag_evals.rag.models.resolve import is_cached
from rag_evals.rag.models.sources import FilePin, HubSource

# What a model in memory takes besides its weights at least: the libraries that run it, and the texts in work.
WORKING_MEMORY = 800_000_000
BYTES_A_PARAMETER = 4


@dataclass(frozen=True, slots=True)
class TrainedJudge:
    """A judge of the catalogue; figures are per cent, None where nothing was published.

    Attributes:
        name: The short name that users write.
        repo: Its repository on the Hugging Face hub.
        form: Its input form, for a model that is loaded; else empty.
        asked: The judge that asks it, for a language model in a GGUF file or behind a server; else empty.
        parameters: Millions of parameters.
        bytes: Size of its weights as published.
        license: SPDX identifier; empty where it is not known.
        revision: A commit of the hub, or a branch.
        aggrefact: Average balanced accuracy of the LLM-AggreFact board.
        ragtruth: Balanced accuracy on RAGTruth, on the same board.
        ragtruth_f1: F1 of whole answers on RAGTruth, as its makers say.
        source: Where the figures stand.
        date: When they stood there.
        words: Its tokenizer, where that is in another repository.
    """

    name: str
    repo: str
    parameters: int
    form: str = ""
    asked: str = ""
    bytes: int | None = None
    license: str = ""
    revision: str = "main"
    aggrefact: float | None = None
    ragtruth: float | None = None
    ragtruth_f1: float | None = None
    source: str = ""
    date: str = ""
    words: CatalogueEntry | None = None

    @property
    def entry(self) -> CatalogueEntry:
        """Its entry among the models: it has the same folder in the cache as by its repository's name."""
        return hub_entry(self.repo, self.revision)

    @property
    def weights(self) -> int:
        """Bytes to fetch, as published, or about as many."""
        return self.bytes or self.parameters * 1_000_000 * BYTES_A_PARAMETER

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes at least: of numbers of four bytes where it is loaded as such."""
        held = self.parameters * 1_000_000 * BYTES_A_PARAMETER if self.form else self.weights
        return held + WORKING_MEMORY

    @property
    def entries(self) -> tuple[CatalogueEntry, ...]:
        """All that is fetched for it: nothing for a language model, which is a file of the user's own."""
        return ((self.entry, self.words) if self.words else (self.entry,)) if self.form else ()

    def is_here(self, cache: Path | None = None) -> bool:
        """Whether all that is fetched for it is on this machine; reads no contents."""
        here = [is_cached(one.name, cache=cache, catalogue={one.name: one}) for one in self.entries]
        return bool(here) and all(here)


def hub_entry(repo: str, revision: str = "main", files: tuple[str, ...] = ()) -> CatalogueEntry:
    """Return the entry of a repository of the hub that is not among the models by name.

    Args:
        repo: Its name, `owner/name`.
        revision: A branch, a tag or a commit.
        files: The files that are wanted; all that loading needs by default.
    """
    slug = repo.lower().replace("/", "--").lstrip("._-") + ("--tokenizer" if files else "")
    pins = tuple(FilePin(name) for name in files)
    summary = f"{repo} of the Hugging Face hub"
    return CatalogueEntry(slug, "judge", summary, "", pins, HubSource(repo, revision))


def load_judges(path: Path | None = None) -> dict[str, TrainedJudge]:
    """Return the judges by name, from a TOML file of `[[judge]]` tables; by default the one that ships.

    Raises:
        ModelError: The file cannot be read, or judges in it are wrong; lists each of them.
    """
    path = path or Path(__file__).with_name("judges.toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the catalogue of judges {path} cannot be read: {error}") from error
    judges: dict[str, TrainedJudge] = {}
    wrong = []
    for position, table in enumerate(data.get("judge", []), start=1):
        try:
            judge = _parse_judge(table, data.get("sources", {}))
            if judge.name in judges:
                raise ValueError("the name is taken by an earlier judge")
            judges[judge.name] = judge
        except (TypeError, ValueError, KeyError) as error:
            wrong.append(f"  judge {position} ({table.get('name', 'no name')}): {error}")
    if wrong:
        raise ModelError(
            "\n".join([f"the catalogue of judges {path} has {len(wrong)} wrong judges:", *wrong])
        )
    return judges


def _parse_judge(table: Mapping[str, Any], sources: Mapping[str, Any]) -> TrainedJudge:
    known = {field.name for field in fields(TrainedJudge)} - {"date"}
    if unknown := sorted(set(table) - known):
        raise ValueError(f"unknown key {', '.join(unknown)}")
    values = dict(table)
    if words := values.pop("words", None):
        values["words"] = hub_entry(words["repo"], words["revision"], tuple(words["files"]))
    if source := values.pop("source", ""):
        if source not in sources:
            raise ValueError(f"source {source!r} is not among [sources]")
        values |= {"source": sources[source]["text"], "date": sources[source]["date"]}
    judge = TrainedJudge(**values)
    if bool(judge.form) == bool(judge.asked):
        raise ValueError("either form or asked is needed")
    has_figures = any(each is not None for each in (judge.aggrefact, judge.ragtruth, judge.ragtruth_f1))
    if has_figures != bool(judge.source):
        raise ValueError("figures need a source, and a source figures")
    return judge


def judge_named(name: str) -> TrainedJudge | None:
    """Return the judge of the catalogue that `name` means, its own name or its repository's."""
    judges = load_judges()
    if name in judges:
        return judges[name]
    return next((one for one in judges.values() if one.repo.lower() == name.lower()), None)
