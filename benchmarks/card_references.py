"""Write the references of the bundled judge cards: what their weights say of the examples of a card check.

    python -m benchmarks.card_references [MODEL ...]

To be run when cards were fitted anew without `rag-evals calibrate`, which writes the reference with the card.
A model whose card is of other wordings or versions than this judge has here is left out, and said.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from rag_evals.evals.judges.build import CARDS, LABELS, JudgeModels, scorer_for
from rag_evals.evals.judges.calibration.card_check import ENDING, reference_of, reference_to_json
from rag_evals.evals.judges.calibration.judge_card import find_card
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.rag.config import load_configs
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.pipelines.resources import Resources


def main() -> None:
    """Write the references of the models that are named, by default of all bundled cards."""
    cards = [path.stem for path in sorted(CARDS.glob("*.json")) if not path.name.endswith(ENDING)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card_references", description=__doc__)
    parser.add_argument("models", nargs="*", default=cards, metavar="MODEL")
    config = next(iter(load_configs().values()))
    for name in parser.parse_args().models:
        models = JudgeModels(Resources(offline=True), replace(config, llm=replace(config.llm, model=name)))
        scorer = scorer_for("choice", models)
        assert isinstance(scorer, ChoiceScorer)
        assert isinstance(scorer.llm, LocalLLM)
        if find_card(scorer.fingerprint, [CARDS]) is None:
            print(f"{name}: its card is of another judge than this: calibrate anew")
            continue
        reference = reference_of(scorer, scorer.llm.file, LABELS)
        (CARDS / f"{name}{ENDING}").write_text(reference_to_json(reference), encoding="utf-8")
        print(f"{name}: {len(reference.verdicts)} verdicts, {reference.tokens:,} tokens")


if __name__ == "__main__":
    main()
