"""Bytes to text: the encoding that a file declares, found as browsers find it; no other is guessed."""

from __future__ import annotations

import codecs
import re

from rag_evals.rag.documents.document import Refusal

# The longest first: UTF-32 begins as UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels that browsers take for a larger encoding (WHATWG Encoding Standard, section 4.2). A page that can say
# in ASCII that it is UTF-16 is not.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "utf-16": "utf-8",
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}
_CHARACTER_SETS = ("ascii", "big5", "cp", "euc", "gb", "iso", "johab", "koi8", "mac", "shift", "tis", "utf")
# Browsers look at the first 1,024 bytes; pages with a long head are read all the same.
_HEAD = 4096
_COMMENT = re.compile(rb"<!--.*?(-->|$)", re.DOTALL)
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
# Of fewer bytes nothing can be told.
_ENOUGH = 16
# A text in UTF-16 has a zero byte in each blank and line end at least.
_ZEROS = 0.02


def decoded(data: bytes, *, is_markup: bool = False) -> tuple[str, int]:
    """Return the text of a file, and how many of its characters are no text in its encoding.

    The encoding is that of the byte order mark, then of the declaration (in markup), then UTF-8.

    Raises:
        Refusal: It declares none and is not UTF-8; says which it may be, and how to convert it.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _replaced(data[len(mark) :], encoding)
    declared = _declared(data[:_HEAD]) if is_markup else None
    if declared and declared != "utf-8":
        return _replaced(data, declared)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if declared:
            return _replaced(data, "utf-8")
        where = f"not UTF-8 text (byte 0x{data[error.start]:02X} at {error.start})"
        raise Refusal(where + _advice(_likely(data))) from error
    if (wide := _wide(data)) is not None:
        raise Refusal(f"not UTF-8 text ({data.count(0):,} zero bytes)" + _advice(wide))
    return text, 0


def _declared(head: bytes) -> str | None:
    """Return the encoding that markup says it has; None where it says none, or one that nobody knows."""
    head = _COMMENT.sub(b"", head)
    found = _XML.match(head) or _META.search(head)
    if not found:
        return None
    label = found[1].decode("ascii", "replace").lower()
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return None
    # Python has codecs that are no character sets, such as "hex" and "idna".
    return _MEANT.get(name, name) if name.startswith(_CHARACTER_SETS) else None


def _replaced(data: bytes, encoding: str) -> tuple[str, int]:
    try:
        return data.decode(encoding), 0
    except UnicodeError:
        text = data.decode(encoding, "replace")
        return text, text.count("\ufffd")


def _wide(data: bytes) -> str | None:
    """Return whether it is UTF-16 without a mark, and of which byte order."""
    if data.count(0) < _ZEROS * len(data) or len(data) % 2:
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        # Letters of one script share their high byte: of the wrong order they are all over the table.
        if (
            all(one.isprintable() or one in "\r\n\t\ufeff" for one in text)
            and len({ord(c) >> 8 for c in text}) < 8
        ):
            return encoding
    return None


def _likely(data: bytes) -> str | None:
    if len(data) < _ENOUGH:
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(data[:100_000]).best()
    if best is None:
        return None
    # Of encodings that give the same text the one that most such files have.
    return "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding


def _advice(encoding: str | None) -> str:
    if encoding is None:
        return "; convert it to UTF-8"
    name = encoding.upper().replace("_", "-").replace("UTF-16-", "UTF-16")
    return f"; it may be {name}: convert it with `iconv -f {name} -t UTF-8`"
