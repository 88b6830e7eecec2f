"""Schedules, calendars and quiet hours in a real browser."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from apps.campaigns.models import Calendar, Campaign, QuietHours, Schedule
from apps.campaigns.scheduling import launch_due
from apps.operators.models import AuditEvent, Operator
from tests.console.conftest import PASSWORD, Scene, Watched
from ums_site.clock import database_now

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = os.environ.get("UMS_LOOKS", "")  # a folder: pictures of the pages in both languages and widths go there


def look(console: Watched, path: str, name: str) -> None:
    if not LOOKS:
        return
    page = console.page
    for language in ("en", "zh-hans"):
        page.context.add_cookies([{"name": "django_language", "value": language, "url": console.base}])
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            console.goto(path)
            page.wait_for_load_state("networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            print(name, language, width, "TOO WIDE" if wide else "")
            page.screenshot(path=str(Path(LOOKS) / f"{name}-{language}-{width}.png"), full_page=True)
    page.context.add_cookies([{"name": "django_language", "value": "en", "url": console.base}])
    page.set_viewport_size({"width": 1440, "height": 900})


def test_from_a_calendar_over_a_schedule_to_its_runs(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/calendar/add/")
    page.fill("[name=name]", "China")
    page.fill("[name=days]", "2026-10-01,off,国庆节\n2026-10-32,off")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Line 2:")).to_be_visible()
    page.fill("[name=days]", "2099-10-01,off,国庆节\n2099-10-10,work,调休上班")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("cell", name="国庆节")).to_be_visible()
    calendar = Calendar.objects.get()
    assert sorted(calendar.weekend) == [5, 6] and calendar.days.count() == 2
    page.locator("[name=removed]").first.check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("cell", name="国庆节")).to_have_count(0)
    look(console, f"/console/campaigns/calendar/{calendar.pk}/change/", "calendar")

    console.goto("/console/campaigns/schedule/")
    page.get_by_role("link", name="Add schedule").first.click()
    page.fill("[name=name]", "Morning bill")
    occurrences = page.locator("[data-occurrences]")
    expect(occurrences.locator("li")).to_have_count(10)
    page.fill("[name=cron]", "0 25 * * *")
    expect(occurrences.get_by_role("alert")).to_contain_text("cannot be read")
    page.fill("[name=cron]", "30 2 * * *")
    page.select_option("[name=zone]", "Europe/Berlin")
    expect(occurrences.locator("li").first).to_contain_text("02:30 (UTC+0")
    page.fill("[name=cron]", "0 9 * * *")
    page.select_option("[name=zone]", "Asia/Shanghai")
    page.select_option("[name=calendar]", label="China")
    page.select_option("[name=on_day_off]", "skip")
    expect(occurrences.get_by_text("every working day at 09:00")).to_be_visible()
    page.select_option("[name=template]", label="Monthly bill (bill)")
    page.select_option("[name=policy]", label="SMS only (sms-only)")
    page.fill("[name=pace]", "30")
    page.select_option("[name=pace_per]", "minute")
    page.get_by_role("button", name="Save the schedule").click()
    page.wait_for_url("**/change/")
    schedule = Schedule.objects.get()
    assert str(schedule.pace_per_second) == "0.500000" and schedule.created_by == scene.operator

    Schedule.objects.update(cron="* * * * *", on_day_off="send")
    at = database_now() - timedelta(minutes=2)
    Schedule.objects.update(after_at=at, next_at=at)
    launch_due()
    console.goto(f"/console/campaigns/schedule/{schedule.pk}/change/")
    expect(page.get_by_role("link", name="Morning bill 20")).to_be_visible()
    assert Campaign.objects.get().created_by == scene.operator
    page.get_by_role("link", name="Pause", exact=True).click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("link", name="Resume")).to_be_visible()
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    look(console, "/console/campaigns/schedule/", "schedules")
    look(console, "/console/campaigns/schedule/add/", "schedule-new")
    look(console, f"/console/campaigns/schedule/{schedule.pk}/edit/", "schedule-edit")
    look(console, f"/console/campaigns/schedule/{schedule.pk}/change/", "schedule")
    console.goto(f"/console/campaigns/schedule/{schedule.pk}/change/")
    page.get_by_role("link", name="End for good").click()
    page.get_by_role("button", name="End it for good").click()
    expect(page.get_by_text("The schedule has ended.")).to_be_visible()
    schedule.refresh_from_db()
    assert schedule.state == "ENDED"


def test_quiet_hours_are_asked_for_and_refused_beside_their_field(console: Watched, scene: Scene) -> None:
    console.sign_in("boss")
    page = console.page
    console.goto("/console/campaigns/quiethours/add/")
    page.fill("[name=name]", "Night")
    page.fill("[name=since]", "22:00:00")
    page.fill("[name=until]", "08:00:00")
    page.fill("[name=region]", "Xinjiang")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("People have no open attribute “region”")).to_be_visible()
    assert not QuietHours.objects.exists()
    page.fill("[name=region]", "")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("cell", name="22:00–08:00 Asia/Shanghai")).to_be_visible()
    hours = QuietHours.objects.get()
    assert hours.classes == ["marketing"] and hours.weekdays == list(range(7))
    assert AuditEvent.objects.filter(verb="add_quiet_hours").count() == 1
    look(console, "/console/campaigns/quiethours/", "quiet-list")
    look(console, f"/console/campaigns/quiethours/{hours.pk}/change/", "quiet")


def test_who_may_not_send_makes_no_schedule(console: Watched, scene: Scene) -> None:
    from django.contrib.auth.models import Permission

    planner = Operator.objects.create_user("planner", password=PASSWORD, is_staff=True)
    planner.user_permissions.set(Permission.objects.filter(codename__in=["add_schedule", "view_schedule"]))
    console.sign_in("planner")
    answer = console.page.request.get(f"{console.base}/console/campaigns/schedule/add/")
    assert answer.status == 403
