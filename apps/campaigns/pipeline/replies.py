"""Replies: what people wrote back. Merging stores them; carrying out what they mean is a short transaction each.

A repeat of the same answer is the same row. Answers of one address are carried out in their order, whoever works; a worker
that dies on the way leaves the answer waiting. What is done is done once: the ledger of consents knows it already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from apps.campaigns.models import Reply
from apps.campaigns.reply_words import Word, read
from apps.campaigns.replying import listed_words
from apps.channels.contract import ReplyEvent
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.partners.models import BusinessLine
from apps.users.addresses import mask
from apps.users.addressing import AddressRefused, prepare
from apps.users.consents import GIVEN, WITHDRAWN, record_consent
from apps.users.models import MessageClass, Recipient
from ums_site.clock import transaction_now
from ums_site.crypto import keyring
from ums_site.failpoints import failpoint
from ums_site.ids import first_id_at

log = structlog.get_logger(__name__)
LOOK_BACK = timedelta(days=31)
LONGEST_TEXT = 2000
PLACE = b"campaigns_reply.sealed:"
MARKETING = str(MessageClass.MARKETING)

STORE = """
INSERT INTO campaigns_reply (account_id, event_key, address_kind, address_hash, address_masked, sealed, extension, meaning,
                             word, complaint, deed, occurred_at, received_at)
SELECT %s, v.key, %s, v.hash, v.masked, v.sealed, v.extension, v.meaning, v.word, v.complaint, '', v.occurred_at, now()
FROM unnest(%s::bytea[], %s::bytea[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::boolean[],
            %s::timestamptz[]) AS v(key, hash, masked, sealed, extension, meaning, word, complaint, occurred_at)
ON CONFLICT (account_id, event_key) DO NOTHING
"""


def store(account: ChannelAccount, events: Sequence[ReplyEvent]) -> None:
    """Keeps answers, sealed and read for the listed words; one that came before changes nothing."""
    if not events:
        return
    words = listed_words()
    kind = adapter(account.kind).capabilities.address_kind
    columns = [list(column) for column in zip(*(_row(kind, event, words) for event in events), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(STORE, [account.pk, kind, *columns])


def _row(kind: str, event: ReplyEvent, words: Sequence[Word]) -> tuple[Any, ...]:
    text = event.text[:LONGEST_TEXT].replace("\0", "")
    found = read(text, words)
    hashed, masked = _address(kind, event.address)
    sealed = keyring().seal(f"{event.address}\n{text}", PLACE)
    place = (_key(event), hashed, masked, sealed, event.extension[-40:])
    return (*place, found.meaning, found.word, found.complaint, event.occurred_at)


def _key(event: ReplyEvent) -> bytes:
    said = event.reply_id or f"{event.occurred_at.isoformat()}|{event.text}"
    return hashlib.blake2b(f"{event.address}|{said}".encode(), digest_size=16).digest()


def _address(kind: str, address: str) -> tuple[bytes | None, str]:
    try:
        prepared = prepare(kind, address)
    except AddressRefused:
        return None, mask(kind, address)
    return prepared.hash, prepared.masked


def text_of(reply: Reply) -> tuple[str, str]:
    """The address and the text in clear."""
    address, _end, text = keyring().open(reply.sealed, PLACE).partition("\n")
    return address, text


# The next answer whose earlier ones, of the same address, are all done; what failed before waits for the others.
NEXT = """
SELECT id FROM campaigns_reply r WHERE handled_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM campaigns_reply e WHERE e.address_hash = r.address_hash AND e.handled_at IS NULL AND e.id < r.id)
ORDER BY tries, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
TRIES = 5


def handle_next() -> bool:
    """Carries out one answer; False where none waits that nobody else has.

    One that cannot be carried out is tried five times and then shown as failed: it must not hold up all that come after.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(NEXT)
            row = cursor.fetchone()
        if row is None:
            return False
        reply = Reply.objects.get(pk=row[0])
        try:
            with transaction.atomic():
                _handle(reply)
        except OperationalError:
            raise
        except Exception as fault:  # its text may quote the answer: only its kind is kept
            log.error("reply_not_carried_out", reply=reply.pk, fault=type(fault).__name__)
            _failed(reply)
        failpoint("reply_before_commit")
    failpoint("reply_after_commit")
    return True


def _handle(reply: Reply) -> None:
    _find(reply)
    if reply.meaning in ("unsubscribe", "subscribe") and reply.address_hash is not None:
        _carry_out(reply)
    reply.handled_at = transaction_now()
    reply.save()


def _failed(reply: Reply) -> None:
    over = reply.tries + 1 >= TRIES
    Reply.objects.filter(pk=reply.pk).update(
        tries=reply.tries + 1,
        deed=Reply.Deed.FAILED if over else "",
        handled_at=transaction_now() if over else None,
    )


FORGET = """
UPDATE campaigns_reply SET sealed = '', address_masked = '', recipient_id = NULL
WHERE handled_at IS NOT NULL AND (recipient_id = %(person)s
      OR address_hash IN (SELECT address_hash FROM users_binding WHERE recipient_id = %(person)s))
"""


def forget(recipient: Recipient) -> None:
    """Before a person is deleted: the text and address of their answers go, that they were given stays."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, {"person": recipient.pk})


class Last(NamedTuple):
    """The message that an answer is about."""

    message_id: int
    campaign_id: int
    recipient_id: int | None
    business_line_id: int


LAST = """
WITH whose AS MATERIALIZED (SELECT id, recipient_id FROM users_binding WHERE address_hash = %(hash)s), sent AS (
    SELECT m.id, m.campaign_id, m.recipient_id FROM campaigns_message m
    WHERE m.id >= %(oldest)s AND m.recipient_id = ANY(ARRAY(SELECT recipient_id FROM whose WHERE recipient_id IS NOT NULL))
    UNION ALL
    SELECT m.id, m.campaign_id, m.recipient_id FROM campaigns_message m
    WHERE m.id >= %(oldest)s AND m.binding_id = ANY(ARRAY(SELECT id FROM whose))
)
SELECT s.id, s.campaign_id, s.recipient_id, c.business_line_id
FROM sent s JOIN campaigns_campaign c ON c.id = s.campaign_id
JOIN campaigns_delivery d ON d.message_id = s.id AND d.id >= %(oldest)s AND d.account_id = %(account)s AND d.attempts > 0
     AND d.binding_id = ANY(ARRAY(SELECT id FROM whose)) AND d.first_intent_at <= %(before)s
ORDER BY (c.message_class = 'marketing') DESC, d.first_intent_at DESC LIMIT 1
"""
CLOCKS_APART = timedelta(minutes=10)


def _find(reply: Reply) -> None:
    """Whom the answer is from and about what: the last marketing from this account to this address, else the last at all."""
    if reply.address_hash is None:
        return
    values = {
        "hash": bytes(reply.address_hash), "account": reply.account_id,
        "oldest": first_id_at(reply.received_at - LOOK_BACK), "before": reply.received_at + CLOCKS_APART,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(LAST, values)
        row = cursor.fetchone()
    if row is not None:
        last = Last(*row)
        reply.message_id, reply.campaign_id = last.message_id, last.campaign_id
        reply.recipient_id, reply.business_line_id = last.recipient_id, last.business_line_id


def _carry_out(reply: Reply) -> None:
    if _overtaken(reply):
        reply.deed = Reply.Deed.OVERTAKEN
        return
    off = reply.meaning == "unsubscribe"
    address, _text = text_of(reply)
    recipient = Recipient.objects.filter(pk=reply.recipient_id).first() if reply.recipient_id else None
    record_consent(
        actor="reply",
        recipient=recipient,
        kind=reply.address_kind,
        address=address,
        state=WITHDRAWN if off else GIVEN,
        message_class=MARKETING,
        business_line=BusinessLine.objects.filter(pk=reply.business_line_id).first(),
        source="reply",
        evidence=_("Answered “%(word)s”.") % {"word": reply.word},  # the text itself stays sealed with the reply
        reference=f"reply {reply.pk}",
        unless_so=True,
    )
    reply.deed = Reply.Deed.UNSUBSCRIBED if off else Reply.Deed.SUBSCRIBED


def _overtaken(reply: Reply) -> bool:
    """Whether something that this address wrote later was carried out already: providers deliver out of order."""
    later = Reply.objects.filter(address_hash=reply.address_hash, occurred_at__gt=reply.occurred_at)
    return later.filter(deed__in=[Reply.Deed.UNSUBSCRIBED, Reply.Deed.SUBSCRIBED]).exists()


def complaints_since(
    since: datetime,
    *,
    campaign_id: int | None = None,
    business_line_id: int | None = None,
    account_id: int | None = None,
) -> int:
    """How many answers since then complain: about a campaign, a business line, an account, or all of them."""
    asked: dict[str, Any] = {"campaign_id": campaign_id, "business_line_id": business_line_id, "account_id": account_id}
    narrow = {name: value for name, value in asked.items() if value is not None}
    return Reply.objects.filter(complaint=True, received_at__gte=since, **narrow).count()
