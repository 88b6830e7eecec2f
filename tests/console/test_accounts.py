"""Accounts as an administrator meets them: found by family, checked, tested to a person, paused, priced, refreshed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from playwright.sync_api import expect

from apps.channels import provider_templates, services
from apps.channels.models import AccountPrice, ChannelAccount, ProviderTemplate
from apps.channels.services import opened
from apps.operators.models import AuditEvent, Operator
from apps.partners.models import ApiKey
from apps.users import services as people
from apps.users.models import Recipient
from tests.channels import listing_provider
from tests.console.conftest import PASSWORD, Scene, Watched
from ums_site.clock import database_now

if TYPE_CHECKING:
    from tests.channels.listing_provider import Provider

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ACCOUNTS = "/console/ums_channels/channelaccount/"
TEMPLATES = "/console/ums_channels/providertemplate/"
SPARE = "a-spare-secret"


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    cache.clear()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    listing_provider.register(monkeypatch)
    with listing_provider.running() as server:
        yield server


@pytest.fixture
def listed(provider: Provider, scene: Scene) -> ChannelAccount:
    fresh = ChannelAccount(code="listed", name="Listed", kind="listing")
    settings = {"base_url": provider.url, "secret": provider.secret, "spare_secret": SPARE}
    return services.save_account(actor="test", account=fresh, settings=settings)


def page_of(account: ChannelAccount, deed: str = "change") -> str:
    return f"{ACCOUNTS}{account.pk}/{deed}/"


def limited(*names: str) -> None:
    """An operator with these permissions of this app and nothing else."""
    made = Operator.objects.create_user("limited", password=PASSWORD, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=names))


def test_kinds_are_found_by_family_and_while_typing(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(f"{ACCOUNTS}add/")
    expect(page.get_by_role("heading", name="Short messages")).to_be_visible()
    page.get_by_role("searchbox", name="Search", exact=True).fill("wechat mini")
    expect(page.get_by_role("heading", name="Short messages")).to_be_hidden()
    expect(page.get_by_role("link", name="wechat_mini")).to_be_visible()
    expect(page.get_by_role("link", name="wechat_oa")).to_be_hidden()
    page.get_by_role("searchbox", name="Search", exact=True).fill("pigeon")
    expect(page.get_by_text("No kind of channel has this name.")).to_be_visible()
    console.goto(f"{ACCOUNTS}add/?q=tencent")  # without a script the server does it
    expect(page.get_by_role("link", name="sms_tencent")).to_be_visible()
    expect(page.get_by_role("link", name="sms_aliyun")).to_have_count(0)


def test_a_check_shows_what_went_over_the_wire_covered(
    console: Watched, listed: ChannelAccount, provider: Provider
) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(page_of(listed))
    page.get_by_role("link", name="Check", exact=True).click()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="The credentials are good")).to_be_visible()
    page.get_by_text("What went over the wire").click()
    expect(page.get_by_text("/token?secret=●●●")).to_be_visible()
    assert provider.secret not in page.content() and provider.token not in page.content()
    provider.secret = "another"
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("heading", name="The check failed")).to_be_visible()
    expect(page.get_by_text("Misconfigured · bad_secret")).to_be_visible()


def test_a_test_message_goes_to_one_binding_of_a_person_with_a_published_text(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(page_of(scene.sms, "test"))
    page.fill("[name=user_id]", "U3")
    page.select_option("[name=version]", label="Monthly bill v1 (bill)")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="To U3")).to_be_visible()
    expect(page.get_by_label("138****8003")).to_be_checked()
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_role("heading", name="Not taken")).to_be_visible()  # nobody listens at port 9
    page.get_by_text("What went over the wire").click()
    expect(page.get_by_text("PhoneNumbers=●●●")).to_be_visible()
    assert "13800138003" not in page.content()
    detail = AuditEvent.objects.get(verb="test_send").detail
    assert (detail["user_id"], detail["to"], detail["text"]) == ("U3", "138***03", scene.version.pk)


def test_nobody_and_the_blacklisted_are_not_written_to(console: Watched, scene: Scene) -> None:
    blocked = Recipient.objects.get(user_id="U3")
    people.add_blacklist(actor="test", recipient=blocked, reason="asked", source="test")
    people.add_blacklist(actor="test", kind="phone", address="13800138004", reason="asked", source="test")
    console.sign_in("boss")
    page = console.page
    for user_id, words in {
        "nobody": "There is no recipient with this user id.",
        "U11": "This person has no address of kind “phone”",
        "U3": "138****8003 is not offered: on the blacklist.",
    }.items():
        console.goto(f"{page_of(scene.sms, 'test')}?user_id={user_id}")
        expect(page.get_by_text(words)).to_be_visible()
    console.goto(page_of(scene.sms, "test"))
    for name, text in {
        "address": "138 0013 8004",
        "sign_name": "优选银行",
        "template_code": "SMS_1",
        "text": "x",
    }.items():
        page.fill(f"form[method=post] [name={name}]", text)
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_text("This address is on the blacklist.")).to_be_visible()
    assert not AuditEvent.objects.filter(verb="test_send").exists()


def test_addresses_are_typed_in_only_with_the_permission(console: Watched, scene: Scene) -> None:
    limited("view_channelaccount", "test_send")
    console.sign_in("limited")
    page = console.page
    console.goto(page_of(scene.sms, "test"))
    expect(page.get_by_text("You may neither look people up nor type addresses in")).to_be_visible()
    expect(page.locator("[name=address]")).to_have_count(0)
    csrf = page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    sent = page.request.post(
        console.base + page_of(scene.sms, "test"),
        form={"csrfmiddlewaretoken": csrf, "address": "13800138000"},
        headers={"Referer": console.base},
    )
    assert sent.status == 403
    Operator.objects.get(username="limited").user_permissions.add(Permission.objects.get(codename="view_recipient"))
    console.goto(f"{page_of(scene.sms, 'test')}?user_id=U3")
    expect(page.get_by_label("138****8003")).to_be_visible()


def test_who_may_only_look_sees_no_settings_and_no_secret_address(console: Watched, listed: ChannelAccount) -> None:
    limited("view_channelaccount")
    console.sign_in("limited")
    page = console.page
    console.goto(page_of(listed))
    expect(page.get_by_text("Limits").first).to_be_visible()
    for name in ("Pause", "Check", "Send a test message", "Set a price"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    assert listed.hook_token not in page.content()
    for deed in ("pause", "price", "check", "test"):
        assert page.request.get(console.base + page_of(listed, deed)).status == 403
    console.goto(f"{ACCOUNTS}kinds/")


def test_a_pause_needs_a_reason_that_everybody_sees(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(page_of(scene.sms, "pause"))
    page.fill("[name=reason]", "   ")
    page.get_by_role("button", name="Pause").click()
    assert ChannelAccount.objects.get(pk=scene.sms.pk).state == "ACTIVE"
    page.fill("[name=reason]", "no balance until Friday")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert").filter(has_text="no balance until Friday")).to_be_visible()
    page.get_by_role("link", name="Resume").click()
    expect(page.get_by_text("It was paused because: no balance until Friday")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Pause", exact=True)).to_be_visible()
    events = AuditEvent.objects.filter(verb__in=["pause_account", "resume_account"]).order_by("id")
    assert [(event.actor, event.detail["reason"]) for event in events] == [
        ("boss", "no balance until Friday"),
        ("boss", ""),
    ]


def test_a_later_price_is_set_shown_and_withdrawn(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(page_of(scene.sms))
    page.get_by_role("link", name="Set a price").click()
    page.fill("[name=price]", "0.05")
    page.fill("[name=valid_from]", "2020-01-01T00:00")
    page.get_by_role("button", name="Set the price").click()
    expect(page.get_by_text("Past prices are never changed: choose a later time, or now.")).to_be_visible()
    later = (database_now() + timedelta(days=10)).strftime("%Y-%m-%dT00:00")
    page.fill("[name=valid_from]", later)
    page.fill("[name=note]", "new contract")
    page.get_by_role("button", name="Set the price").click()
    expect(page.get_by_text("Price per piece: 0.045 CNY")).to_be_visible()
    expect(page.get_by_role("cell", name="0.05 CNY")).to_be_visible()
    page.get_by_role("link", name="Withdraw").click()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("1 price with its dates")).to_be_visible()
    assert [one.price for one in AccountPrice.objects.filter(account=scene.sms)] == [Decimal("0.045")]


def test_an_optional_secret_is_forgotten_only_when_asked(console: Watched, listed: ChannelAccount) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(page_of(listed))
    assert SPARE not in page.content()
    expect(page.get_by_text("One is stored. Leave empty to keep it. Stands on the page “Keys”.")).to_be_visible()
    page.get_by_role("button", name="Save and continue editing").click()
    assert opened(ChannelAccount.objects.get(pk=listed.pk)).config["spare_secret"] == SPARE
    page.get_by_label("Forget the stored “Spare secret”").check(force=True)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_label("Forget the stored “Spare secret”")).to_have_count(0)
    assert "spare_secret" not in opened(ChannelAccount.objects.get(pk=listed.pk)).config


def test_the_address_for_receipts_is_copied(console: Watched, scene: Scene) -> None:
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.sign_in("boss")
    console.goto(page_of(scene.sms))
    console.page.get_by_role("button", name="Copy").click()
    expect(console.page.get_by_role("button", name="Copied")).to_be_visible()
    copied = console.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{console.base}/hooks/sms-main/{scene.sms.hook_token}"


def test_approved_templates_fill_the_list_by_themselves(
    console: Watched, listed: ChannelAccount, provider: Provider
) -> None:
    provider.pages = [[["T1", "Bill", "Your bill ${a}", "approved"], ["T2", "Code", "${b}", "refused"]]]
    console.sign_in("boss")
    page = console.page
    console.goto(TEMPLATES)
    row = page.get_by_role("listitem").filter(has_text="Listed")
    expect(row.get_by_text("never asked")).to_be_visible()
    row.get_by_role("button", name="Refresh").click()
    expect(row.get_by_text("being asked, 0 so far")).to_be_visible()
    assert provider_templates.refresh_due() == 1
    expect(row.get_by_text("2 templates at")).to_be_visible()  # without anybody's doing
    expect(page.get_by_role("link", name="T1")).to_be_visible()
    console.goto(f"{TEMPLATES}?state__exact=refused")
    expect(page.get_by_role("link", name="T1")).to_have_count(0)
    page.get_by_role("link", name="T2").click()
    expect(page.get_by_text("${b}")).to_be_visible()
    assert ProviderTemplate.objects.count() == 2


def test_the_matrix_is_read_on_a_phone(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(f"{ACCOUNTS}kinds/")
    expect(page.get_by_role("columnheader", name="approved templates")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 900})
    row = page.get_by_role("row").filter(has_text="sms_tencent")
    expect(row.get_by_text("tencentcloud-sdk-python-sms")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide


def test_a_key_may_take_tokens_only_where_the_box_is_ticked(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    for label, tick in (("plain", False), ("crm", True)):
        console.goto("/console/partners/apikey/add/")
        page.select_option("[name=business_line]", label="Shop (shop)", force=True)
        page.fill("[name=label]", label)
        expect(page.get_by_text("Careful: with an access token its holder can do everything")).to_be_visible()
        if tick:
            page.get_by_label("take access tokens of accounts").check()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Copy this key now, it is not shown again:")).to_be_visible()
    assert dict(ApiKey.objects.values_list("label", "scopes")) == {"plain": [], "crm": ["tokens"]}
