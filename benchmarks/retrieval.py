"""What the retrievers find: on folders in BEIR's form, on the bundled questions, and in what time.

In a BEIR folder each document is one passage. The settings of fusion are chosen on half of its queries (by a
seed); the other half is what counts. The bundled questions are asked of the default pipelines and of their
variants, each stage for itself; an order by a language model is left out, as in every run of retrieval alone.

    python -m benchmarks.retrieval FOLDER... [--questions fixtures/questions/primer.jsonl]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.quotes import find_quote
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.rag.config import PipelineConfig, load_configs
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.models.resolve import resolve
from rag_evals.rag.retrieval.chunks import Hit
from rag_evals.rag.retrieval.embedder import Embedder, NoEmbedder
from rag_evals.rag.retrieval.index import Index
from rag_evals.rag.retrieval.retrievers.bm25 import BM25Search, BM25Settings
from rag_evals.rag.retrieval.retrievers.fusion import fuse
from rag_evals.rag.retrieval.retrievers.vector import VectorSearch

from benchmarks.report import arguments, print_table, save

ROOT = Path(__file__).parents[1]
QUESTIONS = [ROOT / "fixtures/questions/primer.jsonl", ROOT / "fixtures/questions/primer-more.jsonl"]
OF_DOCUMENTS = ("retrieval.ndcg@10", "retrieval.recall@10", "retrieval.mrr")
OF_PASSAGES = tuple(f"retrieval.{name}" for name in ("recall", "hit@4", "recall@8", "ndcg@10", "mrr"))
SHARES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
CONSTANTS = (5.0, 10.0, 20.0, 40.0, 60.0)
# About half of the standard error of the smaller half.
TOLERANCE = 0.005
ASKED = 1000

# A document of the folders is a chunk by itself.
WHOLE = PipelineConfig("whole", chunk_sizes=(8192,), chunk_overlap=0, top_k=50)
RETRIEVERS = {
    "bm25": replace(WHOLE, retriever="bm25"),
    "vector": WHOLE,
    "hybrid": replace(WHOLE, retriever="hybrid"),
    "vector, sentence_vectors": replace(WHOLE, sentence_vectors=True),
    "hybrid, sentence_vectors": replace(WHOLE, retriever="hybrid", sentence_vectors=True),
    "sentence_window of hybrid": replace(
        WHOLE, retriever="sentence_window", candidates="hybrid", chunk_sizes=(200,)
    ),
}

Figures = dict[str, float]


@dataclass(frozen=True)
class Judged:
    """A folder in BEIR's form: its documents, and its questions by half."""

    name: str
    corpus: Corpus
    halves: Mapping[str, Sequence[Question]]


class Searched:
    """Indexes in one folder, with vectors that are kept from one run to the next."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._embedder = Embedder(resolve(WHOLE.embedder), Cache(home / "cache.sqlite"))

    def index(self, corpus: Corpus, config: PipelineConfig) -> Index:
        """Return the index of a corpus for a configuration."""
        embedder = NoEmbedder() if config.search == "bm25" else self._embedder
        return Index(corpus, config, embedder, self._home / "indexes")

    def rankings(self, judged: Judged, questions: Sequence[Question]) -> list[tuple[list[Hit], list[Hit]]]:
        """Return for each question the ranking by vectors and that by words."""
        opened = self.index(judged.corpus, WHOLE).load()
        vectors = VectorSearch(opened.chunks, opened.store, self._embedder)
        words = BM25Search(opened.chunks, BM25Settings())
        depth = WHOLE.fusion_depth
        return [(vectors.find(q.question, depth), words.find(q.question, depth)) for q in questions]


def main() -> None:
    """Measure everything, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="folders in BEIR's form")
    parser.add_argument("--questions", nargs="*", type=Path, default=QUESTIONS, help="files of questions")
    parser.add_argument("--docs", type=Path, default=ROOT / "fixtures/corpus/primer.pdf")
    parser.add_argument("--home", type=Path, default=Path(".rag-evals/benchmark"))
    parser.add_argument("--seed", type=int, default=0, help="of the halves of the queries")
    options = parser.parse_args()
    searched = Searched(options.home)
    folders = [read_folder(folder, options.seed) for folder in options.folders]
    result: dict[str, Any] = {"seed": options.seed}
    if folders:
        result["fusion"] = chosen_fusion(searched, folders)
        result["folders"] = {folder.name: figures_of_folder(searched, folder) for folder in folders}
    corpus = read_documents(options.docs)
    result["questions"] = {
        path.name: figures_of_questions(searched, corpus, placed(path, corpus)) for path in options.questions
    }
    result["milliseconds"] = milliseconds(searched, corpus, placed(options.questions[0], corpus))
    result["runs of retrieval alone"] = {
        name: seconds_of_run(options.home / "runs", options.docs, options.questions[0], name)
        for name in load_configs()
    }
    save("retrieval", result, " ".join(["python -m benchmarks.retrieval", *arguments()]))


def read_folder(folder: Path, seed: int) -> Judged:
    """Read documents, queries and judgements; half of the queries are drawn by the seed."""
    documents = []
    for entry in _lines(folder / "corpus.jsonl"):
        text = f"{entry.get('title') or ''}\n{entry['text']}".strip()
        if text:
            documents.append(Document(entry["_id"], text, (), ""))
    grades: dict[str, dict[str, int]] = {}
    (judgements,) = [*folder.glob("qrels*.tsv"), *folder.glob("qrels/test.tsv")]
    with judgements.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            grades.setdefault(row["query-id"], {})[row["corpus-id"]] = max(0, int(row["score"]))
    known = {document.name for document in documents}
    questions = [
        Question(
            query["_id"],
            query["text"],
            sources=tuple(
                Source(name, relevance=float(grade))
                for name, grade in grades[query["_id"]].items()
                if name in known
            ),
        )
        for query in _lines(folder / "queries.jsonl")
        if any(grades.get(query["_id"], {}).values())
    ]
    ids = sorted(question.id for question in questions)
    random.Random(seed).shuffle(ids)
    seen = set(ids[: len(ids) // 2])
    halves = {
        half: [question for question in questions if (question.id in seen) == (half == "chosen on")]
        for half in ("chosen on", "held out")
    }
    return Judged(folder.name, Corpus(tuple(documents)), halves)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def documents_of(hits: Iterable[Hit]) -> list[Any]:
    """Return where the hits stand, the best of each document."""
    return list({hit.chunk.document: hit.chunk.span for hit in reversed(list(hits))}.values())[::-1]


def mean_of(questions: Sequence[Question], found: Sequence[Any], metrics: Sequence[str]) -> Figures:
    """Return the mean of each metric; a question of which nothing can be told counts 0."""
    rows = [
        [score.value or 0.0 for score in retrieval_scores(question, {"found": passages}, metrics)]
        for question, passages in zip(questions, found, strict=True)
    ]
    means = (statistics.fmean(column) for column in zip(*rows, strict=True))
    return {metric: round(mean, 4) for metric, mean in zip(metrics, means, strict=True)}


def chosen_fusion(searched: Searched, folders: Sequence[Judged]) -> dict[str, Any]:
    """Choose share and constant on the first halves.

    Of the settings with which the fused ranking is on every folder at least as good as the better of its two,
    those count whose mean nDCG@10 is within TOLERANCE of the highest; of these the one with the largest
    constant, which is the nearest to that of the paper, and then with the highest mean.
    """
    metric = OF_DOCUMENTS[0]
    table: dict[tuple[float, float], list[float]] = {}
    floors = []
    for folder in folders:
        questions = folder.halves["chosen on"]
        rankings = searched.rankings(folder, questions)
        by_one = ([documents_of(pair[n]) for pair in rankings] for n in (0, 1))
        floors.append(max(mean_of(questions, found, (metric,))[metric] for found in by_one))
        for share, constant in product(SHARES, CONSTANTS):
            fused = [
                documents_of(fuse([(pair[0], share), (pair[1], 1 - share)], constant)) for pair in rankings
            ]
            table.setdefault((share, constant), []).append(mean_of(questions, fused, (metric,))[metric])
    good = [key for key, row in table.items() if all(a >= b for a, b in zip(row, floors, strict=True))]
    means = {key: statistics.fmean(table[key]) for key in good or table}
    near = [key for key, mean in means.items() if mean >= max(means.values()) - TOLERANCE]
    share, constant = max(near, key=lambda key: (key[1], means[key]))
    names = [folder.name for folder in folders]
    print(f"chosen: vector_weight {share}, bm25_weight {1 - share:.2f}, rrf_constant {constant:g}\n")
    return {
        "chosen": {"vector_weight": share, "bm25_weight": round(1 - share, 2), "rrf_constant": constant},
        "defaults": {key: getattr(WHOLE, key) for key in ("vector_weight", "bm25_weight", "rrf_constant")},
        "better of both, chosen on": dict(zip(names, floors, strict=True)),
        "ndcg@10 chosen on": [
            {"share of vector": a, "constant": c, **dict(zip(names, row, strict=True))}
            for (a, c), row in table.items()
        ],
    }


def figures_of_folder(searched: Searched, folder: Judged) -> dict[str, Any]:
    """Measure every retriever at its defaults, on each half and on all queries."""
    everything = [question for half in folder.halves.values() for question in half]
    found: dict[str, dict[str, Figures]] = {}
    for name, config in RETRIEVERS.items():
        index = searched.index(folder.corpus, config)
        places = {q.id: _documents(index.retrieve(q.question).contexts) for q in everything}
        halves = {**folder.halves, "all": everything}
        found[name] = {
            half: mean_of(questions, [places[q.id] for q in questions], OF_DOCUMENTS)
            for half, questions in halves.items()
        }
    print_table(
        [
            [folder.name, "held out: nDCG@10", "recall@10", "MRR", "all: nDCG@10"],
            *(
                [
                    name,
                    *(f"{row['held out'][metric]:.4f}" for metric in OF_DOCUMENTS),
                    f"{row['all'][OF_DOCUMENTS[0]]:.4f}",
                ]
                for name, row in found.items()
            ),
        ]
    )
    print()
    sizes = {half: len(questions) for half, questions in folder.halves.items()}
    return {"documents": len(folder.corpus.documents), "queries": sizes, "retrievers": found}


def _documents(contexts: Iterable[Any]) -> list[Any]:
    return list({context.document: context.places[0] for context in reversed(list(contexts))}.values())[::-1]


def placed(path: Path, corpus: Corpus) -> list[Question]:
    """Read the questions of a file that have sources, with the offsets of these."""
    documents = {document.name: document for document in corpus.documents}
    questions = []
    for question in load_questions([path]):
        sources = []
        for source in question.sources:
            place = find_quote(source.quote or "", documents[source.document].text)
            sources.append(replace(source, start=place.start, end=place.end) if place else source)
        if sources:
            questions.append(replace(question, sources=tuple(sources)))
    return questions


def variants() -> dict[str, PipelineConfig]:
    """Return the default pipelines, and what each is without what is special about it."""
    defaults = load_configs()
    plain = replace(defaults["baseline"], retriever="vector", candidates="", sentence_vectors=False)
    merging = replace(defaults["auto_merging"], candidates="vector", sentence_vectors=False)
    windows = replace(plain, retriever="sentence_window", chunk_sizes=(200,), top_k=12)
    return {
        "baseline (default)": defaults["baseline"],
        "auto_merging (default)": defaults["auto_merging"],
        "vector": plain,
        "bm25": replace(plain, retriever="bm25"),
        "hybrid": replace(plain, retriever="hybrid"),
        "vector, sentence_vectors": replace(plain, sentence_vectors=True),
        "hybrid, sentence_vectors": replace(plain, retriever="hybrid", sentence_vectors=True),
        "auto_merging of vector, top_k 12 (the default before)": replace(merging, top_k=12),
        "auto_merging of vector": merging,
        "auto_merging of bm25": replace(merging, candidates="bm25"),
        "auto_merging of hybrid": replace(merging, candidates="hybrid"),
        "auto_merging of hybrid, sentence_vectors": replace(
            merging, candidates="hybrid", sentence_vectors=True
        ),
        "sentence_window of vector": windows,
        "sentence_window of hybrid": replace(windows, candidates="hybrid"),
    }


def figures_of_questions(searched: Searched, corpus: Corpus, questions: Sequence[Question]) -> dict[str, Any]:
    """Measure the pipelines on questions: the passages that are kept, and the candidates before."""
    found: dict[str, dict[str, Figures]] = {}
    for name, config in variants().items():
        index = searched.index(corpus, config)
        retrieved = [index.retrieve(question.question) for question in questions]
        kept = [one.contexts[: config.passages] for one in retrieved]
        found[name] = {
            "candidates": mean_of(questions, [one.stages["candidates"] for one in retrieved], OF_PASSAGES),
            "kept": mean_of(questions, kept, OF_PASSAGES),
            "kept characters": {
                "mean": round(statistics.fmean(sum(len(c.text) for c in contexts) for contexts in kept))
            },
        }
    heads = [metric.removeprefix("retrieval.") for metric in OF_PASSAGES]
    print_table(
        [
            [f"{len(questions)} questions, kept passages", *heads, "characters"],
            *(
                [
                    name,
                    *(f"{row['kept'][metric]:.3f}" for metric in OF_PASSAGES),
                    f"{row['kept characters']['mean']:,.0f}",
                ]
                for name, row in found.items()
            ),
        ]
    )
    print()
    return {"questions": len(questions), "pipelines": found}


def milliseconds(searched: Searched, corpus: Corpus, questions: Sequence[Question]) -> dict[str, float]:
    """Return the mean time of a thousand questions beyond the embedder, by pipeline, of one processor."""
    asked = [questions[n % len(questions)].question for n in range(ASKED)]
    found = {}
    for name, config in variants().items():
        index = searched.index(corpus, config)
        for text in dict.fromkeys(asked):
            index.retrieve(text)
        start = time.process_time()
        for text in asked:
            index.retrieve(text)
        found[name] = round((time.process_time() - start) / len(asked) * 1000, 2)
    print_table([["pipeline", "ms a question"], *([name, f"{value:.2f}"] for name, value in found.items())])
    return found


def seconds_of_run(home: Path, docs: Path, questions: Path, pipeline: str) -> Figures:
    """Return what a run of retrieval alone takes for a thousand questions whose vectors are known."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "thousand.jsonl"
        entries = [entry for entry in _lines(questions) if entry.get("sources")]
        many = (entries[n % len(entries)] | {"number": n} for n in range(ASKED))
        asked.write_text(
            "".join(
                json.dumps(
                    {
                        "id": f"{one['id']}-{one['number']}",
                        "question": f"{one['question']} ({one['number']})",
                        "sources": one["sources"],
                    }
                )
                + "\n"
                for one in many
            ),
            "utf-8",
        )
        words = ["-q", "-p", "no:cacheprovider", "--evals-only", "retrieval", "--evals-pipelines", pipeline]
        words += ["--evals-questions", str(asked), "--evals-docs", str(docs.resolve())]
        words += ["--evals-home", str(home.resolve()), "--evals-refresh", "all"]
        seconds = 0.0
        for _ in ("to know the vectors", "to be measured"):
            start = time.perf_counter()
            ran = subprocess.run(
                [sys.executable, "-m", "pytest", "evals/test_retrieval.py", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            seconds = time.perf_counter() - start
    summary = (ran.stdout.strip().splitlines() or [""])[-1]
    print(f"{pipeline}: a run of {ASKED} questions in {seconds:.1f} s ({summary})")
    return {"seconds": round(seconds, 1), "milliseconds a question": round(seconds / ASKED * 1000, 1)}


if __name__ == "__main__":
    main()
