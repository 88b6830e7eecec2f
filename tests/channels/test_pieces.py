"""Pieces of a short message: the rule of 70/67 and 160/153."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.pieces import GSM_BASIC, GSM_EXTENDED, count_pieces

wide = st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=500)
gsm = st.text(alphabet=GSM_BASIC, max_size=700)


@pytest.mark.parametrize(
    ("text", "sign", "pieces"),
    [
        ("", "", 1),
        ("字" * 70, "", 1),
        ("字" * 71, "", 2),
        ("字" * 134, "", 2),
        ("字" * 135, "", 3),
        ("字" * 64, "测试签名", 1),
        ("字" * 65, "测试签名", 2),
        ("字" * 65, "【测试签名】", 2),
        ("a" * 160, "", 1),
        ("a" * 161, "", 2),
        ("a" * 306, "", 2),
        ("a" * 307, "", 3),
        ("€" * 80, "", 1),
        ("€" * 81, "", 2),
        ("a" * 69 + "字", "", 1),
        ("a" * 70 + "字", "", 2),
        ("a" * 64, "UMS", 1),
        ("a" * 66, "UMS", 2),
        ("😀" * 35, "", 1),
        ("😀" * 36, "", 2),
    ],
)
def test_edges(text: str, sign: str, pieces: int) -> None:
    assert count_pieces(text, sign) == pieces


@given(wide)
def test_wide_text_by_its_length(text: str) -> None:
    assert count_pieces(text) == (1 if len(text) <= 70 else math.ceil(len(text) / 67))


@given(gsm, st.text(alphabet=GSM_EXTENDED, max_size=50))
def test_gsm_text_by_its_septets(text: str, extended: str) -> None:
    septets = len(text) + 2 * len(extended)
    assert count_pieces(text + extended) == (1 if septets <= 160 else math.ceil(septets / 153))


@given(st.text(max_size=400), st.text(max_size=40))
def test_more_text_is_never_cheaper(text: str, more: str) -> None:
    assert count_pieces(text) <= count_pieces(text + more)


@given(st.text(max_size=400), st.text(alphabet=st.characters(exclude_characters="【】"), min_size=1, max_size=20))
def test_a_signature_counts_with_its_brackets(text: str, sign: str) -> None:
    assert count_pieces(text, sign) == count_pieces(f"【{sign}】{text}")
