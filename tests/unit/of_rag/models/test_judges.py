"""The catalogue of trained judges: complete, sourced, and what is wrong in one of one's own."""

from __future__ import annotations

import re

import pytest
from rag_evals.evals.judges.build import ASKED
from rag_evals.evals.judges.entailment.asked import ASKINGS
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.judges import judge_named, load_judges
from rag_evals.rag.retrieval.entailment import FORMS


def test_the_catalogue_that_ships():
    """Every form and every way of asking has a judge; figures have a source with its date."""
    judges = load_judges().values()
    assert {judge.form for judge in judges if judge.form} == set(FORMS)
    assert {judge.asked for judge in judges if judge.asked} == set(ASKINGS) == set(ASKED)
    for judge in judges:
        has_figure = judge.aggrefact or judge.ragtruth_f1
        assert bool(has_figure) == bool(judge.source) == bool(re.fullmatch(r"\d{4}-\d\d-\d\d", judge.date))
        assert re.fullmatch("main|[0-9a-f]{40}", judge.revision)


def test_published_figures():
    """Some of them, as their boards had them."""
    judges = load_judges()
    found = {
        name: (judges[name].aggrefact, judges[name].ragtruth, judges[name].ragtruth_f1)
        for name in ("factcg-deberta-v3-large", "hhem-2.1-open", "lettucedect-large-modernbert-en-v1")
    }
    assert found == {
        "factcg-deberta-v3-large": (75.6, 82.3, None),
        "hhem-2.1-open": (71.8, 69.9, None),
        "lettucedect-large-modernbert-en-v1": (None, None, 79.2),
    }


def test_by_name_and_by_repository():
    """A judge is found by either, and by nothing else."""
    judge = judge_named("minicheck-roberta-large")
    assert judge_named("lytang/MiniCheck-RoBERTa-Large") == judge
    assert judge_named("LYTANG/minicheck-roberta-large") == judge
    assert judge_named("minicheck") is None


def test_what_is_published_counts_before_what_is_reckoned():
    """Without a published size four bytes a parameter are reckoned; in memory that is what it takes."""
    judges = load_judges()
    factcg, roberta = judges["factcg-deberta-v3-large"], judges["minicheck-roberta-large"]
    assert (factcg.weights, roberta.weights) == (1_740_000_000, 355 * 4_000_000)
    assert (factcg.memory, roberta.memory) == (2_540_000_000, 355 * 4_000_000 + 800_000_000)


def test_a_judge_is_here_with_all_it_reads_with(tmp_path):
    """Weights without the tokenizer that they need are not enough."""
    judge = load_judges()["hhem-2.1-open"]
    folder = tmp_path / "vectara--hallucination_evaluation_model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w")
    assert not judge.is_here(tmp_path)
    words = tmp_path / "google--flan-t5-base--tokenizer"
    words.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (words / name).write_text("{}")
    assert judge.is_here(tmp_path)


def test_a_wrong_catalogue_is_one_error_that_lists_each_wrong_judge(tmp_path):
    """Whoever edits a catalogue sees every mistake at once."""
    start = '[[judge]]\nname = "a"\nrepo = "o/a"\nparameters = 1\n'
    file = tmp_path / "judges.toml"
    file.write_text(
        f'{start}form = "nli"\n{start}form = "nli"\n{start}\n{start}form = "nli"\nsize = 3\n'
        f'{start}form = "nli"\naggrefact = 75.0\n{start}form = "nli"\naggrefact = 75.0\nsource = "board"\n'
    )
    with pytest.raises(ModelError) as caught:
        load_judges(file)
    assert str(caught.value) == (
        f"the catalogue of judges {file} has 5 wrong judges:\n"
        "  judge 2 (a): the name is taken by an earlier judge\n"
        "  judge 3 (a): either form or asked is needed\n"
        "  judge 4 (a): unknown key size\n"
        "  judge 5 (a): figures need a source, and a source figures\n"
        "  judge 6 (a): source 'board' is not among [sources]"
    )
