"""What providers say of addresses: somebody followed or left. Bindings turn unreachable with the reason, and come back.

Facts of one address are put in order by their time, so a late or repeated event changes nothing. A provider that tells
a unionid with the address ties an address that nobody has yet to the person who has that unionid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from apps.users.addressing import AddressRefused, hash_of, prepare
from apps.users.models import Binding

UNIONID = "wechat_unionid"  # an identity that ties addresses together; nothing is ever sent to it


@dataclass(frozen=True, slots=True)
class Said:
    """One fact about one address of kind `kind`; `reason` is a word such as "unfollowed"."""

    kind: str
    address: str = field(repr=False)
    reachable: bool
    reason: str
    at: datetime
    unionid: str = field(default="", repr=False)


APPLY = """
UPDATE users_binding b SET state = CASE WHEN v.reachable THEN 'ACTIVE' ELSE 'UNREACHABLE' END,
       state_reason = CASE WHEN v.reachable THEN '' ELSE v.reason END, state_at = v.at
FROM unnest(%s::bytea[], %s::text[], %s::boolean[], %s::text[], %s::timestamptz[]) AS v(hash, kind, reachable, reason, at)
WHERE b.address_hash = v.hash AND b.address_kind = v.kind AND (b.state_at IS NULL OR b.state_at < v.at)
"""


def note(said: Sequence[Said]) -> int:
    """Applies what was said, the latest of each address; returns how many bindings it changed. Repeating changes nothing.

    What is no address of its kind is left out: a provider may know identities that we cannot write to.
    """
    latest: dict[tuple[str, bytes], Said] = {}
    for one in sorted(said, key=lambda one: one.at):
        try:
            latest[one.kind, hash_of(one.kind, one.address)] = one
        except AddressRefused:
            continue
    if not latest:
        return 0
    _tie({key: one for key, one in latest.items() if one.unionid and one.reachable})
    rows = [(hashed, kind, one.reachable, one.reason[:60], one.at) for (kind, hashed), one in sorted(latest.items())]
    with connection.cursor() as cursor:
        cursor.execute(APPLY, [list(column) for column in zip(*rows, strict=True)])
        return cursor.rowcount


def _tie(fresh: dict[tuple[str, bytes], Said]) -> None:
    """Gives an address that is nobody's to whoever has the unionid that came with it."""
    unions = {key: hash_of(UNIONID, one.unionid) for key, one in fresh.items()}
    hashes = sorted({hashed for _kind, hashed in fresh} | set(unions.values()))
    if not hashes:
        return
    held = Binding.objects.filter(address_hash__in=hashes, recipient__isnull=False)
    owners: dict[tuple[str, bytes], int] = {
        (kind, bytes(hashed)): owner
        for kind, hashed, owner in held.values_list("address_kind", "address_hash", "recipient_id")
    }
    new = []
    for key, one in fresh.items():
        owner = owners.get((UNIONID, unions[key]))
        if owner is not None and key not in owners:
            made = prepare(one.kind, one.address)
            new.append(
                Binding(
                    recipient_id=owner,
                    address_kind=made.kind,
                    address=made.sealed,
                    address_hash=made.hash,
                    address_masked=made.masked,
                )
            )
    Binding.objects.bulk_create(new, ignore_conflicts=True)
