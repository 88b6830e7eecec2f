"""The decision ledger: every target has its lines, in time order, readable; the evidence sheet proves what it says."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import Client
from django.utils import translation

from apps.campaigns.evidence import digest_of, evidence_of, gather
from apps.campaigns.models import Campaign, Decision, Delivery, Message, Receipt
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.timeline import message_timeline
from apps.operators.models import AuditEvent, Operator
from apps.users.services import add_blacklist, ensure_recipient
from tests.db.conftest import PUSH_THEN_SMS, World


def _message_of(campaign: Campaign, user_id: str) -> Message:
    return Message.objects.get(campaign_id=campaign.pk, recipient_id=ensure_recipient(actor="test", user_id=user_id).pk)


def _lines(message: Message) -> list[tuple[str, str, int, str]]:
    return list(
        Decision.objects.filter(message_id=message.pk).order_by("at").values_list("rule", "verdict", "step", "detail")
    )


def test_every_target_has_its_decisions_and_they_can_be_read(world: World) -> None:
    world.person(1, ("jpush", "phone"))
    world.person(2, ("phone",))
    ensure_recipient(actor="test", user_id="NOBODY")
    add_blacklist(actor="test", recipient=world.person(3, ("phone",)), reason="asked", source="test")
    world.script("jpush", "refuse(1011)")
    campaign = world.run(world.campaign(PUSH_THEN_SMS))
    reissued, by_sms = _message_of(campaign, "P000001"), _message_of(campaign, "P000002")
    assert _lines(reissued) == [("target", "go", 0, "reached=++"), ("reissue", "go", 1, "failed")]
    assert _lines(by_sms) == [("target", "go", 1, "reached=-+")]
    assert _lines(_message_of(campaign, "P000003")) == [("blacklisted", "stop", 1, "reached=-+")]
    assert _lines(_message_of(campaign, "NOBODY")) == [("no_usable_address", "stop", 0, "reached=--")]
    assert Decision.objects.values("message_id").distinct().count() == 4  # nobody is without a line

    with translation.override("en"):
        told = [entry.words for entry in message_timeline(reissued.pk) if entry.kind == "decision"]
        why = [entry.detail for entry in message_timeline(by_sms.pk) if entry.kind == "decision"]
    assert told == ["The policy begins with step 1.", "Step 2 follows: the step before failed for certain."]
    assert why == ["reachable over sms-main · not reachable over push-main"]


def test_a_blacklisting_after_planning_stops_at_the_gate_and_is_told(world: World) -> None:
    people = world.people(3)
    campaign = world.campaign(PUSH_THEN_SMS)
    while expand_next(campaign.lane):
        pass
    add_blacklist(actor="test", recipient=people[1], reason="asked", source="test")
    world.run(campaign)
    assert world.messages(campaign) == {"SUCCEEDED": 2, "BLOCKED blacklisted": 1}
    stopped = Message.objects.get(campaign_id=campaign.pk, state="BLOCKED")
    assert [line[:2] for line in _lines(stopped)] == [("target", "go"), ("blacklisted", "stop")]


def test_a_receipt_stands_behind_the_call_that_it_is_of_whatever_the_clock_of_its_provider_says(world: World) -> None:
    world.people(1)
    campaign = world.run(world.campaign())
    delivery = Delivery.objects.get(campaign_id=campaign.pk)
    early = delivery.first_intent_at - timedelta(seconds=1)
    Receipt.objects.create(
        delivery_id=delivery.pk, event_hash=1, state="DELIVERED", occurred_at=early, received_at=delivery.accepted_at
    )
    told = [entry.kind for entry in message_timeline(delivery.message_id) if entry.kind in ("attempt", "receipt")]
    assert told == ["attempt", "attempt", "receipt"]


def test_an_evidence_sheet_is_the_same_until_something_is_changed(world: World, client: Client) -> None:
    world.people(1)
    campaign = world.run(world.campaign())
    message = Message.objects.get(campaign_id=campaign.pk)
    boss = Operator.objects.create_superuser("boss", password="x")
    taken = evidence_of(actor=boss, message=message)
    assert taken.digest == digest_of(gather(message))
    assert AuditEvent.objects.get(verb="take_evidence").detail == {"sha256": taken.digest}
    assert [one["outcome"] for one in taken.facts["attempts"]] == ["accepted"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_attempt SET code = 'forged'")
    assert digest_of(gather(message)) != taken.digest

    place = f"/console/campaigns/message/{message.pk}/evidence/"
    client.force_login(Operator.objects.create_user("reader", password="x", is_staff=True))
    assert client.post(place).status_code == 403
    client.force_login(boss)
    assert client.get(place).status_code == 302  # a link takes nothing
    page = client.post(place).content.decode()
    assert digest_of(gather(message)) in page
    assert "13900000000" not in page  # people() gives P000000 this number
