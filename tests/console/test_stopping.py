"""Stopping in the console: a switch is looked at, set, shown, released; campaigns are paused with a reason, slowed, resumed."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from apps.campaigns import services
from apps.campaigns.models import Campaign, StopSwitch
from apps.campaigns.pipeline import expand
from apps.operators.models import AuditEvent
from tests.console.conftest import Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def sent(scene: Scene, name: str, **extra: object) -> Campaign:
    campaign = services.create_campaign(
        actor=scene.operator, name=name, business_line=scene.line, message_class="marketing",
        template_version=scene.version, policy=scene.policy, audience={"kind": "filter"}, **extra,
    )  # fmt: skip
    return services.submit_campaign(actor=scene.operator, campaign=campaign)


def look(console: Watched, name: str) -> None:
    """Keeps a picture in both languages and at both widths, where SHOTS names a folder."""
    folder = os.environ.get("SHOTS")
    if not folder:
        return
    page = console.page
    for language in ("en", "zh-hans"):
        page.context.add_cookies([{"name": "django_language", "value": language, "url": console.base}])
        page.reload()
        for width, height in ((1440, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{folder}/{name}-{language}-{width}.png", full_page=True)
    page.context.add_cookies([{"name": "django_language", "value": "en", "url": console.base}])
    page.set_viewport_size({"width": 1440, "height": 900})
    page.reload()


def test_a_switch_says_what_it_would_stop_then_stops_it_then_lets_go(console: Watched, scene: Scene) -> None:
    campaign = sent(scene, "Spring offer")
    while expand.expand_next("bulk"):
        pass
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/stopswitch/add/")
    page.select_option("[name=what]", label="Shop (shop)")
    page.fill("[name=reason]", "wrong price")
    page.get_by_role("button", name="See what it would stop").click()
    expect(page.get_by_text("1 campaign", exact=True)).to_be_visible()
    expect(page.get_by_text("up to 10 deliveries")).to_be_visible()
    assert not StopSwitch.objects.exists(), "looking must not stop"
    page.get_by_role("button", name="Stop it now").click()
    page.wait_for_url("**/stopswitch/")
    look(console, "switches")
    console.goto("/console/")
    expect(page.get_by_role("alert").filter(has_text="wrong price")).to_be_visible()
    look(console, "home")
    console.goto(f"/console/campaigns/campaign/{campaign.pk}/change/")
    expect(page.get_by_role("alert").filter(has_text="Sending is stopped")).to_be_visible()
    look(console, "stopped-campaign")
    console.goto("/console/campaigns/stopswitch/add/")
    look(console, "stop-form")
    switch = StopSwitch.objects.get()
    console.goto(f"/console/campaigns/stopswitch/{switch.pk}/change/")
    look(console, "release")
    page.fill("[name=reason]", "price mended")
    page.get_by_role("button", name="Release").click()
    page.wait_for_url("**/stopswitch/")
    assert StopSwitch.objects.get().released_by == "boss"
    reasons = AuditEvent.objects.filter(verb__in=["stop", "release_stop"]).order_by("id")
    assert [event.detail["reason"] for event in reasons] == ["wrong price", "price mended"]


def test_paused_with_a_reason_slowed_and_resumed(console: Watched, scene: Scene) -> None:
    campaign = sent(scene, "Summer offer", canary_size=5)
    other = sent(scene, "Autumn offer")
    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/campaigns/campaign/{campaign.pk}/change/")
    expect(page.get_by_role("alert").filter(has_text="Canary first")).to_be_visible()
    page.get_by_role("link", name="Pause", exact=True).click()
    look(console, "pause")
    page.fill("[name=reason]", "look at the numbers first")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_url("**/change/")
    expect(page.get_by_role("alert").filter(has_text="look at the numbers first")).to_be_visible()
    look(console, "paused")
    page.get_by_role("link", name="Change the pace").click()
    page.fill("[name=pace]", "90")
    page.select_option("[name=per]", "minute")
    look(console, "pace")
    page.fill("[name=pace]", "90")
    page.select_option("[name=per]", "minute")
    page.get_by_role("button", name="Change it").click()
    page.wait_for_url("**/change/")
    held = Campaign.objects.get(pk=campaign.pk)
    assert (held.state, held.pace_per_second, held.paused_by) == ("PAUSED", Decimal("1.5"), "boss")
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    page.wait_for_url("**/change/")
    assert Campaign.objects.get(pk=campaign.pk).state == "EXPANDING"
    console.goto("/console/campaigns/campaign/")
    for one in (campaign, other):
        page.locator(f"input[name=_selected_action][value='{one.pk}']").check()
    page.select_option("select[name=action]", "pause_chosen")
    page.locator("button[name=index]").first.click()
    expect(page.get_by_role("heading", name="Pause 2 campaigns?")).to_be_visible()
    page.fill("[name=reason]", "both wrong")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("2 campaigns are paused.")).to_be_visible()
    assert set(Campaign.objects.values_list("state", "pause_reason")) == {("PAUSED", "both wrong")}
    Campaign.objects.filter(pk=other.pk).update(
        pause_reason="auto: failed=12 tried=100 (last 5 min)", paused_by="system"
    )
    console.goto(f"/console/campaigns/campaign/{other.pk}/change/")
    expect(page.get_by_text("12 of 100 tries failed for certain in the last 5 minutes")).to_be_visible()
    look(console, "paused-itself")
    console.goto("/console/campaigns/pauserule/")
    look(console, "rules")
