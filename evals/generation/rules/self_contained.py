"""Rules on questions that stand alone: no words that point at what a stranger to the passage cannot see.

Word lists and patterns, no model: asked whether a question is understood by itself, small models say yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.rules.rule import Criterion, Measured
from rag_evals.evals.generation.text.words import names_in

CRITERION = Criterion(
    name="self-contained",
    description="The question names what it is about: nothing in it points at a text that is not there, and "
    "no pronoun or definite term is without what it stands for.",
    threshold=0,
    side="at most",
    why="words that dangle; one is enough for a question that cannot be understood",
)

# What holds words: "the text" is what the question was written from.
_TEXT = (
    r"(?:passages?|texts?|paragraphs?|excerpts?|snippets?|sentences?|contexts?|sections?|chapters?|papers?"
    r"|articles?|documents?|primer|figures?|tables?|appendix|equations?|statements?|stud(?:y|ies)|reports?)"
)
_MAKERS = (
    r"(?:authors?|writers?|researchers?|scientists?|experimenters?|papers?|articles?|stud(?:y|ies)|primer)"
)
# Nouns that name a thing only together with its name: which model is "the model"?
_VAGUE = (
    r"(?:model|method|approach|system|technique|algorithm|architecture|network|process|procedure|experiment"
    r"|analysis|results?|finding|work|team|company|group|framework|metric|number|factor|parameter|layer"
    r"|variant|version|component|part|step|stage|idea|concept|task|data ?set|benchmark|mechanism|strategy"
    r"|feature|property|formula|example|term|value)s?"
)
# What says nothing of which one it is.
_ANY = (
    r"(?:two|three|four|five|six|new|novel|proposed|main|first|second|third|last|final|same|other|original"
    r"|remaining|resulting|trained|given|current|entire|whole|overall|specific|language|neural|base|baseline"
    r"|large|larger|largest|small|smaller|smallest|best|better|key|different|various|above|following)"
)
_SAID = (
    r"(?:given|provided|above|following|previous|preceding|aforementioned|mentioned|described|present"
    r"|current)"
)
_AUXILIARY = r"(?:do|does|did|is|are|was|were|has|have|had|can|could|will|would|should|may|might|must)"
_WHOSE = (
    r"(?:of|by|on|about|behind|that|which|who|whose|where|from|with|for|in|at|to|between|called|named|known)"
)
_OWN = re.compile(r"\b(?:we|our|ours|us|I|my|here)\b")
_POINTING = re.compile(
    rf"\b(?:this|these|the (?:{_SAID}|same|said|former|latter)) (?:\w+ )?{_TEXT}\b"
    rf"|\b(?:[Ii]n|[Bb]y|[Ff]rom|[Tt]o|[Pp]er) the {_TEXT}\b(?! {_WHOSE}\b)"
    r"|\bthe (?:above|following|aforementioned|former|latter)\b|\bthe others?\b(?! [a-z])"
    r"|\b(?:mentioned|described|shown|given|stated|discussed|listed|provided|defined|used|presented|introduced)"
    rf" (?:above|below|here|earlier|in the {_TEXT})\b"
    rf"|\bthe {_TEXT} (?:says?|states?|mentions?|describes?|discuss(?:es)?|explains?|tells?|suggests?"
    r"|claims?)\b"
    r"|\b(?:[Ff]igure|[Tt]able|[Ss]ection|[Ee]quation|[Ee]q\.|[Cc]hapter|[Pp]age) \(?\d[\d.]*|\[\d+\]",
)
_AUTHORS = re.compile(rf"\bthe (?:{_ANY} )?{_MAKERS}\b(?! {_WHOSE}\b)", re.IGNORECASE)
_DEMONSTRATIVE = re.compile(
    rf"\b(?:this|these)\b(?: \w+)?|\b(?:such an?|that|those) {_VAGUE}\b|\b(?:does|do|is) (?:that|those)\b",
    re.IGNORECASE,
)
_DEFINITE = re.compile(
    rf"\bthe (?:{_ANY} ){{0,2}}{_VAGUE}\b(?!-|'s? | {_WHOSE}\b| (?-i:[A-Z0-9])| [a-z]\d?\b"
    r"| (?:used|introduced|proposed) (?:by|in|for)\b)",
    re.IGNORECASE,
)
# Any other thing: "the expedition", "the explicit retrieval system". A superlative tells which one it is, and
# of some things there is only one.
_THE = re.compile(
    r"\b[Tt]he (?!(?:most|least|same|[a-z]+est|world|internet|web|public|sun|earth|moon|sea)\b)(?=[a-z])"
)
_TOKEN = re.compile(r"[\w'\u2019-]+|[^\w\s]")
_TELLS_WHICH = re.compile(rf"{_WHOSE}|[A-Z0-9(].*")
_THING = re.compile(r"[a-z][\w'\u2019-]*")
_BEHIND_IT = re.compile(rf"(?:{_AUXILIARY}|and|or|as|if|when|while|than|so|but|not)")
# "Which islands did the expedition conquer?"
_VERB_FOLLOWS = re.compile(rf"\b{_AUXILIARY} \Z")
# "What is the null document?" asks which one that is.
_WHICH = re.compile(r"[Ww]hat (?:is|are|was|were) the [^?]+\?\Z")
_PRONOUN = re.compile(r"\b(?:it|its|itself|they|them|their|theirs|he|she|his|her|him|one another)\b", re.I)
_ASKING = (
    r"(?:how (?:many|much|long|often|far|large|big|fast|well|does|do|did|is|are)?|what|which|who|whom|whose"
    r"|when|where|why)"
)
# What is asked for, up to the verb: "How many layers does" is nothing that "it" could stand for.
_ASKED = re.compile(rf"\b{_ASKING}\b(?:(?!,)[^?])*?\b{_AUXILIARY}\b|\b{_ASKING}\b", re.IGNORECASE)
_DUMMY_AFTER = re.compile(
    r"\A (?:not )?(?:is |was )?(?:so |very |more |less |that |\w+ly )?(?:matters?|cost|takes?|took|mean"
    r"|possible|impossible|necessary|important|useful|useless|hard|easy|easier|harder|difficult|costly|better|worse|best"
    r"|enough|safe|true|said|called|known)\b"
)
_NEXT_NAME = re.compile(r" (?:(?:the|an?) [a-z]|[A-Z]|\w+[A-Z\d])")
_WORD = re.compile(r"[^\W_][\w'-]*")
_NAME = re.compile(r"(?<!^)\b(?:[A-Z][\w-]*|\w+-?[A-Z]\w*|[a-z]+\d[\w-]*)|\b(?:[A-Z][\w-]*[A-Z\d][\w-]*)")
_NOTHING = """
a an and are as at be been being but by can could did do does each every few for from had has have
how i if in into is it its many may might more most much must no not of off on one only or other our
over own per same she should so some such than that the their them then there these they this those
through to too two three four five under up us was we were what when where which while who whom
whose why will with within without would you main general generally overall purpose goal aim result
results value number numbers difference advantage disadvantage benefit role effect reason reasons
use used using uses usage kind kinds type types name names called meant mean means define defined
definition give given happen happens happened become becomes first second third last next process
stage stages step steps thing things way ways part parts method approach model system key important
common usual different various certain idea ideas concept main total remaining left rest sum amount
share percentage percent size term terms metric study paper text passage factor get got make makes
made set larger smaller higher lower
"""
_EMPTY = frozenset(_NOTHING.split())


# "The index was rebuilt": that was done once, by somebody who is named before.
_WAS = re.compile(r"\b(?:was|were|had been|did)\b")


_LONGEST = 1000


def dangling(question: str) -> list[str]:
    """Return the words of `question` that point at something outside it, in no particular order.

    Of a question of more than a thousand characters the beginning is looked at: each word is held against
    those before it.
    """
    question = question[:_LONGEST]
    found = [match[0] for pattern in (_POINTING, _OWN, _AUTHORS) for match in pattern.finditer(question)]
    found += _unnamed(question)
    found += [match[0] for match in _PRONOUN.finditer(question) if not _stands_for(question, match)]
    if not found and not _names_something(question):
        found.append("nothing in particular")
    return list(dict.fromkeys(" ".join(words.split()) for words in found))


def self_contained(candidate: Candidate, _kept: Sequence[Candidate]) -> Measured:
    """Count the words of a question that dangle."""
    words = dangling(candidate.question.question)
    if not words and _is_of_nobody(candidate):
        return Measured(1.0, "does not say of what or whom: its passage names it, and its sentence does not")
    told = ", ".join(f'"{word}"' for word in words if word != "nothing in particular")
    reason = f"cannot be understood by itself: {told}" if told else "names nothing in particular"
    return Measured(float(len(words)), reason)


def _is_of_nobody(candidate: Candidate) -> bool:
    """Return whether a question is on something that only the passage around its sentence names.

    That is what numbers, single events, and details that the passage does not give are mostly of: "Each
    training example has 8 passages" is said of the one system that the passage is about.
    """
    question = candidate.question
    sentences = " ".join(source.quote or "" for source in question.sources)
    is_particular = bool(
        not question.answerable or _WAS.search(sentences) or re.search(r"\d", question.reference or "")
    )
    if not is_particular or names_in(question.question) or names_in(sentences):
        return False
    return bool(names_in(f"{candidate.passage.section}. {candidate.passage.text}"))


def _unnamed(question: str) -> Iterator[str]:
    """Yield the definite and demonstrative terms that no name stands before."""
    for pattern in (_DEMONSTRATIVE, _DEFINITE):
        for match in pattern.finditer(question):
            if not _NAME.search(question[: match.start()]) and not _NAME.search(match[0][1:]):
                yield match[0]
    if not _NAME.search(question) and not _WHICH.match(question):
        yield from filter(None, (_bare(question, the) for the in _THE.finditer(question)))


def _bare(question: str, the: re.Match[str]) -> str:
    """Return `the` with the words behind it; "" where what follows them tells which one is meant."""
    found: list[re.Match[str]] = []
    for token in _TOKEN.finditer(question, the.end()):
        if _TELLS_WHICH.fullmatch(token[0]):
            return ""
        if _BEHIND_IT.fullmatch(token[0]) or not _THING.fullmatch(token[0]):
            break
        found.append(token)
    if len(found) > 1 and _VERB_FOLLOWS.search(question[: the.start()]):
        found.pop()
    return question[the.start() : found[-1].end()] if found else ""


def _stands_for(question: str, pronoun: re.Match[str]) -> bool:
    """Return whether what a pronoun stands for can be before it, or it stands for nothing at all."""
    before, after = question[: pronoun.start()], question[pronoun.end() :]
    if pronoun[0].lower() == "it" and _DUMMY_AFTER.match(after):
        return True
    if _names_next(question, pronoun.start()):
        return True
    return any(word.lower() not in _EMPTY for word in _WORD.findall(_ASKED.sub(" ", before)))


def _names_next(question: str, start: int) -> bool:
    """Return whether what `start` lies in is asked of a name: "How many of its layers does Mixtral use?"."""
    asked = next((found for found in _ASKED.finditer(question) if found.start() <= start < found.end()), None)
    return asked is not None and bool(_NEXT_NAME.match(question[asked.end() :]))


def _names_something(question: str) -> bool:
    return bool(_NAME.search(question)) or any(
        word.lower() not in _EMPTY for word in _WORD.findall(_ASKED.sub(" ", question))
    )
