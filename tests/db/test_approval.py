"""Nothing is sent around an approval: not by the author, not after an edit, not by rows written past the services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, connections
from django.utils import timezone, translation

from apps.campaigns import approvals
from apps.campaigns.approving import Changed, decide_approval, expire_approvals, save_rule, withdraw_approval
from apps.campaigns.drafting import store_forecast
from apps.campaigns.editing import change_campaign
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, ApprovalRule, ApprovalVote, Campaign, Forecast, Message
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.pipeline.reap import tick
from apps.campaigns.services import create_campaign, submit_campaign
from apps.operators.models import AuditEvent, Operator
from apps.templates.models import TemplateVersion
from apps.templates.services import publish_version
from tests.db.conftest import SMS, World


@pytest.fixture(autouse=True)
def _fresh_rules() -> Iterator[None]:
    """Refusals are compared in the language of the code."""
    approvals._kept.clear()
    with translation.override("en"):
        yield


class Office:
    """People who plan and people who approve, and a rule about marketing."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.author, self.second, self.boss = (self.operator(name) for name in ("author", "second", "boss"))
        world.people(6)

    def operator(self, name: str) -> Operator:
        made = Operator.objects.create_user(name, password="x", is_staff=True)
        made.user_permissions.set(Permission.objects.filter(codename="approve_campaign"))
        return Operator.objects.get(pk=made.pk)

    def rule(self, **facts: Any) -> ApprovalRule:
        return save_rule(actor="test", rule=ApprovalRule(name=facts.pop("name", "r"), **facts))

    def draft(self, **facts: Any) -> Campaign:
        held = {"message_class": "marketing", "policy": SMS, "audience": {"kind": "filter"}} | facts
        return create_campaign(
            actor=self.author, name="Sale", business_line=self.world.line, template_version=self.world.version, **held
        )

    def submitted(self, **facts: Any) -> tuple[Campaign, Approval]:
        campaign = submit_campaign(actor=self.author, campaign=self.draft(**facts))
        assert campaign.state == "AWAITING_APPROVAL"
        return campaign, Approval.objects.get(campaign=campaign)

    def decide(self, who: object, approval: Approval, verdict: str = "approve", note: str = "") -> Approval:
        seen = Approval.objects.get(pk=approval.pk).bound_hash
        return decide_approval(actor=who, approval=approval, verdict=verdict, seen_hash=seen, note=note)


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)


def state(campaign: Campaign) -> str:
    return Campaign.objects.values_list("state", flat=True).get(pk=campaign.pk)


def expanded(campaign: Campaign) -> int:
    while expand_next(campaign.lane):
        pass
    return Message.objects.filter(campaign_id=campaign.pk).count()


def test_somebody_else_agrees_and_it_is_sent_to_whom_it_was_forecast_for(office: Office) -> None:
    office.rule(message_class="marketing", min_targets=6)
    campaign, approval = office.submitted()
    assert expanded(campaign) == 0
    with pytest.raises(CampaignError, match="somebody else must"):
        office.decide(office.author, approval)
    plain = Operator.objects.create_user("plain", password="x", is_staff=True)
    with pytest.raises(CampaignError, match="may not approve"):
        office.decide(plain, approval)
    office.world.people(2, start=100)  # they come too late to be asked about
    office.decide(office.boss, approval)
    assert state(campaign) == "EXPANDING"
    with pytest.raises(CampaignError, match="no longer waiting"):
        office.decide(office.second, approval)
    office.world.run(campaign)
    assert office.world.messages(campaign) == {"SUCCEEDED": 6}
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert verbs.index("request_approval") < verbs.index("approve_campaign")


def test_below_every_threshold_nobody_is_asked(office: Office) -> None:
    office.rule(message_class="marketing", min_targets=7)
    office.rule(name="money", min_money=Decimal("0.28"))
    office.rule(name="other", message_class="transactional")
    campaign = submit_campaign(actor=office.author, campaign=office.draft())
    assert campaign.state == "EXPANDING" and expanded(campaign) == 6
    office.rule(name="cheaper", min_money=Decimal("0.27"))  # six people at 0.045
    assert submit_campaign(actor=office.author, campaign=office.draft()).state == "AWAITING_APPROVAL"


EDITS: dict[str, Callable[[Office], dict[str, Any]]] = {
    "name": lambda office: {"name": "Other"},
    "audience": lambda office: {"audience": {"kind": "filter", "user_ids": ["P000000"]}},
    "policy": lambda office: {"policy": {"steps": [{"channels": [{"account": "push-main"}]}, *SMS["steps"]]}},
    "pace": lambda office: {"pace_per_second": Decimal(5)},
    "schedule": lambda office: {"scheduled_at": timezone.now() + timedelta(days=1)},
    "expiry": lambda office: {"expires_at": timezone.now() + timedelta(days=1)},
    "class": lambda office: {"message_class": "transactional"},
}


@pytest.mark.parametrize("what", EDITS)
def test_any_change_voids_what_was_asked(office: Office, what: str) -> None:
    office.rule()
    campaign, approval = office.submitted()
    seen = approval.bound_hash
    changed = change_campaign(actor=office.second, campaign=campaign, **EDITS[what](office))
    assert (changed.state, Approval.objects.get().state) == ("DRAFT", "VOID")
    with pytest.raises(CampaignError):
        decide_approval(actor=office.boss, approval=approval, verdict="approve", seen_hash=seen)
    campaign = submit_campaign(actor=office.author, campaign=changed)
    fresh = Approval.objects.get(state="PENDING")
    assert fresh.bound_hash != seen
    with pytest.raises(CampaignError, match="somebody else must"):
        office.decide(office.second, fresh)  # the last editor
    assert AuditEvent.objects.filter(verb="void_approval", object_id=str(campaign.pk)).exists()


def test_an_approved_campaign_that_waits_for_its_time_is_voided_by_a_change_too(office: Office) -> None:
    office.rule()
    campaign, approval = office.submitted(scheduled_at=timezone.now() + timedelta(hours=1))
    assert office.decide(office.boss, approval).state == "APPROVED"
    assert state(campaign) == "SCHEDULED"
    assert change_campaign(actor=office.author, campaign=campaign, name="Sale").state == "SCHEDULED"  # no change
    change_campaign(actor=office.author, campaign=campaign, name="Sale!")
    assert (state(campaign), Approval.objects.get().state) == ("DRAFT", "VOID")


def _sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


ROUND: dict[str, Callable[[Campaign, Office], None]] = {
    "the state of a draft": lambda campaign, office: None,
    "an approval by hand": lambda campaign, office: _sql(
        "UPDATE campaigns_approval SET state = 'APPROVED', needs = '[]', expires_at = now() + interval '1 day'"
    ),
    "a vote by hand": lambda campaign, office: _sql(
        "WITH a AS (UPDATE campaigns_approval SET state = 'APPROVED' RETURNING id) INSERT INTO campaigns_approvalvote "
        "(approval_id, operator_id, verdict, note, at, seal) SELECT id, %s, 'approve', '', now(), '' FROM a",
        office.boss.pk,
    ),
    "fewer targets by hand": lambda campaign, office: _sql("UPDATE campaigns_forecast SET targets = 1"),
    "no frozen audience": lambda campaign, office: _sql("UPDATE campaigns_campaign SET frozen_id = NULL"),
}  # fmt: skip


@pytest.mark.parametrize("way", ROUND)
def test_rows_written_past_the_services_send_nothing(office: Office, way: str) -> None:
    office.rule(min_targets=6)
    campaign, _approval = office.submitted()
    ROUND[way](campaign, office)
    _sql("UPDATE campaigns_campaign SET state = 'EXPANDING' WHERE id = %s", campaign.pk)
    assert expanded(campaign) == 0
    assert state(campaign) == "AWAITING_APPROVAL"
    assert Approval.objects.get(state="PENDING").requested_by == office.author


def _another_version(office: Office) -> TemplateVersion:
    template = office.world.version.template
    template.bodies["sms_aliyun"]["text"] += "！"
    template.save()
    return publish_version(actor="test", template=template)


@pytest.mark.parametrize("column", ["template_version_id", "audience", "plan", "pace_per_second", "expires_at"])
def test_an_edit_past_the_services_after_the_approval_is_noticed_at_the_start(office: Office, column: str) -> None:
    office.rule()
    campaign, approval = office.submitted(scheduled_at=timezone.now() + timedelta(hours=1))
    office.decide(office.boss, approval)
    other = {
        "template_version_id": _another_version(office).pk,
        "audience": '{"kind": "filter", "tags_none": ["x"]}',
        "plan": '{"steps": [], "expires_seconds": null}',
        "pace_per_second": 1,
        "expires_at": timezone.now() + timedelta(days=9),
    }
    _sql(f"UPDATE campaigns_campaign SET {column} = %s, scheduled_at = now() WHERE id = %s", other[column], campaign.pk)
    tick()
    assert expanded(campaign) == 0
    assert state(campaign) == "AWAITING_APPROVAL"
    assert Approval.objects.get(state="PENDING").reason == "approval_changed"


def test_the_frozen_people_cannot_be_exchanged(office: Office) -> None:
    office.rule()
    draft = office.draft(audience={"kind": "filter", "user_ids": ["P000001", "P000002"]})
    store_forecast(actor=office.author, campaign=draft)
    campaign = submit_campaign(actor=office.author, campaign=draft)
    office.decide(office.boss, Approval.objects.get())
    _sql("UPDATE campaigns_audiencepart SET ids = ids || (SELECT max(id) FROM users_recipient)")
    assert expanded(campaign) == 0 and state(campaign) == "AWAITING_APPROVAL"


def test_a_rule_that_comes_after_the_submission_counts(office: Office) -> None:
    campaign = submit_campaign(
        actor=office.author, campaign=office.draft(scheduled_at=timezone.now() + timedelta(hours=1))
    )
    assert campaign.state == "SCHEDULED"
    office.rule()
    _sql("UPDATE campaigns_campaign SET scheduled_at = now()")
    tick()
    assert expanded(campaign) == 0 and state(campaign) == "AWAITING_APPROVAL"
    office.decide(office.boss, Approval.objects.get(state="PENDING"))
    assert expanded(campaign) == 6


def test_two_must_agree_one_of_them_with_the_role(office: Office) -> None:
    role = Group.objects.create(name="risk")
    office.boss.groups.add(role)
    office.rule(name="two", approvers=2)
    office.rule(name="risk", role=role)
    third = office.operator("third")
    campaign, approval = office.submitted()
    office.decide(office.second, approval)
    with pytest.raises(CampaignError, match="decided on it already"):
        office.decide(office.second, approval)
    office.decide(third, approval)
    assert state(campaign) == "AWAITING_APPROVAL", "nobody of the role has agreed"
    office.decide(office.boss, approval)
    assert state(campaign) == "EXPANDING"


def test_a_refusal_says_why_and_a_changed_one_is_asked_for_again(office: Office) -> None:
    office.rule(approvers=2)
    campaign, approval = office.submitted()
    office.decide(office.second, approval)
    with pytest.raises(CampaignError, match="Say why"):
        office.decide(office.boss, approval, "reject")
    office.decide(office.boss, approval, "reject", "too dear")
    assert (state(campaign), Approval.objects.get().reason) == ("REJECTED", "too dear")
    assert expanded(campaign) == 0
    change_campaign(actor=office.author, campaign=campaign, name="Cheaper")
    assert submit_campaign(actor=office.author, campaign=Campaign.objects.get()).state == "AWAITING_APPROVAL"
    withdraw_approval(actor=office.author, campaign=campaign)
    assert (state(campaign), Approval.objects.order_by("id").last().state) == ("DRAFT", "VOID")  # type: ignore[union-attr]


def test_what_nobody_decides_lapses(office: Office) -> None:
    office.rule()
    campaign, approval = office.submitted()
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CampaignError, match="waited too long"):
        office.decide(office.boss, approval)
    assert [expire_approvals(), expire_approvals()] == [1, 0]
    assert (state(campaign), Approval.objects.get().state) == ("DRAFT", "EXPIRED")
    campaign = submit_campaign(actor=office.author, campaign=campaign)
    office.decide(office.boss, Approval.objects.get(state="PENDING"))
    Approval.objects.filter(state="APPROVED").update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expanded(campaign) == 0 and state(campaign) == "AWAITING_APPROVAL"


def _at_once(*deeds: Callable[[], object]) -> list[object]:
    """What each deed came to, all run at the same time, each on a connection of its own."""
    gate, results = threading.Barrier(len(deeds)), [None] * len(deeds)

    def run(number: int, deed: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            results[number] = deed()
        except CampaignError as refused:
            results[number] = refused
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_two_approvers_at_once_start_it_once(office: Office) -> None:
    office.rule()
    campaign, approval = office.submitted()
    results = _at_once(
        *(lambda who=who: office.decide(who, approval) for who in (office.boss, office.second, office.boss))
    )
    assert sum(isinstance(one, Approval) for one in results) == 1
    assert ApprovalVote.objects.count() == 1
    assert state(campaign) == "EXPANDING" and expanded(campaign) == 6


def test_an_edit_and_an_approval_at_once_never_send_the_edited_unseen(office: Office) -> None:
    office.rule()
    for number in range(4):
        campaign, approval = office.submitted()
        edited, approved = _at_once(
            lambda held=campaign, n=number: change_campaign(actor=office.author, campaign=held, name=f"Edited {n}"),
            lambda asked=approval: office.decide(office.boss, asked),
        )
        if isinstance(approved, Approval):
            assert isinstance(edited, CampaignError), "it had begun"
            assert Campaign.objects.get(pk=campaign.pk).name == "Sale" and state(campaign) == "EXPANDING"
        else:
            assert state(campaign) == "DRAFT" and expanded(campaign) == 0
        assert not isinstance(approved, Campaign)


def test_the_hash_that_was_seen_is_the_one_that_is_approved(office: Office) -> None:
    office.rule()
    _campaign, approval = office.submitted()
    with pytest.raises(Changed):
        decide_approval(actor=office.boss, approval=approval, verdict="approve", seen_hash="0" * 64)
    assert not ApprovalVote.objects.exists()


def test_people_who_left_or_are_gone_keep_their_row_with_the_reason(office: Office) -> None:
    from apps.users.models import Recipient
    from apps.users.services import delete_recipient, tag, untag

    people = list(Recipient.objects.order_by("id"))
    tag(actor="test", recipients=people[:4], tags=["vip"])
    draft = office.draft(audience={"kind": "filter", "tags_any": ["vip"]})
    store_forecast(actor=office.author, campaign=draft)
    untag(actor="test", recipients=people[:1], tags=["vip"])
    delete_recipient(actor="test", recipient=people[1])
    tag(actor="test", recipients=people[4:], tags=["vip"])
    campaign = office.world.run(submit_campaign(actor=office.author, campaign=draft))
    assert office.world.messages(campaign) == {
        "SUCCEEDED": 2, "BLOCKED left_audience": 1, "INVALID unknown_user": 1,
    }  # fmt: skip
    forecast = Forecast.objects.get()
    assert forecast.targets == 4 and not forecast.parts.exists()


def test_what_runs_may_be_paused_and_slowed_without_a_new_approval(office: Office) -> None:
    from apps.campaigns.services import change_pace

    office.rule(min_targets=1)
    campaign, approval = office.submitted()
    Forecast.objects.get()  # two parts of it, so that expanding takes two chunks
    _sql("UPDATE campaigns_audiencepart SET ids = ids[1:3], last_id = ids[3]")
    _sql("INSERT INTO campaigns_audiencepart (forecast_id, last_id, ids) SELECT forecast_id, max(r.id), array_agg(r.id "
         "ORDER BY r.id) FROM campaigns_audiencepart p, users_recipient r WHERE r.id > p.last_id GROUP BY 1")  # fmt: skip
    office.decide(office.boss, approval)
    assert expand_next("bulk") and Message.objects.count() == 3
    change_pace(actor=office.author, campaign=campaign, pace_per_second=Decimal(50))
    assert expanded(campaign) == 6
    waiting, second = office.submitted()
    change_pace(actor=office.author, campaign=waiting, pace_per_second=Decimal(5))
    assert (state(waiting), Approval.objects.get(pk=second.pk).state) == ("DRAFT", "VOID")
