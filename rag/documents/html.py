"""The text of an HTML page that its reader sees, and what a mistake in it hides."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from rag_evals.rag.documents.document import Remark, printable
from rag_evals.rag.documents.html_formulas import formula, lowered, raised, tag_name

# What is never shown as text: code, and what stands in for something that cannot be played or drawn.
_UNSEEN = frozenset(
    {"script", "style", "template", "datalist", "rp", "rt", "annotation", "annotation-xml", "iframe"}
    | {"audio", "video", "canvas", "noframes"}
)
_BLOCKS = re.compile(
    r"address|article|aside|blockquote|body|button|caption|center|d[dlt]|details|dialog|div|fieldset|"
    r"figcaption|figure|footer|form|frameset|h[1-6r]|head|header|hgroup|html|legend|li|main|nav|[ou]l|"
    r"optgroup|option|p|pre|search|section|select|summary|table|tbody|textarea|tfoot|thead|title|tr"
)
_KEEPS_BLANKS = frozenset({"pre", "textarea"})
_CELLS = frozenset({"td", "th"})
_BLANKS = re.compile(r"\s+")
# A line end between two signs of a script without blanks is none of the text (CSS Text 3, section 4.1.3).
_WIDE = r"[\u2e80-\u312f\u31a0-\u31bf\u31f0-\u9fff\uf900-\ufaff\uff01-\uff60]"
_WITHIN_WORDS = re.compile(rf"(?<={_WIDE})[ \t\r]*\n\s*(?={_WIDE})")
_TYPED = frozenset({"", "email", "number", "search", "tel", "text", "url", "date", "time"})
_HIDING_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
# These take all that follows for their own when they are not closed; so does a comment.
_SWALLOWS = ("script", "style", "template", "title", "textarea")
_SHOWN = re.compile(r"<(p|div|h[1-6]|li|td|section|article|body|br)\b", re.IGNORECASE)


def html_text(markup: str, *, is_xml: bool = False) -> tuple[str, list[Remark]]:
    """Return the visible text of a page, blocks as paragraphs, and what a mistake in it hides.

    Args:
        markup: The page.
        is_xml: Whether it is XHTML, where `<title/>` is a whole element; what is not well-formed is read as
            HTML nevertheless.
    """
    root, remarks = _parsed(markup, is_xml=is_xml)
    if root is None:
        return "", remarks
    reader = _Reader(is_script_off=_is_unclosed("noscript", markup.lower()))
    reader.read(root)
    return "\n\n".join(reader.paragraphs), remarks


def _parsed(markup: str, *, is_xml: bool) -> tuple[Any, list[Remark]]:
    from lxml import etree

    # As bytes: a text with an XML declaration is refused.
    data = markup.replace("\0", "").encode("utf-8", "replace")
    if is_xml:
        strict = etree.XMLParser(
            resolve_entities=False, no_network=True, remove_comments=True, encoding="utf-8"
        )
        try:
            return etree.fromstring(data, strict), []
        except etree.XMLSyntaxError:
            pass
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:  # nothing in it but a comment
        root = None
    deep = any("depth" in entry.message for entry in parser.error_log)
    return root, [*([_TOO_DEEP] if deep else []), *_swallowed(markup, root), *_framed(root)]


def _framed(root: Any) -> Iterator[Remark]:
    """Say which files the parts of a page come from."""
    if root is not None and (frames := [one.get("src") or "" for one in root.iter("frame")]):
        yield Remark("not read", f"its frames are files of their own: {printable(', '.join(frames))[:120]}")


_TOO_DEEP = Remark("not read", "elements lie more than 2,048 deep in each other: what comes after is lost")


def _swallowed(markup: str, root: Any) -> Iterator[Remark]:
    """Say what a comment or an element that is not closed hides, here as in a browser."""
    lower = markup.lower()
    start, what = lower.rfind("<!--"), "a comment"
    if start <= lower.rfind("-->"):
        last = [] if root is None else list(root.iterfind(".//*"))[-1:]
        tag = tag_name(last[0]) if last else ""
        if root is not None and (within := [a for e in last for a in e.iterancestors("template")]):
            tag = tag_name(within[-1])
        if tag not in _SWALLOWS or not _is_unclosed(tag, lower):
            return
        start, what = lower.rfind(f"<{tag}"), f"<{tag}>"
    if _SHOWN.search(markup, start + 1):
        lost = len(markup) - start
        yield Remark(
            "not read", f"{what} is not closed: the last {lost:,} characters of the file belong to it"
        )


def _is_unclosed(tag: str, lower: str) -> bool:
    return lower.rfind(f"<{tag}") > lower.rfind(f"</{tag}")


class _Reader:
    """Collects paragraphs from a tree, without recursion: trees may be deep."""

    def __init__(self, *, is_script_off: bool) -> None:
        self.paragraphs: list[str] = []
        self._pieces: list[str] = []
        self._preformatted = 0
        # Of each index under way, where its text begins and whether it is a link.
        self._indices: list[tuple[int, bool]] = []
        self._unseen = _UNSEEN if is_script_off else _UNSEEN | {"noscript"}

    def read(self, root: Any) -> None:
        """Read the whole tree."""
        from lxml import etree

        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        skipped = None
        for event, element in walk:
            if event == "start":
                if skipped is None and not self._begin(element):
                    skipped = element
                    walk.skip_subtree()
            elif event == "end":
                if skipped is element:
                    skipped = None
                else:
                    self._end(element, tag_name(element))
            if event != "start":
                self._add(element.tail)
            # An entity that XML does not define, such as &nbsp;
            following = element.getnext() if event != "start" else next(iter(element), None)
            while following is not None and following.tag is etree.Entity:
                self._add(html.unescape(following.text) + (following.tail or ""))
                following = following.getnext()
        self._end_paragraph()

    def _begin(self, element: Any) -> bool:
        """Take the beginning of an element; return whether to go into it."""
        tag = tag_name(element)
        if tag in self._unseen or _is_hidden(element, tag):
            return False
        if tag == "math":
            self._pieces.append(formula(element))
            return False
        if _is_block(element, tag):
            self._end_paragraph()
            self._preformatted += tag in _KEEPS_BLANKS
        elif tag == "br":
            self._pieces.append("\n")
        elif tag in _CELLS:
            self._pieces.append(" ")
        elif tag in ("sub", "sup"):
            self._indices.append((len(self._pieces), any(tag_name(part) == "a" for part in element.iter())))
        elif tag == "img":
            self._add(f" {element.get('alt')} " if element.get("alt") else None)
        elif tag == "input" and element.get("type", "").lower() in _TYPED:
            self._add(f" {element.get('value')} " if element.get("value") else None)
        self._add(element.text)
        return True

    def _end(self, element: Any, tag: str) -> None:
        if tag in ("sub", "sup") and self._indices:
            start, is_note = self._indices.pop()
            before, text = (
                "".join(self._pieces[max(0, start - 1) : start])[-1:],
                "".join(self._pieces[start:]),
            )
            self._pieces[start:] = [
                lowered(before, text) if tag == "sub" else raised(before, text, is_note=is_note)
            ]
        elif _is_block(element, tag):
            self._end_paragraph()
            self._preformatted -= tag in _KEEPS_BLANKS

    def _add(self, text: str | None) -> None:
        if text:
            flowing = text if self._preformatted else _BLANKS.sub(" ", _WITHIN_WORDS.sub("", text))
            self._pieces.append(flowing)

    def _end_paragraph(self) -> None:
        """Close the paragraph under way; one of nothing but blanks is dropped."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._indices = [(0, is_note) for _, is_note in self._indices]  # a block within an index
        if not self._preformatted:
            text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
        if text.strip():
            self.paragraphs.append(text.strip("\n") if self._preformatted else text.strip())


def _is_block(element: Any, tag: str) -> bool:
    """Return whether a paragraph ends with it: not with the only one of a cell, a part of its row."""
    parent = element.getparent() if tag in ("p", "div") else None
    if parent is not None and tag_name(parent) in _CELLS and len(parent) == 1:
        return False
    return bool(_BLOCKS.fullmatch(tag))


def _is_hidden(element: Any, tag: str) -> bool:
    """Return whether the element itself says that it is not shown; style sheets are not consulted."""
    attributes = element.attrib
    if "hidden" in attributes or _HIDING_STYLE.search(attributes.get("style", "")):
        return True
    if tag == "dialog":
        return "open" not in attributes
    # The same formula a second time, drawn for the eye: the first is for screen readers, and for us.
    before = element.getprevious() if attributes.get("aria-hidden") == "true" else None
    return before is not None and any(tag_name(part) == "math" for part in before.iter())
