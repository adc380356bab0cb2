"""The language of a text, by letters and words; where these do not tell, by py3langid's model."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Languages that are told apart, by code; of the library's hundred the rare ones take short texts from these.
LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
# Below this probability a text is of no language for sure: a name, a number, a formula.
LEAST_SURE = 0.9
# Words that are English and of none of the others: with one of them the model, half a second, is not loaded.
_ENGLISH = re.compile(
    r"\b(?:the|what|how|which|who|why|where|when|does|did|with|this|that|from|were|they|should|would|have|has|been"
    r"|there|their|its|and|are|much|many|your|our)\b",
    re.IGNORECASE,
)
_LONGEST = 1000  # characters that are read


def language_of(text: str) -> str | None:
    """Return the code of the language of `text`; None where it does not show."""
    read = text[:_LONGEST]
    if read.isascii() and _ENGLISH.search(read):
        return "en"
    if not any(map(str.isalpha, read)):
        return None
    code, probability = _identifier().classify(read)
    return str(code) if probability >= LEAST_SURE else None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier
