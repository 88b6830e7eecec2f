"""Blacklist, whitelist and consent as SQL: conditions (sql, params) over alias `r` of users_recipient or `b` of users_binding.

`message_class` is one class; None asks for any, as where an operator tries an account. An entry that names no class counts
for all. An entry counts everywhere, or for the business line or account given; over every way, or over the kind of channel
that it names. What it says of a region it says of everybody whose attribute of that name says so (as quiet hours know it).

A person is asked twice: whether an entry forbids (allows) them *every* way, which decides the message, and whether one
forbids this way, which leaves the others open. Each costs one look into an index a row; regions and entries for one way cost
one look a statement where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from apps.channels.families import family_of
from apps.users.models import Attribute

Condition = tuple[str, list[Any]]

OF_PERSON = "x.recipient_id = r.id"
OF_ADDRESS = "x.address_hash = b.address_hash"
OF_REGION = "x.region <> '' AND x.region = (SELECT q.attributes ->> %s FROM users_recipient q WHERE q.id = r.id)"
# Asked once a statement: where there is no such entry, no row is looked at for it.
ANY_REGION = "EXISTS (SELECT 1 FROM users_blacklistentry g WHERE g.region <> '')"
ANY_ONE_WAY = (
    "EXISTS (SELECT 1 FROM users_blacklistentry g WHERE g.recipient_id IS NOT NULL"
    " AND (g.channel <> '' OR g.scope = 'account'))"
)
EVERYWHERE = "x.scope = 'everywhere' OR (x.scope = 'business_line' AND x.scope_id = %s)"
EVERY_WAY = f"x.channel = '' AND ({EVERYWHERE})"
THIS_WAY = f"x.channel IN ('', %s, %s) AND ({EVERYWHERE} OR (x.scope = 'account' AND x.scope_id = %s))"
ONLY_THIS_WAY = f"(x.channel <> '' OR x.scope = 'account') AND {THIS_WAY}"
SOME_WAY = f"({EVERYWHERE} OR x.scope = 'account')"


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries that count: SQL over alias x, to be tied to a subject."""

    sql: str
    values: list[Any]

    def of(self, subject: str, *values: Any) -> Condition:
        return f"EXISTS (SELECT 1 FROM users_blacklistentry x WHERE {subject} AND {self.sql})", [*values, *self.values]

    def of_region(self) -> Condition:
        found, values = self.of(OF_REGION, settings.UMS_REGION_ATTRIBUTE)
        return f"({ANY_REGION} AND {found})", values


def _entries(effect: str, message_class: str | None, where: str, *values: Any) -> _Entries:
    of_class, classes = "", []
    if message_class is not None:
        of_class, classes = " AND (x.classes = '{}' OR x.classes @> ARRAY[%s]::varchar[])", [message_class]
    sql = f"x.effect = '{effect}'{of_class} AND (x.expires_at IS NULL OR x.expires_at > now()) AND {where}"
    return _Entries(sql, [*classes, *values])


def blocked_recipient(*, message_class: str | None = None, business_line_id: int | None = None) -> Condition:
    """Over alias r: the person, or their region, is blacklisted for this class over every way."""
    entries = _entries("block", message_class, EVERY_WAY, business_line_id)
    return _either(entries.of(OF_PERSON), entries.of_region())


def blocked_way(
    *, message_class: str | None = None, business_line_id: int | None = None, account_id: int | None = None, kind: str
) -> Condition:
    """Over alias r: an entry forbids the person, or their region, just this account or kind of channel."""
    values = [kind, family_of(kind), business_line_id, account_id]
    entries = _entries("block", message_class, ONLY_THIS_WAY, *values)
    person, of_person = entries.of(f"x.recipient_id IS NOT NULL AND {OF_PERSON}")  # named, so that its index is found
    return _either((f"({ANY_ONE_WAY} AND {person})", of_person), entries.of_region())


def blocked_binding(
    *,
    message_class: str | None = None,
    business_line_id: int | None = None,
    account_id: int | None = None,
    kind: str = "",
) -> Condition:
    """Over alias b: the address is blacklisted for this class over this way, whoever's it is."""
    return _this_way("block", message_class, business_line_id, account_id, kind).of(OF_ADDRESS)


def allowed_recipient(*, message_class: str | None = None, business_line_id: int | None = None) -> Condition:
    """Over alias r: the person, their region, or an address of theirs is on the whitelist for every way."""
    return _allowed(_entries("allow", message_class, EVERY_WAY, business_line_id))


def allowed_some_way(*, message_class: str | None = None, business_line_id: int | None = None) -> Condition:
    """The same for whatever way."""
    return _allowed(_entries("allow", message_class, SOME_WAY, business_line_id))


def allowed_way(
    *,
    message_class: str | None = None,
    business_line_id: int | None = None,
    account_id: int | None = None,
    kind: str = "",
) -> Condition:
    """The same for this way."""
    return _allowed(_this_way("allow", message_class, business_line_id, account_id, kind))


def allowed_binding(
    *,
    message_class: str | None = None,
    business_line_id: int | None = None,
    account_id: int | None = None,
    kind: str = "",
) -> Condition:
    """Over alias b: the address is on the whitelist for this way."""
    return _this_way("allow", message_class, business_line_id, account_id, kind).of(OF_ADDRESS)


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


def regions_are_known() -> bool:
    """Whether people have an open attribute that says their region (UMS_REGION_ATTRIBUTE)."""
    return Attribute.objects.filter(key=settings.UMS_REGION_ATTRIBUTE, sensitive=False).exists()


def _this_way(
    effect: str, message_class: str | None, business_line_id: int | None, account_id: int | None, kind: str
) -> _Entries:
    return _entries(effect, message_class, THIS_WAY, kind, family_of(kind), business_line_id, account_id)


def _allowed(entries: _Entries) -> Condition:
    address, of_address = entries.of(OF_ADDRESS)
    held = f"EXISTS (SELECT 1 FROM users_binding b WHERE b.recipient_id = r.id AND {address})"
    return _either(entries.of(OF_PERSON), entries.of_region(), (held, of_address))


def _either(*conditions: Condition) -> Condition:
    sql = " OR ".join(one for one, _values in conditions)
    return f"({sql})", [value for _sql, values in conditions for value in values]


def _consenting(subject: str, message_class: str, line: int) -> Condition:
    sql = (
        f"coalesce((SELECT y.state FROM users_consentrecord y WHERE {subject} AND y.message_class IN ('', %s)"
        " AND (y.business_line_id IS NULL OR y.business_line_id = %s) ORDER BY y.id DESC LIMIT 1), '') = 'given'"
    )
    return sql, [message_class, line]
