"""Cutting short messages: nothing lost, no pair cut, no part emptier than it must be, and the count that is billed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.pieces import GSM_BASIC, GSM_EXTENDED, count_pieces
from apps.channels.wire.sms_parts import PartReferences, Parts, cut, with_headers

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)
emoji_text = st.text("字😀a", max_size=400)
gsm_text = st.text(GSM_BASIC + GSM_EXTENDED * 5, max_size=700)


def read(parts: Parts) -> list[str]:
    """Each part by itself, as a phone would read it: a cut pair is an error here."""
    if parts.alphabet == "ucs2":
        return [text.decode("utf-16-be") for text in parts.texts]
    if parts.alphabet == "ascii":
        return [text.decode("ascii") for text in parts.texts]
    return [septets(text) for text in parts.texts]


def septets(text: bytes) -> str:
    """3GPP TS 23.038 read the other way round, from its own two tables."""
    basic = GSM_BASIC[:27] + "\x1b" + GSM_BASIC[27:]
    extended = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|", 101: "€"}
    found, codes = "", iter(text)
    for code in codes:
        found += extended[next(codes)] if code == 27 else basic[code]
    return found


@given(st.one_of(any_text, emoji_text, gsm_text))
def test_the_parts_are_the_text(text: str) -> None:
    parts = cut(text)
    assert "".join(read(parts)) == text
    most = 140 if parts.alphabet == "ucs2" else 160
    each = 134 if parts.alphabet == "ucs2" else 153
    assert all(len(one) <= (most if len(parts.texts) == 1 else each) for one in parts.texts)


@given(st.one_of(any_text, emoji_text, gsm_text))
def test_no_part_could_have_taken_the_next_character(text: str) -> None:
    parts = cut(text)
    each = 134 if parts.alphabet == "ucs2" else 153
    for one, following in zip(parts.texts, parts.texts[1:], strict=False):
        pair = 4 if parts.alphabet == "ucs2" and 0xD8 <= following[0] <= 0xDB else 2
        first = pair if parts.alphabet == "ucs2" else 2 if following[0] == 27 else 1
        assert len(one) + first > each


@given(st.one_of(st.text(GSM_BASIC, max_size=700), st.text("字a，。", max_size=400)))
def test_pieces_are_parts_where_no_pair_can_be_cut(text: str) -> None:
    assert count_pieces(text) == len(cut(text).texts)


@given(st.one_of(any_text, emoji_text, gsm_text))
def test_a_pair_at_a_cut_costs_a_part_at_most_for_each(text: str) -> None:
    pieces, parts = count_pieces(text), len(cut(text).texts)
    lost_at_cuts = parts - 1  # one unit at each cut
    assert pieces <= parts and (parts == pieces or lost_at_cuts * 2 >= (parts - pieces))


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("", "gsm7", 1),
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("a" * 152 + "€" * 8, "gsm7", 2),
        ("字" * 70, "ucs2", 1),
        ("字" * 71, "ucs2", 2),
        ("😀" * 35, "ucs2", 1),
        ("😀" * 40, "ucs2", 2),
        ("a" * 69 + "字", "ucs2", 1),
    ],
)
def test_edges(text: str, alphabet: str, count: int) -> None:
    parts = cut(text)
    assert (parts.alphabet, len(parts.texts)) == (alphabet, count)


def test_the_two_traps_are_not_ours() -> None:
    euros = cut("a" * 152 + "€" * 5)
    assert [len(one) for one in euros.texts] == [152, 10] and euros.texts[1].startswith(b"\x1b\x65")
    assert read(cut("😀" * 40)) == ["😀" * 33, "😀" * 7]


def test_the_narrow_alphabet_is_the_accounts() -> None:
    assert cut("a[b", "gsm7").texts == [b"a\x1b\x3cb"]
    assert cut("a@b_$", "ascii") == Parts("ascii", [b"a@b_$"])
    assert cut("a[b", "ascii").alphabet == "ucs2"
    assert cut("abc", "ucs2").texts == ["abc".encode("utf-16-be")]


def test_what_cannot_be_cut_is_refused() -> None:
    for text in ("\ud83d", "字" * (67 * 255 + 1)):
        with pytest.raises(ValueError):
            cut(text)


def test_headers_join_several_parts_only() -> None:
    assert with_headers([b"x"], 7) == [b"x"]
    assert with_headers([b"x", b"y"], 263) == [b"\x05\x00\x03\x07\x02\x01x", b"\x05\x00\x03\x07\x02\x02y"]


def test_references_of_one_recipient_differ_and_a_repeat_keeps_its_own() -> None:
    references = PartReferences(most=3)
    first = references.of("13800138000", "k1")
    assert references.of("13800138000", "k1") == first
    following = [references.of("13800138000", f"k{number}") for number in range(2, 257)]
    assert len({first, *following}) == 256
    for other in ("1", "2", "3"):
        references.of(other, "k1")
    assert PartReferences().of("13800138000", "k1") == references.of("13800138000", "k1") == first
