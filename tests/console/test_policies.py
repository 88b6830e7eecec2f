"""Policies: the editor with its picture, their versions; the pages of what-if, weights and replays."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import expect

from apps.campaigns.models import Campaign, Policy, Replay, SmartWeights
from apps.campaigns.replays import replay_due
from apps.campaigns.services import create_campaign
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.operators.models import AuditEvent, Operator
from apps.users.models import Recipient
from tests.console.conftest import PASSWORD, Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def _second() -> ChannelAccount:
    given = {"access_key_id": "id", "access_key_secret": "s", "base_url": "http://127.0.0.1:9"}
    fresh = ChannelAccount(code="sms-two", name="Other SMS", kind="sms_aliyun", price="0.03")
    return save_account(actor="test", account=fresh, settings=given)


def test_a_policy_is_written_seen_and_kept_in_versions(console: Watched, scene: Scene) -> None:
    _second()
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/policy/add/")
    page.fill("[name=name]", "Twice")
    page.fill("[name=code]", "twice")
    page.get_by_role("button", name="Add a step").click()
    within = page.get_by_label("within", exact=True).first
    within.fill("0")
    expect(page.get_by_text("Give seconds, more than 0")).to_be_visible()
    expect(within).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("steps[0].wait_seconds")
    assert not Policy.objects.filter(code="twice").exists()

    page.get_by_label("within", exact=True).first.fill("2")
    page.get_by_label("within: unit").first.select_option("3600")
    look = page.locator("#policy-look")
    expect(look).to_contain_text("SMS; if not delivered within 2 hours, SMS.")
    page.get_by_role("region", name="Step 2").get_by_role("button", name="Several vendors").click()
    page.get_by_role("region", name="Step 2").get_by_label("Account").nth(1).select_option("sms-two")
    page.get_by_role("region", name="Step 2").get_by_label("Share (weight)").first.fill("3")
    page.get_by_text("Only for some people, another text").first.click()
    page.get_by_role("group", name="Only with any of the tags").first.get_by_label("vip").check()
    page.get_by_label("At most this much money a person").fill("0.10")
    expect(look).to_contain_text("SMS (only people with any of the tags vip)")
    expect(look).to_contain_text("SMS 75 % / Other SMS 25 %; at most ¥0.10 a person.")
    expect(look.get_by_role("listitem").filter(has_text="Other SMS").first).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The policy is saved as version 1.")).to_be_visible()
    policy = Policy.objects.get(code="twice")
    assert policy.plan["steps"][0]["wait_seconds"] == 7200
    assert policy.plan["steps"][0]["channels"][0]["only_if"] == {"tags_any": ["vip"]}
    assert policy.plan["steps"][1]["channels"][0]["vendors"] == [
        {"account": "sms-main", "weight": 3},
        {"account": "sms-two", "weight": 1},
    ]

    page.get_by_label("At most this much money a person").fill("0.20")
    page.fill("[name=note]", "dearer")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The policy is saved as version 2.")).to_be_visible()
    page.get_by_role("link", name="Versions").click()
    expect(page.locator(".ums-changes ins")).to_have_text("At most ¥0.20 a person.")
    expect(page.locator(".ums-changes del")).to_have_text("At most ¥0.10 a person.")
    expect(page.get_by_text("dearer")).to_be_visible()
    page.get_by_role("link", name="Restore").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("The version is restored.")).to_be_visible()
    policy.refresh_from_db()
    assert (policy.number, policy.plan["ceiling_per_person"]) == (3, "0.10")


def test_what_if_shows_the_order_and_who_may_not_ask_is_refused(console: Watched, scene: Scene) -> None:
    two = _second()
    scene.policy.plan = {"steps": [{"channels": [{"account": "sms-main"}, {"account": "sms-two"}], "mode": "smart"}]}
    scene.policy.save()
    person = Recipient.objects.get(user_id="U1")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_personexperience VALUES (%s, %s, 20, 0, 0, 0, now())", [person.pk, two.pk]
        )
    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/campaigns/policy/what-if/?policy={scene.policy.pk}")
    page.fill("[name=user_id]", "nobody")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Nobody has this user id.")).to_be_visible()
    page.fill("[name=user_id]", "U1")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="The policy would begin with step 1")).to_be_visible()
    rows = page.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("sms-main")
    expect(rows.nth(1)).to_contain_text("0 of 20")
    assert "13800138001" not in page.content(), "addresses are masked"
    page.fill("[name=user_id]", "U11")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="No step of the policy reaches the person")).to_be_visible()
    expect(page.get_by_text("no address of this kind").first).to_be_visible()

    Operator.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    page.context.clear_cookies()
    console.sign_in("clerk")
    answer = page.request.get(f"{console.base}/console/campaigns/policy/what-if/")
    assert answer.status == 403


def test_weights_are_changed_with_a_record(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/smartweights/")
    expect(page.get_by_text("Nothing yet: tries are counted here")).to_be_visible()
    console.goto("/console/campaigns/smartweights/add/")
    for name in ("reach", "price", "speed"):
        page.fill(f"[name={name}]", "0")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Give reach, price or speed a weight above 0")).to_be_visible()
    page.fill("[name=reach]", "70")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/smartweights/")
    assert SmartWeights.objects.get().reach == 70
    assert AuditEvent.objects.filter(verb="change_weights").count() == 1


def test_a_replay_is_ordered_and_says_what_it_knows(console: Watched, scene: Scene) -> None:
    campaign = _finished(scene)
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/replay/add/")
    page.get_by_role("button", name="Replay", exact=True).click()
    assert page.locator(".errorlist").count() >= 2
    page.select_option("[name=campaign]", str(campaign.pk))
    page.select_option("[name=policy]", str(scene.policy.pk))
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_role("heading", name="Under way")).to_be_visible()
    replay_due()
    expect(page.get_by_role("heading", name="Result of")).to_be_visible()
    expect(page.get_by_text("Overlap: for 0.0 % of 6 people")).to_be_visible()
    assert Replay.objects.get().state == "DONE"


def _finished(scene: Scene) -> Campaign:
    """A campaign to everybody, finished on paper: its messages without a delivery."""
    made: Any = create_campaign(
        actor=scene.operator,
        name="March",
        business_line=scene.line,
        message_class="marketing",
        template_version=scene.version,
        policy=scene.policy,
        audience={"kind": "filter"},
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_message (id, campaign_id, recipient_id, state) "
            "SELECT ums_id(), %s, id, 'FAILED' FROM users_recipient WHERE 'vip' = ANY(tags)",
            [made.pk],
        )
    Campaign.objects.filter(pk=made.pk).update(state="FINISHED", planned_count=6, finished_at=made.created_at)
    return Campaign.objects.get(pk=made.pk)
