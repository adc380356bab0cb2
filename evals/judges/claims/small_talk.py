"""Sentences that are said to the reader and of nothing: greetings, offers, wishes, notices."""

# ruff: noqa: RUF001 - quotes of every kind are marks

from __future__ import annotations

import re

from rag_evals.evals.judges.claims.words import NUMBER

# Offers are made of these words alone, but for what they are about: a clause of its own does not fit in.
_OFFER = (
    r"(?:,? (?:if|you(?:'d|r)?|i|me|us|it|this|that|there|is|are|do|does|not|can|could|have|need|want|would"
    r"|like|any|some|more|further|other|additional|follow-up|specific|questions?|details?|information|help|to"
    r"|a|the|for|with|ask|know|reach|out|explain|assist|clarify|clarification|anything|something|else|unclear"
    r"|or|elaborate|expand|provide|just|please|let|feel|free|hesitate|am|be|will|happy|glad)\b)*"
    r"(?: (?:about|on|of) (?:the |this |these )?[a-z-]+)?"
)
_SOURCES = (
    r"(?:the|your|these) (?:provided |given |retrieved )?(?:documents?|passages?|contexts?|texts?|sources?)"
)
_FOUND = (
    rf"(?:i|we) (?:have )?found the following(?: information| details| points| answers?)?(?: in {_SOURCES})?"
    rf"|(?:(?:based on|according to|from) {_SOURCES},? )?here (?:is|are) what (?:i|we) (?:have )?found"
    rf"|{_SOURCES} (?:provide|contain|give|have|include)s? the (?:answers?|(?:following )?information)"
)
_ADVISER = r"(?:professional|expert|doctor|physician|pharmacist|lawyer|advis[eo]r|accountant|specialist)"
_NOTICE = (
    r"(?:please )?note that (?:this|these|it|(?:the|this|these) (?:information|answers?|figures?|details?))"
    r" (?:may|might|could) (?:change|vary|be (?:outdated|incomplete|out of date)"
    r"|not be (?:complete|up to date))"
    r"|please (?:consult|ask|see|contact) (?:a|an|your|the) (?:[a-z-]+ ){0,3}"
    rf"{_ADVISER}(?: for [a-z -]{{1,60}})?"
)
_ADVICE = r"(?:legal|medical|financial|professional|tax|investment)(?: [a-z]+)? advice"
_DISCLAIMER = (
    rf"as an ai(?: [a-z]+){{0,3}},? i (?:can not|am not able to|do not) (?:give|provide|offer) {_ADVICE}"
    rf"|(?:disclaimer: )?this (?:is not|does not constitute|should not be taken as) {_ADVICE}"
)
# The commonest of other languages.
_ELSEWHERE = (
    r"hallo|guten (?:tag|morgen|abend)|gerne?|natürlich|ich hoffe,? das hilft(?: ihnen| dir)?(?: weiter)?"
    r"|(?:bei )?(?:weitere[nr]? )?fragen (?:helfe ich gerne?|stehe ich (?:ihnen )?gerne? zur verfügung)"
    r"|bonjour|bonsoir|bien sûr|j'espère que cela (?:vous|t')? ?aide(?:ra)?"
    r"|n'hésitez pas(?: à [a-zà-ÿ' ]{1,40})?"
    r"|hola|buenos días|buenas tardes|claro|por supuesto|espero que (?:esto )?(?:te|le)? ?ayude"
    r"|no dude en (?:preguntar|contactarme)|ciao|buongiorno|certo"
    r"|spero (?:che )?(?:questo )?(?:ti|le)? ?(?:aiuti|sia utile)"
    r"|здравствуйте|привет|конечно|надеюсь,? это поможет"
    r"|你好|您好|当然|好的|希望(?:这|以上)?(?:对您|对你|能)?有?所?帮助(?:到您|到你)?|如有(?:其他|任何)?(?:问题|疑问).{0,12}"
    r"|こんにちは|もちろんです|お役に立てば幸いです|नमस्ते|ज़रूर|مرحبا|أهلا|بالتأكيد"
)
_PADDING = re.compile(
    r"sure(?: thing)?|certainly|of course|absolutely|(?:great|good|excellent) question|thank you|thanks"
    r"|(?:hello|hi|hey)(?: there)?|good (?:morning|afternoon|evening|day)|welcome"
    r"|(?:thank you|thanks) for (?:your question|asking|reaching out)"
    r"|(?:i )?hope (?:this|that|it) helps|(?:i am )?(?:happy|glad) to help"
    r"|(?:does|did) (?:this|that) (?:help|make sense|answer (?:your|the) question)"
    r"|here (?:is|are) (?:[a-z]+ ){0,3}(?:answer|summary|overview|points|details|steps|reasons|differences)"
    rf"|{_FOUND}|{_NOTICE}|{_DISCLAIMER}|{_ELSEWHERE}"
    r"|(?:(?:please )?(?:let me know|feel free|do not hesitate)|would you like|is there anything|if you"
    rf"|just ask|please ask){_OFFER}"
)
# Asked of the reader, whatever it is about.
_ASKED = re.compile(
    r"(?:(?:do you want|would you like) me to|(?:shall|should|can|may) i (?:help|explain|go))\b"
)
_FACE = re.compile(r"\s*(?:[:;]-?[)D(]|[\U0001f300-\U0001faff\u2600-\u27bf\ufe0f]+)")


def pads(sentence: str) -> bool:
    """Whether `sentence` says nothing of anything: a greeting, an offer, thanks, a notice to the reader."""
    said = _FACE.sub("", plain(sentence)).rstrip(" .!?:。！？।،")
    if _PADDING.fullmatch(said):
        return True
    return sentence.rstrip().endswith("?") and bool(_ASKED.match(said)) and not NUMBER.search(said)


def plain(sentence: str) -> str:
    """Return a sentence as the patterns spell it: lower case, no marks or contractions, no final stop."""
    text = re.sub(r"[*_\"“”`]|\[\d+\]", "", sentence.lower().replace("’", "'"))
    text = re.sub(r"\bcan't\b|\bcannot\b", "can not", text).replace("n't", " not").replace("i'm ", "i am ")
    return " ".join(text.split()).rstrip(" .!…")
