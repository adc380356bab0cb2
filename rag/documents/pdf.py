"""Pages of a PDF as text, line breaks undone."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rag_evals.rag.documents.document import Refusal, cleaned, error_line


def pdf_pages(data: bytes) -> list[str]:
    """Return the text of each page.

    Raises:
        Refusal: It is no readable PDF, or has no text.
    """
    pages = _mended(_raw_pdf_pages(data))
    if not any(pages):
        count = f"{len(pages)} page{'s' * (len(pages) != 1)}"
        raise Refusal(f"has no text layer ({count} of images); run OCR first")
    return pages


def _raw_pdf_pages(data: bytes) -> list[str]:
    from io import BytesIO

    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        with _quiet_pypdf():
            # The reader itself tries the empty password, which is enough for files that only forbid printing.
            return [page.extract_text() for page in PdfReader(BytesIO(data)).pages]
    except FileNotDecryptedError as error:
        raise Refusal("is encrypted; remove the password first") from error
    except DependencyError as error:
        raise Refusal(f"is encrypted; remove the password first ({error_line(error)})") from error
    except Exception as error:  # damaged input: pypdf also raises ValueError, NotImplementedError and more
        raise Refusal(f"is not a readable PDF: {error_line(error)}") from error


@contextlib.contextmanager
def _quiet_pypdf() -> Iterator[None]:
    """Keep pypdf's remarks on odd but readable files off the terminal."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_BLANKS = re.compile(r"[^\S\n]+")
_BROKEN_WORD = re.compile(r"(\w+(?:-\w+)*)-\n(\w+(?:-\w+)*)")
_WORD = re.compile(r"\w+(?:-\w+)*")


def _mended(pages: Sequence[str]) -> list[str]:
    """Clean each page of a PDF and undo its line breaks, the whole document telling which words exist."""
    texts = [_tidy(page) for page in pages]
    words = _words_of(texts)
    return [_flowing(_BROKEN_WORD.sub(lambda broken: _rejoined(broken, words), text)) for text in texts]


def _tidy(page: str) -> str:
    text = _BLANKS.sub(" ", cleaned(page)).translate(_LIGATURES)
    text = text.replace("\xad\n", "").replace("\xad", "")
    return re.sub(r" ?\n ?", "\n", text).strip()


def _words_of(texts: Sequence[str]) -> frozenset[str]:
    """Return the lower-cased words that stand unbroken somewhere in the document."""
    return frozenset(word for text in texts for word in _WORD.findall(_BROKEN_WORD.sub(" ", text).casefold()))


def _rejoined(broken: re.Match[str], words: frozenset[str]) -> str:
    """Join a word that was broken after a hyphen, with the hyphen if it seems to be the word's own.

    It is kept before a capital or a digit ("GPT-|3.5"), when the document writes the hyphenated word
    elsewhere ("fine-|tuned"), and in a compound whose last part is no known word ("state-of-the-|art"). On
    two papers (65 breaks) the mistakes left were joins like "singlecorpus".
    """
    left, right = broken.groups()
    hyphenated, whole = f"{left}-{right}".casefold(), f"{left}{right}".casefold()
    last_part = left.rpartition("-")[2] + right.partition("-")[0]
    is_own = (
        not right[0].islower()
        or (hyphenated in words and whole not in words)
        or ("-" in left and last_part.casefold() not in words)
    )
    return f"{left}-{right}" if is_own else f"{left}{right}"


def _flowing(text: str) -> str:
    """Turn the line breaks inside sentences into spaces, and those that end a paragraph into blank lines."""
    width = _usual_width(text.split("\n"))
    return "\n\n".join(_paragraph(lines.split("\n"), width) for lines in re.split(r"\n{2,}", text))


def _usual_width(lines: Sequence[str]) -> int:
    """Return the length which half of the text stands in lines of, or longer: short lines weigh little."""
    rest = sum(map(len, lines)) / 2
    for length in sorted(map(len, lines), reverse=True):
        rest -= length
        if rest <= 0:
            return length
    return 0


def _paragraph(lines: Sequence[str], width: int) -> str:
    joints = [_joint(line, following, width) for line, following in pairwise(lines)]
    return "".join(line + joint for line, joint in zip(lines, [*joints, ""], strict=True))


_SENTENCE_END = re.compile(r"[.!?:][\"'\u201d\u2019)\]]*$")
_BULLET = re.compile(r"[•‣▪◦\u2013*-] ")
_HEADING = re.compile(r"\d+(\.\d+)*\.? [A-Z][^.]*$")
_CAPTION = re.compile(r"(Figure|Table) \d+: ")


def _joint(line: str, following: str, width: int) -> str:
    """Choose what replaces the break between two lines; a PDF tells only how long they are."""
    is_short = len(line) < 0.7 * width
    if is_short and (_SENTENCE_END.search(line) or _HEADING.match(line)):
        return "\n\n"
    if _CAPTION.match(following) or (len(following) < 0.7 * width and _HEADING.match(following)):
        return "\n\n"
    if _BULLET.match(following) or _is_row_of_numbers(line) or _is_row_of_numbers(following):
        return "\n"
    is_cell = len(line) < 0.5 * width and not line.endswith(",") and not following[0].islower()
    return "\n" if is_cell else " "


def _is_row_of_numbers(line: str) -> bool:
    words = line.split()
    return sum(any(map(str.isdigit, word)) for word in words) > len(words) / 2
