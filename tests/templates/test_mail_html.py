"""What publishing leaves of a mail's HTML. Needs no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.templates.mail_html import clean


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("<p>${a} &amp; $$5 $6</p>", "<p>${a} &amp; $$5 $6</p>"),
        ('<a href="https://x/${a}?q=${b}">y</a>', '<a href="https://x/${a}?q=${b}">y</a>'),
        ('<a href="https://${host}/">y</a>', '<a href="https://${host}/">y</a>'),
        ('<a href="${link}">y</a>', '<a href="${link}">y</a>'),
        ('<img src="https://x/i.png" alt="${a}">', '<img src="https://x/i.png" alt="${a}">'),
        ("placeholder0x ${a}", "placeholder0x ${a}"),
        ("<!-- ${a} --><p>b", "<p>b</p>"),
    ],
)
def test_placeholders_stay(source: str, html: str) -> None:
    assert clean(source).html == html


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('<a href="java${a}">x</a>', "a"),
        ('<a href="javascript:${a}">x</a>', "a"),
        ('<a href="/${a}">x</a>', "a"),
        ("<${a}>x", "a"),
        ('<p ${a}="x">y</p>', "a"),
        ('<p onclick="${a}">y</p>', "a"),
        ('<p style="color:red;width:${a}">y</p>', "a"),
        ("<script>${a}</script>", "a"),
    ],
)
def test_placeholders_where_no_value_may_go_are_named(source: str, name: str) -> None:
    assert clean(source).misplaced == (name,)


def test_what_is_dropped_is_named_once() -> None:
    source = '<form action="x"><b onload="x">a</b><b onload="y">c</b></form><p style="position:fixed;color:red">d</p>'
    cleaned = clean(source)
    assert cleaned.html == '<b>a</b><b>c</b><p style="color:red">d</p>'
    assert cleaned.dropped == ("<form>", "action", "onload")


@given(st.text(st.sampled_from("<>/=\"' abpi${}&;:scriptonhref"), max_size=80))
def test_cleaning_twice_changes_nothing(source: str) -> None:
    once = clean(source).html
    assert clean(once).html == once
    assert "<script" not in once
