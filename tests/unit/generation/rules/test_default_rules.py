"""Which candidates are kept: the rules that need no model, on written candidates; the others with scripts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from rag_evals.evals.generation.candidate import KINDS, Candidate, Passage
from rag_evals.evals.generation.examiner import Examiner, words_found
from rag_evals.evals.generation.rules import (
    answerable,
    corpus_wide,
    duplicates,
    own_words,
    references,
    self_contained,
    to_the_point,
)
from rag_evals.evals.generation.rules import well_formed as form
from rag_evals.evals.generation.rules.answerable import sources_of
from rag_evals.evals.generation.rules.corpus_wide import Nearest, told_apart
from rag_evals.evals.generation.rules.default_rules import CRITERIA, default_rules
from rag_evals.evals.generation.rules.duplicates import Duplicates, may_ask_the_same
from rag_evals.evals.generation.rules.rule import Criterion, Measured, Rule, RuleResult
from rag_evals.evals.generation.rules.self_contained import dangling
from rag_evals.evals.generation.rules.to_the_point import is_evaded, misnamed, missing, unexplained
from rag_evals.evals.generation.text.words import names_in
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.testing import ScriptedLLM

from tests.servers.candidates import Written, written

SENTENCE = "The dunes of Ostra move 11 metres a year towards the lake."
YES, NO = {"yes": 0.9, "no": 0.1}, {"yes": 0.1, "no": 0.9}


@pytest.fixture(scope="module")
def candidates() -> list[Written]:
    return written()


def passage(text: str) -> Passage:
    return Passage("a.md", "0" * 64, None, 0, len(text), text, "Dunes")


def candidate(
    question: str = "How many metres do the dunes of Ostra move a year?",
    reference: str | None = "11 metres.",
    *,
    kind: str = "number",
    other: str | None = None,
    id: str = "q",
) -> Candidate:
    sources = (Source("a.md", None, 0, len(SENTENCE), SENTENCE),) if reference else ()
    asked = Question(id, question, reference, sources, answerable=reference is not None)
    return Candidate(asked, kind, passage(SENTENCE), passage(other) if other else None, 0)


# --- all of them ---


def test_every_rule_can_be_listed():
    """Each has a name of its own, a description, a reason for its threshold, and kinds that there are."""
    assert len({one.name for one in CRITERIA}) == len(CRITERIA) == 15
    for one in CRITERIA:
        assert one.description.endswith(".")
        assert one.why
        assert one.kinds <= frozenset(KINDS)
    rules = default_rules(ScriptedLLM(), Still(), [SENTENCE])
    assert tuple(rule.criterion for rule in rules) == CRITERIA


def test_what_cannot_be_measured_is_dropped():
    """Nobody has seen that it is good: it goes, and the reason says that there is no verdict."""
    criterion = Criterion("sure", "It is sure.", 0.5, "at least", "")
    found = Rule(criterion, lambda candidate, kept: Measured(None, "it fits nowhere")).judge(candidate(), [])
    assert found.value is None
    assert found.drop == "no verdict: it fits nowhere"


def test_rule_leaves_other_kinds_alone():
    """A rule on false premises says nothing of numbers."""
    llm = ScriptedLLM()
    rule = Rule(corpus_wide.PREMISE_IS_FALSE, Nearest(Still(), [], Examiner(llm)).premise_is_false)
    assert rule.judge(candidate(), []).drop is None
    assert llm.prompts == []


# --- without a model ---


@pytest.mark.parametrize(
    ("module", "measure", "name"),
    [
        (form, form.well_formed, "well-formed"),
        (self_contained, self_contained.self_contained, "self-contained"),
        (own_words, own_words.own_words, "own-words"),
    ],
)
def test_written_candidates(candidates, module, measure, name):
    """Every candidate that was written to fail a rule does, and no good one."""
    criterion = module.CRITERION
    wrong = []
    for one in candidates:
        if one.candidate.kind not in criterion.kinds or (one.faults and name not in one.faults):
            continue
        value = measure(one.candidate, []).value
        if criterion.is_met(value) == (name in one.faults):
            wrong.append(one.candidate.question.question)
    # A detail is mostly asked of something with a name; here it is not.
    lost = ["What criticism has been made of reciprocal rank fusion?"]
    assert wrong == (lost if name == "self-contained" else [])


def test_two_questions_in_one():
    """One answer cannot be right for both; two things that are compared are asked for together."""
    both = asked("How far do the dunes move, and why is that so?", "11 metres.", SENTENCE)
    assert form.well_formed(both, []) == Measured(1.0, "asks two things")
    assert form.well_formed(replace(both, kind="comparison"), []).value == 0.0


def test_good_candidates_are_to_the_point(candidates):
    """None of the good ones asks for what its source has no word of."""
    good = [one.candidate for one in candidates if not one.faults and one.candidate.question.sources]
    for one in good:
        if one.kind in to_the_point.CRITERION.kinds:
            assert to_the_point.to_the_point(one, []).value == 0.0, one.question.question


@pytest.mark.parametrize(
    ("question", "source", "words"),
    [
        ("How many sub-blocks does it use?", "We set K to 2.", ["sub-blocks"]),
        ("How many sub-blocks does it use?", "It has 2 sub-blocks.", []),
        ("What is the main difference between A and B?", "A replaces B.", ["difference"]),
        ("What is the main difference between A and B?", "A has one, while B has two.", []),
        ("What are the advantages of running A on one machine?", "A runs on one machine.", ["advantage"]),
        ("What are the advantages of running A?", "A is better and faster.", []),
        ("What is A known for?", "A can fly.", ["known for"]),
        ("What is A famous for?", "A is known for flying.", []),
        ("What is the difference between Arum and Bolo?", "Arum flies instead of walking.", ["Bolo"]),
        ("What is the difference between Arum and Bolo?", "Arum flies, while Bolo walks.", []),
    ],
)
def test_to_the_point(question, source, words):
    """What is counted, and the relation that is asked for, are in the source."""
    assert missing(question, source) == words


@pytest.mark.parametrize(
    ("question", "number", "source", "words"),
    [
        (
            "What is the growth constant of A?",
            "47.",
            "The costs of A grow with its size, 47.",
            ["growth constant"],
        ),
        ("What is the size of A?", "47.", "The costs of A grow with its size, 47.", []),
        ("What is the percentage of wool in A?", "40 percent.", "A holds 40 percent wool.", []),
        ("How many words does A read?", "32,768.", "A has a window of 32,768 words.", ["window"]),
        ("How many words are in the window of A?", "32,768.", "A has a window of 32,768 words.", []),
        ("How many blocks has A?", "8.", "Each layer of A is composed of 8 blocks.", []),
    ],
)
def test_number_of_something_else(question, number, source, words):
    """What the question calls a number, and what the source says that it is the size of, are in both."""
    assert misnamed(question, number, source) == words


@pytest.mark.parametrize(
    ("question", "is_right"),
    [
        ("How many blocks are in each layer of Carrel 7?", False),
        ("How many blocks are in each layer of Carrelix?", True),
        ("Which machine has 8 blocks in each layer, Carrelix or Carrel 7?", True),
    ],
)
def test_what_is_said_of_another(question, is_right):
    """What a source says behind "except that" is said of what it began with."""
    source = "Carrelix has the architecture of Carrel 7, except that each layer has 8 blocks."
    found = to_the_point.to_the_point(asked(question, "8.", source), [])
    assert found.value == (0.0 if is_right else 1.0)
    if not is_right:
        assert found.reason == "the source says it of Carrelix"


@pytest.mark.parametrize(
    ("question", "source", "terms"),
    [
        (
            "What is a bias of judges?",
            "Self-enhancement bias: a liking for own answers.",
            ["Self-enhancement bias"],
        ),
        ("What is self-enhancement bias?", "Self-enhancement bias: a liking for own answers.", []),
        ("What does recall mean?", "The recall, or hit rate, is the share of what was found.", []),
    ],
)
def test_another_term_is_explained(question, source, terms):
    """A definition is asked for by the name of what is defined."""
    assert unexplained(question, source) == terms


@pytest.mark.parametrize(
    ("question", "reference", "is_so"),
    [
        ("What is the first stage of reranking?", "The first stage decides what can be found.", True),
        ("What is the first stage of reranking?", "Retrieval.", False),
        ("What are active parameters?", "Active parameters are those that one token uses.", False),
        ("What is Arum's speed compared to Bolo's?", "Arum outruns Bolo.", False),
    ],
)
def test_what_it_does_is_not_what_it_is(question, reference, is_so):
    """Who asks what the first stage is does not learn it from what it decides."""
    assert is_evaded(question, reference) == is_so


@pytest.mark.parametrize("name", ["in-its-words", "tells-something", "needs-both"])
def test_good_references_pass(candidates, name):
    """Of the good written candidates one goes, which explains in words of its own."""
    measures = {
        "in-its-words": (references.IN_ITS_WORDS, references.in_its_words),
        "tells-something": (references.TELLS, references.tells_something),
        "needs-both": (references.NEEDS_BOTH, references.needs_both),
    }
    rule = Rule(*measures[name])
    good = [one.candidate for one in candidates if not one.faults]
    lost = [one.question.question for one in good if rule.judge(one, []).drop]
    assert lost == (
        ["Why might BM25 miss a passage on physicians when the query is about doctors?"]
        if name == "in-its-words"
        else []
    )


def asked(question: str, reference: str, *quotes: str, kind: str = "fact") -> Candidate:
    sources = tuple(Source("a.md", None, 0, len(quote), quote) for quote in quotes)
    return Candidate(Question("q", question, reference, sources), kind, passage(quotes[0]), None, 0)


def test_reference_in_words_of_its_own():
    """A reason that the source does not give is named by its words."""
    made_up = asked(
        "Why did Ostra plant beach grass?", "To attract more tourists.", "Ostra planted beach grass in 1902."
    )
    found = references.in_its_words(made_up, [])
    assert found == Measured(0.0, "the reference has words that its source has not: attract, more, tourist")


def test_reference_that_says_the_question_again():
    """Most of its words are in the question: nobody learns anything from it."""
    source = "Carts travel to the yard that holds their goods and are emptied there."
    amount = asked("Which tests does A pass?", "Most tests.", "A passes most tests.")
    assert references.tells_something(amount, []) == Measured(
        1.0, "the question gives all of the reference but how much"
    )
    again = asked("What happens when carts travel to the yard that holds their goods?", source, source)
    assert references.tells_something(again, []) == Measured(
        pytest.approx(5 / 6), "83% of the reference's words are in the question already"
    )


def test_comparison_that_one_source_answers():
    """The other one gives nothing: it is no comparison."""
    quotes = ("Ostra has dunes at Lund.", "The dunes of Vell are higher than those of Ostra.")
    alone = asked(
        "Are the dunes of Vell higher or Lund's?", "Those of Vell are higher than those of Ostra.", *quotes
    )
    found = references.needs_both(alone, [])
    assert found == Measured(0.0, "one of its two sources is enough for the reference")
    quotes = ("Ostra has 11 dunes.", "Vell has 14 dunes.")
    both = asked("Which has more dunes, Vell or Ostra?", "Vell, which has 14; Ostra has 11.", *quotes)
    assert references.needs_both(both, []).value == 1.0
    vague = asked("Which has more dunes?", "Vell, which has 14; Ostra has 11.", *quotes)
    assert references.needs_both(vague, []) == Measured(
        0.0, "it does not name what each of its two sources is on"
    )


def test_reference_that_is_cut_short():
    """Half of what a source lists is no whole answer."""
    source = "Ostra also shows fewer dunes, and a broader beach at Lund."
    half = asked("What does Ostra show?", "Fewer dunes.", source)
    assert to_the_point.to_the_point(half, []) == Measured(
        1.0, "the reference leaves out: a broader beach at Lund"
    )
    whole = asked("What does Ostra show?", "Fewer dunes, and a broader beach at Lund.", source)
    assert to_the_point.to_the_point(whole, []).value == 0.0


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Which model outperforms the others in the benchmarks?", ["the others"]),
        ("What does the paper propose?", ["the paper"]),
        ("How many layers does it have?", ["it"]),
        ("How many of its layers does Mixtral share?", []),
        ("Which of the others of the family of Mixtral is open?", []),
        ("What is shown in Table 3?", ["in Table 3", "Table 3"]),
        ("What does the text say about numbers?", ["the text say"]),
        ("How does a cross-encoder read a query and its passage?", []),
        ("Which islands did the expedition conquer?", ["the expedition"]),
        ("Which islands did the Norman expedition conquer?", []),
        ("Which islands did the expedition of 1402 conquer?", []),
        ("How many steps does the training of a retriever take?", []),
        ("How many steps did the pre-training process take?", ["the pre-training process"]),
        ("Why do the experts differ?", ["the experts"]),
        ("How often is the index rebuilt?", ["the index"]),
        ("What is the null document?", []),
        ("How far is the largest planet?", []),
    ],
)
def test_dangling_words(question, words):
    """What points out of a question is named."""
    found = dangling(question)
    assert bool(found) == bool(words)
    assert all(any(word in one for one in found) or word in words for word in found)


def test_paraphrase_of_something_else():
    """A paraphrase is held against its original, which is kept before it."""
    first = candidate(id="first")
    measure = Duplicates(Still()).to_original
    again = replace(first, kind="paraphrase")
    again = replace(again, question=replace(again.question, provenance={"paraphrase_of": "first"}))
    alike = replace(again, question=replace(again.question, question="How fast do they move?"))
    other = replace(again, question=replace(again.question, question="What moves the dunes?"))
    assert measure(alike, [first]).value == 1.0
    assert measure(other, [first]) == Measured(0.0, f'asks something else than "{first.question.question}"')
    assert measure(alike, []) == Measured(None, "its original is not kept")


def test_event_without_a_name():
    """Whose index was rebuilt stands in the sentence before; a question must say it."""
    source = "The index was rebuilt every 500 steps, as it becomes stale."
    around = passage(f"REALM searches an index. {source}")
    whose = replace(asked("How often is an index rebuilt?", "Every 500 steps.", source), passage=around)
    found = self_contained.self_contained(whose, [])
    assert found.value == 1.0
    assert found.reason.startswith("does not say of what or whom")
    named = asked("How often is the index of REALM rebuilt?", "Every 500 steps.", source)
    assert self_contained.self_contained(replace(named, passage=around), []).value == 0.0
    always = asked("How often is an index rebuilt?", "Often.", "The index is rebuilt often.")
    assert self_contained.self_contained(replace(always, passage=around), []).value == 0.0
    # Where nothing has a name, none can be missing.
    assert self_contained.self_contained(replace(whose, passage=passage(source)), []).value == 0.0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "The router of Mixtral 8x7B picks two. Each of them, as in GShard, is small.",
            ["Mixtral 8x7B", "GShard"],
        ),
        (
            "ColBERT and FiD-large beat BM25 on Natural Questions.",
            ["ColBERT", "FiD-large", "BM25", "Natural Questions"],
        ),
        ("What is vLLM?", ["vLLM"]),
        ("Employees have 30 days of leave. Managers have more.", []),
    ],
)
def test_names(text, names):
    """A capital letter at the beginning of a sentence makes no name."""
    assert list(names_in(text)) == names


def test_question_on_another_sentence():
    """With two names that its source has not, a question is on another one."""
    source = "Lewis and colleagues coined the name RAG."
    strange = asked("Which model combines DPR with BART-large?", "RAG.", source)
    assert to_the_point.to_the_point(strange, []) == Measured(
        2.0, "the source names none of: DPR, BART-large"
    )
    assert to_the_point.to_the_point(asked("What did Lewis coin for REALM?", "RAG.", source), []).value == 0.0


class Still:
    """An embedder that finds all texts that begin alike to be the same."""

    name = fingerprint = "still"

    def embed(self, texts):
        rows = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[ord(text[0]) % 32] = 1.0
        return rows


def test_same_question_is_found():
    """Of questions that are close, the one with other names or another answer is another question."""
    first = candidate(id="first")
    measure = Duplicates(Still())
    again = candidate("How far in metres do the dunes of Ostra move each year?", id="again")
    found = measure(again, [first])
    assert found.value == 1.0
    assert found.reason == 'asks the same as "How many metres do the dunes of Ostra move a year?" (first)'
    norr = candidate("How many metres do the dunes of Norr move a year?", "30 metres.", id="norr")
    assert measure(norr, [first]).value == 0.0
    assert measure(again, []).value == 0.0
    assert Duplicates(Still(), [first.question])(again, []).value == 1.0


def test_paraphrase_is_no_duplicate_of_its_original():
    """It asks the same, as it should; of every other question it is one."""
    first = candidate(id="first")
    said = replace(candidate("How far do they go?").question, provenance={"paraphrase_of": "first"})
    again = replace(candidate(), question=said, kind="paraphrase")
    assert Duplicates(Still())(again, [first]).value == 0.0


def test_written_pairs_differ_in_names_or_answers():
    """Questions that have no answer may be the same only among themselves."""
    unanswerable = candidate("What do the dunes of Ostra cost?", None, kind="unanswerable").question
    assert not may_ask_the_same(candidate().question, unanswerable)
    assert duplicates.CRITERION.is_met(0.8)


# --- with a model ---


def test_grounded():
    """The reference is held against the source, which is all that the model sees of the document."""
    llm = ScriptedLLM(YES)
    rule = Rule(answerable.GROUNDED, partial(answerable.grounded, Examiner(llm)))
    assert rule.judge(candidate(), []).value == pytest.approx(0.9)
    assert SENTENCE in llm.prompts[0].parts[0]
    wrong = Rule(answerable.GROUNDED, partial(answerable.grounded, Examiner(ScriptedLLM(NO))))
    assert wrong.name == "grounded"
    drop = wrong.judge(candidate(reference="12 metres."), []).drop
    assert drop == '"12 metres." is not what the source says'


def test_answerable():
    """The model answers from the source, and is asked whether that is the reference."""
    llm = ScriptedLLM("11 metres a year.", YES)
    rule = Rule(answerable.ANSWERABLE, partial(answerable.answerable, Examiner(llm)))
    assert rule.judge(candidate(), []).value == pytest.approx(0.95)
    assert len(llm.prompts) == 2
    assert "Reference answer: 11 metres." in "".join(llm.prompts[1].parts)
    examiner = Examiner(ScriptedLLM("They do not say."))
    silent = Rule(answerable.ANSWERABLE, partial(answerable.answerable, examiner))
    found = silent.judge(candidate(), [])
    assert found == RuleResult(0.0, 'from the source the model says "They do not say."')


def test_needs_documents():
    """Who gives the reference with nothing before it has known it: the question goes."""
    llm = ScriptedLLM("11 metres.", YES)
    drop = (
        Rule(answerable.NEEDS_DOCUMENTS, partial(answerable.needs_documents, Examiner(llm)))
        .judge(candidate(), [])
        .drop
    )
    assert drop == 'from memory the model says "11 metres."'
    assert SENTENCE not in "".join(llm.prompts[0].parts)


def test_unsupported():
    """The passages closest to the question are read: what they answer is no unanswerable question."""
    places = [f"{letter}. {SENTENCE}" for letter in "HABCDE"]
    asked = candidate("How many metres?", None, kind="unanswerable")
    llm = ScriptedLLM("11 metres.", YES, YES, YES)
    rule = Rule(corpus_wide.UNSUPPORTED, Nearest(Still(), places, Examiner(llm)).unsupported)
    drop = rule.judge(asked, []).drop
    assert drop == 'the documents seem to answer it: "11 metres."'
    assert "H. The dunes" in llm.prompts[0].parts[0]
    declined = Nearest(Still(), places, Examiner(ScriptedLLM("They do not say."))).unsupported
    assert Rule(corpus_wide.UNSUPPORTED, declined).judge(asked, []) == RuleResult(0.0)


def test_premise_is_false():
    """A premise that the passages bear out is none that is false."""
    asked = candidate("Why do the dunes move 11 metres?", kind="false_premise")
    for said, is_dropped in ((YES, True), (NO, False)):
        measure = Nearest(Still(), [SENTENCE], Examiner(ScriptedLLM(said))).premise_is_false
        drop = Rule(corpus_wide.PREMISE_IS_FALSE, measure).judge(asked, []).drop
        assert bool(drop) == is_dropped


def test_told_apart():
    """Where the similar passage gives the same answer, nothing is distracting about it."""
    asked = candidate(kind="distractor", other="The dunes of Norr move 30 metres a year.")
    llm = ScriptedLLM("30 metres.", NO)
    assert Rule(corpus_wide.TOLD_APART, partial(told_apart, Examiner(llm))).judge(asked, []).drop is None
    assert "The dunes of Norr" in llm.prompts[0].parts[0]
    same = Rule(corpus_wide.TOLD_APART, partial(told_apart, Examiner(ScriptedLLM("11 metres.", YES))))
    drop = same.judge(asked, []).drop
    assert drop == 'the similar passage says it as well: "11 metres."'


def test_too_long_a_passage_is_no_verdict():
    """What does not fit the context window drops one candidate, with the reason, and ends no run."""
    from rag_evals.rag.errors import ContextWindowError

    def full(prompt):
        raise ContextWindowError("the prompt has 5,000 tokens, the context window 4,096")

    rule = Rule(answerable.ANSWERABLE, partial(answerable.answerable, Examiner(ScriptedLLM(full))))
    drop = rule.judge(candidate(), []).drop
    assert drop == "no verdict: the prompt has 5,000 tokens, the context window 4,096"


@pytest.mark.parametrize(
    ("reference", "said", "share"),
    [
        ("11 metres.", "11 metres a year", 1.0),
        ("11 metres.", "12 metres", 0.0),
        ("About 30 percent.", "30%", 1.0),
        ("From the back to the front.", "the back", 0.5),
        ("The.", "anything", 0.0),
    ],
)
def test_words_found(reference, said, share):
    """Numbers have to be right; of other words the share that is there counts."""
    assert words_found(reference, said) == share


def test_sources_of():
    """The words of a candidate's sources are those of the documents."""
    assert sources_of(candidate()) == [SENTENCE]
