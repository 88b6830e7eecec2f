"""The way of a campaign through the console: three steps, forecast, confirmation, its page, one message's story."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from playwright.sync_api import expect

from apps.campaigns.models import Campaign, Delivery, Message
from apps.campaigns.pipeline import expand
from apps.operators.models import AuditEvent, Operator
from tests.console.conftest import PASSWORD, Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def plan_campaign(console: Watched, name: str) -> Campaign:
    """From the home page through the three steps to the forecast."""
    page = console.page
    page.get_by_role("link", name="New campaign").click()
    page.fill("[name=name]", name)
    page.select_option("[name=template_version]", label="Monthly bill · v1 (bill)")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("[data-count]")).to_have_text("12")
    page.locator("[name=tags_any][value=vip]").check()
    expect(page.locator("[data-count]")).to_have_text("6")
    page.get_by_role("button", name="Next").click()
    page.select_option("[name=policy]", label="SMS only (sms-only)")
    expect(page.get_by_text("Send over SMS.")).to_be_visible()
    page.get_by_role("button", name="Save and forecast").click()
    page.wait_for_url("**/forecast/")
    return Campaign.objects.get(name=name)


def test_signing_in_needs_the_right_password_and_speaks_both_languages(console: Watched, scene: Scene) -> None:
    page = console.page
    console.goto("/console/")
    expect(page.get_by_role("heading", name="Unified messaging system")).to_be_visible()
    page.fill("[name=username]", "boss")
    page.fill("[name=password]", "wrong")
    page.click("#login-form button[type=submit]")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("button", name="登录")).to_be_visible()
    page.get_by_role("button", name="English").click()
    page.fill("[name=username]", "boss")
    page.fill("[name=password]", PASSWORD)
    page.click("#login-form button[type=submit]")
    expect(page.get_by_role("link", name="New campaign")).to_be_visible()


def test_a_campaign_from_three_steps_to_its_page(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    campaign = plan_campaign(console, "November bill")
    assert campaign.forecast["targets"] == 6
    tiles = page.locator(".ums-tile")
    expect(tiles.filter(has_text="will be written to").locator("b")).to_have_text("5")
    expect(tiles.filter(has_text="without a usable address").locator("b")).to_have_text("1")
    expect(page.get_by_text("账单已出。")).to_be_visible()
    expect(page.locator("[data-rates] tbody tr")).to_contain_text("assumed: no history")
    expect(page.locator("[data-range]")).to_have_count(0)  # one step costs what it costs

    page.get_by_role("link", name="Send …").click()
    expect(page.get_by_role("heading", name="to 5 people")).to_be_visible()
    expect(page.get_by_text("0.22 CNY").first).to_be_visible()  # five people, 0.045 each, half a cent to even
    assert Campaign.objects.get().state == "DRAFT", "asking must not send"
    page.get_by_role("button", name="Send to 5 people").click()
    page.wait_for_url("**/change/")
    assert Campaign.objects.get().state == "EXPANDING"

    while expand.expand_next(campaign.lane):
        pass
    expect(page.locator("[data-figure=targets] b")).to_have_text("6")  # without a reload
    expect(page.locator("[data-figure=in_progress] b")).to_have_text("5")
    page.locator("[data-figure=invalid]").click()
    expect(page.get_by_role("cell", name="no usable address on any channel of the policy")).to_be_visible()
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_text("Became a target of “November bill”.")).to_be_visible()
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert [verb for verb in verbs if verb in ("create", "forecast", "submit")] == ["create", "forecast", "submit"]


def test_cancelling_asks_first_and_ends_the_watching(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    plan_campaign(console, "To be cancelled")
    page.get_by_role("link", name="Send …").click()
    page.get_by_role("button", name="Send to 5 people").click()
    page.wait_for_url("**/change/")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Back, change nothing").click()
    assert Campaign.objects.get().state == "EXPANDING"
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel it for good").click()
    expect(page.locator("#live[data-over]")).to_be_attached()
    assert Campaign.objects.get().state == "CANCELLED"


def test_the_story_of_a_message_shows_masked_addresses_only(console: Watched, scene: Scene) -> None:
    from apps.campaigns import services

    campaign = services.create_campaign(
        actor=scene.operator,
        name="Story",
        business_line=scene.line,
        message_class="transactional",
        template_version=scene.version,
        policy=scene.policy,
        audience={"kind": "filter"},
    )
    services.submit_campaign(actor=scene.operator, campaign=campaign)
    while expand.expand_next(campaign.lane):
        pass
    delivery = Delivery.objects.order_by("id").first()
    assert delivery is not None
    console.sign_in("boss")
    console.goto(f"/console/campaigns/message/{delivery.message_id}/change/")
    expect(console.page.get_by_text("Step 1: planned over SMS to")).to_be_visible()
    assert "1380013800" not in console.page.content()
    assert Message.objects.count() == 12


def test_who_may_not_send_can_neither_see_nor_press_the_button(console: Watched, scene: Scene) -> None:
    from django.contrib.auth.models import Permission

    planner = Operator.objects.create_user("planner", password=PASSWORD, is_staff=True)
    planner.user_permissions.set(Permission.objects.filter(codename__in=["add_campaign", "view_campaign"]))
    console.sign_in("planner")
    campaign = plan_campaign(console, "Not mine to send")
    expect(console.page.get_by_role("link", name="Send …")).to_have_count(0)
    answer = console.page.request.get(f"{console.base}/console/campaigns/campaign/{campaign.pk}/send/")
    assert answer.status == 403
    assert Campaign.objects.get().state == "DRAFT"


def test_a_slow_pace_and_a_canary_are_set_and_changed(scene: Scene) -> None:
    door = Client()
    door.force_login(scene.operator)
    given = {
        "name": "Slowly", "template_version": scene.version.pk, "message_class": "marketing", "business_line": scene.line.pk,
        "policy": scene.policy.pk, "pace_per_second": "1", "pace_per": "minute", "canary_size": "5",
    }  # fmt: skip
    page = door.get("/console/campaigns/campaign/add/").content.decode()
    assert all(f'name="{name}"' in page for name in given)
    assert door.post("/console/campaigns/campaign/add/", given).status_code == 302
    made = Campaign.objects.get(name="Slowly")
    assert (made.pace_per_second, made.canary_size) == (Decimal("0.016666"), 5)
    entered = door.get(f"/console/campaigns/campaign/{made.pk}/edit/").context["form"].initial
    assert (entered["pace_per_second"], entered["pace_per"], entered["canary_size"]) == (Decimal(1), "minute", 5)
    asked = door.get(f"/console/campaigns/campaign/{made.pk}/pace/").context["form"].initial
    assert asked == {"pace": Decimal(1), "per": "minute"}
