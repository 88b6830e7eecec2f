"""Black- and whitelist: entries are added and lifted, by one function each for console, API, imports and what people ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from apps.operators import audit
from apps.users.addressing import prepare
from apps.users.errors import PeopleError
from apps.users.models import BlacklistEntry, MessageClass, Recipient, Scope

EVERYWHERE = str(Scope.EVERYWHERE)
BLOCK, ALLOW = str(BlacklistEntry.Effect.BLOCK), str(BlacklistEntry.Effect.ALLOW)
OPERATOR, CONSENT = str(BlacklistEntry.Origin.OPERATOR), str(BlacklistEntry.Origin.CONSENT)


@transaction.atomic
def add_blacklist(
    *, actor: object, recipient: Recipient | None = None, kind: str = "", address: str = "",
    effect: str = BLOCK, classes: Iterable[str] = (), scope: str = EVERYWHERE, scope_id: int = 0, reason: str,
    source: str, expires_at: datetime | None = None, origin: str = OPERATOR,
) -> BlacklistEntry:  # fmt: skip
    """Puts a person or an address on the black- or whitelist, for some classes of messages or (none named) for all.

    The same subject, list, scope and classes again renew reason, source and expiry. Raises AddressRefused, and PeopleError
    unless exactly one subject is given and every class is one.
    """
    if (recipient is None) == (not address):
        raise PeopleError(_("Give either a recipient or an address."))
    if not reason.strip():
        raise PeopleError(_("Give a reason: somebody will ask."))
    subject: dict[str, Any] = {"recipient": recipient}
    masked = ""
    if address:
        prepared = prepare(kind, address)
        subject, masked = {"address_kind": kind, "address_hash": prepared.hash}, prepared.masked
    where = {"effect": effect, "classes": classes_of(classes), "scope": scope, "scope_id": scope_id, "origin": origin}
    facts = {"reason": reason, "source": source, "expires_at": expires_at, "address_masked": masked}
    entry, made = BlacklistEntry.objects.update_or_create(**subject, **where, defaults=facts)
    detail = {**where, "reason": reason, "source": source, "new": made}
    audit.record(actor=actor, verb="add_blacklist" if effect == BLOCK else "add_whitelist", what=entry, detail=detail)
    return entry


@transaction.atomic
def remove_blacklist(*, actor: object, entry: BlacklistEntry, reason: str = "") -> None:
    """Lifts one entry; `reason` is why, as an operator gives it."""
    verb = "remove_blacklist" if entry.effect == BLOCK else "remove_whitelist"
    detail = {"scope": entry.scope, "scope_id": entry.scope_id, "classes": entry.classes, "was": entry.reason}
    audit.record(actor=actor, verb=verb, what=entry, detail={**detail, "reason": reason.strip()[:200]})
    entry.delete()


@transaction.atomic
def lift_entries(*, actor: object, entries: Iterable[BlacklistEntry], reason: str) -> int:
    """Takes entries off their list, for a reason; how many. Raises PeopleError, then none is taken off.

    What people asked for themselves is not an operator's to lift: a consent given again lifts it.
    """
    if not reason.strip():
        raise PeopleError(_("Give a reason: somebody will ask."))
    chosen = list(entries)
    if any(entry.origin == CONSENT for entry in chosen):
        raise PeopleError(
            _("They took back their consent themselves: record the consent that they gave again instead.")
        )
    for entry in chosen:
        remove_blacklist(actor=actor, entry=entry, reason=reason)
    return len(chosen)


def classes_of(given: Iterable[str]) -> list[str]:
    """The classes in their one order. Raises PeopleError for a word that is none."""
    names = sorted({str(name) for name in given})
    if unknown := [name for name in names if name not in MessageClass.values]:
        raise PeopleError(
            _("classes: there is no class %(unknown)s; known are %(known)s."),
            unknown=", ".join(unknown),
            known=", ".join(MessageClass.values),
        )
    return names


KEEP_ENTRIES = """
INSERT INTO users_blacklistentry (address_kind, address_hash, address_masked, effect, classes, scope, scope_id, origin,
                                  reason, source, expires_at, created_at)
SELECT DISTINCT ON (b.address_hash, x.classes, x.scope, x.scope_id, x.origin) b.address_kind, b.address_hash,
       b.address_masked, x.effect, x.classes, x.scope, x.scope_id, x.origin, x.reason, x.source, x.expires_at, now()
FROM users_blacklistentry x JOIN users_binding b ON b.recipient_id = x.recipient_id
WHERE x.recipient_id = %(recipient)s AND x.effect = 'block'
ON CONFLICT (recipient_id, address_hash, effect, scope, scope_id, origin, classes) DO NOTHING
"""
KEEP_CONSENT = """
INSERT INTO users_consentrecord (address_kind, address_hash, address_masked, message_class, business_line_id, state,
                                 source, evidence, reference, actor, at)
SELECT DISTINCT ON (b.address_hash, y.message_class, y.business_line_id) b.address_kind, b.address_hash, b.address_masked,
       y.message_class, y.business_line_id, y.state, 'deletion', y.evidence, 'record ' || y.id, %(actor)s, now()
FROM (
    SELECT DISTINCT ON (message_class, business_line_id) * FROM users_consentrecord
    WHERE recipient_id = %(recipient)s ORDER BY message_class, business_line_id, id DESC
) y JOIN users_binding b ON b.recipient_id = %(recipient)s
WHERE y.state = 'withdrawn'
ORDER BY b.address_hash, y.message_class, y.business_line_id, y.id DESC
"""


def keep_refusals(*, actor: object, recipient: Recipient) -> None:
    """Before a person is deleted: what blocks them, and what they took back, holds for each of their addresses on."""
    with connection.cursor() as cursor:
        for statement in (KEEP_ENTRIES, KEEP_CONSENT):
            cursor.execute(statement, {"recipient": recipient.pk, "actor": str(actor)[:200]})
