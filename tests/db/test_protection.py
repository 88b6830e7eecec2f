"""Black- and whitelist, and consent, in the send story: for the class they concern, at expand and at intent."""

from __future__ import annotations

import html
import json
import re
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Decision, Delivery, Message
from apps.campaigns.pipeline import expand
from apps.partners.services import save_business_line
from apps.templates.errors import TemplateError
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.templates.services import publish_version, save_draft
from apps.users.consents import record_consent
from apps.users.models import BlacklistEntry, ConsentRecord
from apps.users.services import add_blacklist, remove_blacklist
from tests.db.conftest import SMS, World


def refuse_marketing(number: str) -> None:
    add_blacklist(actor="test", kind="phone", address=number, classes=["marketing"], reason="TD", source="test")


def test_a_block_counts_for_its_classes_only_and_is_told_from_having_no_address(world: World) -> None:
    people = world.people(4)
    add_blacklist(actor="test", recipient=people[0], classes=["marketing"], reason="asked", source="test")
    refuse_marketing("13900000001")
    add_blacklist(actor="test", recipient=people[2], reason="fraud", source="test")
    marketing = world.run(world.campaign(SMS))
    assert world.messages(marketing) == {
        "SUCCEEDED": 1, "BLOCKED blacklisted": 2, "BLOCKED address_blacklisted": 1,
    }  # fmt: skip
    codes = world.run(world.campaign(SMS, message_class="otp"))
    assert world.messages(codes) == {"SUCCEEDED": 3, "BLOCKED blacklisted": 1}


def given(world: World, message_class: str, *numbers: str) -> dict[str, int]:
    campaign, _ids = accept_messages(
        actor="test", business_line=world.line, template_version=world.version, policy=SMS,
        message_class=message_class,
        items=[
            NewMessage(address_kind="phone", address=one, variables={"name": "人", "balance": 1}) for one in numbers
        ],
    )  # fmt: skip
    return world.messages(world.run(campaign))


def test_raw_addresses_are_judged_by_what_is_known_of_them(world: World) -> None:
    refuse_marketing("13911111111")
    numbers = ("13911111111", "13911111112")
    assert given(world, "marketing", *numbers) == {"BLOCKED address_blacklisted": 1, "SUCCEEDED": 1}
    assert given(world, "otp", *numbers) == {"SUCCEEDED": 2}
    world.line.whitelist_only = True
    save_business_line(actor="test", business_line=world.line)
    add_blacklist(actor="test", kind="phone", address=numbers[1], effect="allow", reason="trial", source="test")
    with connection.cursor() as cursor:  # a minute later: the provider takes one code a minute for a number
        cursor.execute("DELETE FROM campaigns_addressuse")
    assert given(world, "otp", *numbers) == {"BLOCKED not_whitelisted": 1, "SUCCEEDED": 1}


def test_a_line_in_trial_operation_writes_to_the_whitelist_only_whenever_it_was_set_so(world: World) -> None:
    people = world.people(4)
    add_blacklist(actor="test", recipient=people[0], effect="allow", reason="trial", source="test")
    by_number = add_blacklist(
        actor="test", kind="phone", address="13900000001", effect="allow", reason="trial", source="test"
    )
    campaign = world.campaign(SMS)
    assert expand.expand_next(campaign.lane), "planned while everybody could be written to"
    world.line.whitelist_only = True
    save_business_line(actor="test", business_line=world.line)
    assert world.messages(world.run(campaign)) == {"SUCCEEDED": 2, "BLOCKED not_whitelisted": 2}
    stopped = Message.objects.filter(campaign_id=campaign.pk, state="BLOCKED").values_list("id", flat=True)
    lines = Decision.objects.filter(message_id__in=list(stopped), rule="not_whitelisted", verdict="stop")
    assert lines.count() == 2
    remove_blacklist(actor="test", entry=by_number, reason="the trial is over for them")
    add_blacklist(actor="test", recipient=people[0], reason="fraud", source="test")
    later = world.run(world.campaign(SMS))
    assert world.messages(later) == {"BLOCKED blacklisted": 1, "BLOCKED not_whitelisted": 3}, "no list lifts a block"
    assert not Delivery.objects.filter(campaign_id=later.pk).exists(), "stopped before anything was planned"


@pytest.fixture
def opt_in(world: World) -> World:
    world.line.consent_required = True
    save_business_line(actor="test", business_line=world.line)
    return world


def test_marketing_needs_consent_where_the_line_says_so(opt_in: World) -> None:
    people = opt_in.people(4)
    for person in people[:2]:
        record_consent(
            actor="test", recipient=person, state="given", message_class="marketing", business_line=opt_in.line,
            source="console", evidence="paper form 7",
        )  # fmt: skip
    campaign = opt_in.campaign(SMS)
    assert expand.expand_next(campaign.lane)
    record_consent(
        actor="test", recipient=people[1], state="withdrawn", message_class="marketing", source="console",
        evidence="telephone",
    )  # fmt: skip
    assert opt_in.messages(opt_in.run(campaign)) == {
        "SUCCEEDED": 1, "BLOCKED no_consent": 2, "BLOCKED blacklisted": 1,
    }  # fmt: skip
    notices = opt_in.run(opt_in.campaign(SMS, message_class="transactional"))
    assert opt_in.messages(notices) == {"SUCCEEDED": 4}


MAIL = {"steps": [{"channels": [{"account": "mail-main"}], "until": "accepted"}]}


def with_link() -> TemplateVersion:
    bodies = {
        "email_smtp": {"subject": "News", "text": "Hello ${name}. Stop: ${unsubscribe_url}"},
        "sms_aliyun": {
            "sign_name": "优选银行", "template_code": "SMS_100000002", "text": "尊敬的${name}，您的账户余额为1元。回T退订",
            "params": {"name": "${name}", "balance": "1"},
        },
    }  # fmt: skip
    variables = [{"name": "name", "type": "text", "label": "name", "example": "Du", "source": "attribute"}]
    draft = MessageTemplate.objects.filter(code="news").first()
    draft = save_draft(
        actor="test", template=draft, code="news", name="news", variables=variables, bodies=bodies
    )  # fmt: skip
    return publish_version(actor="test", template=draft)


def test_the_link_in_a_mail_stops_marketing_and_nothing_else(world: World, settings: Any) -> None:
    settings.UMS_PUBLIC_URL = ""
    with pytest.raises(TemplateError, match="UMS_PUBLIC_URL"):
        with_link()
    settings.UMS_PUBLIC_URL = "https://m.bank.example"
    version = with_link()
    world.people(1, ("email", "phone"))
    people = [{"id": "READER", "email": "p0@bank.example"}]
    assert world.outside.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    world.run(world.campaign(MAIL, template_version=version))
    phone = html.unescape(world.outside.call("GET", "/_sim/phones/READER").body.decode())
    (link,) = set(re.findall(r"https://m\.bank\.example(/u/[\w-]+)", phone))
    assert phone.count(link) >= 2, "in the text and beside it"
    assert f"List-Unsubscribe: <https://m.bank.example{link}>" in phone and "List-Unsubscribe=One-Click" in phone
    assert Client().post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    for policy in (MAIL, SMS):
        stopped = world.run(world.campaign(policy, template_version=version))
        assert world.messages(stopped) == {"BLOCKED blacklisted": 1}
    code = world.run(world.campaign(MAIL, template_version=version, message_class="otp"))
    assert world.messages(code) == {"SUCCEEDED": 1}


def test_two_at_once_leave_what_the_newest_record_says(world: World) -> None:
    person = world.people(1)[0]
    faults: list[BaseException] = []

    def say(state: str) -> None:
        try:
            for number in range(10):
                record_consent(
                    actor="test", recipient=person, state=state, message_class="marketing", source="api",
                    evidence=f"{state} {number}",
                )  # fmt: skip
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    both = [threading.Thread(target=say, args=[state]) for state in ("given", "withdrawn")]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    newest = ConsentRecord.objects.order_by("-id").first()
    assert not faults and newest is not None and ConsentRecord.objects.count() == 20
    assert BlacklistEntry.objects.exists() == (newest.state == "withdrawn")
