"""What answers mean, however people write them."""

from __future__ import annotations

import pytest

from apps.campaigns.reply_words import Read, Word, normal, read

WORDS = [
    Word("TD", "unsubscribe", True), Word("T", "unsubscribe", True), Word("退订", "unsubscribe", False),
    Word("HD", "subscribe", True), Word("投诉", "complaint", False), Word("12321", "complaint", False),
]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["TD", "td", " Td ", "ＴＤ", "ｔｄ。", "“TD”", "T D", "td!\r\n", "回复TD", "回TD", "\ufeffTD", "【TD】"]
)
def test_width_case_blanks_and_signs_make_no_difference(text: str) -> None:
    assert read(text, WORDS) == Read("unsubscribe", "TD")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我要退订，再发就投诉", Read("unsubscribe", "退订", True)),
        ("已向１２３２１举报", Read("complaint", "12321", True)),
        ("hd", Read("subscribe", "HD")),
        ("Today TD is closed", Read()),
        ("TDS", Read()),
        ("好的", Read()),
        ("", Read()),
        ("👍", Read()),
    ],
)
def test_a_whole_word_is_the_whole_answer_others_stand_anywhere(text: str, expected: Read) -> None:
    assert read(text, WORDS) == expected


def test_listed_words_have_one_spelling() -> None:
    assert normal(" ｔ-d ") == "TD" and normal("、。") == ""
