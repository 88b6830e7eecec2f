"""Taking back in the console: the page says what it would come to, asks for a reason, and the campaign shows how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import expect

from tests.console.conftest import PASSWORD, Scene, Watched

if TYPE_CHECKING:
    from apps.campaigns.models import Campaign

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def sent(scene: Scene) -> Campaign:
    """A campaign over two channels whose messages were accepted: ten by SMS as planned, six of them as if by WeCom."""
    from apps.campaigns import services
    from apps.campaigns.models import Delivery
    from apps.campaigns.pipeline import expand
    from apps.channels.models import ChannelAccount
    from ums_site.clock import database_now

    campaign = services.create_campaign(
        actor=scene.operator,
        name="Wrong price",
        business_line=scene.line,
        message_class="transactional",
        template_version=scene.version,
        policy=scene.policy,
        audience={"kind": "filter"},
    )
    services.submit_campaign(actor=scene.operator, campaign=campaign)
    while expand.expand_next(campaign.lane):
        pass
    ids = list(Delivery.objects.filter(campaign_id=campaign.pk).order_by("pk").values_list("pk", flat=True))
    now = database_now()
    taken: dict[str, Any] = {"state": "ACCEPTED", "accepted_at": now, "attempts": 1, "provider_id": "m1"}
    Delivery.objects.filter(pk__in=ids).update(**taken)
    Delivery.objects.filter(pk__in=ids[:2]).update(provider_id="")
    ChannelAccount.objects.filter(pk=scene.sms.pk).update(kind="wecom_app", name="企业微信")
    campaign.refresh_from_db()
    return campaign


def test_a_campaign_is_taken_back_with_a_reason(console: Watched, scene: Scene, sent: Campaign) -> None:
    from apps.campaigns.models import RecallOrder
    from apps.campaigns.pipeline import recall_rows

    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/campaigns/campaign/{sent.pk}/change/")
    page.get_by_role("link", name="Take back").click()
    expect(page.get_by_text("8 deliveries can be taken back:")).to_be_visible()
    expect(page.locator("[data-recall=possible] tr")).to_have_count(1)
    expect(page.locator("[data-recall=impossible]")).to_contain_text("the provider gave no id for it")
    assert not RecallOrder.objects.exists(), "asking must not take back"
    page.fill("[name=reason]", "the price is wrong")
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_url("**/change/")
    sent.refresh_from_db()
    assert sent.state == "CANCELLED" and RecallOrder.objects.get().reason == "the price is wrong"
    for batch in sent.batch_set.all():
        recall_rows.mark(batch)
        recall_rows.file([(call, "RECALLED", "", "") for call in recall_rows.waiting(batch)])
    expect(page.locator("[data-recall=progress]")).to_contain_text("8 of 10 deliveries were taken back.")
    page.get_by_role("link", name="taken back: 8", exact=True).click()
    expect(page.locator("#result_list tbody tr")).to_have_count(8)
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_text("boss ordered the whole campaign to be taken back.")).to_be_visible()
    expect(page.get_by_text("Receipt from 企业微信: taken back.")).to_be_visible()


def test_one_message_of_a_call_is_refused_on_its_own(console: Watched, scene: Scene, sent: Campaign) -> None:
    from apps.campaigns.models import Delivery, Recall

    last = Delivery.objects.filter(campaign_id=sent.pk).order_by("-pk")[0]
    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/campaigns/message/{last.message_id}/change/")
    page.get_by_role("link", name="Take back").click()
    expect(page.get_by_text("Nothing that was accepted can be taken back.")).to_be_visible()
    page.fill("[name=reason]", "sent to the wrong person")
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_url("**/change/")
    expect(page.get_by_text("it went out in one call with other people, who keep theirs")).to_be_visible()
    assert Recall.objects.get(delivery_id=last.pk).code == "shared_call"


def test_who_may_send_may_not_take_back_by_that(console: Watched, scene: Scene, sent: Campaign) -> None:
    from apps.operators.models import Operator

    sender = Operator.objects.create_user("sender", password=PASSWORD, is_staff=True)
    names = ["send_campaign", "view_campaign", "view_message"]
    sender.user_permissions.set(Permission.objects.filter(codename__in=names))
    console.sign_in("sender")
    console.goto(f"/console/campaigns/campaign/{sent.pk}/change/")
    expect(console.page.get_by_role("link", name="Take back")).to_have_count(0)
    message = sent.batch_set.get().first_delivery_id
    for path in (f"campaign/{sent.pk}/recall/", f"message/{message}/recall/"):
        assert console.page.request.get(f"{console.base}/console/campaigns/{path}").status == 403
