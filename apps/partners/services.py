"""What may be done to business lines and their API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.operators import audit
from apps.operators.models import Operator
from apps.partners.authentication import new_api_key
from apps.partners.models import ApiKey, BusinessLine
from ums_site.clock import database_now


class PartnerError(ValueError):
    """A refusal; the sentence names the remedy."""


@transaction.atomic
def save_business_line(*, actor: object, business_line: BusinessLine) -> BusinessLine:
    """Saves a new or changed line. A line that is not active is refused at the API; what it sent goes on."""
    verb = "add_business_line" if business_line.pk is None else "change_business_line"
    business_line.save()
    facts = ("code", "active", "whitelist_only", "consent_required")
    detail = {name: getattr(business_line, name) for name in facts}
    audit.record(actor=actor, verb=verb, what=business_line, detail=detail)
    return business_line


@transaction.atomic
def issue_api_key(
    *,
    actor: object,
    business_line: BusinessLine,
    label: str,
    expires_at: datetime | None = None,
    scopes: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Makes a key; its text is returned this once and kept nowhere. Two keys may live side by side.

    `scopes` (ApiKey.Scope) are what it may do besides sending and asking. Raises PartnerError.
    """
    if unknown := set(scopes) - set(ApiKey.Scope.values):
        raise PartnerError(
            _("There is no such permission of a key: %(names)s.") % {"names": ", ".join(sorted(unknown))}
        )
    if expires_at is not None and expires_at <= database_now():
        raise PartnerError(_("The key would have expired already: choose a later time, or none."))
    issuer = actor if isinstance(actor, Operator) else None
    key, text = new_api_key(
        business_line=business_line, label=label, expires_at=expires_at, scopes=scopes, issued_by=issuer
    )
    detail = {"business_line": business_line.code, "prefix": key.prefix, "label": label, "scopes": key.scopes}
    audit.record(actor=actor, verb="issue_api_key", what=key, detail=detail)
    return key, text


@transaction.atomic
def revoke_api_key(*, actor: object, key: ApiKey) -> ApiKey:
    """Ends a key at once and for good; doing it twice keeps the first time."""
    held = ApiKey.objects.select_for_update().get(pk=key.pk)
    if held.revoked_at is None:
        held.revoked_at = database_now()
        held.save(update_fields=["revoked_at"])
        audit.record(actor=actor, verb="revoke_api_key", what=held, detail={"prefix": held.prefix})
    return held
