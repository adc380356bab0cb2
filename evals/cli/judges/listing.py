"""The command `judges`: which there are, what is known of them, and what they would take here."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Iterator, Sequence

from rag_evals.evals.cli.arguments import add_home
from rag_evals.evals.judges.build import CARDS
from rag_evals.evals.judges.calibration.judge_card import JudgeCard, cards_in, named_labels
from rag_evals.evals.judges.entailment.taken import card_of
from rag_evals.evals.reports.text import one_line, table
from rag_evals.rag.llm.local.loading import WORKING_MEMORY
from rag_evals.rag.models.catalogue import CatalogueEntry, load_catalogue
from rag_evals.rag.models.judges import TrainedJudge, load_judges
from rag_evals.rag.models.resolve import cache_dir, is_cached
from rag_evals.rag.models.sources import human_size
from rag_evals.rag.native.hosting.free_memory import free_memory

HEADER = (
    *("judge", "license", "here", "AggreFact", "RAGTruth", "F1", "card"),
    *("to fetch", "memory", "fits", "time"),
)
NOT_KNOWN, NOT_MEASURED = "-", "not measured"


def add_judges(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `judges`."""
    add_home(parser, "cards")
    parser.set_defaults(run=_list_judges)


def _list_judges(options: argparse.Namespace) -> int:
    cards = list(cards_in((options.home / "cards", CARDS)))
    free = free_memory()
    judges = list(load_judges().values())
    llms = [entry for entry in load_catalogue().values() if entry.kind == "llm"]
    rows = [_trained_row(judge, cards, free) for judge in judges]
    rows += [_language_row(entry, cards, free) for entry in llms]
    width = shutil.get_terminal_size((160, 24)).columns
    print("\n".join(table([HEADER, *rows], width, left=3)))
    print()
    for line in _notes(judges, free):
        print(line)
    return 0


def _trained_row(judge: TrainedJudge, cards: Sequence[JudgeCard], free: int | None) -> tuple[str, ...]:
    """Return the cells of a trained judge, by what users write for it."""
    figures = (_figure(judge.aggrefact), _figure(judge.ragtruth), _figure(judge.ragtruth_f1))
    if not judge.form:
        # A file of the user's own: what it takes is known where its size was published.
        spec = f"{judge.asked}, --evals-judge-model FILE of {judge.name}"
        of_card, is_here, here = (NOT_KNOWN, NOT_MEASURED), False, "own file"
    else:
        spec, is_here = f"cross-encoder:{judge.name}", judge.is_here()
        of_card, here = _of_card(cards, f"cross-encoder ({judge.repo})"), "yes" if is_here else "no"
    start = (spec, judge.license or NOT_KNOWN, here, *figures, of_card[0])
    if not judge.form and not judge.bytes:
        return (*start, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, of_card[1])
    fetch = "0" if is_here else f"{'' if judge.bytes else '~'}{human_size(judge.weights)}"
    return (*start, fetch, f"~{human_size(judge.memory)}", _fits(judge.memory, free), of_card[1])


def _language_row(entry: CatalogueEntry, cards: Sequence[JudgeCard], free: int | None) -> tuple[str, ...]:
    """Return the cells of a language model of the catalogue, which `choice` asks."""
    size = sum(file.size or 0 for file in entry.files)
    is_here = is_cached(entry.name)
    of_card = _of_card(cards, f"choice ({entry.name})")
    memory = size + WORKING_MEMORY
    return (
        *(f"choice, --evals-judge-model {entry.name}", entry.license, "yes" if is_here else "no"),
        *(NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, of_card[0]),
        *("0" if is_here else human_size(size), f"~{human_size(memory)}", _fits(memory, free), of_card[1]),
    )


def _figure(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:.1f}"


def _fits(memory: int, free: int | None) -> str:
    if free is None:
        return "not known"
    return "yes" if memory <= free else "no"


def _of_card(cards: Iterable[JudgeCard], name: str) -> tuple[str, str]:
    """Return balanced accuracy in faithfulness and seconds of a verdict, as far as a card has them."""
    if found := card_of(name, cards):
        card, metric = found
        value = metric.accuracy.balanced_accuracy.value
        return (
            f"{100 * value:.1f} ({one_line(named_labels(card.labels))})",
            f"{metric.seconds:.1f} s a verdict",
        )
    return NOT_KNOWN, NOT_MEASURED


def _notes(judges: Iterable[TrainedJudge], free: int | None) -> Iterator[str]:
    yield (
        "AggreFact, RAGTruth: balanced accuracy in per cent, as published; F1: of whole answers on RAGTruth, "
        "by its makers; card: balanced accuracy in faithfulness on labels, by its judge card"
    )
    sources = dict.fromkeys((judge.source, judge.date) for judge in judges if judge.source)
    for source, date in sources:
        yield f"source: {source}, {date}"
    yield (
        "~ is reckoned from the size or the number of parameters, not measured; time is that of the machine "
        "on which the card was made"
    )
    yield f"free memory: {'not known' if free is None else human_size(free)}; models: {cache_dir()}"
