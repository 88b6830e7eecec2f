"""Receipts of kinds with ways of their own: an id for each number of a call, news that is asked for again and again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Batch, Campaign, Delivery, Receipt, ReceiptInbox
from apps.campaigns.pipeline.receipts import merge_next
from apps.campaigns.tasks import drain
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.registry import adapter
from demo import every_channel
from tests.channels.peers import HttpPeer, http_answer, wait_for
from tests.channels.simulated.senders import arrived
from tests.db.conftest import World


def sent(
    world: World, kind: str, addresses: list[str], until: Callable[[], object] | None = None, **settings: object
) -> Campaign:
    """Messages of one kind, equal in content, accepted by its simulator; `settings` change those of the account."""
    stages = every_channel.kinds(world.outside.ready, [kind])
    every_channel.accounts(stages, timedelta(seconds=60), timedelta(seconds=2))
    SharedToken.objects.all().delete()
    account = ChannelAccount.objects.get(kind=kind)
    account.config |= settings
    account.save(update_fields=["config"])
    values = {"name": secrets.token_hex(4), "balance": 1}
    address_kind = adapter(kind).capabilities.address_kind
    campaign, _ids = accept_messages(
        actor="test",
        business_line=world.line,
        template_version=every_channel.template(stages),
        policy={"steps": [{"channels": [{"account": account.code}], "until": "accepted"}]},
        message_class="transactional",
        items=[NewMessage(address_kind=address_kind, address=one, variables=values) for one in addresses],
    )
    return world.run(campaign, until)


def test_each_number_of_a_call_is_reported_under_its_own_id(world: World, client: Client) -> None:
    peer = HttpPeer(lambda *_: http_answer(b'{"result":0}'))
    urls = {"receipts": {"urls": {"tencent": peer.url("/r")}, "delay": [0.0, 0.0]}}
    people = [{"id": "t", "phone": "13912340001", "states": {"phone": "empty"}}]
    world.outside.call("PUT", "/_sim/people", json.dumps(people))
    world.outside.control(urls)
    phones = [f"1391234000{number}" for number in range(5)]
    campaign = sent(world, "sms_tencent", phones)
    assert len({line["call"] for line in world.ledger()}) == 1 and len(world.ledger()) == 5
    wait_for(lambda: sum(len(json.loads(body)) for body in peer.bodies) == 5)
    account = ChannelAccount.objects.get(kind="sms_tencent")
    for request in arrived(peer):
        path = f"/hooks/{account.code}/{account.hook_token}"
        answer = client.post(path, request.body, content_type="application/json")
        assert (answer.status_code, answer.json()) == (200, {"result": 0, "errmsg": "OK"})
    peer.close()
    merge_next()
    assert set(ReceiptInbox.objects.values_list("state", flat=True)) == {"MERGED"}
    assert world.states(campaign) == {"DELIVERED": 4, "UNDELIVERED": 1}
    assert list(Delivery.objects.filter(state="UNDELIVERED").values_list("reason", flat=True)) == ["MK:0001"]


def ask(campaign: Campaign) -> None:
    """Asks the provider now, whenever the next question would be due."""
    Batch.objects.filter(campaign_id=campaign.pk).update(poll_at=timezone.now())
    drain("receipts", 2)


def test_asking_again_tells_the_same_once_and_reading_is_heard_of(world: World) -> None:
    world.outside.control({"receipts": {"delay": [0.0, 0.0]}})
    campaign = sent(world, "dingtalk_work", ["polled1", "polled2"])
    world.run(campaign, until=lambda: world.states(campaign) == {"DELIVERED": 2})
    for _time in range(3):
        ask(campaign)
    deliveries = Delivery.objects.filter(campaign_id=campaign.pk).values_list("id", flat=True)
    receipts = Receipt.objects.filter(delivery_id__in=list(deliveries))
    assert receipts.count() == 2, "the same news, asked for again, is no second receipt"
    world.outside.call("POST", "/_sim/dingtalk/read", json.dumps({"userid": "polled1"}))
    ask(campaign)
    assert world.states(campaign) == {"READ": 1, "DELIVERED": 1}
    assert sorted(receipts.values_list("state", flat=True)) == ["DELIVERED", "DELIVERED", "READ"]
