"""Bodies that are taken."""

from __future__ import annotations

from typing import Any

PHONE = {"address_kind": "phone", "address": "13800000001"}
VALUES = {"name": "张三", "balance": "12.50"}


def single(**changes: Any) -> dict[str, Any]:
    """One message to a phone number; a change of None leaves the field out."""
    body: dict[str, Any] = {
        "template": "balance",
        "policy": "sms-only",
        "class": "transactional",
        "to": PHONE,
        "variables": VALUES,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def batch(*items: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A batch of these items."""
    return single(to=None, variables=None, messages=list(items), **changes)
