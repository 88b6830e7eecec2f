"""Attributes of recipients: the declared ones, and the sealed JSON object that holds the sensitive ones.

The object is sealed for its recipient (`user_id`) and carries a keyed digest beside it, so that equal values are known
as equal without opening: sealing is randomised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from apps.users.attribute_values import Value
from apps.users.models import Attribute, Recipient
from ums_site.crypto import Keyring, keyring

_read = (
    json.JSONDecoder().raw_decode
)  # what we sealed is one object and nothing behind it: json.loads checks that again

DEFAULTS = (
    ("name", "姓名", Attribute.Type.TEXT, True),
    ("city", "城市", Attribute.Type.TEXT, False),
    ("level", "等级", Attribute.Type.TEXT, False),
    ("balance", "余额", Attribute.Type.NUMBER, False),
)


def ensure_default_attributes() -> None:
    """Declares name (sensitive), city, level and balance where they are not declared yet."""
    Attribute.objects.bulk_create(
        [Attribute(key=key, label=label, type=kind, sensitive=hidden) for key, label, kind, hidden in DEFAULTS],
        ignore_conflicts=True,
    )


def sealed_place(user_id: str) -> bytes:
    """The associated data of a recipient's sealed attributes."""
    return b"users_recipient.sealed_attributes:" + user_id.encode()


def seal_attributes(user_id: str, values: Mapping[str, Value], ring: Keyring | None = None) -> tuple[bytes, bytes]:
    """(sealed object, keyed digest of 16 bytes); two empty values for no attributes."""
    if not values:
        return b"", b""
    ring = ring or keyring()
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return ring.seal(text, sealed_place(user_id)), ring.keyed_hash(f"attributes:{user_id}", text)


def open_attributes(recipient: Recipient) -> dict[str, Value]:
    """The sensitive attributes of one recipient in clear. For sending only: screens do not show them."""
    return open_sealed(recipient.user_id, recipient.sealed_attributes)


def open_sealed(user_id: str, sealed: bytes | memoryview) -> dict[str, Value]:
    """As `open_attributes`, from the column's value. Raises SealBroken."""
    return _read(keyring().open(sealed, sealed_place(user_id)))[0] if sealed else {}
