"""How often sentence boundaries are found in ten languages: by our rules, and by libraries.

The boundaries were written before any of these was run on them. Half of them are held out: the rules were
changed by looking at the other half. Libraries that are not installed are left out.

    python -m benchmarks.segmenters --part "held out"
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_evals.rag.retrieval.text.sentences import split_sentences

from benchmarks.report import arguments, print_table, save

BOUNDARIES = Path(__file__).parent / "sentences" / "boundaries.jsonl"
WITHOUT_BLANKS = {"zh", "ja"}
PYSBD = {"en", "de", "fr", "es", "it", "ru", "zh", "ja", "hi", "ar"}


@dataclass(frozen=True)
class Paragraph:
    """A paragraph whose sentences are known: where each but the last ends, blanks left out."""

    language: str
    text: str
    ends: frozenset[int]


def main() -> None:
    """Measure every segmenter on one part, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--part", choices=("seen", "held out"), default="held out")
    parser.add_argument("--show", action="store_true", help="print what the rules of this project get wrong")
    options = parser.parse_args()
    paragraphs = paragraphs_of(options.part)
    rows = [measured(name, load, paragraphs) for name, load in SEGMENTERS.items()]
    rows = [row for row in rows if row]
    languages = sorted({paragraph.language for paragraph in paragraphs})
    print_table(
        [
            ["segmenter", "import ms", "all", *languages],
            *(
                [row["segmenter"], f"{row['import_ms']:.0f}", f"{row['f1']:.3f}"]
                + [f"{row['languages'][language]:.2f}" for language in languages]
                for row in rows
            ),
        ]
    )
    if options.show:
        show(paragraphs)
    save(
        f"segmenters-{options.part.replace(' ', '-')}",
        {"part": options.part, "boundaries": sum(len(p.ends) for p in paragraphs), "rows": rows},
        " ".join(["python -m benchmarks.segmenters", *arguments()]),
    )


def paragraphs_of(part: str) -> list[Paragraph]:
    """Read the paragraphs of one part."""
    found = []
    for line in BOUNDARIES.read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry["part"] != part:
            continue
        joint = "" if entry["language"] in WITHOUT_BLANKS else " "
        text, ends = "", []
        for sentence in entry["sentences"]:
            text += (joint if text else "") + sentence
            ends.append(len(text))
        found.append(Paragraph(entry["language"], text, frozenset(ends[:-1])))
    return found


Split = Callable[[str, str], Iterable[str]]


def _rules() -> Split:
    return lambda text, language: [span.text for span in split_sentences(text)]  # noqa: ARG005


def _sentencex() -> Split:
    library: Any = importlib.import_module("sentencex")
    return lambda text, language: library.segment(language, text)


def _pysbd() -> Split:
    library: Any = importlib.import_module("pysbd")
    return lambda text, language: library.Segmenter(language=language, clean=False).segment(text)


def _simplemma() -> Split:
    library: Any = importlib.import_module("simplemma")
    return lambda text, language: library.split_sentences(text, lang=language)


SEGMENTERS: dict[str, Callable[[], Split]] = {
    "rules": _rules,
    "sentencex": _sentencex,
    "pysbd": _pysbd,
    "simplemma": _simplemma,
}


def measured(name: str, load: Callable[[], Split], paragraphs: Sequence[Paragraph]) -> dict[str, Any] | None:
    """Return F1 of the boundaries in all and by language; None where the library is not installed."""
    start = time.perf_counter()
    try:
        split = load()
    except ImportError:
        return None
    import_ms = 1000 * (time.perf_counter() - start)
    counts: dict[str, list[int]] = {}
    for paragraph in paragraphs:
        found = ends_of(paragraph, split)
        right, wrong, missed = counts.setdefault(paragraph.language, [0, 0, 0])
        counts[paragraph.language] = [
            right + len(found & paragraph.ends),
            wrong + len(found - paragraph.ends),
            missed + len(paragraph.ends - found),
        ]
    total = [sum(count) for count in zip(*counts.values(), strict=True)]
    return {
        "segmenter": name,
        "import_ms": import_ms,
        "f1": f1(total),
        "right_wrong_missed": total,
        "languages": {language: f1(count) for language, count in counts.items()},
    }


def ends_of(paragraph: Paragraph, split: Split) -> frozenset[int]:
    """Return where the sentences end that `split` finds, but for the last."""
    ends, at = [], 0
    for sentence in split(paragraph.text, paragraph.language):
        bare = sentence.strip()
        if bare:
            at = paragraph.text.index(bare, at) + len(bare)
            ends.append(at)
    return frozenset(ends[:-1])


def f1(count: Sequence[int]) -> float:
    """Return F1 of right, wrong and missed boundaries."""
    right, wrong, missed = count
    return 2 * right / (2 * right + wrong + missed)


def show(paragraphs: Sequence[Paragraph]) -> None:
    """Print the paragraphs that the rules part otherwise."""
    split = _rules()
    for paragraph in paragraphs:
        if ends_of(paragraph, split) != paragraph.ends:
            print(paragraph.language, [*split(paragraph.text, paragraph.language)])


if __name__ == "__main__":
    main()
