"""Audiences as data: what they find, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.users import audience
from apps.users.models import Attribute

pytestmark = pytest.mark.django_db
PEOPLE = """user_id,name,tags,city,level,balance,since,active
A1,张,vip|新客,苏州,gold,100.5,2026-01-02,是
A2,李,vip,成都,silver,7,2026/03/04,否
A3,王,新客,苏州,gold,,,
A4,赵,,,,-3,,yes
"""


@pytest.fixture(autouse=True)
def people(bring_in: Callable[..., Any], tmp_path: Path) -> None:
    Attribute.objects.create(key="since", label="注册日", type="date")
    Attribute.objects.create(key="active", label="活跃", type="boolean")
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    assert bring_in(path).recipients_added == 4


@pytest.mark.parametrize(
    ("definition", "count"),
    [
        ({}, 4),
        ({"kind": "filter", "tags_any": ["vip", "新客"]}, 3),
        ({"tags_all": ["vip", "新客"]}, 1),
        ({"tags_none": ["vip"]}, 2),
        ({"attributes": {"city": "苏州"}}, 2),
        ({"attributes": {"city": ["苏州", "成都"], "level": "gold"}}, 2),
        ({"attributes": {"balance": {"min": 7}}}, 2),
        ({"attributes": {"balance": {"min": "0", "max": 50}}}, 1),
        ({"attributes": {"balance": 100.5}}, 1),
        ({"attributes": {"since": {"min": "2026-02-01"}}}, 1),
        ({"attributes": {"since": "2026-1-2"}}, 1),
        ({"attributes": {"active": True}}, 2),
        ({"user_ids": ["A1", "A4", "unknown", "A1"]}, 2),
        ({"user_ids": ["A1", "A4"], "tags_any": ["vip"]}, 1),
        ({"tags_any": ["%s'; --"]}, 0),
    ],
)
def test_what_is_found(definition: dict[str, Any], count: int) -> None:
    assert audience.count(definition) == count
    assert audience.validate(audience.validate(definition)) == audience.validate(definition)


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"tag": ["vip"]}, "Unknown fields: tag."),
        ({"kind": "all"}, "kind:"),
        ({"tags_any": "vip"}, "tags_any: give a list"),
        ({"attributes": ["city"]}, "attributes: give an object"),
        ({"attributes": {"name": "张"}}, "attributes.name is sensitive"),
        ({"attributes": {"shoe": 42}}, "attributes.shoe is not declared"),
        ({"attributes": {"balance": "much"}}, "attributes.balance: it is not a number"),
        ({"attributes": {"city": {"min": "a"}}}, "attributes.city: min and max"),
        ({"attributes": {"balance": {"from": 1}}}, "attributes.balance: min and max"),
    ],
)
def test_what_is_refused(definition: dict[str, Any], said: str) -> None:
    with pytest.raises(audience.BadAudience) as refused:
        audience.validate(definition)
    assert str(refused.value).startswith(said)
