"""The placeholder language and the writing of values. Needs no database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_date
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from apps.channels.contract import ContentField
from apps.templates.render import (
    MAX_BYTES,
    BadTemplate,
    BadValue,
    CompiledBody,
    MissingValue,
    RenderTooLarge,
    Text,
    Undeclared,
    Variable,
    compile_body,
    parse,
    placeholders,
)

FIELDS = (
    ContentField("text", "Text"),
    ContentField("html", "HTML", required=False, escape="html"),
    ContentField("template_id", "Template id", required=False, literal=True),
    ContentField("params", "Parameters", required=False, mapping=True),
)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def body_of(text: str, *variables: Variable, locale: str = "zh_CN") -> CompiledBody:
    return compile_body({"text": text}, FIELDS, variables, locale=locale, zone=ZoneInfo("Asia/Shanghai"))


def written(variable: Variable, value: object, locale: str = "zh_CN") -> str:
    content = body_of(f"${{{variable.name}}}", variable, locale=locale).render({variable.name: value})
    assert isinstance(content["text"], str)
    return content["text"]


@given(TEXTS.filter(lambda text: "$" not in text))
def test_a_text_without_placeholders_is_itself(text: str) -> None:
    assert parse(text) == Text((text,), ())
    assert body_of(text or "x").render({}) == {"text": text or "x"}


@given(st.lists(TEXTS, min_size=1, max_size=6), st.data())
def test_source_parses_to_the_same_text(literals: list[str], data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=len(literals) - 1, max_size=len(literals) - 1))
    text = Text(tuple(literals), tuple(names))
    assert parse(text.source()) == text


@given(st.lists(st.tuples(NAMES, TEXTS.filter(bool)), max_size=5, unique_by=lambda pair: pair[0]))
def test_rendering_joins_literals_and_values(pairs: list[tuple[str, str]]) -> None:
    text = "[".join(f"${{{name}}}]" for name, _value in pairs) + "end"
    expected = "[".join(f"{value}]" for _name, value in pairs) + "end"
    assert body_of(text, *(Variable(name) for name, _value in pairs)).render(dict(pairs)) == {"text": expected}


@given(st.sampled_from(["${b}", "$${b}", "${a}", "{b}", "$", "%s", "{0}"]))
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    assert body_of("${a}-${b}", Variable("a"), Variable("b")).render({"a": value, "b": "x"}) == {"text": f"{value}-x"}


@pytest.mark.parametrize(
    ("source", "said"),
    [("$$5", "$5"), ("$5", "$5"), ("a$", "a$"), ("$$$$", "$$"), ("$${x}", "${x}"), ("$$${x}", "$1"), ("{x}", "{x}")],
)
def test_dollar_signs(source: str, said: str) -> None:
    assert body_of(source, Variable("x")).render({"x": 1}) == {"text": said}


@pytest.mark.parametrize(
    "source", ["${", "${}", "${a b}", "${a.b}", "${a[0]}", "${a()}", "${a|upper}", "${ a }", "${a"]
)
def test_nothing_but_a_name_goes_into_the_braces(source: str) -> None:
    with pytest.raises(BadTemplate, match="At character 1"):
        parse(source)


def test_undeclared_names_are_told_at_compile_time() -> None:
    with pytest.raises(Undeclared) as caught:
        body_of("${a}${b}${c}${b}", Variable("a"))
    assert caught.value.names == ("b", "c")


def test_a_field_that_the_kind_does_not_have_is_refused() -> None:
    with pytest.raises(BadTemplate, match="no field subject"):
        compile_body({"subject": "x"}, FIELDS, [])


@pytest.mark.parametrize("body", [{"text": {"a": "b"}}, {"params": "x"}])
def test_the_shape_of_a_field_is_checked(body: dict[str, str | Mapping[str, str]]) -> None:
    with pytest.raises(BadTemplate, match="expected"):
        compile_body(body, FIELDS, [])


@pytest.mark.parametrize("nothing", [None, "", ...])
def test_missing_values_are_all_named(nothing: object) -> None:
    body = body_of("${a}${b}${c}", Variable("a"), Variable("b", "number"), Variable("c", "boolean"))
    values = {"a": nothing, "b": 0, "c": False} if nothing is not ... else {"b": 0, "c": False}
    with pytest.raises(MissingValue) as caught:
        body.render(values)
    assert caught.value.names == ("a",)
    with pytest.raises(MissingValue) as caught:
        body.render({})
    assert caught.value.names == ("a", "b", "c")


def test_html_escapes_values_and_not_the_template() -> None:
    body = compile_body({"html": "<b>${a}</b>", "text": "<${a}>"}, FIELDS, [Variable("a")])
    hostile = '<i title="x">\'&'
    assert body.render({"a": hostile}) == {
        "html": "<b>&lt;i title=&quot;x&quot;&gt;&#x27;&amp;</b>",
        "text": f"<{hostile}>",
    }


def test_a_value_at_the_beginning_of_a_link_chooses_no_scheme() -> None:
    body = compile_body(
        {"html": '<a href="${link}">${link}</a><a href="https://x/${link}">y</a>'}, FIELDS, [Variable("link")]
    )
    assert body.render({"link": "https://a/?b&c"}) == {
        "html": '<a href="https://a/?b&amp;c">https://a/?b&amp;c</a><a href="https://x/https://a/?b&amp;c">y</a>'
    }
    with pytest.raises(BadValue) as caught:
        body.render({"link": "javascript:alert(1)"})
    assert caught.value.name == "link"


def test_literal_and_mapping_fields() -> None:
    body = {"text": "t", "html": "", "template_id": "${a}$$", "params": {"code": "${a}!", "empty": ""}}
    assert compile_body(body, FIELDS, [Variable("a")]).render({"a": "1"}) == {
        "text": "t",
        "template_id": "${a}$$",
        "params": {"code": "1!"},
    }
    assert placeholders(body, FIELDS) == ["a"]


def test_contents_are_not_shared_between_people() -> None:
    body = compile_body({"params": {"a": "${a}"}}, FIELDS, [Variable("a")])
    first = body.render({"a": "1"})
    body.render({"a": "2"})
    assert first == {"params": {"a": "1"}}


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (Variable("v"), "张三", "张三"),
        (Variable("v"), 12, "12"),
        (Variable("v"), 1.5, "1.5"),
        (Variable("v", "number"), 1234567.25, "1,234,567.25"),
        (Variable("v", "number"), "0.10", "0.10"),
        (Variable("v", "number"), 1e-7, "0.0000001"),
        (Variable("v", "number"), -1234, "-1,234"),
        (Variable("v", "money", currency="CNY"), 1234.5, "¥1,234.50"),
        (Variable("v", "money", currency="CNY"), "1.005", "¥1.01"),
        (Variable("v", "money", currency="CNY"), -0.001, "¥0.00"),
        (Variable("v", "money", currency="JPY"), 1234.5, "JP¥1,235"),
        (Variable("v", "date"), "2026-11-23", "2026年11月23日"),
        (Variable("v", "date"), date(2026, 1, 2), "2026年1月2日"),
        (Variable("v", "datetime"), "2026-11-23T18:05:00Z", "2026年11月24日 02:05"),
        (Variable("v", "datetime"), "2026-11-23T18:05:00", "2026年11月23日 18:05"),
        (Variable("v", "datetime"), datetime(2026, 11, 23, 10, 5, tzinfo=UTC), "2026年11月23日 18:05"),
        (Variable("v", "boolean"), True, "是"),
        (Variable("v", "boolean"), "false", "否"),
    ],
)
def test_values_are_written_by_type(variable: Variable, value: object, said: str) -> None:
    assert written(variable, value) == said


def test_english_needs_no_sign_outside_the_gsm_alphabet() -> None:
    assert written(Variable("v", "datetime"), "2026-11-23T06:05:00Z", "en") == "Nov 23, 2026, 2:05 PM"
    assert written(Variable("v", "money", currency="USD"), "-1234.5", "en") == "-$1,234.50"
    assert written(Variable("v", "boolean"), False, "en") == "no"


@given(
    st.decimals(-(10**12), 10**12, places=4),
    st.sampled_from(["CNY", "USD", "EUR", "JPY", "KWD", "HKD"]),
    st.sampled_from(["zh_CN", "en"]),
)
def test_money_is_written_as_babel_writes_it(amount: Decimal, currency: str, locale: str) -> None:
    places = {"JPY": "1", "KWD": "0.001"}.get(currency, "0.01")
    rounded = abs(amount).quantize(Decimal(places), ROUND_HALF_UP).copy_sign(amount)
    expected = format_currency(rounded or Decimal(0), currency, locale=locale)
    assert written(Variable("v", "money", currency=currency), str(amount), locale) == expected.replace("\xa0", " ")


@given(st.dates(), st.sampled_from(["zh_CN", "en"]))
def test_dates_are_written_as_babel_writes_them(day: date, locale: str) -> None:
    assert written(Variable("v", "date"), day.isoformat(), locale) == format_date(day, "medium", locale=locale)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", True),
        ("text", ["a"]),
        ("text", {"a": 1}),
        ("text", "\ud83d"),
        ("number", "12px"),
        ("number", "1,234"),
        ("number", "１２"),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", "1e999999"),
        ("number", 1e300),
        pytest.param("number", 10**5000, id="number-huge"),
        pytest.param("text", 10**5000, id="text-huge"),
        ("number", Decimal("1e-30")),
        ("money", "NaN"),
        ("money", {}),
        ("date", "2026-13-01"),
        ("date", "23.11.2026"),
        ("date", 20261123),
        ("datetime", "yesterday"),
        ("datetime", 5),
        ("datetime", "9999-12-31T23:59:59-12:00"),
        ("boolean", "maybe"),
        ("boolean", 1),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(kind: str, value: object) -> None:
    variable = Variable.from_json({"name": "v", "type": kind, "currency": "CNY"})
    with pytest.raises(BadValue) as caught:
        written(variable, value)
    assert caught.value.name == "v"
    if isinstance(value, str):
        assert value not in str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 5000])
def test_output_is_capped_before_it_is_made(count: int) -> None:
    body = body_of("${a}" * count, Variable("a"))
    fits = "中" * (MAX_BYTES // 3 // count)
    assert len(str(body.render({"a": fits})["text"]).encode()) <= MAX_BYTES
    with pytest.raises(RenderTooLarge) as caught:
        body.render({"a": fits + "中" * (MAX_BYTES % 3 + 1)})
    assert caught.value.size > MAX_BYTES


@pytest.mark.parametrize(
    "held",
    [
        {},
        {"name": "a b"},
        {"name": "a", "type": "code"},
        {"name": "a", "source": "env"},
        {"name": "a", "type": "money"},
    ],
)
def test_broken_declarations_are_refused(held: dict[str, str]) -> None:
    with pytest.raises(BadTemplate):
        Variable.from_json(held)
