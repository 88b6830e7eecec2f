"""The audit log: an append-only chain, each row hashed together with the one before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from apps.operators.models import AuditEvent
from ums_site.clock import database_now

CHAIN_LOCK = 7_201_002
FIRST = "0" * 64


def record(*, actor: object, verb: str, what: Model | str, detail: dict[str, Any] | None = None) -> AuditEvent:
    """Adds one event in the caller's transaction. `what` is the row concerned, or a plain word.

    `detail` must carry no address and no secret. `actor` is shown by its str(): an operator or a business line.
    """
    object_type, object_id = (what, "") if isinstance(what, str) else (what._meta.model_name or "", str(what.pk))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
        last = AuditEvent.objects.order_by("-id").values_list("hash", flat=True).first() or FIRST
        event = AuditEvent(
            at=database_now(),
            actor=str(actor),
            verb=verb,
            object_type=object_type,
            object_id=object_id,
            detail=detail or {},
            previous_hash=last,
        )
        event.hash = digest(event)
        event.save(force_insert=True)
    return event


def digest(event: AuditEvent) -> str:
    """The SHA-256 that `event.hash` must equal."""
    said = [event.at.isoformat(), event.actor, event.verb, event.object_type, event.object_id, event.detail]
    text = json.dumps([event.previous_hash, *said], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_break() -> AuditEvent | None:
    """The first event whose hash or link does not hold; None for an unbroken chain."""
    previous = FIRST
    for event in AuditEvent.objects.order_by("id").iterator(chunk_size=2000):
        if event.previous_hash != previous or digest(event) != event.hash:
            return event
        previous = event.hash
    return None
