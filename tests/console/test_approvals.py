"""Approval in the console: a list as the audience, a rule, the inbox, the page of exactly what goes out, and the decision."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import expect

from apps.campaigns import approvals, target_lists
from apps.campaigns.models import Approval, ApprovalRule, Campaign, TargetList
from apps.operators.models import Operator
from tests.console.conftest import PASSWORD, Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def approver(name: str) -> Operator:
    made = Operator.objects.create_user(name, password=PASSWORD, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename="approve_campaign"))
    return made


def test_from_an_imported_list_to_an_approved_campaign(console: Watched, scene: Scene) -> None:
    approvals._kept.clear()
    page = console.page
    console.sign_in("boss")
    console.goto("/console/campaigns/approvalrule/add/")
    page.fill("[name=name]", "Marketing")
    page.select_option("[name=message_class]", "marketing")
    page.fill("[name=min_targets]", "2")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/approvalrule/")
    assert ApprovalRule.objects.get().min_targets == 2

    console.goto("/console/campaigns/targetlist/add/")
    rows = "user_id,phone\nU1,\nU2,\n,13900000001\nnobody,\n"
    page.set_input_files("[name=file]", {"name": "vip.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    page.fill("[name=name]", "Guests")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/change/")
    target_lists.run_due()
    expect(page.locator("[data-field=targets]")).to_have_text("4")
    expect(page.locator("[data-field=unknown]")).to_have_text("1")

    console.goto("/console/campaigns/campaign/add/")
    page.fill("[name=name]", "Invitation")
    page.select_option("[name=template_version]", label="Monthly bill · v1 (bill)")
    page.select_option("[name=message_class]", "marketing")
    page.get_by_role("button", name="Next").click()
    page.select_option("[name=target_list]", str(TargetList.objects.get().pk))
    expect(page.locator("[data-count]")).to_have_text("4")
    page.get_by_role("button", name="Next").click()
    page.select_option("[name=policy]", label="SMS only (sms-only)")
    page.get_by_role("button", name="Save and forecast").click()
    page.wait_for_url("**/forecast/")
    expect(page.locator(".ums-tile").filter(has_text="will be written to").locator("b")).to_have_text("3")

    page.get_by_role("link", name="Change", exact=True).click()
    page.fill("[name=name]", "Invitation for guests")
    for _step in range(2):
        page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Save and forecast").click()
    page.wait_for_url("**/forecast/")
    page.get_by_role("link", name="Send …").click()
    expect(page.get_by_text("Rules: Marketing.")).to_be_visible()
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_text("to be decided")).to_be_visible()
    campaign = Campaign.objects.get()
    assert (campaign.name, campaign.state) == ("Invitation for guests", "AWAITING_APPROVAL")
    console.goto(f"/console/campaigns/approval/{Approval.objects.get().pk}/change/")
    expect(page.get_by_text("somebody else must")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    approver("checker")
    page.context.clear_cookies(name="sessionid")
    console.sign_in("checker")
    page.get_by_role("link", name="Approvals").first.click()
    page.get_by_role("link", name="Invitation for guests").click()
    expect(page.get_by_text("账单已出。")).to_be_visible()
    expect(page.get_by_text("The imported list “Guests” with 4 targets.")).to_be_visible()
    page.fill("[name=note]", "looks right")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You have agreed to it.")).to_be_visible()
    expect(page.get_by_text("looks right")).to_be_visible()
    assert Campaign.objects.get().state == "EXPANDING"
    answer = page.request.get(f"{console.base}/console/campaigns/campaign/{campaign.pk}/send/")
    assert answer.status == 403
