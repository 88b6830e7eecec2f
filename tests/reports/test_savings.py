"""The baseline: the same people by short message, each with their own text, and what was saved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.campaigns.accepting import NewMessage, accept_messages
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Message, Policy
from apps.channels.models import ChannelAccount
from apps.channels.prices import set_price
from apps.reports import savings
from apps.reports.figures import campaign_figures
from apps.reports.savings import baseline_accounts, measure_baseline
from apps.reports.services import choose_baseline, finish_due, finish_figures
from apps.users import services as users
from apps.users.attributes import ensure_default_attributes
from apps.users.models import Binding, Recipient
from tests import installation
from tests.reports.rows import Person, Sent, World

pytestmark = pytest.mark.django_db
LONG = "x" * 70


def person(user_id: str, phone: str = "", name: str = "张三", balance: object = "12") -> int:
    """A recipient with attributes, and a phone where one is given."""
    ensure_default_attributes()
    made = users.ensure_recipient(actor="test", user_id=user_id)
    users.set_attributes(actor="test", recipient=made, values={"name": name, "balance": balance})
    if phone:
        users.add_binding(actor="test", recipient=made, kind="phone", address=phone)
    return made.pk


def target(campaign: Campaign, recipient: int | None, state: str = "SUCCEEDED") -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_message (id, campaign_id, recipient_id, state) VALUES (ums_id(), %s, %s, %s)",
            [campaign.pk, recipient, state],
        )


def test_everybody_with_a_phone_gets_their_own_text(world: World) -> None:
    campaign = world.campaign()
    target(campaign, person("one-piece", "13800000001"))
    target(campaign, person("two-pieces", "13800000002", name=LONG))
    target(campaign, person("no-phone"))
    target(campaign, person("blocked", "13800000003"), "BLOCKED")
    target(campaign, None, "INVALID")
    gone = person("phone-gone", "13800000004")
    Binding.objects.filter(recipient_id=gone).update(state="INVALID")
    target(campaign, gone)
    barred = person("phone-barred", "13800000005")
    users.add_blacklist(actor="test", kind="phone", address="13800000005", reason="asked", source="test")
    target(campaign, barred)
    target(campaign, person("not-ours", "13800000006"))
    Message.objects.filter(pk=Message.objects.order_by("-id").first().pk).update(campaign_id=1)  # type: ignore[union-attr]
    baseline = measure_baseline(campaign)
    assert baseline is not None
    assert (baseline.people, baseline.pieces, baseline.account) == (2, 3, "sms-main")
    assert (baseline.cost, baseline.currency) == (Decimal("0.135"), "CNY")


def test_who_lacks_a_value_would_not_have_been_reached(world: World) -> None:
    campaign = world.campaign()
    ensure_default_attributes()
    bare = users.ensure_recipient(actor="test", user_id="bare")
    users.add_binding(actor="test", recipient=bare, kind="phone", address="13800000009")
    target(campaign, bare.pk)
    baseline = measure_baseline(campaign)
    assert baseline is not None and (baseline.people, baseline.cost) == (0, 0)


def test_addresses_and_variables_of_the_api_count_too(world: World) -> None:
    items = [
        NewMessage("", "phone", "13800000001", {"name": "a", "balance": "1"}),
        NewMessage("", "phone", "13800000002", {"name": LONG, "balance": "1"}),
        NewMessage("", "jpush", "1507bfd3f7c466c355c", {"name": "c", "balance": "1"}),
    ]
    campaign, _ids = accept_messages(
        actor="test",
        business_line=world.line,
        template_version=world.version,
        policy={"steps": [{"channels": [{"account": "push-main"}, {"account": "sms-spare"}]}]},
        message_class="marketing",
        items=items,
    )
    baseline = measure_baseline(Campaign.objects.get(pk=campaign.pk))
    assert baseline is not None
    assert (baseline.people, baseline.pieces, baseline.account) == (2, 3, "sms-spare")
    assert baseline.cost == 3 * Decimal("0.05")


def test_chunks_leave_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savings, "CHUNK", 2)
    campaign = world.campaign()
    for number in range(5):
        target(campaign, person(f"u{number}", f"1380000001{number}"))
        target(campaign, person(f"without-{number}"))
    with CaptureQueriesContext(connection) as queries:
        baseline = measure_baseline(campaign)
    assert baseline is not None and baseline.people == 5
    assert sum("campaigns_messagepayload" in one["sql"] for one in queries) == 3


def test_the_policys_own_account_goes_before_the_cheapest(world: World) -> None:
    push_only, both = world.campaign([{"channels": [{"account": "push-main"}]}]), world.campaign()
    assert codes(push_only) == ["sms-main"]
    ChannelAccount.objects.filter(code="sms-main").update(state="PAUSED")
    assert (codes(push_only), codes(both)) == (["sms-spare"], ["sms-main"])


def codes(campaign: Campaign) -> list[str]:
    return [one.code for one in baseline_accounts(campaign)[1]]


def test_any_policy_may_be_what_it_is_compared_with(world: World) -> None:
    """Each person by the first of its channels that reaches them, at the price of the class when the campaign began."""
    plan = {
        "steps": [
            {"channels": [{"account": "push-main"}], "wait_seconds": 60},
            {"channels": [{"account": "sms-spare"}]},
        ]
    }
    Policy.objects.create(code="push-first", name="Push first", plan=plan)
    set_price(actor="test", account=world.accounts["sms-spare"], price=Decimal("0.03"), message_class="marketing")
    campaign = world.campaign(state="FINISHED", finished_at=timezone.now())
    with_both = person("both", "13800000001")
    users.add_binding(
        actor="test", recipient=Recipient.objects.get(pk=with_both), kind="jpush", address="1507bfd3f7c466c355c"
    )
    target(campaign, with_both)
    target(campaign, person("two-pieces", "13800000002", name=LONG))
    target(campaign, person("nobody"))
    set_price(actor="test", account=world.accounts["sms-spare"], price=Decimal("9"), message_class="marketing")
    finish_figures(campaign.pk)
    assert campaign_figures(campaign.pk).baseline_cost == 3 * Decimal("0.045")
    with pytest.raises(CampaignError):
        choose_baseline(actor="test", campaign=campaign, policy_code="no-such")
    choose_baseline(actor="test", campaign=campaign, policy_code="push-first")
    assert finish_due() == 1
    figures = campaign_figures(campaign.pk)
    assert (figures.baseline_policy, figures.baseline_accounts) == ("Push first", "push-main, sms-spare")
    assert (figures.baseline_reach, figures.baseline_cost) == (2, 2 * Decimal("0.03"))
    assert figures.baseline_pieces == 3


def test_without_a_short_text_there_is_no_baseline(world: World) -> None:
    bodies = {"push_jpush": {"alert": "hello"}}
    version = installation.template("push-only", bodies=bodies, variables=[])
    campaign = world.campaign([{"channels": [{"account": "push-main"}]}], template_version=version)
    assert measure_baseline(campaign) is None
    figures = finish_figures(campaign.pk)
    assert (figures.baseline_cost, figures.saved) == (None, None)


def test_the_saving_is_printed_with_both_reaches(world: World) -> None:
    campaign = world.campaign(state="FINISHED", finished_at=timezone.now())
    for number in range(3):
        target(campaign, person(f"u{number}", f"1380000001{number}"), "CANCELLED")
    world.write(campaign, [Person("SUCCEEDED", (Sent("sms-main", 1, "DELIVERED", 1, "0.045"),))])
    assert campaign_figures(campaign.pk).saved is None
    figures = finish_figures(campaign.pk)
    assert (figures.baseline_cost, figures.baseline_reach, figures.baseline_pieces) == (Decimal("0.135"), 3, 3)
    assert (figures.saved, figures.delivered) == (Decimal("0.09"), 1)
    stored = Campaign.objects.get(pk=campaign.pk).figures
    assert stored is not None
    assert (stored["saved"], stored["identities_hold"], stored["targets"]) == ("0.09000", True, 4)
    assert campaign_figures(campaign.pk).saved == Decimal("0.09")


def test_the_baseline_stays_while_the_rest_is_refreshed(world: World) -> None:
    campaign = world.campaign(state="FINISHED")
    target(campaign, person("u1", "13800000001"))
    world.write(campaign, [Person("ACTIVE", (Sent("push-main", 0, "ACCEPTED"),))])
    finish_figures(campaign.pk)
    Binding.objects.all().delete()
    campaign_messages = Message.objects.filter(campaign_id=campaign.pk)
    campaign_messages.filter(state="ACTIVE").update(state="FAILED")
    again = finish_figures(campaign.pk)
    assert again.baseline_reach == 1


def test_finished_campaigns_get_their_figures_once(world: World) -> None:
    finished, _running = world.campaign(state="FINISHED"), world.campaign()
    assert (finish_due(), finish_due()) == (1, 0)
    finished.refresh_from_db()
    assert finished.figures is not None and finished.figures["as_of"]
