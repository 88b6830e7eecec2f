"""Caps, guards, holdout groups and sensitive words in the console: made, checked, shown with what they did."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import expect

from tests.console.conftest import Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_cap_is_set_and_what_it_withheld_is_shown(console: Watched, scene: Scene) -> None:
    from apps.campaigns.models import FrequencyCap
    from apps.campaigns.services import create_campaign
    from apps.operators.models import AuditEvent

    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/frequencycap/")
    page.get_by_role("link", name="Add frequency cap").last.click()
    page.fill("[name=code]", "two-a-week")
    page.fill("[name=name]", "Two a week")
    page.fill("[name=most]", "0")
    page.select_option("[name=span_unit]", "weeks")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Ensure this value is greater than or equal to 1")).to_be_visible()
    page.fill("[name=most]", "2")
    page.fill("[name=zone]", "Nowhere")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("There is no such time zone")).to_be_visible()
    page.fill("[name=zone]", "Asia/Shanghai")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("at most 2 messages in any 1 week")).to_be_visible()
    cap = FrequencyCap.objects.get()
    assert cap.classes == ["marketing"] and AuditEvent.objects.filter(verb="add_cap", object_id=str(cap.pk)).exists()

    console.goto("/console/campaigns/withheld/")
    expect(page.get_by_role("heading", name="Nothing was withheld")).to_be_visible()
    spared, other = (
        create_campaign(
            actor="test", name=name, business_line=scene.line, message_class="marketing", template_version=scene.version,
            policy=scene.policy, audience={"kind": "filter"},
        )
        for name in ("Spared", "Other")
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_withheld (delivery_id, message_id, campaign_id, account_id, rule, cap, pieces, price) "
            "SELECT ums_id(), ums_id(), %s, %s, 'frequency_cap', 'two-a-week', 2, 0.09 FROM generate_series(1, 3)",
            [spared.pk, scene.sms.pk],
        )
    console.goto("/console/campaigns/withheld/?rule=frequency_cap+two-a-week")
    expect(page.locator("td[data-label=Messages]")).to_have_text("3")
    expect(page.locator("td[data-label='Would have cost']")).to_have_text("0.27")
    for campaign, rows in ((spared, 3), (other, 0)):
        console.goto(f"/console/campaigns/withheld/?campaign={campaign.pk}")
        expect(page.locator("#result_list tbody tr")).to_have_count(rows)


def test_a_guard_and_a_holdout_group_are_made_and_ended(console: Watched, scene: Scene) -> None:
    from apps.campaigns.models import DuplicateGuard, Holdout

    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/duplicateguard/")
    expect(page.get_by_text("goes once in 24 hours").first).to_be_visible()
    console.goto("/console/campaigns/duplicateguard/add/")
    page.select_option("[name=message_class]", "marketing")
    page.fill("[name=window_hours]", "9999")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Give 0 to 744 hours")).to_be_visible()
    page.fill("[name=window_hours]", "0")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("may go again at once").last).to_be_visible()
    assert DuplicateGuard.objects.get().window_hours == 0

    group = Holdout.objects.create(name="Control", percent=Decimal(5), salt="x", from_at=timezone.now() - timedelta(1))
    console.goto(f"/console/campaigns/holdout/{group.pk}/change/")
    expect(page.get_by_text("Conversions: not measurable.")).to_be_visible()
    page.get_by_role("link", name="End it now").click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("The group has ended.")).to_be_visible()
    group.refresh_from_db()
    assert group.until_at is not None and group.until_at <= timezone.now()


def test_a_list_of_words_is_made_tried_and_brought_in(console: Watched, scene: Scene) -> None:
    from apps.templates.models import ListedWord

    console.sign_in("boss")
    page = console.page
    console.goto("/console/templates/wordlist/")
    page.get_by_role("link", name="Add list of sensitive words").last.click()
    page.fill("[name=name]", "Advertising law")
    page.get_by_role("button", name="Save", exact=True).click()
    file = {
        "name": "words.txt",
        "mimeType": "text/plain",
        "buffer": "代开发票\n第一品牌\n代 开发票\n".encode("gb18030"),
    }
    page.set_input_files("[name=file]", file)  # type: ignore[arg-type]
    page.check("[name=dry_run]")
    page.get_by_role("button", name="Bring in").click()
    expect(page.locator("[data-count=added]")).to_have_text("2")
    expect(page.locator("[data-count=known]")).to_have_text("1")
    assert not ListedWord.objects.exists()
    page.set_input_files("[name=file]", file)  # type: ignore[arg-type]
    page.uncheck("[name=dry_run]")
    page.get_by_role("button", name="Bring in").click()
    expect(page.get_by_role("heading", name="2 words")).to_be_visible()
    page.get_by_role("link", name="See and remove words").click()
    expect(page.get_by_role("link", name="第一品牌")).to_be_visible()
