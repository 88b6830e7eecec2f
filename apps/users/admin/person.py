"""What a person's page says of their lists and consents: what stands now, and where the proof is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.users.consents import consent_of
from apps.users.lists import entries_of
from apps.users.models import ConsentRecord, Recipient

MOST = 20


def protection_of(request: HttpRequest, recipient: Recipient) -> dict[str, Any]:
    """For the template users/consent_of_person.html; empty parts for whoever may not see them."""
    may_consents = request.user.has_perm("users.view_consentrecord")
    may_lists = request.user.has_perm("users.view_blacklistentry")
    return {
        "person": recipient,
        "may_consents": may_consents,
        "may_lists": may_lists,
        "may_record": request.user.has_perm("users.add_consentrecord"),
        "consents": _standing(recipient) if may_consents else (),
        "entries": entries_of(recipient).order_by("-id")[:MOST] if may_lists else (),
    }


def _standing(recipient: Recipient) -> list[ConsentRecord]:
    """The newest record of each class and line, newest first."""
    ids = [row[-1] for row in consent_of(recipient=recipient)]
    return list(ConsentRecord.objects.filter(pk__in=ids).select_related("business_line").order_by("-id"))
