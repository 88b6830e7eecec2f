"""Sensitive words are found however they are written, in whatever text of a content they stand."""

from __future__ import annotations

import random
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.templates.wording import Entry, Hit, Matcher, key_of, texts_of

WORDS = ["法轮", "free money", "代开发票", "sm", "ＶＩＰ专享"]
MATCHER = Matcher(Entry(1, number, key_of(word)) for number, word in enumerate(WORDS))


def found(text: str) -> list[str]:
    return [WORDS[entry.entry_id] for entry in MATCHER.found_in(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("天法轮地", ["法轮"]),
        ("法\u200b轮", ["法轮"]),
        ("法 * 轮", ["法轮"]),
        ("法<b>轮</b>", ["法轮"]),
        ("代_开-发，票", ["代开发票"]),
        ("FREE  Money!", ["free money"]),
        ("ＦＲＥＥ　ｍｏｎｅｙ", ["free money"]),
        ("vip专享", ["ＶＩＰ专享"]),
        ("some smart", []),
        ("S.M.", ["sm"]),
        ("法律", []),
    ],
)
def test_a_word_is_found_as_people_read_it(text: str, words: list[str]) -> None:
    assert found(text) == words


def test_every_text_of_a_content_is_searched_with_its_place() -> None:
    content = {"text": "您好", "params": {"name": "法轮", "n": 3}, "cards": [{"title": "代开发票"}], "on": True}
    assert MATCHER.suspicious(content)
    assert MATCHER.hits(content) == [Hit(1, 0, "params.name"), Hit(1, 2, "cards.0.title")]
    assert dict(texts_of(content))["params.n"] == "3"
    assert not MATCHER.hits({"text": "法", "title": "轮"}), "no word reaches from one text into another"


@given(st.lists(st.text("法轮代开票sm <>_\u200b", max_size=8), max_size=4))
def test_the_quick_look_overlooks_nothing(texts: list[str]) -> None:
    content = {str(number): text for number, text in enumerate(texts)}
    assert MATCHER.suspicious(content) or not MATCHER.hits(content)


def test_twenty_thousand_words_cost_a_text_some_microseconds() -> None:
    """Bound far above what was measured, so that a busy machine passes and a walk over every word does not."""
    chance = random.Random(1)
    signs = [chr(code) for code in range(0x4E00, 0x4E00 + 3500)]
    words = {"".join(chance.choices(signs, k=chance.randint(2, 5))) for _number in range(20_000)}
    matcher = Matcher(Entry(1, number, word) for number, word in enumerate(sorted(words)))
    content = {
        "sign_name": "优选银行",
        "params": {"name": "张三丰", "balance": "1024.50"},
        "text": "尊敬的张三丰，您的账户余额为1024.50元。回T退订",
    }
    assert not matcher.suspicious(content)
    took = min(timeit.repeat(lambda: matcher.suspicious(content), number=2000, repeat=5)) / 2000
    print(f"{took * 1e6:.1f} µs")
    assert took < 20e-6
