"""The pages of lists, consents and replies, and the page that takes people off, in a real browser at two widths."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from django.utils import translation
from playwright.sync_api import expect

from apps.campaigns.models import Reply, ReplyWord
from apps.campaigns.pipeline import replies
from apps.campaigns.replying import add_reply_word
from apps.channels.contract import ReplyEvent
from apps.users import services
from apps.users.importing import job
from apps.users.models import Attribute, BlacklistEntry, ConsentRecord, Recipient
from apps.users.unsubscribing import PERSON, Asking, token_of
from tests.console.conftest import Scene, Watched
from tests.workbooks import workbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LISTS = "/console/users/blacklistentry/"
PICTURES = os.environ.get("UMS_TEST_PICTURES")


def picture(console: Watched, name: str) -> None:
    """Every page fits its window; kept as a picture where somebody wants to look."""
    for width in (1440, 390):
        console.page.set_viewport_size({"width": width, "height": 900})
        wide = console.page.evaluate("document.documentElement.scrollWidth")
        if PICTURES:
            console.page.screenshot(path=str(Path(PICTURES) / f"{name}-{width}.png"), full_page=True)
        assert wide <= width, f"{name} is {wide} wide at {width}"
    console.page.set_viewport_size({"width": 1440, "height": 900})


def test_lists_are_added_to_and_lifted_with_a_reason(console: Watched, scene: Scene) -> None:
    page = console.page
    console.sign_in("boss")
    console.goto(LISTS)
    expect(page.get_by_text("Nobody is on a list yet")).to_be_visible()
    picture(console, "lists-empty")
    console.goto(f"{LISTS}add/")
    page.fill("[name=user_id]", "U3")
    page.get_by_label("Marketing").check()
    page.fill("[name=reason]", "asked at the counter")
    picture(console, "lists-add")
    page.click("[name=_save]")
    expect(page.get_by_role("row", name=re.compile("U3.*asked at the counter"))).to_be_visible()
    assert BlacklistEntry.objects.get().classes == ["marketing"]
    services.add_blacklist(
        actor="t", kind="phone", address="13800138005", effect="allow", scope="business_line", scope_id=scene.line.pk,
        reason="trial", source="import",
    )  # fmt: skip
    console.goto(f"{LISTS}add/")
    page.fill("[name=region]", "Xinjiang")
    page.fill("[name=reason]", "no mail there")
    page.locator("[name=channel]").select_option("email")
    page.click("[name=_save]")
    expect(page.get_by_text("declare it under Attributes first")).to_be_visible()
    Attribute.objects.create(key="region", label="Region")
    page.fill("[name=user_id]", "U3")
    page.click("[name=_save]")
    expect(page.get_by_text("Give a user id, an address or a region: one of them.")).to_be_visible()
    picture(console, "lists-add-region")
    page.fill("[name=user_id]", "")
    page.click("[name=_save]")
    expect(page.get_by_role("row", name=re.compile("region Xinjiang.*E-mail.*no mail there"))).to_be_visible()
    console.goto(f"{LISTS}?channel=sms_aliyun")
    expect(page.get_by_role("row", name=re.compile("138.*8005.*Shop"))).to_be_visible()
    expect(page.get_by_text("Xinjiang")).to_have_count(0)
    console.goto(f"{LISTS}?whom=region&q=Xinjiang")
    expect(page.get_by_role("row", name=re.compile("region Xinjiang"))).to_be_visible()
    console.goto(LISTS)
    expect(page.get_by_role("row", name=re.compile("138.*8005.*Shop"))).to_be_visible()
    picture(console, "lists")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export what is shown").click()
    told = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert "U3" in told and "Xinjiang" in told and "138****8005" in told and "13800138005" not in told

    page.get_by_role("link", name="U3", exact=True).click()
    picture(console, "lists-entry")
    page.get_by_role("link", name="Lift this entry").click()
    page.fill("[name=reason]", "a mistake of ours")
    picture(console, "lists-lift")
    page.get_by_role("button", name="Lift", exact=True).click()
    expect(page.get_by_text("Lifted: 1.")).to_be_visible()
    assert sorted(BlacklistEntry.objects.values_list("effect", "channel")) == [("allow", ""), ("block", "email")]
    page.get_by_role("link", name="Import a whitelist").click()
    expect(page.locator("[name=sort]")).to_have_value("allow")
    picture(console, "lists-import")


def test_consents_come_in_from_a_workbook(console: Watched, scene: Scene) -> None:
    page = console.page
    console.sign_in("boss")
    console.goto("/console/users/consentrecord/")
    expect(page.get_by_text("No consent on record")).to_be_visible()
    page.get_by_role("link", name="Import consents").click()
    expect(page.locator("[name=sort]")).to_have_value("consent")
    rows = [["user_id", "state", "time", "class", "source", "text_version"], ["U3", "given", "2026-01-02", "marketing"],
            ["U4", "perhaps", "2026-01-02"], ["U5", "withdrawn", "2026-01-02 9:30", "marketing", "web form", "v3"]]  # fmt: skip
    page.set_input_files("[name=file]", {"name": "c.xlsx", "mimeType": XLSX, "buffer": workbook(rows)})
    page.fill("[name=reason]", "signed forms of January")
    page.get_by_label("Dry run").check(force=True)
    picture(console, "consents-import")
    page.click("[name=_save]")
    page.wait_for_url(re.compile("/peopleimport/[0-9]+/"))
    with translation.override("en"):
        job.run_due()
    expect(page.get_by_text("The first refused rows")).to_be_visible()
    expect(page.get_by_role("row", name="3 state: write given or withdrawn")).to_be_visible()
    assert not ConsentRecord.objects.exists()
    picture(console, "consents-imported")
    page.get_by_role("button", name="Import for real").click()
    expect(page.get_by_text("The import has been ordered.")).to_be_visible()
    with translation.override("en"):
        job.run_due()
    expect(page.locator("#import-progress[data-over='1']")).to_be_visible()  # the page has loaded itself once more
    console.goto("/console/users/consentrecord/")
    expect(page.get_by_role("row", name=re.compile("U5.*withdrawn.*signed forms of January"))).to_be_visible()
    picture(console, "consents-of-a-file")
    console.goto(f"/console/users/consentrecord/{ConsentRecord.objects.get(state='withdrawn').pk}/change/")
    expect(page.get_by_text("web form")).to_be_visible()
    picture(console, "consent-of-a-file")
    assert BlacklistEntry.objects.get().recipient.user_id == "U5"  # type: ignore[union-attr]


def test_a_person_takes_themselves_off_and_the_console_shows_the_proof(console: Watched, scene: Scene) -> None:
    page = console.page
    person = Recipient.objects.get(user_id="U3")
    link = f"/u/{token_of(Asking(PERSON, person.pk, scene.line.pk, 77))}"
    page.set_viewport_size({"width": 390, "height": 800})
    console.goto(link)
    expect(page.get_by_role("heading", name="Unsubscribe from marketing messages?")).to_be_visible()
    picture(console, "unsubscribe")
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_text("You will get no more marketing messages from Shop.")).to_be_visible()
    picture(console, "unsubscribed")

    ReplyWord.objects.all().delete()
    add_reply_word(actor="t", word="TD", meaning="unsubscribe")
    replies.store(scene.sms, [ReplyEvent("13800138003", "TD", datetime.now(UTC), "106900001234")])
    assert replies.handle_next()

    console.sign_in("boss")
    console.goto(f"/console/users/recipient/{person.pk}/change/")
    standing = page.locator("[data-protection]")
    expect(standing.get_by_text("withdrawn").first).to_be_visible()
    expect(standing.get_by_text("138****8003")).to_be_visible()
    picture(console, "person")
    page.get_by_role("link", name="Record a consent").click()
    expect(page.locator("[name=user_id]")).to_have_value("U3")
    page.get_by_label("given").or_(page.locator("[name=state]")).first.select_option("given")
    page.fill("[name=evidence]", "signed form 12")
    picture(console, "consent-add")
    page.click("[name=_save]")
    expect(page.get_by_role("row", name=re.compile("U3.*given.*signed form 12"))).to_be_visible()
    picture(console, "consents")
    assert ConsentRecord.objects.count() == 3 and not BlacklistEntry.objects.exists()

    console.goto("/console/campaigns/reply/")
    expect(page.get_by_role("row", name=re.compile("138.*8003.*unsubscribe"))).to_be_visible()
    picture(console, "replies")
    console.goto(f"/console/campaigns/reply/{Reply.objects.get().pk}/change/")
    expect(page.get_by_text("106900001234")).to_be_visible()
    picture(console, "reply")
    console.goto("/console/campaigns/reply/")
    page.get_by_role("link", name="Words that answers are read for").click()
    expect(page.get_by_role("row", name=re.compile("TD.*unsubscribe"))).to_be_visible()
    console.goto("/console/campaigns/replyword/add/")
    page.fill("[name=word]", "够 了!")
    page.locator("[name=meaning]").select_option("unsubscribe")
    page.click("[name=_save]")
    expect(page.get_by_role("row", name=re.compile("够了"))).to_be_visible()
    picture(console, "words")
