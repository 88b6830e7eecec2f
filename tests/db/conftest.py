"""A world for the send story: the simulated providers as a process, accounts and a template on them, and people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.campaigns.models import Campaign, Delivery, Message
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.pipeline.receipts import merge_events
from apps.campaigns.services import create_campaign, submit_campaign
from apps.campaigns.tasks import drain
from apps.channels.contract import ReceiptEvent
from apps.channels.models import ChannelAccount
from apps.users.models import Recipient
from apps.users.services import add_binding, ensure_recipient, set_attributes
from demo import stage
from tests.simulator.clients import Simulator
from ums_site.clock import transaction_now
from ums_site.ids import to_base36
from ums_site.partitions import HOT_TABLES

PUSH_THEN_SMS = {
    "steps": [
        {"channels": [{"account": "push-main"}], "until": "delivered", "wait_seconds": 2},
        {"channels": [{"account": "sms-main"}], "until": "accepted"},
    ]
}
SMS = {"steps": [{"channels": [{"account": "sms-main"}], "until": "accepted"}]}


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(Path(tmp_path_factory.mktemp("outside")), "--world", "perfect")
    yield simulator
    simulator.stop()


def _empty_hot_tables() -> None:
    """They are no models that Django manages, so the flush between two tests leaves their rows."""
    with connection.cursor() as cursor:
        for table in (*HOT_TABLES, "campaigns_addressuse"):
            cursor.execute(f"DELETE FROM {table}")


class World:
    """What a story needs: people, a campaign, and the lane run until it rests."""

    def __init__(self, outside: Simulator) -> None:
        self.outside = outside
        _empty_hot_tables()
        outside.call("DELETE", "/_sim/ctl?settings=1")
        smtp = outside.smtp
        stage.accounts(outside.http, smtp["host"], smtp["port"], timedelta(seconds=30), timedelta(seconds=2))
        self.version = stage.template()
        self.line = stage.business_line()
        self.seen = len(outside.ledger())

    def people(self, count: int, kinds: Sequence[str] = ("phone",), start: int = 0) -> list[Recipient]:
        return [self.person(start + number, kinds) for number in range(count)]

    def person(self, number: int, kinds: Sequence[str]) -> Recipient:
        addresses = {
            "phone": f"139{number:08d}",
            "jpush": f"1507bfd3f7c4{number:07d}",
            "email": f"p{number}@bank.example",
        }
        recipient = ensure_recipient(actor="test", user_id=f"P{number:06d}")
        set_attributes(actor="test", recipient=recipient, values={"name": f"人{number}", "balance": number + 0.5})
        for kind in kinds:
            add_binding(actor="test", recipient=recipient, kind=kind, address=addresses[kind])
        return recipient

    def campaign(self, policy: Any = SMS, **extra: Any) -> Campaign:
        made = create_campaign(
            actor="test",
            name="test",
            business_line=self.line,
            message_class=extra.pop("message_class", "marketing"),
            template_version=extra.pop("template_version", self.version),
            policy=policy,
            audience=extra.pop("audience", {"kind": "filter"}),
            **extra,
        )
        return submit_campaign(actor="test", campaign=made)

    def run(self, campaign: Campaign, until: Callable[[], object] | None = None, seconds: float = 30.0) -> Campaign:
        """Runs the lane and receipts until the campaign is finished, or `until` holds."""
        end = time.monotonic() + seconds
        while True:
            drain(campaign.lane, 2)
            drain("receipts", 2)
            tick()
            campaign.refresh_from_db()
            if until() if until else campaign.state in ("FINISHED", "CANCELLED"):
                return campaign
            assert time.monotonic() < end, f"still {campaign.state}: {self.states(campaign)}"

    def states(self, campaign: Campaign) -> dict[str, int]:
        found: dict[str, int] = {}
        for state in Delivery.objects.filter(campaign_id=campaign.pk).values_list("state", flat=True):
            found[state] = found.get(state, 0) + 1
        return found

    def messages(self, campaign: Campaign) -> dict[str, int]:
        found: dict[str, int] = {}
        for state, reason in Message.objects.filter(campaign_id=campaign.pk).values_list("state", "reason"):
            key = f"{state} {reason}".strip()
            found[key] = found.get(key, 0) + 1
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """What the providers accepted since this world was made."""
        return [line for line in self.outside.ledger()[self.seen :] if line["ev"] == "accept"]

    def told(self, delivery: Delivery, state: Any) -> None:
        """A receipt for one delivery comes in and is merged."""
        account = ChannelAccount.objects.get(pk=delivery.account_id)
        event = ReceiptEvent(state, state, timezone.now(), reference=to_base36(delivery.pk))
        with transaction.atomic():
            assert merge_events(account, [event], transaction_now()) == []

    def script(self, provider: str, *do: Any, match: str = "all", times: int | None = None, **extra: Any) -> None:
        self.outside.control(
            {"scripts": [{"provider": provider, "match": match, "do": list(do), "times": times, **extra}]}
        )


@pytest.fixture
def world(transactional_db: None, outside: Simulator) -> World:
    return World(outside)
