"""Looking people up: by the beginning of a user id, or by a whole address through its keyed hash."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from apps.users.addresses import IMPORT_KINDS
from apps.users.addressing import AddressRefused, hash_of


def search_by_address(queryset: QuerySet[Any], term: str, user_id: str, address_hash: str) -> QuerySet[Any]:
    """Rows whose `user_id` begins with the term, or whose `address_hash` is that of the term as any kind of address."""
    term = term.strip()
    if not term:
        return queryset
    found = Q(**{f"{user_id}__startswith": term})
    hashes = list(filter(None, (hash_or_none(kind, term) for kind in IMPORT_KINDS)))
    if hashes:
        found |= Q(**{f"{address_hash}__in": hashes})
    return queryset.filter(found)


def hash_or_none(kind: str, term: str) -> bytes | None:
    """The hash of a term as an address of this kind; None where it is none."""
    try:
        return hash_of(kind, term)
    except AddressRefused:
        return None
