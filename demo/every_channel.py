"""A stage with every kind of channel: an account of each on the simulated providers, one template, one policy, people.

What a kind needs stands in `kinds/<kind>.json`: name, price, settings (`$HTTP`, `$PLACE`, `$HOST_<PORT>` and `$PORT_<PORT>` stand
for where the simulator listens), the body of its template, a pattern of addresses, and where its receipts are posted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS, adapter
from apps.channels.services import save_account
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.services import publish_version, save_draft
from apps.users.attributes import ensure_default_attributes
from apps.users.services import add_binding, ensure_recipient, set_attributes, tag
from demo import stage

FOLDER = Path(__file__).resolve().parent / "kinds"
TEMPLATE = "every-channel"


@dataclass(frozen=True, slots=True)
class KindStage:
    """What one kind brings to the stage."""

    kind: str
    name: str
    price: Decimal
    settings: dict[str, Any]
    body: dict[str, Any]
    address: str
    hook: str
    simulator: dict[str, Any]

    @property
    def code(self) -> str:
        return self.kind.replace("_", "-")

    @property
    def address_kind(self) -> str:
        return adapter(self.kind).capabilities.address_kind


def kinds(ready: dict[str, Any], names: Iterable[str] = tuple(KINDS)) -> list[KindStage]:
    """These kinds, or every kind of the registry; `ready` is what stands in the simulator's ready file."""
    return [_kind(name, ready) for name in names]


def _kind(name: str, ready: dict[str, Any]) -> KindStage:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8").replace("$HTTP", ready["http"])
    text = text.replace("$PLACE", ready["http"].partition("//")[2])  # host and port alone
    for port, place in ready.items():
        if isinstance(place, dict):
            text = text.replace(f'"$PORT_{port.upper()}"', str(place["port"])).replace(
                f"$HOST_{port.upper()}", place["host"]
            )
            text = text.replace(f"$PORT_{port.upper()}", str(place["port"]))
    held = json.loads(text.replace("$HOST", "127.0.0.1"))
    hook = (held.get("hook") or {}).get("name", "")
    price = Decimal(str(held["price"]))
    return KindStage(
        name, held["name"], price, held["settings"], held["body"], held["address"], hook, held.get("simulator") or {}
    )


def accounts(stages: list[KindStage], receipt_window: timedelta, unknown_window: timedelta) -> None:
    """One account of each kind; saved again where the simulator listens elsewhere now."""
    for one in stages:
        account = ChannelAccount.objects.filter(code=one.code).first() or ChannelAccount(code=one.code, kind=one.kind)
        account.name, account.price = one.name, one.price
        account.receipt_window, account.unknown_window = receipt_window, unknown_window
        save_account(actor=stage.ACTOR, account=account, settings=one.settings)


def control(stages: list[KindStage], web: str) -> dict[str, Any]:
    """The document for the simulator: what it must know of each kind, and where it posts receipts."""
    document: dict[str, Any] = {}
    urls = {}
    for one in stages:
        document |= one.simulator
        if one.hook:
            account = ChannelAccount.objects.get(code=one.code)
            urls[one.hook] = f"{web}/hooks/{account.code}/{account.hook_token}"
    return document | {"receipts": {"urls": urls}}


def template(stages: list[KindStage]) -> TemplateVersion:
    """A published version with a body for every kind."""
    bodies = {one.kind: one.body for one in stages}
    held = MessageTemplate.objects.filter(code=TEMPLATE).first()
    draft = save_draft(
        actor=stage.ACTOR, template=held, code=TEMPLATE, name="全通道", variables=stage.VARIABLES, bodies=bodies
    )
    return publish_version(actor=stage.ACTOR, template=draft)


def policy(stages: list[KindStage]) -> dict[str, Any]:
    """Every channel at once, each for the people with the tag of its kind."""
    channels = [{"account": one.code, "only_tag": one.kind} for one in stages]
    return {"steps": [{"channels": channels, "mode": "all", "until": "accepted"}], "expires_seconds": 3600}


def people(stages: list[KindStage], count: int) -> None:
    """`count` people for each kind: an address of it, and the kind as their tag."""
    ensure_default_attributes()
    for place, one in enumerate(stages):
        for number in range(place * count + 1, (place + 1) * count + 1):
            recipient = ensure_recipient(actor=stage.ACTOR, user_id=f"E{number:06d}")
            values = {"name": f"张{number}", "balance": number + 0.5}
            set_attributes(actor=stage.ACTOR, recipient=recipient, values=values)
            address = one.address.format(n=number)
            add_binding(actor=stage.ACTOR, recipient=recipient, kind=one.address_kind, address=address)
            tag(actor=stage.ACTOR, recipients=[recipient], tags=[one.kind])
