"""What the usual schema of JUnit XML (Jenkins' xUnit plugin, junit-10) allows, as far as we and pytest go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, fromstring

TIME = re.compile(r"\d*(\.\d*)?")
# By tag: attributes that must be there, attributes that may, children that may, and whether it has text.
RULES: dict[str, tuple[set[str], set[str], set[str], bool]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}, False),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "group"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        False,
    ),
    "properties": (set(), set(), {"property"}, False),
    "property": ({"name", "value"}, set(), set(), False),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
        False,
    ),
    "failure": (set(), {"type", "message"}, set(), True),
    "error": (set(), {"type", "message"}, set(), True),
    "skipped": (set(), {"type", "message"}, set(), True),
    "system-out": (set(), set(), set(), True),
    "system-err": (set(), set(), set(), True),
}


def offences(xml: str) -> list[str]:
    """Return everything in which `xml` is not as the schema wants it; raise where it is no XML at all."""
    root = fromstring(xml.encode())
    wrong = [] if root.tag in ("testsuites", "testsuite") else [f"<{root.tag}> is no root"]
    return wrong + list(_offences(root))


def properties(xml: str) -> dict[str, str]:
    """Return every property of the file by its name, which must not be there twice."""
    found = [(one.attrib["name"], one.attrib["value"]) for one in fromstring(xml.encode()).iter("property")]
    assert len(dict(found)) == len(found)
    return dict(found)


def _offences(element: Element) -> Iterator[str]:
    needed, allowed, children, has_text = RULES[element.tag]
    given = set(element.keys())
    yield from (f"<{element.tag}> without {name}" for name in sorted(needed - given))
    yield from (f"<{element.tag}> with {name}" for name in sorted(given - needed - allowed))
    if element.tag != "testcase" and not TIME.fullmatch(element.get("time", "")):
        yield f"<{element.tag}> with time {element.get('time')}"
    if (element.text or "").strip() and not has_text:
        yield f"<{element.tag}> with text"
    for child in element:
        if child.tag not in children:
            yield f"<{child.tag}> in <{element.tag}>"
        yield from _offences(child)
