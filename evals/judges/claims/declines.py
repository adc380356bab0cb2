"""Stock phrases of declining: those that can say nothing else, and those that a model has to read."""

# ruff: noqa: RUF001 - dashes of every kind part clauses

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from rag_evals.evals.judges.claims.small_talk import pads, plain
from rag_evals.evals.judges.claims.words import NUMBER
from rag_evals.rag.retrieval.text.sentences import split_sentences

_LONGEST = 600  # no stock phrase has more characters

# What a retriever hands over, and what may as well be the subject of a question: "The paper does not
# describe a schedule" is a fact about a paper.
_HANDED_OVER = "documents?|passages?|contexts?|texts?|sources|information|excerpts?"
_WRITTEN = f"{_HANDED_OVER}|source|articles?|papers?|reports?|manuals?|records?"
_LY = r"(?:(?!only|mere|simp|sole)\w+ly )?"
_BE = r"(?:is|are|was|were)"
_SAYING = (
    "say|mention|state|specify|discuss|describe|tell|answer|cover|address|explain|indicate|reveal|define"
    "|list|provide|give|know|find|determine|confirm|infer"
)
# What nobody can do of the world, only of what they know of it.
_KNOWING = "say|tell|answer|know|determine|confirm|infer|specify"
_QUANTITY = (
    r"(?:(?:the|an?|any|enough|sufficient|specific|explicit|direct|relevant|detailed|clear|further|more|or"
    r"|and) )*"
)
_IT = r"(?:it|this|that|(?:the|this|that|your) (?:exact |specific )?(?:question|answer|information|number))"
# What is not in the sources, as a phrase: it states no number, and has no clause behind a comma.
_TOPIC = (
    rf"(?!.*(?:{NUMBER.pattern}|\bfact\b))[^\s,;:()–—]+"
    rf"(?: (?!which\b|that {_BE}\b)[^\s,;:()–—]+){{0,30}}?"
)
# How a phrase goes on: without a comma or another word behind which something else may be said.
_REST = (
    r"(?: which)?(?: (?!(?:which|whose|since|whereas|while|although|though|except|yet|than|only)\b"
    rf"|so\b(?! far\b|\Z)|that\b(?! (?:from|in|based|(?:{_SAYING})s)\b|(?: [a-z-]+)?\Z)"
    rf"|and\b(?! (?!(?:\w+s|are|were|have|had|use|used) |.*(?:{NUMBER.pattern}))"
    r"[a-z-]+(?: [a-z-]+)?(?: of [a-z-]+)?\Z))"
    r"(?>between(?: [\w-]+){1,3}? and\b|[^\s,;:?!()–—]+|\([\w-]+\)))*"
)
_WH = rf"(?: (?:how|what|which|who|when|where|why|whether|if)\b{_REST})?"


def _sources(nouns: str) -> str:
    return (
        r"(?:(?:any|all) of )?(?:(?:the|these|those|this|your|any|provided|given|retrieved|available|above"
        rf"|source|context|text) )*(?:{nouns})"
        r"(?: (?:(?:that )?(?:i have|you (?:have )?provided)|provided|given|above|alone))?"
    )


def _lead(sources: str) -> str:
    return (
        r"(?:unfortunately|(?:i am )?(?:very |so )?sorry|i apologi[sz]e|however|therefore"
        rf"|(?:based on|according to|from|in) {sources})"
    )


@cache  # made when the first answer is read: it takes a tenth of a second
def _declining(*, certain: bool) -> re.Pattern[str]:
    """Return the pattern of a clause that declines, in the spelling of `plain`.

    Its subject is the sources, the first person, or nobody: "the router does not use attention" claims
    something about the world. Where it has to be certain, so does "we do not provide refunds".
    """
    sources = _sources(_HANDED_OVER) if certain else _ALL_SOURCES
    noun = rf"{_QUANTITY}(?:information|mentions?|answers?{'' if certain else '|details?|data|references?'})"
    of_answer = rf"(?:contain|include|have|offer|provide|give) (?:{noun}|{_QUANTITY}details?)"
    say = rf"(?:{_SAYING}|{of_answer})"
    said = rf"{_LY}(?:mentioned|stated|specified{'' if certain else '|provided|given'})"
    found = (
        rf"(?:{_LY}(?:mentioned|stated|specified|provided|given|found|discussed|described|included|available"
        r"|covered|clear|made))"
    )
    about = (
        r"(?: (?:about|on|of|regarding|concerning|to (?:answer|determine|the question)|which|how|whether"
        rf"|that (?:{_SAYING})s)\b{_REST})?"
    )
    speakers = rf"(?:{sources}|they|it)" if certain else rf"(?:{sources}|i|we|they|it)"
    spoken = rf"(?:i am{'' if certain else '|we are'}) not (?:sure|certain){about}{_WH}"
    if certain:
        spoken += (
            rf"|i (?:(?:do|can|could) not(?: seem to)? {_LY}(?:{_KNOWING}|{of_answer})"
            rf"|(?:can|could) not(?: seem to)? {_LY}find|am (?:unable|not able) to {_LY}(?:{_KNOWING}|find))"
            rf"{_REST}"
        )
    people = "i" if certain else "i|we"
    lead = _lead(sources)
    return re.compile(
        rf"(?:{lead},? )*(?:(?:{speakers} )?(?:(?:do|does|did|can|could) not"
        rf"|(?:am|are) (?:unable|not able) to)(?: (?:seem|appear) to)? {_LY}{say}{_REST}"
        rf"|{spoken}|(?:none|neither) of {sources} {say}s?{_REST}"
        rf"|(?:{sources}|{people}) (?:(?:contain|provide|give|make|include|offer|has|have)s? no"
        rf" (?:idea|{noun})|says? nothing){_REST}"
        rf"|(?:{_IT} {_BE} )?not {said}{_WH}|{_IT} {_BE} not in {sources}"
        rf"|(?:{_TOPIC} {_BE} )?not {found} (?:anywhere )?(?:in|by|within|from) {sources}{_WH}"
        rf"|{_IT} can not be (?:answered|determined|found){_REST}"
        rf"|(?:there {_BE} no|(?:there {_BE} )?(?:not enough|insufficient)) {noun}"
        rf"(?: {_LY}(?:mentioned|stated|specified|provided|given))?(?: in {sources})?{about}"
        rf"|no {noun}{_REST} in {sources}|no {noun}(?: (?:about|on|of){_REST})? {_BE} {found})"
        rf"(?:, (?:based on|according to|from|given) {sources})?"
    )


_ALL_SOURCES = _sources(_WRITTEN)
# An apology leaves no doubt that the sources are spoken of, whatever they are called.
_SORRY = re.compile(
    rf"(?:unfortunately|(?:i am )?(?:very |so )?sorry),? {_ALL_SOURCES} (?:do|does|did) not"
    rf" {_LY}(?:{_SAYING})"
    rf"(?: this| that| the)? ?(?:information|answer|number|question)?"
)
# A pronoun, or none, stands for the sources only behind a clause that names them.
_PRONOUN = re.compile(
    rf"(?:{_lead(_ALL_SOURCES)},? )*(?:(?:they|it) )?(?:do|does|did|can|could|am|are) (?:not|unable) "
)
_BARE_PRONOUN = re.compile(r"(?:do|does|did|can|could|am|are) (?:not|unable) ")
_NAMED = re.compile(rf"(?!{_lead(_ALL_SOURCES)}\Z).*\b(?:{_WRITTEN})\b")
_EXCUSE = re.compile(
    rf"{_lead(_ALL_SOURCES)}|(?!.*(?:{NUMBER.pattern}))(?:please (?:provide|share|rephrase|consult|refer|ask)"
    rf"|(?:(?:while|although|though) )?(?:{_ALL_SOURCES}|they)(?: only)? (?:discuss|describe|cover|focus on)"
    rf"(?:e?s)?)\b{_REST}"
)
# Where a sentence may go on to answer: each clause has to decline for itself.
_TURN = re.compile(
    r"[;:] | [–—-] |,? (?:but|however|because)\b,? |, (?:so|as|yet|although|though|while|whereas) "
    r"|(?:,(?: and)?|,? and) (?=(?:it|its|they|their|this|there|i|we|the answer)\b)"
)
# A question about what is written, to which "The text does not mention it" is an answer.
_OF_WRITING = re.compile(
    rf"\b(?:{_WRITTEN}|sections?|chapters?|clauses?|mention\w*|stated?|says?|said|specif(?:y|ied|ies)"
    r"|list(?:s|ed)?|describ\w+|disclos\w+)\b"
)

# Words of declining in other languages: generous, as a model reads what they let through.
_DENIES = re.compile(
    r"\b(?:nicht|keine?[mnrs]?|nichts|leider|ne|n['’]\w+|aucune?|pas|ningun[ao]?|ningún|nada|non|nessun[ao]?|não|nenhuma?"
    r"|niet|geen|не|нет|ничего)\b|[不没沒无無未]|ない|ません|ず|नहीं|कोई|(?:^|\s)(?:لا|لم|ليس|ليست|غير|لن)\b|없|않",
    re.IGNORECASE,
)
# "No" alone is English as well.
_SPANISH = re.compile(
    r"(?=.{0,600}\bno\b).{0,600}\b(?:documentos?|textos?|fuentes?|contextos?|información|menciona\w*|sé|sabe)\b",
    re.IGNORECASE | re.DOTALL,
)
_OF_KNOWING = re.compile(
    r"\b(?:dokument\w*|texte?n?|quellen?|kontexte?s?|unterlagen|angaben?|informationen|weiß|sais|sait|savons|documents?"
    r"|sources?|contextes?|informations?|mention\w*|sé|sabe|documentos?|textos?|fuentes?|contextos?|información"
    r"|menciona\w*|so|documenti|testo|fonti|contesto|informazioni|fontes|informação|documenten|bronnen|informatie"
    r"|документ\w*|текст\w*|источник\w*|контекст\w*|информаци\w*|знаю|известно|сказано|указан\w*)\b"
    r"|文档|文件|资料|資料|上下文|提供|提及|提到|知道|说明|信息|情報|文書|文脈|記載|わかり|分かり|知り|言及"
    r"|दस्तावेज़?|संदर्भ|जानकारी|उल्लेख|पता|स्रोत|الوثائق|المستند\w*|النص|السياق|المصادر|معلومات|أعرف|يذكر|تذكر|ذكر|문서|자료|정보",
    re.IGNORECASE,
)


def declines(text: str, question: str = "") -> bool:
    """Whether `text` as a whole is a stock phrase of declining that can be nothing else.

    It speaks of the sources as such, or of what "I" know, in up to three sentences that say no more.

    Args:
        text: The answer, or a sentence of it.
        question: What was asked; where it asks what some text says, a phrase about texts may be its answer.
    """
    if _OF_WRITING.search(plain(question)):
        return False
    certainly = _declining(certain=True)
    return _is_all(text, lambda clause: bool(certainly.fullmatch(clause) or _SORRY.fullmatch(clause)))


def may_decline(text: str) -> bool:
    """Whether `text` as a whole has the words of declining, and may state a fact in them all the same.

    "We do not provide refunds" and "The paper does not describe a schedule" do. In other
    languages a short text may that denies something and speaks of texts, or of what is known.
    """
    if len(text) <= _LONGEST and (
        _SPANISH.match(text) or (_DENIES.search(text) and _OF_KNOWING.search(text))
    ):
        return True
    return _is_all(text, lambda clause: bool(_declining(certain=False).fullmatch(clause)), strictly=False)


def _is_all(text: str, is_declining: Callable[[str], bool], *, strictly: bool = True) -> bool:
    if len(text) > _LONGEST:
        return False
    sentences = [plain(span.text) for span in split_sentences(text) if not pads(span.text)]
    clauses = [clause for one in sentences for clause in _TURN.split(one) if clause]
    if len(sentences) > 3:
        return False
    is_declined = are_named = False
    for clause in clauses:
        pronoun = _PRONOUN.match(clause) if strictly else _BARE_PRONOUN.match(clause)
        if is_declining(clause) and (are_named or not pronoun):
            is_declined = True
        elif not _EXCUSE.fullmatch(clause):
            return False
        are_named = are_named or bool(_NAMED.match(clause))
    return is_declined
