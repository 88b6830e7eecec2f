"""Budgets in the console: set one, see it fill, be warned on the home page; a campaign at its ceiling says so."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from apps.campaigns.models import Campaign, Delivery
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.prices import set_price
from apps.partners.models import Allowance, AllowanceUse
from apps.partners.periods import period_key
from tests.console.conftest import Scene, Watched
from ums_site.clock import database_now

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def look(console: Watched, name: str) -> None:
    """Pictures of a page where somebody wants to look at it: LOOK=folder."""
    if folder := os.environ.get("LOOK"):
        for width in (1440, 390):
            console.page.set_viewport_size({"width": width, "height": 900})
            console.page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
        console.page.set_viewport_size({"width": 1440, "height": 900})


def test_a_budget_is_set_fills_and_warns(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    page.get_by_role("link", name="Budgets and quotas").first.click()
    expect(page.get_by_role("heading", name="No budget and no quota yet")).to_be_visible()
    look(console, "allowances-empty")
    page.get_by_role("link", name="Add budget or quota").last.click()
    page.fill("[name=name]", "Marketing a month")
    page.select_option("[name=business_line]", label="Shop (shop)")
    page.select_option("[name=message_class]", "marketing")
    page.select_option("[name=unit]", "money")
    page.select_option("[name=period]", "month")
    page.fill("[name=most]", "-1")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("A limit is zero or more.")).to_be_visible()
    look(console, "allowance-add")
    page.fill("[name=most]", "1000")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("cell", name="1,000.00 CNY a month")).to_be_visible()
    held = Allowance.objects.get()
    key = period_key("month", held.zone, database_now())
    AllowanceUse.objects.create(allowance=held, period=key, used=Decimal("912.5"))
    page.reload()
    expect(page.get_by_text("912.50 CNY · 91 %")).to_be_visible()
    look(console, "allowances")
    page.goto(f"{console.base}/console/partners/allowance/?used=near")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.goto(f"{console.base}/console/partners/allowance/{held.pk}/change/")
    expect(page.get_by_text("912.50 CNY").first).to_be_visible()
    look(console, "allowance")
    console.goto("/console/")
    expect(page.get_by_role("heading", name="nearly or wholly used up")).to_be_visible()
    look(console, "home")
    console.goto(f"/console/partners/businessline/{scene.line.pk}/change/")
    expect(page.locator("[data-allowance='Marketing a month']")).to_be_visible()
    look(console, "line")


def test_a_campaign_says_what_it_cost_and_what_stopped_it(console: Watched, scene: Scene) -> None:
    set_price(actor="test", account=scene.sms, price=Decimal("0.031"), message_class="marketing")
    campaign = create_campaign(
        actor=scene.operator,
        name="November",
        business_line=scene.line,
        message_class="marketing",
        template_version=scene.version,
        policy=scene.policy,
        audience={"kind": "filter"},
        cost_ceiling=Decimal("0.2"),
    )
    submit_campaign(actor=scene.operator, campaign=campaign)
    while expand_next(campaign.lane):
        pass
    now = database_now()
    rows = list(Delivery.objects.filter(campaign_id=campaign.pk).order_by("id").values_list("id", flat=True))
    sent = {"attempts": 1, "pieces": 1, "cost": Decimal("0.031"), "accepted_at": now, "first_intent_at": now}
    Delivery.objects.filter(pk__in=rows[:4]).update(state="DELIVERED", **sent)
    Delivery.objects.filter(pk__in=rows[4:6]).update(state="UNDELIVERED", **sent)
    Delivery.objects.filter(pk__in=rows[6:]).update(state="HELD", reason="campaign_ceiling", held_until=now)
    Campaign.objects.filter(pk=campaign.pk).update(state="PAUSED")
    ceiling = Allowance.objects.get(campaign_id=campaign.pk)
    AllowanceUse.objects.create(allowance=ceiling, period="total", used=Decimal("0.186"), walled_at=now)

    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/campaigns/campaign/{campaign.pk}/change/")
    expect(page.get_by_text("4 messages find no room and wait.")).to_be_visible()
    expect(page.locator("[data-money=cost]")).to_contain_text("0.186 CNY")
    expect(page.locator("[data-money=failed]")).to_contain_text("2 · 0.062 CNY")
    look(console, "campaign")
    page.get_by_role("link", name="Show them").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(4)
    page.go_back()
    page.get_by_role("link", name="Cost ceiling").click()
    look(console, "ceiling")
    page.fill("[name=amount]", "5")
    page.get_by_role("button", name="Set the ceiling").click()
    page.wait_for_url("**/change/")
    assert Allowance.objects.get(pk=ceiling.pk).most == Campaign.objects.get(pk=campaign.pk).cost_ceiling == 5
    page.get_by_role("link", name="compare with another plan").click()
    look(console, "baseline")
    page.select_option("[name=policy]", label="SMS only")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/change/")
    console.goto("/console/costs/")
    expect(page.locator("[data-total=CNY]")).to_contain_text("0.186 CNY")
    look(console, "costs")

    console.goto(f"/console/ums_channels/channelaccount/{scene.sms.pk}/price/")
    page.fill("[name=price]", "0.05")
    page.select_option("[name=message_class]", "otp")
    page.get_by_role("button", name="Set the price").click()
    expect(page.get_by_text("The price is set.")).to_be_visible()
    look(console, "account")
    console.goto(f"/console/ums_channels/channelaccount/{scene.sms.pk}/price/")
    page.get_by_role("link", name="End it").first.click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("The price has ended.")).to_be_visible()
