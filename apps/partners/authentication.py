"""Who is calling the API: an API key of a business line, as `Authorization: Bearer ums_<prefix>_<secret>`."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.operators.models import Operator
from apps.partners.models import ApiKey, BusinessLine
from ums_site import prepared
from ums_site.lost_connection import again_if_lost

USED_EVERY = timedelta(minutes=1)
REMEMBERED_SECONDS = 1.0
MOST_REMEMBERED = 1024
_recent: dict[str, tuple[ApiKey, float]] = {}  # by digest, so that no secret stays in memory


def new_api_key(
    *,
    business_line: BusinessLine,
    label: str,
    expires_at: datetime | None = None,
    scopes: Sequence[str] = (),
    issued_by: Operator | None = None,
) -> tuple[ApiKey, str]:
    """Makes a key; the text is returned once and kept nowhere."""
    prefix = secrets.token_hex(4)
    text = f"ums_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        business_line=business_line,
        label=label,
        prefix=prefix,
        digest=_digest(text),
        expires_at=expires_at,
        scopes=sorted(scopes),
        issued_by=issued_by,
    )
    return key, text


def _digest(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest()


class Caller:
    """The authenticated business line; DRF asks for `is_authenticated`."""

    is_authenticated = True

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self.business_line = key.business_line

    def __str__(self) -> str:
        return f"API {self.business_line.code}"


class ApiKeyAuthentication(BaseAuthentication):
    """Refuses unknown, expired and revoked keys and closed business lines with 401, without saying which it was.

    A view with `key_is_rechecked` passes `request.auth` to `idempotency.once`, whose look asks LIVE: a key that was live
    at most REMEMBERED_SECONDS ago is taken at its word here, and refused there where it no longer is.
    """

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey] | None:
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        view = (request.parser_context or {}).get("view")
        rechecked = getattr(view, "key_is_rechecked", False)
        key = _remembered(text.strip()) if rechecked else find_key(text.strip(), timezone.now())
        if key is None:
            raise refusal()
        return Caller(key), key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _remembered(text: str) -> ApiKey | None:
    digest, now = _digest(text), time.monotonic()
    key, until = _recent.get(digest, (None, 0.0))
    if key is not None and now < until:
        return key
    key = find_key(text, timezone.now())
    if key is not None:
        if len(_recent) >= MOST_REMEMBERED:
            _recent.clear()
        _recent[digest] = key, now + REMEMBERED_SECONDS
    return key


def refusal() -> AuthenticationFailed:
    """Says the same of every key that is not live."""
    return AuthenticationFailed(_("The API key is unknown, expired or revoked."))


# A column, for the id of a key: whether it is live now.
LIVE = """
(SELECT k.revoked_at IS NULL AND l.active AND coalesce(k.expires_at > clock_timestamp(), true)
 FROM partners_apikey k JOIN partners_businessline l ON l.id = k.business_line_id WHERE k.id = %s)
"""
LINE_COLUMNS = ("id", "code", "name", "active", "whitelist_only", "consent_required", "created_at")
FIND = """
SELECT k.id, k.label, k.digest, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, l.id, l.code, l.name, l.active,
       l.whitelist_only, l.consent_required, l.created_at, array_to_string(k.scopes, ' ')
FROM partners_apikey k JOIN partners_businessline l ON l.id = k.business_line_id WHERE k.prefix = %s
"""


def find_key(text: str, now: datetime) -> ApiKey | None:
    """The live key with this text; notes its use once a minute. In SQL, since every call of the API begins with it.

    It is read every time, so that a key revoked or a line closed stops at once; only the objects made of an unchanged
    row are kept. Do not change what is returned.
    """
    prefix = text[4:12] if text.startswith("ums_") else ""
    row = again_if_lost(lambda: _row(FIND, [prefix.replace("\0", "")]))
    if row is None or not hmac.compare_digest(row[2], _digest(text)):
        return None
    key = _key(prefix, row)
    if key.revoked_at or (key.expires_at and key.expires_at <= now) or not key.business_line.active:
        return None
    if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


@lru_cache(maxsize=1024)
def _key(prefix: str, row: tuple[Any, ...]) -> ApiKey:
    line = BusinessLine(**dict(zip(LINE_COLUMNS, row[7:14], strict=True)))
    key = ApiKey(row[0], line.pk, row[1], prefix, *row[2:7], row[14].split())
    key.business_line = line
    return key


def _row(sql: str, values: list[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        prepared.run(cursor, sql, values)
        found: tuple[Any, ...] | None = cursor.fetchone()
    return found
