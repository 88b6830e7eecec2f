"""Black- and whitelist, and consent, in the send story: for the class they concern, at expand and at intent."""

from __future__ import annotations

import pytest

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.models import Decision, Delivery, Message
from apps.campaigns.pipeline import expand
from apps.partners.services import save_business_line
from apps.users.consents import record_consent
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
