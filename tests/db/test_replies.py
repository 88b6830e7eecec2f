"""Answers by SMS: through the provider's real hook, read once, carried out once, and in their order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.campaigns.models import Delivery, Reply, ReplyWord
from apps.campaigns.pipeline import replies
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.pipeline.receipts import merge_next
from apps.campaigns.pipeline.replies import complaints_since, handle_next
from apps.campaigns.replying import add_reply_word, remove_reply_word
from apps.campaigns.tasks import drain
from apps.channels.contract import ReplyEvent
from apps.channels.models import ChannelAccount
from apps.operators.models import AuditEvent
from apps.partners.models import BusinessLine
from apps.users.consents import consent_of
from apps.users.models import BlacklistEntry, ConsentRecord
from apps.users.services import delete_recipient
from tests.db.conftest import SMS, World
from tests.db.test_gateway import account, both, campaign, gateway
from tests.simulator.clients import wait_for

NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)
NUMBER = "13900000000"


@pytest.fixture
def listening(world: World) -> World:
    ReplyWord.objects.all().delete()
    for word, meaning, whole in [("TD", "unsubscribe", True), ("HD", "subscribe", True), ("投诉", "complaint", False)]:
        add_reply_word(actor="test", word=word, meaning=meaning, whole=whole)
    return world


def pushed(said: dict[str, Any]) -> None:
    """What the simulated phone said, as the provider posts it to our hook."""
    account = ChannelAccount.objects.get(code="sms-main")
    body = json.dumps([said], ensure_ascii=False)
    answer = Client().post(f"/hooks/{account.code}/{account.hook_token}", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (200, 0)


def answered(world: World, text: str, at: float | None = None) -> dict[str, Any]:
    asked = {"phone": NUMBER, "text": text} | ({"at": at} if at else {})
    said: dict[str, Any] = world.outside.call("POST", "/_sim/aliyun/reply", json.dumps(asked)).json
    pushed(said)
    while merge_next():
        pass
    while handle_next():
        pass
    return said


def test_td_stops_marketing_of_the_line_that_wrote_and_no_code(listening: World) -> None:
    person = listening.people(1)[0]
    first = listening.run(listening.campaign(SMS))
    said = answered(listening, "ｔｄ。")
    reply = Reply.objects.get()
    assert (reply.meaning, reply.deed, reply.address_masked) == ("unsubscribe", "unsubscribed", "139****0000")
    assert (reply.recipient_id, reply.business_line_id, reply.campaign_id) == (person.pk, listening.line.pk, first.pk)
    assert NUMBER.encode() not in bytes(reply.sealed) and replies.text_of(reply) == (NUMBER, "ｔｄ。")
    record = ConsentRecord.objects.get()
    assert (record.recipient_id, record.source, record.reference) == (person.pk, "reply", f"reply {reply.pk}")

    pushed(said)  # the provider repeats it
    answered(listening, "TD")  # and so does the person
    assert Reply.objects.count() == 2 and ConsentRecord.objects.count() == 1
    assert BlacklistEntry.objects.get().classes == ["marketing"]

    assert listening.messages(listening.run(listening.campaign(SMS))) == {"BLOCKED address_blacklisted": 1}
    otp = listening.run(listening.campaign(SMS, message_class="otp"))
    assert listening.messages(otp) == {"SUCCEEDED": 1}
    other = BusinessLine.objects.create(code="cards", name="Cards")
    listening.line = other
    assert listening.messages(listening.run(listening.campaign(SMS))) == {"SUCCEEDED": 1}, (
        "another line wrote nothing bad"
    )

    answered(listening, "HD", at=datetime.now(UTC).timestamp() + 2)
    assert consent_of(kind="phone", address=NUMBER)[-1][2] == "given"


def test_who_was_never_written_to_is_taken_off_everything_and_complaints_are_counted(listening: World) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    answered(listening, "TD")
    assert BlacklistEntry.objects.get().scope == "everywhere"
    listening.people(1)
    campaign = listening.run(listening.campaign(SMS, message_class="transactional"))
    answered(listening, "再发就投诉！")
    assert complaints_since(before, campaign_id=campaign.pk) == complaints_since(before) == 1
    assert complaints_since(before, campaign_id=1) == complaints_since(datetime.now(UTC) + timedelta(minutes=1)) == 0
    assert Reply.objects.get(complaint=True).deed == ""
    word = add_reply_word(actor="test", word="够了", meaning="unsubscribe", whole=False)
    remove_reply_word(actor="test", word=word)
    assert set(AuditEvent.objects.filter(object_type="replyword").values_list("verb", flat=True)) == {
        "add_reply_word", "remove_reply_word",
    }  # fmt: skip


def said(text: str, seconds: int, reply_id: str = "") -> ReplyEvent:
    return ReplyEvent(NUMBER, text, NOON + timedelta(seconds=seconds), reply_id=reply_id)


def test_the_later_answer_counts_whatever_comes_first(listening: World) -> None:
    account = ChannelAccount.objects.get(code="sms-main")
    replies.store(account, [said("TD", 60)])
    assert handle_next()
    replies.store(account, [said("HD", 0)])  # written before, delivered late
    assert handle_next() and not handle_next()
    assert list(Reply.objects.order_by("id").values_list("deed", flat=True)) == ["unsubscribed", "overtaken"]
    assert BlacklistEntry.objects.count() == 1


def test_two_workers_keep_the_order_of_one_address_and_do_each_once(listening: World) -> None:
    account = ChannelAccount.objects.get(code="sms-main")
    said_often = [said("TD" if number % 2 else "HD", number, str(number)) for number in range(20)]
    replies.store(account, said_often * 2)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while Reply.objects.filter(handled_at=None).exists():
                handle_next()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert not faults and Reply.objects.count() == 20
    states = list(ConsentRecord.objects.order_by("id").values_list("state", flat=True))
    assert states == ["given", "withdrawn"] * 10 and BlacklistEntry.objects.count() == 1


HANDLE = (
    "import django; django.setup()\nfrom apps.campaigns.pipeline.replies import handle_next\nwhile handle_next(): pass"
)


@pytest.mark.parametrize("place", ["reply_before_commit", "reply_after_commit"])
def test_a_worker_that_dies_at_it_leaves_it_done_once(listening: World, place: str) -> None:
    replies.store(ChannelAccount.objects.get(code="sms-main"), [said("TD", 0)])
    environment = {**os.environ, "UMS_FAILPOINT": f"{place}:kill9@1"}
    root = Path(__file__).resolve().parents[2]
    died = subprocess.run([sys.executable, "-c", HANDLE], env=environment, cwd=root, timeout=60)
    assert died.returncode == -9
    while handle_next():
        pass
    assert ConsentRecord.objects.count() == BlacklistEntry.objects.count() == 1
    assert Reply.objects.get().deed == "unsubscribed"


def test_an_answer_reaches_the_hook_by_itself(listening: World, live_server: Any) -> None:
    account = ChannelAccount.objects.get(code="sms-main")
    hook = f"{live_server.url}/hooks/{account.code}/{account.hook_token}"
    listening.outside.control({"receipts": {"urls": {"aliyun": hook}}})
    listening.outside.call("POST", "/_sim/aliyun/reply", json.dumps({"phone": NUMBER, "text": "TD"}))
    wait_for(lambda: merge_next() or Reply.objects.exists(), "the answer")
    assert handle_next() and BlacklistEntry.objects.get().source == "reply" and not Delivery.objects.exists()


def test_the_lane_does_it_and_one_that_cannot_be_carried_out_holds_up_nobody(listening: World) -> None:
    account = ChannelAccount.objects.get(code="sms-main")
    replies.store(account, [said("TD", 0, "broken"), ReplyEvent("13900000001", "TD", NOON)])
    Reply.objects.filter(address_masked="139****0000").update(sealed=b"broken")
    tick()
    drain("receipts", 10)
    assert set(Reply.objects.values_list("address_masked", "deed")) == {
        ("139****0000", "failed"), ("139****0001", "unsubscribed"),
    }  # fmt: skip
    assert BlacklistEntry.objects.get().address_masked == "139****0001"


def test_a_deleted_person_leaves_the_refusal_and_no_text(listening: World) -> None:
    person = listening.people(1)[0]
    answered(listening, "TD")
    delete_recipient(actor="test", recipient=person)
    reply = Reply.objects.get()
    assert (bytes(reply.sealed), reply.address_masked, reply.recipient_id, reply.deed) == (
        b"",
        "",
        None,
        "unsubscribed",
    )
    assert BlacklistEntry.objects.get().address_masked == "139****0000"


@both
def test_answers_come_in_over_a_session_too(listening: World, kind: str) -> None:
    listening.people(1)
    held = account(listening, kind)
    sent = campaign(listening, kind, "${name}，本周有新活动。", message_class="marketing")
    with gateway(held):
        listening.run(sent)
        add_reply_word(actor="test", word="退订", meaning="unsubscribe", whole=False)
        asked = {"phone": NUMBER, "text": "退订"}
        listening.outside.call("POST", f"/_sim/{kind.removeprefix('sms_')}/reply", json.dumps(asked))
        listening.run(sent, until=lambda: Reply.objects.exclude(handled_at=None).exists())
    reply = Reply.objects.get()
    assert (reply.deed, reply.campaign_id, replies.text_of(reply)) == ("unsubscribed", sent.pk, (NUMBER, "退订"))
    assert BlacklistEntry.objects.get().scope_id == listening.line.pk
