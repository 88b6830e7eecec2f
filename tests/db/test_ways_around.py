"""Ways around an approval that were tried: who wrote it in truth, through which door, and what a second click does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import Sum
from django.utils import translation

from apps.campaigns import approvals
from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.drafting import save_policy
from apps.campaigns.editing import change_campaign
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, AskedFor, Campaign, Policy, Schedule, ScheduleRun
from apps.campaigns.raising import set_cost_ceiling
from apps.campaigns.scheduling import launch_due, save_schedule
from apps.campaigns.services import change_pace, pause_campaign, resume_campaign, submit_campaign
from apps.partners.authentication import Caller
from apps.partners.services import issue_api_key
from apps.templates.services import publish_version
from tests.db.conftest import SMS, World
from tests.db.test_approval import Office, expanded, state
from tests.waiting import until
from ums_site.clock import database_now


@pytest.fixture
def office(world: World) -> Iterator[Office]:
    """Refusals are compared in the language of the code."""
    approvals._kept.clear()
    with translation.override("en"):
        yield Office(world)


def scheduled(office: Office, actor: object, **changes: Any) -> Schedule:
    policy = Policy.objects.filter(code="sms").first()
    policy = policy or save_policy(actor="test", policy=Policy(code="sms", name="SMS", plan=SMS))
    given: dict[str, Any] = {
        "name": "Daily", "business_line": office.world.line, "cron": "* * * * *", "message_class": "marketing",
        "template": office.world.version.template, "policy": policy, "audience": {"kind": "filter"},
    }  # fmt: skip
    return save_schedule(actor=actor, schedule=Schedule(**(given | changes)))


def due(held: Schedule) -> Approval:
    """Its occurrence has come; the request for approval that it made."""
    ScheduleRun.objects.all().delete()  # the same minute may come once more
    at = database_now() - timedelta(seconds=61)
    Schedule.objects.filter(pk=held.pk).update(after_at=at, next_at=at)
    assert launch_due() == 1
    return Approval.objects.latest("id")


def refused(office: Office, who: object, approval: Approval) -> bool:
    try:
        office.decide(who, approval)
    except CampaignError as said:
        return "somebody else must" in said.message
    return False


def key_of(office: Office, actor: object = "test") -> Caller:
    key, _text = issue_api_key(actor=actor, business_line=office.world.line, label="k", scopes=["approve"])
    return Caller(key)


def test_whoever_changed_a_schedule_last_does_not_agree_to_what_it_sends(office: Office) -> None:
    office.rule(message_class="marketing")
    held = scheduled(office, office.author)
    held.audience = {"kind": "filter", "tags_none": ["vip"]}
    save_schedule(actor=office.second, schedule=held)
    asked = due(held)
    assert refused(office, office.author, asked) and refused(office, office.second, asked)
    assert office.decide(office.boss, asked).state == "APPROVED"


def test_whoever_published_the_text_of_a_schedule_does_not_agree_to_it(office: Office) -> None:
    office.rule(message_class="marketing")
    held = scheduled(office, office.author)
    template = held.template
    template.bodies["sms_aliyun"]["text"] += "!"
    template.save()
    publish_version(actor=office.second, template=template)
    asked = due(held)
    assert refused(office, office.second, asked)
    assert office.decide(office.boss, asked).state == "APPROVED"


def test_a_key_does_not_agree_to_what_its_own_schedule_sends(office: Office) -> None:
    office.rule(message_class="marketing")
    mine, other = key_of(office), key_of(office)
    held = scheduled(office, mine)
    asked = due(held)
    assert refused(office, mine, asked)
    assert office.decide(other, asked).state == "APPROVED"
    save_schedule(actor=other, schedule=Schedule.objects.get(pk=held.pk))
    assert refused(office, other, due(held))


def test_whoever_issued_a_key_does_not_agree_with_it(office: Office) -> None:
    office.rule(message_class="marketing")
    _campaign, asked = office.submitted()
    assert refused(office, key_of(office, office.author), asked)
    assert office.decide(key_of(office, office.boss), asked).state == "APPROVED"


def test_resuming_what_is_not_paused_is_refused(office: Office) -> None:
    """A second click while people are being collected must not leave out those who were not collected yet."""
    office.world.people(6)
    campaign = submit_campaign(actor=office.author, campaign=office.draft())
    pause_campaign(actor=office.author, campaign=campaign, reason="look")
    resume_campaign(actor=office.author, campaign=campaign)
    assert state(campaign) == "EXPANDING"
    with pytest.raises(CampaignError):
        resume_campaign(actor=office.second, campaign=campaign)
    assert expanded(campaign) == 6


def test_whoever_changes_the_pace_of_what_waits_paused_is_nobody_to_agree(office: Office) -> None:
    office.rule(message_class="marketing")
    campaign, asked = office.submitted(scheduled_at=database_now() + timedelta(hours=1))
    office.decide(office.boss, asked)
    assert state(campaign) == "SCHEDULED"
    pause_campaign(actor=office.second, campaign=campaign, reason="look")
    change_pace(actor=office.second, campaign=campaign, pace_per_second=Decimal(5))
    resume_campaign(actor=office.second, campaign=campaign)
    Campaign.objects.filter(pk=campaign.pk).update(state="EXPANDING")
    assert expanded(campaign) == 0 and state(campaign) == "AWAITING_APPROVAL"
    assert refused(office, office.second, Approval.objects.latest("id"))


def test_the_author_does_not_raise_the_ceiling_under_a_rule_that_came_later(office: Office) -> None:
    campaign = submit_campaign(actor=office.author, campaign=office.draft(cost_ceiling=Decimal(1)))
    assert expanded(campaign) == 6
    office.rule(message_class="marketing")
    with pytest.raises(CampaignError, match="somebody else must"):
        set_cost_ceiling(actor=office.author, campaign=campaign, amount=Decimal(2))
    set_cost_ceiling(actor=office.boss, campaign=campaign, amount=Decimal(2))


def test_a_later_time_takes_the_expiry_of_the_policy_along(office: Office) -> None:
    start = database_now() + timedelta(hours=1)
    draft = office.draft(scheduled_at=start, policy={**SMS, "expires_seconds": 3600})
    later = change_campaign(actor=office.author, campaign=draft, scheduled_at=start + timedelta(days=2))
    assert later.expires_at == start + timedelta(days=2, hours=1)
    with pytest.raises(CampaignError, match="would expire before"):
        change_campaign(actor=office.author, campaign=draft, expires_at=start + timedelta(days=1))


def test_of_two_calls_at_once_each_is_seen_by_the_other_or_sees_it(office: Office) -> None:
    """Three and three, five need an approval: the second waits for the first to end, whatever that comes to."""
    office.rule(min_targets=5, over_day=True)
    states: list[str] = []

    def call(first: int = 0) -> None:
        phones = [f"1380000000{first + number}" for number in range(3)]
        items = [NewMessage(address_kind="phone", address=one) for one in phones]
        line, version = office.world.line, office.world.version
        made, _ids = accept_messages(
            actor="test",
            business_line=line,
            template_version=version,
            policy=SMS,
            message_class="marketing",
            items=items,
        )
        states.append(str(made.state))

    def call_beside() -> None:
        try:
            call(5)
        finally:
            connections.close_all()

    for ends_well in (True, False):
        beside = threading.Thread(target=call_beside)
        with transaction.atomic():
            call()
            beside.start()
            until(waits_for_a_lock)
            transaction.set_rollback(not ends_well)
        beside.join()
        states.append("|")
    assert states == ["EXPANDING", "AWAITING_APPROVAL", "|", "AWAITING_APPROVAL", "AWAITING_APPROVAL", "|"]
    assert AskedFor.objects.aggregate(asked=Sum("targets")) == {"asked": 9}, "what was rolled back was never asked for"


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])
