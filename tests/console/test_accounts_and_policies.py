"""Accounts are made from their kind's declaration, secrets never come back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apps.channels.models import ChannelAccount
from apps.channels.services import opened
from tests.console.conftest import Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_account_is_made_changed_and_paused(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto("/console/ums_channels/channelaccount/add/")
    page.get_by_role("link", name="sms_aliyun").click()
    page.fill("[name=code]", "sms-two")
    page.fill("[name=name]", "Second SMS")
    page.fill("[name=setting_access_key_id]", "key id")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("AccessKey ID may not hold blanks or line ends.")).to_be_visible()
    page.fill("[name=setting_access_key_id]", "keyid")
    page.fill("[name=setting_access_key_secret]", "very-secret-words")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/channelaccount/")

    account = ChannelAccount.objects.get(code="sms-two")
    assert opened(account).config["access_key_secret"] == "very-secret-words"
    console.goto(f"/console/ums_channels/channelaccount/{account.pk}/change/")
    assert "very-secret-words" not in page.content()
    expect(page.get_by_text(f"/hooks/sms-two/{account.hook_token}")).to_be_visible()
    page.fill("[name=name]", "Renamed")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/channelaccount/")
    account.refresh_from_db()
    assert (account.name, opened(account).config["access_key_secret"]) == ("Renamed", "very-secret-words")

    console.goto(f"/console/ums_channels/channelaccount/{account.pk}/change/")
    page.get_by_role("link", name="Pause", exact=True).click()
    page.fill("[name=reason]", "no balance")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("link", name="Resume")).to_be_visible()
    account.refresh_from_db()
    assert account.state == "PAUSED"


def test_a_test_message_says_what_came_of_it(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto(f"/console/ums_channels/channelaccount/{scene.sms.pk}/test/")
    page.fill("[name=address]", "13800138000")
    page.fill("[name=sign_name]", "优选银行")
    page.fill("[name=template_code]", "SMS_1")
    page.fill("[name=text]", "hello")
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_role("status").filter(has_text="Unavailable")).to_be_visible()  # nobody listens at port 9
    expect(page.get_by_role("heading", name="Not taken")).to_be_visible()
