"""An audience as data, and the SQL that finds its people.

    {"kind": "filter", "tags_any": [..], "tags_all": [..], "tags_none": [..],
     "attributes": {key: value | [values] | {"min": .., "max": ..}}, "user_ids": [..]}

All parts given must hold (an intersection); a part left out says nothing; no part at all means everybody. Conditions
are pairs (sql, params) over the alias `r` of users_recipient or `b` of users_binding, for somebody else's query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from apps.users.attribute_values import BadValue, Value, read_value
from apps.users.errors import PeopleError
from apps.users.models import Attribute
from apps.users.protection import (
    Condition,
    allowed_binding,
    allowed_recipient,
    blocked_binding,
    blocked_recipient,
    blocked_way,
)
from ums_site.keepable import keepable

__all__ = [
    "BadAudience",
    "Condition",
    "allowed_binding",
    "allowed_recipient",
    "blocked_binding",
    "blocked_recipient",
    "blocked_way",
    "condition",
    "count",
    "validate",
]
MANY = 100_000
TAG_PARTS = {
    "tags_any": "r.tags && %s::varchar[]",
    "tags_all": "r.tags @> %s::varchar[]",
    "tags_none": "NOT r.tags && %s::varchar[]",
}
PARTS = ("kind", *TAG_PARTS, "attributes", "user_ids")


class BadAudience(PeopleError):
    """A definition that means nothing; says which field and what to do."""


def validate(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition in its one spelling: empty parts left out, lists without repetition, values typed.

    Raises BadAudience. A sensitive attribute is refused: it is sealed and cannot be searched.
    """
    unknown = sorted(set(definition) - set(PARTS))
    if unknown:
        raise BadAudience(
            _("Unknown fields: %(fields)s. Known are %(known)s."), fields=", ".join(unknown), known=", ".join(PARTS)
        )
    if not keepable(definition):
        raise BadAudience(_("A text holds a character that cannot be kept (NUL, or half of one): leave it out."))
    if definition.get("kind", "filter") != "filter":
        raise BadAudience(_("kind: only “filter” is known."))
    held: dict[str, Any] = {"kind": "filter"}
    for part in (*TAG_PARTS, "user_ids"):
        if definition.get(part):
            held[part] = _texts(part, definition[part])
    if definition.get("attributes"):
        held["attributes"] = _attributes(definition["attributes"])
    return held


def condition(definition: Mapping[str, Any]) -> Condition:
    """The SQL over alias r. Raises BadAudience as `validate` does."""
    held = validate(definition)
    clauses = [sql for part, sql in TAG_PARTS.items() if part in held]
    params: list[Any] = [held[part] for part in TAG_PARTS if part in held]
    for key, wanted in held.get("attributes", {}).items():
        sql, values = _attribute_condition(key, wanted)
        clauses.append(sql)
        params += values
    if "user_ids" in held:
        clauses.append("r.user_id = ANY(%s)")
        params.append(held["user_ids"])
    return " AND ".join(clauses) or "TRUE", params


def count(definition: Mapping[str, Any]) -> int:
    """How many people it finds now."""
    sql, params = condition(definition)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM users_recipient r WHERE {sql}", params)
        return cursor.fetchone()[0]


def _texts(part: str, given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(text, str | int) and str(text).strip() for text in given):
        raise BadAudience(_("%(field)s: give a list of texts."), field=part)
    if len(given) > MANY:
        raise BadAudience(_("%(field)s: at most %(limit)s entries; import a tag for more."), field=part, limit=MANY)
    return list(dict.fromkeys(str(text).strip() for text in given))


def _attributes(given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise BadAudience(_("attributes: give an object of attribute keys and values."))
    declared = {attribute.key: attribute for attribute in Attribute.objects.filter(key__in=[str(key) for key in given])}
    return {str(key): _wanted(str(key), declared.get(str(key)), value) for key, value in given.items()}


def _wanted(key: str, attribute: Attribute | None, value: object) -> object:
    if attribute is None:
        raise BadAudience(_("attributes.%(key)s is not declared; declare it under Attributes first."), key=key)
    if attribute.sensitive:
        raise BadAudience(_("attributes.%(key)s is sensitive and cannot be searched; use a tag instead."), key=key)
    if isinstance(value, Mapping):
        return _range(key, attribute, value)
    if isinstance(value, list):
        return [_typed(key, attribute, one) for one in value]
    return _typed(key, attribute, value)


def _range(key: str, attribute: Attribute, ends: Mapping[str, object]) -> dict[str, Value]:
    if attribute.type not in (Attribute.Type.NUMBER, Attribute.Type.DATE) or not ends or set(ends) - {"min", "max"}:
        raise BadAudience(_("attributes.%(key)s: min and max are for numbers and dates only."), key=key)
    return {end: _typed(key, attribute, value) for end, value in ends.items()}


def _typed(key: str, attribute: Attribute, value: object) -> Value:
    try:
        return read_value(attribute.type, str(value))
    except BadValue as bad:
        raise BadAudience(_("attributes.%(key)s: %(why)s."), key=key, why=bad) from None


def _attribute_condition(key: str, wanted: object) -> Condition:
    if isinstance(wanted, dict):
        return _range_condition(key, wanted)
    values = wanted if isinstance(wanted, list) else [wanted]
    return "r.attributes -> %s = ANY(%s::jsonb[])", [key, [json.dumps(one, ensure_ascii=False) for one in values]]


def _range_condition(key: str, ends: dict[str, Value]) -> Condition:
    """ISO dates compare as text; a number is cast only where the JSON value is one."""
    dates = any(isinstance(end, str) for end in ends.values())
    held = "r.attributes ->> %s" if dates else (
        "CASE jsonb_typeof(r.attributes -> %s) WHEN 'number' THEN (r.attributes ->> %s)::numeric END"
    )  # fmt: skip
    clauses, params = [], []
    for end, sign in (("min", ">="), ("max", "<=")):
        if end in ends:
            clauses.append(f"({held}) {sign} %s")
            params += [key] * held.count("%s") + [ends[end]]
    return " AND ".join(clauses), params
