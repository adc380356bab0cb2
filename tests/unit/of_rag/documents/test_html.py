"""HTML as its reader sees it: no number changes, nothing hidden is read, nothing shown is lost in silence."""

from __future__ import annotations

import time

import pytest
from rag_evals.rag.documents.html import html_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        # numbers
        ("<p>10<sup>6</sup> Pa, 6.02 &middot; 10<sup>23</sup>", "10^6 Pa, 6.02 · 10^23"),
        ("<p>10<sup>-3</sup> m, x<sup>n+1</sup>", "10^-3 m, x^(n+1)"),
        ("<p>In 1998<sup><a href='#3'>3</a></sup> and 1999<sup>[4]</sup>", "In 1998[3] and 1999[4]"),
        ("<p>the 1<sup>st</sup> and the 22<sup>nd</sup>, X<sup>TM</sup>", "the 1st and the 22nd, XTM"),
        ("<p>H<sub>2</sub>O, 101<sub>2</sub>, x<sub>max</sub>", "H2O, 101_2, x_max"),
        ("<p><sup>1</sup> A note.", "1 A note."),
        # formulas
        ("<p>E: <math><mi>E</mi><mo>=</mo><msup><mi>c</mi><mn>2</mn></msup></math>.", "E: E=c^2 ."),
        ("<math><mfrac><mn>1</mn><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></mfrac></math>", "1/(a+b)"),
        (
            "<p>a<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x_1</annotation>"
            "</semantics></math>b",
            "a x_1 b",
        ),
        (
            "<p><span><math><mi>x</mi></math></span><span aria-hidden='true'>x</span> is shown once",
            "x is shown once",
        ),
        # hidden and shown
        ("<p hidden>a<p style='display: none'>b<p style='color:red;visibility:hidden'>c<p>d", "d"),
        ("<main aria-hidden='true'><p>Shown all the same.</main>", "Shown all the same."),
        ("<dialog>closed</dialog><dialog open>open</dialog>", "open"),
        (
            "<p>a<img alt='Valve closes at 40 bar' src=v.png>b<img alt='' src=w.png>",
            "a Valve closes at 40 bar b",
        ),
        ("<select><option>red<option>blue</select>", "red\n\nblue"),
        (
            "<p>Name <input value='Ada'><input type=hidden value='x'><input type=checkbox value='y'>",
            "Name Ada",
        ),
        ("<textarea>typed <script>\n  here</textarea>", "typed <script>\n  here"),
        ("<video>Your browser cannot.</video><p>a", "a"),
        # words stay whole
        (
            "<p>Donau&shy;dampf&shy;schiff, in<wbr>deed, un<b>bel</b>ievable",
            "Donau\xaddampf\xadschiff, indeed, unbelievable",
        ),
        ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby>を読む", "漢字を読む"),
        ("<p>水泵的额定压\n  力为四十巴。\n펌프는\n사십 바", "水泵的额定压力为四十巴。 펌프는 사십 바"),
        # what swallows the rest elsewhere
        ("<title>a <script> b</title><p>c", "a <script> b\n\nc"),
        ("<p>One.</p><![foo bar]><p>Two.", "One.\n\nTwo."),
        ("<p>One.</p><noscript><p>Two.", "One.\n\nTwo."),
        ("<p>a<noscript>Enable scripts!</noscript>b", "ab"),
        ("<p>a\0b", "ab"),
        ("", ""),
        ("<!-- nothing -->", ""),
    ],
)
def test_what_a_reader_sees(markup, text):
    """The text as it is shown, blocks as paragraphs."""
    assert html_text(markup) == (text, [])


def test_xhtml():
    """Elements that close themselves end there; entities that XML does not define are known."""
    page = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/>'
        '<script src="x"/></head><body><p>caf&eacute;&nbsp;x<br/>y</p></body></html>'
    )
    assert html_text(page, is_xml=True) == ("café x\ny", [])
    assert html_text("<p>not<br>well-formed", is_xml=True) == ("not\nwell-formed", [])


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("<script>var a=1;", "<script>"),
        ("<style>p {}", "<style>"),
        ("<!-- TODO", "a comment"),
        ("<template>", "<template>"),
        ("<title>t", "<title>"),
    ],
)
def test_what_is_not_closed(element, name):
    """What an element hides that is not closed is said: it is a mistake of the page."""
    rest = f"{element}<p>Two: the answer is 42.</p>"
    text, (remark,) = html_text(f"<p>One.</p>{rest}")
    assert text.startswith("One.")
    assert remark.detail == f"{name} is not closed: the last {len(rest)} characters of the file belong to it"


def test_scripts_that_write_scripts_are_closed():
    """A script's own text is no element."""
    markup = "<script>document.write('<script src=a><\\/script><p>x')</script><p>One."
    assert html_text(markup) == ("One.", [])


def test_frames():
    """The text of a frame is in another file, which is named."""
    text, (remark,) = html_text("<frameset><frame src='a.html'><noframes><p>None.</noframes></frameset>")
    assert (text, remark.detail) == ("", "its frames are files of their own: a.html")


def test_a_tree_without_end():
    """Elements that lie too deep in each other are said to be lost."""
    text, (remark,) = html_text("<p>One.</p>" + "<div>" * 3000 + "deep")
    assert text == "One."
    assert remark.detail == "elements lie more than 2,048 deep in each other: what comes after is lost"


@pytest.mark.parametrize("piece", ["<a ", "<p>x<![x ", "<b><p>", "<sup>1", "<table><tr>", "&#", "<!-- "])
def test_time_grows_with_the_page(piece):
    """A page of unclosed tags takes no quadratic time."""

    def seconds(count: int) -> float:
        start = time.process_time()
        html_text(piece * count)
        return time.process_time() - start

    assert seconds(50_000) < 30 * max(seconds(5_000), 0.02)
