"""Variants of a text: made and written in the page of a template, like any other text."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from apps.templates.models import MessageTemplate
from tests.console.conftest import Scene, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_operator_writes_a_short_text_beside_the_channels_own(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    template = scene.version.template
    console.goto(f"/console/templates/messagetemplate/{template.pk}/change/")
    page.get_by_text("Variants", exact=True).click()
    page.locator("[name=variant_rows__kind]").first.select_option("sms_aliyun")
    page.locator("[name=variant_rows__name]").first.fill("short")
    page.get_by_role("button", name="Save and continue editing").first.click()
    text = page.locator("[name='body__sms_aliyun/short__text']")
    expect(text).to_have_value("账单已出。")
    text.fill("账单")
    page.get_by_role("button", name="Save and continue editing").first.click()
    expect(page.locator("[name='body__sms_aliyun/short__text']")).to_have_value("账单")
    held = MessageTemplate.objects.get(pk=template.pk).bodies
    assert (held["sms_aliyun"]["text"], held["sms_aliyun/short"]["text"]) == ("账单已出。", "账单")
