"""Links that take people off marketing: made for each message, good for years, proven by a keyed hash, nothing stored.

A token says whom (a person, or an address without one, by its row's number), for which business line and from which
message; 80 bits of HMAC under the installation's own hash key make it unguessable. It holds no address.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from struct import Struct

from django.conf import settings
from django.db import transaction

from apps.partners.models import BusinessLine
from apps.users.consents import GIVEN, WITHDRAWN, record_consent
from apps.users.models import Binding, BlacklistEntry, MessageClass, Recipient, Scope
from ums_site.crypto import binding_place, keyring

PERSON, ADDRESS = b"r", b"b"
MARKETING = str(MessageClass.MARKETING)
ACTOR = "unsubscribe link"
_PAYLOAD = Struct(">cIQQ")
_PROOF_BYTES = 10
_TOKEN_LENGTH = -(-(_PAYLOAD.size + _PROOF_BYTES) * 4 // 3)  # base64 without padding: 31 bytes make 42 characters
SAMPLE = f"{settings.UMS_PUBLIC_URL or 'https://ums.example'}/u/" + "0" * _TOKEN_LENGTH


@dataclass(frozen=True, slots=True)
class Asking:
    """Who holds a link: the row behind it and the line that wrote. `whose` is PERSON or ADDRESS."""

    whose: bytes
    row_id: int
    business_line_id: int
    message_id: int


def link(business_line_id: int, recipient_id: int | None, binding_id: int, message_id: int) -> str:
    """The page for one message's reader; empty where the installation has no public address (UMS_PUBLIC_URL)."""
    if not settings.UMS_PUBLIC_URL:
        return ""
    whose, row_id = (PERSON, recipient_id) if recipient_id else (ADDRESS, binding_id)
    return f"{settings.UMS_PUBLIC_URL}/u/{token_of(Asking(whose, row_id, business_line_id, message_id))}"


def token_of(asking: Asking) -> str:
    """The token in the link, of letters, digits, - and _."""
    payload = _PAYLOAD.pack(asking.whose, asking.business_line_id, asking.row_id, asking.message_id)
    return base64.urlsafe_b64encode(payload + _proof(payload)).decode().rstrip("=")


def read_token(token: str) -> Asking | None:
    """Who asks; None for anything that was not made here."""
    try:
        held = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    payload, proof = held[: _PAYLOAD.size], held[_PAYLOAD.size :]
    if not hmac.compare_digest(proof, _proof(payload)):
        return None
    whose, line, row_id, message_id = _PAYLOAD.unpack(payload)
    return Asking(whose, row_id, line, message_id)


def _proof(payload: bytes) -> bytes:
    return keyring().keyed_hash("unsubscribe", payload.hex())[:_PROOF_BYTES]


@transaction.atomic
def unsubscribe(asking: Asking, *, everything: bool, evidence: str) -> None:
    """Takes back the consent to marketing: for the line that wrote, or for all. Asking again changes nothing.

    Somebody whose rows were deleted has nothing left to be written to.
    """
    _record(asking, WITHDRAWN, everything, evidence)


@transaction.atomic
def subscribe_again(asking: Asking, *, evidence: str) -> None:
    """Gives consent again as widely as it was taken back. Where it was not, a link is no proof that anybody agreed."""
    if off := is_off(asking):
        _record(asking, GIVEN, off == Scope.EVERYWHERE, evidence)


def is_off(asking: Asking) -> str:
    """How widely marketing was refused by the person themselves: a Scope word, empty where it was not."""
    refused = BlacklistEntry.objects.filter(origin=BlacklistEntry.Origin.CONSENT, effect=BlacklistEntry.Effect.BLOCK)
    if asking.whose == PERSON:
        refused = refused.filter(recipient_id=asking.row_id)
    else:
        refused = refused.filter(address_hash__in=Binding.objects.filter(pk=asking.row_id).values("address_hash"))
    scopes = {
        one.scope
        for one in refused
        if one.classes in ([], [MARKETING])
        and (
            one.scope == Scope.EVERYWHERE or (one.scope, one.scope_id) == (Scope.BUSINESS_LINE, asking.business_line_id)
        )
    }
    return next((str(one) for one in (Scope.EVERYWHERE, Scope.BUSINESS_LINE) if one in scopes), "")


def _record(asking: Asking, state: str, everything: bool, evidence: str) -> None:
    line = BusinessLine.objects.filter(pk=asking.business_line_id).first()
    whose = _subject(asking)
    if whose is None:
        return
    record_consent(
        actor=ACTOR, **whose, state=state, message_class=MARKETING, business_line=None if everything else line,
        source="link", evidence=evidence, reference=str(asking.message_id), unless_so=True,
    )  # fmt: skip


def _subject(asking: Asking) -> dict[str, object] | None:
    if asking.whose == PERSON:
        recipient = Recipient.objects.filter(pk=asking.row_id).first()
        return {"recipient": recipient} if recipient else None
    binding = Binding.objects.filter(pk=asking.row_id).first()
    if binding is None:
        return None
    address = keyring().open(binding.address, binding_place(binding.address_hash))
    return {"kind": binding.address_kind, "address": address}
