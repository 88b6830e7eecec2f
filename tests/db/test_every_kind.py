"""What only some kinds need of the pipeline: access tokens, limits per address, provider's ids, proofs at the hook."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Attempt, Campaign, Delivery, ReceiptInbox
from apps.campaigns.pipeline import address_space, provider_ids
from apps.campaigns.pipeline.receipts import merge_events, merge_next
from apps.channels.contract import AddressLimit, ReceiptEvent
from apps.channels.models import ChannelAccount, SharedToken
from apps.channels.registry import adapter
from apps.channels.wire.wechat_crypt import WechatCrypt
from apps.operators.models import AuditEvent
from apps.templates.models import TemplateVersion
from apps.users.models import Binding
from apps.users.services import add_binding
from demo import every_channel
from tests.db.conftest import World

WECOM = {"steps": [{"channels": [{"account": "wecom-app"}], "until": "accepted"}]}
STAFF = "staff{:06d}"


@pytest.fixture
def wecom(world: World) -> TemplateVersion:
    """An account of WeCom on its simulator, and a template for it."""
    stages = every_channel.kinds(world.outside.ready, ["wecom_app"])
    every_channel.accounts(stages, timedelta(seconds=30), timedelta(seconds=2))
    SharedToken.objects.all().delete()
    return every_channel.template(stages)


def send(world: World, version: TemplateVersion, *userids: str, run: bool = True) -> Campaign:
    campaign, _ids = accept_messages(
        actor="test",
        business_line=world.line,
        template_version=version,
        policy=WECOM,
        message_class="transactional",
        items=[
            NewMessage(address_kind="wecom", address=one, variables={"name": secrets.token_hex(4), "balance": 1})
            for one in userids
        ],
    )
    return world.run(campaign) if run else campaign


def issued(world: World) -> int:
    document = world.outside.call("GET", "/_sim/stats").json["wecom"]["tokens"]
    return sum(document["issued"].values())


def test_a_token_that_was_taken_away_is_fetched_once_and_everybody_is_sent_to(
    world: World, wecom: TemplateVersion
) -> None:
    before = issued(world)
    first = send(world, wecom, *(STAFF.format(n) for n in range(40)))
    (holder,) = world.outside.call("GET", "/_sim/stats").json["wecom"]["tokens"]["issued"]
    taken = world.outside.call("POST", "/_sim/wecom/invalidate", json.dumps({"account": holder})).json
    assert taken["invalidated"] == 1
    second = send(world, wecom, *(STAFF.format(n) for n in range(40, 80)))
    assert world.messages(first) == world.messages(second) == {"SUCCEEDED": 40}
    assert len(world.ledger()) == 80
    assert issued(world) - before == 2, "one at first, one after it was taken away"
    attempts = Attempt.objects.filter(delivery_id__in=Delivery.objects.filter(campaign_id=second.pk).values("id"))
    assert {"staletoken", "accepted"} == set(attempts.values_list("outcome", flat=True))
    assert set(Delivery.objects.filter(campaign_id=second.pk).values_list("burnt", flat=True)) == {1}
    assert not ChannelAccount.objects.filter(faults__gt=0).exists()


def test_an_account_whose_new_token_is_refused_too_is_stopped(world: World, wecom: TemplateVersion) -> None:
    world.script("wecom", "token_error")
    campaign = send(world, wecom, STAFF.format(90), run=False)
    world.run(campaign, until=lambda: ChannelAccount.objects.get(code="wecom-app").faults > 0)
    assert world.states(campaign) == {"HELD": 1} and world.ledger() == []
    world.outside.call("DELETE", "/_sim/ctl")
    ChannelAccount.objects.filter(code="wecom-app").update(open_until=None, faults=0)
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 1} and len(world.ledger()) == 1


def test_wrong_credentials_stop_the_account_and_burn_nothing(world: World, wecom: TemplateVersion) -> None:
    world.script("wecom", {"refuse": "40001"}, operation="token")
    campaign = send(world, wecom, STAFF.format(91), run=False)
    world.run(campaign, until=lambda: ChannelAccount.objects.get(code="wecom-app").faults > 0)
    account = ChannelAccount.objects.get(code="wecom-app")
    assert account.open_reason and account.open_until is not None and account.open_until > timezone.now()
    assert list(Delivery.objects.filter(campaign_id=campaign.pk).values_list("state", "attempts")) == [("PENDING", 0)]


def test_nobody_gets_more_than_the_provider_takes_for_one_address(world: World, wecom: TemplateVersion) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE campaigns_addressuse")
    userid = STAFF.format(99)
    campaigns = [send(world, wecom, userid, run=False) for _number in range(33)]

    def decided() -> bool:
        states = [world.states(one) for one in campaigns]
        return sum(one.get("ACCEPTED", 0) + one.get("HELD", 0) for one in states) == len(campaigns)

    world.run(campaigns[0], until=decided)
    held = Delivery.objects.filter(campaign_id__in=[one.pk for one in campaigns], state="HELD")
    assert set(held.values_list("reason", flat=True)) == {"address_limit"} and held.count() == 3
    wait = max(held.values_list("held_until", flat=True)) - timezone.now()
    assert timedelta(seconds=20) < wait < timedelta(seconds=61)
    assert len(world.ledger()) == 30


LIMITS = [AddressLimit(2, timedelta(seconds=60)), AddressLimit(3, timedelta(hours=1))]


def took(account: int, hashes: list[bytes], limits: list[AddressLimit], counted_as: str = "") -> dict[bytes, datetime]:
    with transaction.atomic(), connection.cursor() as cursor:
        return address_space.take(cursor, account, hashes, limits, counted_as)


@pytest.mark.django_db(transaction=True)
def test_address_space_is_exact_over_any_span() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE campaigns_addressuse")
    assert took(1, [b"a", b"b", b"a"], LIMITS) == {}
    assert took(1, [b"a"], LIMITS) == {}
    full = took(1, [b"a", b"b"], LIMITS)
    assert set(full) == {b"a"} and timedelta(seconds=50) < full[b"a"] - timezone.now() < timedelta(seconds=61)
    assert took(2, [b"a"], LIMITS) == {}, "another account has a space of its own"
    assert took(1, [b"a"], LIMITS, "otp") == {}, "so has a class with limits of its own"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_addressuse SET times = (SELECT array_agg(t - interval '61 s' ORDER BY t) FROM unnest(times) t)"
        )
    assert took(1, [b"a"], LIMITS) == {}, "a minute later there is space again"
    full = took(1, [b"a"], LIMITS)
    assert full[b"a"] - timezone.now() > timedelta(minutes=50), "but the hour is full"


# receipts that carry the provider's id only


@pytest.fixture
def sent(world: World) -> tuple[ChannelAccount, Delivery]:
    """A delivery of an account, filed in two parts."""
    world.people(1)
    campaign = world.run(world.campaign(), until=lambda: Delivery.objects.filter(state="ACCEPTED").exists())
    delivery = Delivery.objects.get(campaign_id=campaign.pk)
    with connection.cursor() as cursor:
        provider_ids.file(cursor, delivery.account_id, [(delivery.pk, 1, "a1,a2")])
    return ChannelAccount.objects.get(pk=delivery.account_id), delivery


def event(provider_id: str, state: str = "delivered", **other: object) -> ReceiptEvent:
    return replace(ReceiptEvent("delivered", "DELIVRD", timezone.now(), provider_id=provider_id), state=state, **other)


def merged(monkeypatch: pytest.MonkeyPatch, account: ChannelAccount, *events: ReceiptEvent) -> list[int]:
    able = replace(adapter(account.kind).capabilities, finds_by_provider_id=True, echoes_reference=False)
    monkeypatch.setattr("apps.channels.providers.sms_aliyun.adapter.SmsAliyun.capabilities", able)
    with transaction.atomic():
        return merge_events(account, events, timezone.now())


@pytest.mark.parametrize("order", [("a1", "a2"), ("a2", "a1"), ("a2", "a2", "a1")])
def test_a_long_message_is_delivered_with_its_last_part(
    sent: tuple[ChannelAccount, Delivery], order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, delivery = sent
    for one in order[:-1]:
        assert merged(monkeypatch, account, event(one)) == []
        delivery.refresh_from_db()
        assert delivery.state == "ACCEPTED"
    merged(monkeypatch, account, event(order[-1]))
    delivery.refresh_from_db()
    assert delivery.state == "DELIVERED"


def test_a_long_message_fails_with_its_first_part_that_fails(
    sent: tuple[ChannelAccount, Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, delivery = sent
    assert merged(monkeypatch, account, event("a1"), event("a2", "failed"), event("zz")) == [2]
    delivery.refresh_from_db()
    assert delivery.state == "UNDELIVERED"
    merged(monkeypatch, account, event("a2"))
    delivery.refresh_from_db()
    assert delivery.state == "DELIVERED", "good news comes late, too"


def test_the_address_must_be_that_of_the_delivery(
    sent: tuple[ChannelAccount, Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, _delivery = sent
    assert merged(monkeypatch, account, event("a1", address="13911112222")) == [0]
    assert merged(monkeypatch, account, event("a1", address="+8613900000000")) == []


# the hook


CRYPT = WechatCrypt("umsCallbackToken", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "wwUMScorp00001")


def signed(encrypted: str, at: datetime, signature: str = "") -> str:
    stamp = str(int(at.timestamp()))
    return f"msg_signature={signature or CRYPT.sign(stamp, 'n', encrypted)}&timestamp={stamp}&nonce=n"


def test_a_provider_tries_the_address(client: Client, wecom: TemplateVersion) -> None:
    account = ChannelAccount.objects.get(code="wecom-app")
    echo = CRYPT.seal(b"1616140317555161061", b"0123456789abcdef")
    query = {"echostr": echo, **dict(part.split("=", 1) for part in signed(echo, timezone.now()).split("&"))}
    path = f"/hooks/{account.code}/{account.hook_token}"
    answer = client.get(path, query)
    assert (answer.status_code, answer.content) == (200, b"1616140317555161061")
    assert client.get(path, query | {"msg_signature": "0" * 40}).status_code == 403
    assert client.get(path).status_code == 403
    assert not ReceiptInbox.objects.exists()


def test_only_authentic_news_changes_an_address(client: Client, world: World, wecom: TemplateVersion) -> None:
    person = world.person(7, ("phone",))
    add_binding(actor="test", recipient=person, kind="wecom", address="zhangsan")
    account, now = ChannelAccount.objects.get(code="wecom-app"), timezone.now()
    said = (
        "<xml><ToUserName><![CDATA[wwUMScorp00001]]></ToUserName><FromUserName><![CDATA[ZhangSan]]></FromUserName>"
        f"<CreateTime>{int(now.timestamp())}</CreateTime><MsgType><![CDATA[event]]></MsgType><AgentID>1000002</AgentID>"
        "<Event><![CDATA[unsubscribe]]></Event></xml>"
    )
    sealed = CRYPT.seal(said.encode(), b"0123456789abcdef")
    body = f"<xml><ToUserName><![CDATA[wwUMScorp00001]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    path = f"/hooks/{account.code}/{account.hook_token}"

    def post(query: str) -> int:
        return client.post(f"{path}?{query}", body, content_type="text/xml").status_code

    for forged in (signed(sealed, now, "0" * 40), signed(sealed, now - timedelta(hours=2)), ""):
        assert post(forged) == 403
    assert not ReceiptInbox.objects.exists() and state_of("wecom") == ("ACTIVE", "")
    assert AuditEvent.objects.filter(verb="refuse_receipt").count() == 1, "a flood of them is one line a minute"

    assert post(signed(sealed, now)) == 200
    merge_next()
    assert state_of("wecom")[0] == "UNREACHABLE"
    assert ReceiptInbox.objects.get().state == "MERGED"


def state_of(kind: str) -> tuple[str, str]:
    return Binding.objects.values_list("state", "state_reason").get(address_kind=kind)
