"""Line breaks of PDF pages undone: sentences flow, broken words are whole, rows and headings stay apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from unicodedata import east_asian_width, normalize

from rag_evals.rag.documents.document import cleaned

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
# Arabic letters by the shape they have in a word, Hebrew ones with points, radicals in the place of Chinese.
_SHAPED = re.compile(r"[\u2f00-\u2fdf\ufb1d-\ufdff\ufe70-\ufefc]+")
# The bullets of symbol fonts, which word processors begin the lines of a list with.
SYMBOL_BULLET = re.compile(r"(?m)^([^\S\n]*)[\uf020-\uf0ff](?=\s)")
_BLANKS = re.compile(r"[^\S\t]+")
# Between the cells of a row, where the file has blanks there at all.
_GAP = re.compile(r"\s{3,}|\t")
_SOFT_BREAK = re.compile(r"\xad[^\S\n]*\n")
_WORD = re.compile(r"\w+(?:-\w+)*")
_LAST_WORD = re.compile(r"\w+(?:-\w+)*\Z")
_BREAK = re.compile(r"(?<=\w)[-\u2010]\n(?=\w)")
# No word is longer; looking further back would take quadratic time in a text without blanks.
_LONGEST = 100
# After a hyphen that stands for a part left out these begin no second half: "Vor- und Nachteile".
_BETWEEN_PARTS = re.compile(r"und|oder|bzw|sowie|bis|and|or|och|eller|og|y")
# Scripts that have no blanks between words; Korean has some.
_WITHOUT_BLANKS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u31bf\u31f0-\u9fff\uf900-\ufaff\uff01-\uff60\uff65-\uff9f"
    r"\U00020000-\U0003ffff]"
)
_HANGUL = re.compile(r"[\uac00-\ud7a3]")


def flowing_pages(pages: Sequence[str]) -> list[str]:
    """Clean each page of a PDF and undo its line breaks, the whole document telling which words exist."""
    texts = [_tidy(page) for page in pages]
    words = frozenset(
        word for text in texts for word in _WORD.findall(_without_broken_words(text).casefold())
    )
    return [_flowing(_with_words_whole(text, words), words) for text in texts]


def _tidy(page: str) -> str:
    text = cleaned(_SOFT_BREAK.sub("", page)).translate(_LIGATURES)
    text = SYMBOL_BULLET.sub(r"\1•", text)
    text = _SHAPED.sub(lambda found: normalize("NFKC", found[0]), text)
    return "\n".join(_tidy_lines(text.split("\n"))).strip("\n")


def _tidy_lines(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines with single blanks, gaps between cells as tabs, and their indents beyond the least."""
    least = min((_indent(line) for line in lines if line.strip()), default=0)
    for line in lines:
        flat = _BLANKS.sub(" ", _GAP.sub("\t", line.strip()))
        indent = _indent(line) - least
        yield " " * indent + flat if flat and indent > 1 else flat


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _breaks(text: str) -> Iterator[tuple[int, str, int, str]]:
    """Yield each hyphen at a line end within a word: where the word begins, its two parts, where it ends."""
    for found in _BREAK.finditer(text):
        start = max(0, found.start() - _LONGEST)
        left, right = _LAST_WORD.search(text[start : found.start()]), _WORD.match(text, found.end())
        if left and right:
            yield start + left.start(), left[0], right.end(), right[0]


def _without_broken_words(text: str) -> str:
    kept, last = [], 0
    for start, _, end, _ in _breaks(text):
        kept.append(text[last : max(last, start)])
        last = end
    return " ".join([*kept, text[last:]])


def _with_words_whole(text: str, words: frozenset[str]) -> str:
    parts, last = [], 0
    for start, left, end, right in _breaks(text):
        parts += [text[last : max(last, start)], _rejoined(left if start >= last else "", right, words)]
        last = end
    return "".join([*parts, text[last:]])


def _rejoined(left: str, right: str, words: frozenset[str]) -> str:
    """Join a word that was broken after a hyphen, with the hyphen if it seems to be the word's own.

    It is kept before a capital or a digit ("GPT-|3.5"), when the document writes the hyphenated word
    elsewhere ("fine-|tuned"), and in a compound whose last part is no known word ("state-of-the-|art"). On
    two papers (65 breaks) the mistakes left were joins like "singlecorpus".
    """
    hyphenated, whole = f"{left}-{right}".casefold(), f"{left}{right}".casefold()
    if _BETWEEN_PARTS.fullmatch(right) and whole not in words:
        return f"{left}- {right}"
    last_part = left.rpartition("-")[2] + right.partition("-")[0]
    is_own = (
        not right[0].islower()
        or (hyphenated in words and whole not in words)
        or ("-" in left and last_part.casefold() not in words)
    )
    return f"{left}-{right}" if is_own else f"{left}{right}"


def _flowing(text: str, words: frozenset[str]) -> str:
    """Turn the line breaks inside sentences into spaces, and those that end a paragraph into blank lines."""
    width = _usual_width(text.split("\n"))
    if _breaks_korean_words(text.split("\n")):
        text = _WITHIN_KOREAN.sub("", text)
    paragraphs = (_paragraph(lines.split("\n"), width, words) for lines in re.split(r"\n{2,}", text))
    return "\n\n".join(paragraphs).replace("\t", "  ")


def _usual_width(lines: Sequence[str]) -> int:
    """Return the length which half of the text stands in lines of, or longer: short lines weigh little."""
    rest = sum(map(len, lines)) / 2
    for length in sorted(map(len, lines), reverse=True):
        rest -= length
        if rest <= 0:
            return length
    return 0


def _paragraph(lines: Sequence[str], width: int, words: frozenset[str]) -> str:
    joints = [_joint(line, following, width, words) for line, following in pairwise(lines)]
    return "".join(line + joint for line, joint in zip(lines, [*joints, ""], strict=True))


_SENTENCE_END = re.compile(
    r"[.!?:\u3002\uff01\uff1f\uff1b\u061f\u06d4\u0964\u0965\u104b\u17d4][\"'\u201d\u2019)\]\u300d\u300f]*$"
)
_BULLET = re.compile(r"[•‣▪◦\u2013*-] ")
_HEADING = re.compile(r"\d+(\.\d+)*\.? [A-Z][^.]*$")
_CAPTION = re.compile(r"(Figure|Table) \d+: ")


def _joint(line: str, following: str, width: int, words: frozenset[str]) -> str:
    """Choose what replaces the break between two lines; a PDF tells only how long they are."""
    if line[0] == " " or following[0] == " " or ("\t" in line and "\t" in following):
        return "\n"  # code, and the rows of a table
    is_short = len(line) < 0.7 * width
    if is_short and (_SENTENCE_END.search(line) or _HEADING.match(line)):
        return "\n\n"
    if _CAPTION.match(following) or (len(following) < 0.7 * width and _HEADING.match(following)):
        return "\n\n"
    if _BULLET.match(following) or _is_row_of_numbers(line) or _is_row_of_numbers(following):
        return "\n"
    is_cell = len(line) < 0.5 * width and not line.endswith(",") and not following[0].islower()
    return "\n" if is_cell else _blank(line, following, words)


_WITHIN_KOREAN = re.compile(r"(?<=[\uac00-\ud7a3])\n(?=[\uac00-\ud7a3])")


def _breaks_korean_words(lines: Sequence[str]) -> bool:
    """Return whether lines end wherever they are full: between words they would be of unequal width."""
    full = [
        _columns(line)
        for line, following in pairwise(lines)
        if line and following and _HANGUL.match(line[-1]) and _HANGUL.match(following[0])
    ]
    return len(full) > 1 and fmean(max(full) - width for width in full) < 1


def _columns(line: str) -> float:
    """Return about how wide a line is, in widths of a Korean letter."""
    return sum(1.0 if east_asian_width(character) in "WF" else 0.4 for character in line)


def _blank(line: str, following: str, words: frozenset[str]) -> str:
    """Return a blank; nothing where the script has none, or the document knows the word that was broken."""
    if _WITHOUT_BLANKS.match(line[-1]) and _WITHOUT_BLANKS.match(following[0]):
        return ""
    if _HANGUL.match(line[-1]) and _HANGUL.match(following[0]):
        left, right = _LAST_WORD.search(line[-_LONGEST:]), _WORD.match(following)
        return "" if left and right and f"{left[0]}{right[0]}" in words else " "
    return " "


def _is_row_of_numbers(line: str) -> bool:
    words = line.split()
    return sum(any(map(str.isdigit, word)) for word in words) > len(words) / 2
