"""Whoever has no rights sees nothing of the console and changes nothing: every address of it is asked and posted to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin, site
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from apps.campaigns.calendars import save_calendar
from apps.campaigns.drafting import save_policy
from apps.campaigns.models import Approval, Calendar, Campaign, Holdout, Message, Policy, QuietHours, Replay, Schedule
from apps.campaigns.scheduling import save_schedule
from apps.campaigns.services import create_campaign
from apps.campaigns.stopping import set_switch
from apps.operators.models import AuditEvent, Operator
from apps.templates.models import WordList
from tests import installation

# Everybody's own: the home page (which shows what one may see), the search, one's password, signing in, words of scripts.
FOR_ALL = re.compile(
    r"/console/(search/|login/|password_change/(done/)?|jsi18n/|ums_channels/channelaccount/kinds/.*)?"
)
# Leads elsewhere, ends the session, is no address, is Django's own.
NOT_TRIED = re.compile(r"/r/|/logout/|\?P<|/history/")


def places(found: Any, before: str = "") -> Iterator[str]:
    for one in found:
        place = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from places(one.url_patterns, place)
        elif isinstance(one, URLPattern):
            yield place


def addresses() -> list[str]:
    """Every address of the console; a row that it is about is there, where the test has made one."""
    found = [place for place in places(get_resolver().url_patterns) if place.startswith("console/")]
    return [_filled(place) for place in found if not NOT_TRIED.search(place)]


def _filled(place: str) -> str:
    part = place.split("/")
    row = None
    if len(part) > 3 and "<" in part[3]:
        row = apps.get_model(part[1], part[2])._base_manager.first()
    filled = re.sub(r"<(int|path):\w+>", str(row.pk) if row else "1", place, count=1)
    return "/" + re.sub(r"<(str|slug):\w+>", "end", re.sub(r"<int:\w+>", "1", filled))


def make_rows() -> None:
    """What pages look for before they ask for a right."""
    account, version = installation.account("sms_aliyun", "sms-main", "0.045"), installation.template()
    line, _key = installation.business_line()
    plan = {"steps": [{"channels": [{"account": account.code}]}]}
    policy = save_policy(actor="test", policy=Policy(code="sms", name="SMS", plan=plan))
    campaign = create_campaign(
        actor="test", name="Sale", business_line=line, message_class="marketing", template_version=version,
        policy=policy, audience={"kind": "filter"},
    )  # fmt: skip
    now = timezone.now()
    Message.objects.create(id=campaign.pk + 1, campaign_id=campaign.pk)
    Approval.objects.create(campaign=campaign, requested_at=now, expires_at=now)
    Replay.objects.create(campaign=campaign, policy_name="x", plan=campaign.plan, made_by="test", made_at=now)
    Holdout.objects.create(name="H", percent=1, salt="s", from_at=now)
    WordList.objects.create(name="W")
    save_calendar(actor="test", calendar=Calendar(name="C", weekend=[5, 6]))
    set_switch(actor="test", scope="everything", reason="x")
    save_schedule(actor="test", schedule=Schedule(
        name="Daily", business_line=line, cron="0 9 * * *", message_class="marketing", template=version.template,
        policy=policy, audience={"kind": "filter"},
    ))  # fmt: skip


def test_many_deleted_at_once_are_on_record_as_one_is(rf: RequestFactory) -> None:
    """Django's own action deletes past the services, which write the audit log."""
    request = rf.get("/")
    request.user = Operator(is_superuser=True, is_active=True, is_staff=True)
    past = [
        str(one)
        for one in site._registry.values()
        if "delete_selected" in one.get_actions(request) and type(one).delete_queryset is ModelAdmin.delete_queryset
    ]
    assert past == []


@pytest.mark.django_db
def test_nobody_without_rights_sees_or_changes_anything(client: Client) -> None:
    make_rows()
    client.force_login(Operator.objects.create_user("plain", password="x", is_staff=True))
    before = (AuditEvent.objects.count(), Campaign.objects.values().get(), Schedule.objects.values().get())
    seen, tried = [], [place for place in addresses() if not FOR_ALL.fullmatch(place)]
    kinds = {"/console/", *(re.sub(r"\d+", "", place) for place in tried)}  # of addresses, whatever the row
    for place in tried:
        for ask in (client.get, client.post):
            answer = ask(place)
            leads_on = re.sub(r"\?.*|\d+", "", getattr(answer, "url", "")) in kinds
            if answer.status_code not in (403, 405) and not leads_on:
                seen.append(f"{ask.__name__} {place}: {answer.status_code}")
    assert len(tried) > 200 and seen == []
    assert (AuditEvent.objects.count(), Campaign.objects.values().get(), Schedule.objects.values().get()) == before


@pytest.mark.django_db
def test_lists_ask_as_often_for_many_rows_as_for_few(client: Client) -> None:
    make_rows()
    client.force_login(Operator.objects.create_superuser("boss", password="x"))
    quiet = {"name": "Q", "classes": ["marketing"], "since": "22:00", "until": "08:00", "days": "working"}
    QuietHours.objects.create(**quiet, calendar=Calendar.objects.get())
    Campaign.objects.update(state="RUNNING", started_at=timezone.now())
    for model in (Campaign, Approval, Schedule, QuietHours, Holdout, Replay, Calendar):
        few = _asked(client, model)
        model._base_manager.bulk_create(_another(model, number) for number in range(5))
        assert _asked(client, model) <= few, model


def _asked(client: Client, model: Any) -> int:
    """How many queries the list takes."""
    with CaptureQueriesContext(connection) as seen:
        assert client.get(f"/console/campaigns/{model._meta.model_name}/").status_code == 200
    return len(seen)


def _another(model: Any, number: int) -> Any:
    held = model._base_manager.first()
    held.pk = held.pk + 1000 + number
    if model in (Calendar, Approval):
        setattr(held, *(("name", f"C{number}") if model is Calendar else ("state", "VOID")))
    return held
