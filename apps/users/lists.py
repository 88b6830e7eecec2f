"""Black- and whitelist: entries are added and lifted, by one function each for console, API, imports and what people ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from apps.channels.families import ways
from apps.operators import audit
from apps.users.addressing import prepare
from apps.users.errors import PeopleError
from apps.users.models import Binding, BlacklistEntry, MessageClass, Recipient, Scope
from apps.users.protection import regions_are_known

EVERYWHERE = str(Scope.EVERYWHERE)
BLOCK, ALLOW = str(BlacklistEntry.Effect.BLOCK), str(BlacklistEntry.Effect.ALLOW)
OPERATOR, CONSENT = str(BlacklistEntry.Origin.OPERATOR), str(BlacklistEntry.Origin.CONSENT)


@transaction.atomic
def add_blacklist(
    *, actor: object, recipient: Recipient | None = None, kind: str = "", address: str = "", region: str = "",
    effect: str = BLOCK, classes: Iterable[str] = (), channel: str = "", scope: str = EVERYWHERE, scope_id: int = 0,
    reason: str, source: str, expires_at: datetime | None = None, origin: str = OPERATOR, keep_others: bool = False,
) -> BlacklistEntry:  # fmt: skip
    """Puts a person, an address or a region on the black- or whitelist, for some classes of messages or (none named) for all.

    `channel` is the one kind or family of channels that it is about; none means every way. The same subject, list, way,
    scope and classes again renew reason, source and expiry; with `keep_others` an entry that came from another source
    stays as it is. Raises AddressRefused, and PeopleError unless exactly one
    subject is given, every class and the channel are known, and people have an attribute that says their region.
    """
    region = region.strip()
    if (recipient is not None) + bool(address) + bool(region) != 1:
        raise PeopleError(_("Give a recipient, an address or a region: one of them."))
    if not reason.strip():
        raise PeopleError(_("Give a reason: somebody will ask."))
    subject: dict[str, Any] = {"recipient": recipient, "address_hash": None, "region": checked_region(region)}
    masked = ""
    if address:
        prepared = prepare(kind, address)
        subject, masked = {"address_kind": kind, "address_hash": prepared.hash}, prepared.masked
    where = {
        "effect": effect, "classes": classes_of(classes), "channel": checked_channel(channel), "scope": scope,
        "scope_id": scope_id, "origin": origin,
    }  # fmt: skip
    facts = {"reason": reason, "source": source, "expires_at": expires_at, "address_masked": masked}
    if keep_others and (held := BlacklistEntry.objects.filter(**subject, **where).exclude(source=source).first()):
        return held
    entry, made = BlacklistEntry.objects.update_or_create(**subject, **where, defaults=facts)
    detail = {**where, "region": region, "reason": reason, "source": source, "new": made}
    audit.record(actor=actor, verb="add_blacklist" if effect == BLOCK else "add_whitelist", what=entry, detail=detail)
    return entry


@transaction.atomic
def remove_blacklist(*, actor: object, entry: BlacklistEntry, reason: str = "") -> None:
    """Lifts one entry; `reason` is why, as an operator gives it."""
    verb = "remove_blacklist" if entry.effect == BLOCK else "remove_whitelist"
    detail = {
        "scope": entry.scope, "scope_id": entry.scope_id, "classes": entry.classes, "channel": entry.channel,
        "region": entry.region, "was": entry.reason,
    }  # fmt: skip
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


def entries_of(recipient: Recipient) -> QuerySet[BlacklistEntry]:
    """What stands on the lists of a person: themselves, their addresses and their region."""
    held = Binding.objects.filter(recipient=recipient).values("address_hash")
    concerns = Q(recipient=recipient) | Q(address_hash__in=held)
    if region := recipient.attributes.get(settings.UMS_REGION_ATTRIBUTE):
        concerns |= Q(region=region)
    return BlacklistEntry.objects.filter(concerns)


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


def checked_channel(word: str) -> str:
    """The word as it is kept. Raises PeopleError for one that is neither a kind nor a family of channels."""
    word = word.strip().lower()
    if word and word not in ways():
        raise PeopleError(
            _("channel: there is no kind of channel %(unknown)s; known are %(known)s."),
            unknown=word[:40],
            known=", ".join(ways()),
        )
    return word


def checked_region(region: str) -> str:
    """Raises PeopleError where nobody could be found by their region."""
    if region and not regions_are_known():
        raise PeopleError(
            _("People have no open attribute “%(key)s” that says their region: declare it under Attributes first."),
            key=settings.UMS_REGION_ATTRIBUTE,
        )
    return region


# What names an entry: the unique constraint `blacklist_once`.
ONCE = "(recipient_id, address_hash, region, effect, channel, scope, scope_id, origin, classes)"
KEEP_ENTRIES = f"""
INSERT INTO users_blacklistentry (address_kind, address_hash, address_masked, effect, classes, channel, scope, scope_id,
                                  origin, reason, source, expires_at, created_at)
SELECT DISTINCT ON (b.address_hash, x.classes, x.channel, x.scope, x.scope_id, x.origin) b.address_kind, b.address_hash,
       b.address_masked, x.effect, x.classes, x.channel, x.scope, x.scope_id, x.origin, x.reason, x.source, x.expires_at,
       now()
FROM users_blacklistentry x JOIN users_binding b ON b.recipient_id = x.recipient_id
WHERE x.recipient_id = %(recipient)s AND x.effect = 'block'
ON CONFLICT {ONCE} DO NOTHING
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
        for statement in (KEEP_CONSENT, KEEP_ENTRIES):  # first the ledger, then the list, as wherever both are written
            cursor.execute(statement, {"recipient": recipient.pk, "actor": str(actor)[:200]})
