"""Blacklist, whitelist and consent as SQL: conditions (sql, params) over alias `r` of users_recipient or `b` of users_binding.

`message_class` is one class; None asks for any, as where an operator tries an account. An entry that names no class counts
for all. Scope: everywhere, or the business line or account given. Each costs one look into an index a row.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

Condition = tuple[str, list[Any]]


def blocked_recipient(
    *, message_class: str | None = None, business_line_id: int | None = None, account_id: int | None = None
) -> Condition:
    """Over alias r: the person is blacklisted for this class everywhere, or for this business line or account."""
    return _listed("block", "x.recipient_id = r.id", message_class, business_line_id, account_id)


def blocked_binding(
    *, message_class: str | None = None, business_line_id: int | None = None, account_id: int | None = None
) -> Condition:
    """Over alias b: the address is blacklisted for this class, whoever's it is."""
    return _listed("block", "x.address_hash = b.address_hash", message_class, business_line_id, account_id)


def allowed_recipient(
    *, message_class: str | None = None, business_line_id: int | None = None, account_id: int | None = None
) -> Condition:
    """Over alias r: the person, or an address of theirs, is on the whitelist."""
    person, values = _listed("allow", "x.recipient_id = r.id", message_class, business_line_id, account_id)
    address, more = allowed_binding(
        message_class=message_class, business_line_id=business_line_id, account_id=account_id
    )
    return (
        f"({person} OR EXISTS (SELECT 1 FROM users_binding b WHERE b.recipient_id = r.id AND {address}))",
        values + more,
    )


def allowed_binding(
    *, message_class: str | None = None, business_line_id: int | None = None, account_id: int | None = None
) -> Condition:
    """Over alias b: the address is on the whitelist."""
    return _listed("allow", "x.address_hash = b.address_hash", message_class, business_line_id, account_id)


def consenting_recipient(*, message_class: str, business_line_id: int) -> Condition:
    """Over alias r: the newest record of the person that concerns this class and line says that consent is given."""
    return _consenting("y.recipient_id = r.id", message_class, business_line_id)


def consenting_binding(*, message_class: str, business_line_id: int) -> Condition:
    """Over alias b: the same of an address."""
    return _consenting("y.address_hash = b.address_hash", message_class, business_line_id)


def has_whitelist() -> bool:
    """Whether anybody is on the whitelist: where nobody is, nobody need be looked for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM users_blacklistentry WHERE effect = 'allow')")
        return cursor.fetchone()[0]


def _listed(effect: str, subject: str, message_class: str | None, line: int | None, account: int | None) -> Condition:
    of_class, classes = "", []
    if message_class is not None:
        of_class, classes = " AND (x.classes = '{}' OR x.classes @> ARRAY[%s]::varchar[])", [message_class]
    sql = (
        f"EXISTS (SELECT 1 FROM users_blacklistentry x WHERE {subject} AND x.effect = '{effect}'{of_class}"
        " AND (x.expires_at IS NULL OR x.expires_at > now())"
        " AND (x.scope = 'everywhere' OR (x.scope = 'business_line' AND x.scope_id = %s)"
        " OR (x.scope = 'account' AND x.scope_id = %s)))"
    )
    return sql, [*classes, line, account]


def _consenting(subject: str, message_class: str, line: int) -> Condition:
    sql = (
        f"coalesce((SELECT y.state FROM users_consentrecord y WHERE {subject} AND y.message_class IN ('', %s)"
        " AND (y.business_line_id IS NULL OR y.business_line_id = %s) ORDER BY y.id DESC LIMIT 1), '') = 'given'"
    )
    return sql, [message_class, line]
