"""Every page that the console leads to: it answers, a Chinese page has no English sentence, a phone shows it whole."""

from __future__ import annotations

import re
from collections import Counter
from datetime import time, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.test import Client

from apps.campaigns.approvals import _kept
from apps.campaigns.approving import save_rule
from apps.campaigns.calendars import save_calendar
from apps.campaigns.caps import save_cap, save_guard, save_holdout
from apps.campaigns.drafting import save_policy, store_forecast
from apps.campaigns.models import (
    ApprovalRule,
    Calendar,
    Campaign,
    DuplicateGuard,
    FrequencyCap,
    Holdout,
    PauseRule,
    QuietHours,
    Schedule,
    SmartWeights,
)
from apps.campaigns.quieting import save_quiet_hours
from apps.campaigns.scheduling import save_schedule
from apps.campaigns.services import create_campaign, pause_campaign, submit_campaign
from apps.campaigns.stopping import set_switch
from apps.partners.allowances import save_allowance
from apps.partners.models import Allowance
from apps.templates.models import WordList
from apps.templates.word_lists import add_words, save_word_list
from apps.users.consents import record_consent
from apps.users.models import Recipient
from apps.users.services import add_blacklist
from tests.console.conftest import Scene, Watched
from ums_site.clock import database_now

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OF_A_KIND = {
    "/console/campaigns/campaign/#/change/": 3
}  # of pages that differ in their numbers alone, one is looked at
SENTENCE = re.compile(r"\b[A-Za-z][a-z]+(?: [a-z’']+){2,}")
NOT_FOLLOWED = (
    "/history/",
    "/logout/",
    "/export/",
    "/delete/",
    "/password",
    "/progress/",
    "/live/",
    "/rejects/",
    "/people/",
    "_popup=",
)
ELSEWHERE = ("/console/operators/", "/console/auth/", "/console/ums_channels/")  # Django's and the providers' own words
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"


def furnish(scene: Scene) -> None:
    """Something on every list of the strategies."""
    boss, line, now = scene.operator, scene.line, database_now()
    _kept.clear()

    def campaign(name: str, **more: object) -> Campaign:
        return create_campaign(
            actor=boss, name=name, business_line=line, message_class="marketing", template_version=scene.version,
            policy=scene.policy, audience={"kind": "filter"}, **more,
        )  # fmt: skip

    draft = campaign("草稿", pace_per_second=Decimal("0.016666"))
    store_forecast(actor=boss, campaign=draft)
    paused = campaign("暂停", cost_ceiling=Decimal(1), canary_size=3, scheduled_at=now + timedelta(days=1))
    submit_campaign(actor=boss, campaign=paused)
    pause_campaign(actor=boss, campaign=paused, reason="campaign_ceiling")
    save_rule(actor=boss, rule=ApprovalRule(name="营销", message_class="marketing"))
    submit_campaign(actor=boss, campaign=campaign("待审批"))
    save_policy(actor=boss, policy=scene.policy, note="改名")
    save_calendar(actor=boss, calendar=Calendar(name="工作日", weekend=[5, 6]))
    save_schedule(actor=boss, schedule=Schedule(
        name="每日", business_line=line, cron="0 9 * * *", template=scene.version.template, policy=scene.policy,
        message_class="marketing", audience={"kind": "filter"}, created_by=boss,
    ))  # fmt: skip
    save_quiet_hours(actor=boss, hours=QuietHours(
        name="夜间", classes=["marketing"], since=time(22), until=time(8), weekdays=list(range(7))
    ))  # fmt: skip
    save_cap(actor=boss, cap=FrequencyCap(code="day", name="每日", most=2, channel_kind="sms_aliyun"))
    save_guard(actor=boss, guard=DuplicateGuard(message_class="marketing", window_hours=48))
    save_holdout(actor=boss, holdout=Holdout(name="对照", percent=Decimal(5), from_at=now))
    words = save_word_list(actor=boss, word_list=WordList(name="禁用词", kinds=["sms_aliyun"]))
    add_words(actor=boss, word_list=words, words=["最佳"])
    save_allowance(actor=boss, allowance=Allowance(
        name="日配额", business_line=line, unit="pieces", period="day", most=Decimal(100), wall="hold"
    ))  # fmt: skip
    set_switch(actor=boss, scope="class", key="otp", reason="演练")
    PauseRule.objects.get_or_create(message_class="marketing")
    SmartWeights.objects.get_or_create(message_class="marketing")
    person = Recipient.objects.order_by("pk")[0]
    record_consent(actor=boss, recipient=person, state="given", source="console", evidence="签字")
    add_blacklist(actor=boss, kind="phone", address="13900000001", reason="投诉", source="console")


class Page(HTMLParser):
    """What is read and where it leads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self._mute = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag in ("script", "style"):
            self._mute = tag
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        self.texts += [said[name] for name in ("placeholder", "title", "aria-label", "data-label") if name in said]

    def handle_endtag(self, tag: str) -> None:
        self._mute = "" if tag == self._mute else self._mute

    def handle_data(self, data: str) -> None:
        if not self._mute:
            self.texts.append(data)


def crawl(client: Client) -> dict[str, Page]:
    """Path -> page of everything below /console/ that links lead to, each kind of page once, or as often as OF_A_KIND says."""
    found: dict[str, Page] = {}
    kinds: Counter[str] = Counter()
    waiting = ["/console/"]
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"\d+", "#", urlsplit(path).path)
        if path in found or kinds[kind] >= OF_A_KIND.get(kind, 1):
            continue
        kinds[kind] += 1
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        found[path] = page = Page(answer.content.decode())
        if answer.redirect_chain:
            found[answer.redirect_chain[-1][0]] = page
        for link in page.links:
            to = urlsplit(urldefrag(urljoin(path, link)).url)
            asked = f"{to.path}?{to.query}" if to.query else to.path
            if not to.netloc and to.path.startswith("/console/") and not any(one in asked for one in NOT_FOLLOWED):
                waiting.append(asked)
    return found


def test_every_link_leads_to_a_page_in_chinese_that_a_phone_shows_whole(console: Watched, scene: Scene) -> None:
    furnish(scene)
    client = Client(HTTP_ACCEPT_LANGUAGE="zh-hans")
    client.cookies["django_language"] = "zh-hans"
    client.force_login(scene.operator)
    pages = crawl(client)
    assert len(pages) > 80, sorted(pages)  # else the crawl itself is broken
    for wanted in ("/pace/", "/canary/", "/versions/", "/forecast/", "/approval/", "/what-if/", "/release/"):
        assert any(wanted in path for path in pages), wanted
    name = scene.version.template.name
    english = {
        path: said
        for path, page in pages.items()
        if not path.startswith(ELSEWHERE)
        and (said := [text.strip() for text in page.texts if SENTENCE.search(text.replace(name, ""))])
    }
    assert english == {}
    console.page.set_viewport_size({"width": 390, "height": 844})
    console.sign_in("boss")
    wide = []
    for path in pages:
        if re.search(
            r"^/console/(campaigns|partners/allowance|users/binding)/.*(add|change|forecast|pace|versions|what-if|withheld)/$",
            path,
        ):
            console.goto(path)
            wide += [path] * bool(console.page.evaluate(WIDER))
    assert wide == []
