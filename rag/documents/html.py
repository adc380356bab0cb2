"""The visible text of an HTML page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from rag_evals.rag.documents.document import Refusal, error_line

_SKIPPED = frozenset({"script", "style", "noscript", "template"})
_BLOCKS = re.compile(
    r"address|article|aside|blockquote|body|caption|center|d[dlt]|details|dialog|div|"
    r"fieldset|figcaption|figure|footer|form|h[1-6r]|head|header|html|legend|li|main|nav|"
    r"[ou]l|p|pre|section|summary|table|tbody|tfoot|thead|title|tr"
)
_CELLS = frozenset({"td", "th"})


class _VisibleText(HTMLParser):
    """Collects the paragraphs that a reader of the page sees, and its title.

    A head needs no rule of its own: all that it may hold beside the title is skipped or has no text. Style
    sheets are not consulted: text that they hide counts as seen.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self._pieces: list[str] = []
        self._skipping: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag in _SKIPPED:
            self._skipping.append(tag)
        elif _BLOCKS.fullmatch(tag):
            self.end_paragraph()
            self._preformatted += tag == "pre"
        elif tag == "br":
            self._pieces.append("\n")
        elif tag in _CELLS:
            self._pieces.append(" ")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        if (
            tag not in _SKIPPED
        ):  # a browser would take all that follows "<script/>" for script: too much to lose
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        elif _BLOCKS.fullmatch(tag):
            self.end_paragraph()
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._pieces.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def end_paragraph(self) -> None:
        """Close the paragraph under way; one of nothing but blanks is dropped."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if not self._preformatted:
            text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
        if text.strip():
            self.paragraphs.append(text.strip("\n") if self._preformatted else text.strip())


def html_text(markup: str) -> str:
    """Return the visible text of a page.

    Raises:
        Refusal: It cannot be parsed.
    """
    parser = _VisibleText()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # html.parser has no error class of its own
        raise Refusal(f"is not readable HTML: {error_line(error)}") from error
    parser.end_paragraph()
    return "\n\n".join(parser.paragraphs)
