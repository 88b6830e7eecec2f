"""Quiet hours and working-day calendars in the console."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, DateTimeField, QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.campaigns.calendars import read_days, save_calendar
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Calendar, QuietHours
from apps.campaigns.models.times import WEEKDAYS
from apps.campaigns.quieting import as_rule, remove_quiet_hours, save_quiet_hours
from apps.campaigns.schedule_forms import CalendarForm, QuietHoursForm
from apps.campaigns.schedule_words import day_in_words
from apps.campaigns.words import CLASSES
from ums_site.clock import database_now

MOST_SHOWN = 400


@admin.register(QuietHours)
class QuietHoursAdmin(ModelAdmin):
    """They count from the next window on; what waits is judged anew when they change."""

    when_empty = (
        _("No quiet hours: messages go at any hour"),
        _(
            "Quiet hours hold back marketing, or what else you choose, say from 22:00 to 08:00, until they end; "
            "or drop it."
        ),
    )

    form = QuietHoursForm
    list_display = ["name", "active", "shown_classes", "shown_hours", "shown_days", "shown_who", "action", "quiet_now"]
    list_filter = ["active", "business_line", "action"]
    list_select_related = ["business_line", "calendar"]
    search_fields = ["name", "region"]
    ordering = ["-active", "name"]
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuietHours]:
        now = Value(database_now(), output_field=DateTimeField())  # one moment for the whole list
        return super().get_queryset(request).prefetch_related("calendar__days").annotate(now=now)

    def save_model(self, request: HttpRequest, obj: QuietHours, form: Any, change: bool) -> None:
        save_quiet_hours(actor=request.user, hours=obj)

    def delete_model(self, request: HttpRequest, obj: QuietHours) -> None:
        remove_quiet_hours(actor=request.user, hours=obj)

    @admin.display(description=_("classes"))
    def shown_classes(self, hours: QuietHours) -> str:
        return ", ".join(str(CLASSES.get(one, one)) for one in hours.classes)

    @admin.display(description=_("from–until"))
    def shown_hours(self, hours: QuietHours) -> str:
        return f"{hours.since:%H:%M}–{hours.until:%H:%M} {hours.zone}"

    @admin.display(description=_("begin on"))
    def shown_days(self, hours: QuietHours) -> str:
        if hours.days != QuietHours.Days.EVERY:
            return f"{hours.get_days_display()} ({hours.calendar})"
        if len(set(hours.weekdays)) == 7:
            return str(_("every day"))
        return ", ".join(str(name) for number, name in WEEKDAYS if number in hours.weekdays)

    @admin.display(description=_("for whom"))
    def shown_who(self, hours: QuietHours) -> str:
        line = str(hours.business_line) if hours.business_line else str(_("every business line"))
        return f"{line} · {hours.region}" if hours.region else line

    @admin.display(description=_("quiet now"), boolean=True)
    def quiet_now(self, hours: QuietHours) -> bool:
        return hours.active and as_rule(hours).end_of(hours.now) is not None  # type: ignore[attr-defined]


@admin.register(Calendar)
class CalendarAdmin(ModelAdmin):
    """Which days are worked."""

    when_empty = (
        _("No calendar yet"),
        _("A calendar says which days are worked and which are off. Schedules and quiet hours follow it."),
    )

    list_display = ["name", "shown_weekend", "shown_days", "updated_at"]
    search_fields = ["name"]
    ordering = ["name"]
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Calendar | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Calendar]:
        return super().get_queryset(request).annotate(days_count=Count("days"))

    @admin.display(description=_("days off each week"))
    def shown_weekend(self, calendar: Calendar) -> str:
        return ", ".join(str(name) for number, name in WEEKDAYS if number in calendar.weekend) or "—"

    @admin.display(description=_("special days"))
    def shown_days(self, calendar: Calendar) -> int:
        return int(calendar.days_count)  # type: ignore[attr-defined]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One page: the week, the special days, and a list of more."""
        calendar = self.get_object(request, object_id) if object_id else Calendar()
        if calendar is None:
            raise Http404
        allowed = self.has_change_permission(request, calendar) if object_id else self.has_add_permission(request)
        if not allowed and not (object_id and request.method == "GET" and self.has_view_permission(request, calendar)):
            raise PermissionDenied
        initial = {"name": calendar.name, "weekend": calendar.weekend} if object_id else None
        form = CalendarForm(request.POST or None, request.FILES or None, initial=initial)
        if request.method == "POST" and form.is_valid() and _saved(request, form, calendar):
            messages.success(request, _("The calendar is saved."))
            return redirect(reverse("admin:campaigns_calendar_change", args=[calendar.pk]))
        days = list(calendar.days.all()[:MOST_SHOWN]) if object_id else []
        context = {
            **self.admin_site.each_context(request),
            "title": calendar.name or _("New calendar"),
            "opts": self.opts,
            "form": form,
            "may_save": allowed,
            "days": [(one, day_in_words(one.day)) for one in days],
        }
        return render(request, "campaigns/calendar.html", context)


def _saved(request: HttpRequest, form: CalendarForm, calendar: Calendar) -> bool:
    said = form.cleaned_data
    if Calendar.objects.filter(name=said["name"]).exclude(pk=calendar.pk).exists():
        form.add_error("name", _("Another calendar has this name: choose another one."))
        return False
    calendar.name, calendar.weekend = said["name"], said["weekend"]
    text = "\n".join(part for part in (said["days"], said["file"]) if part.strip())
    try:
        removed = [date.fromisoformat(day) for day in request.POST.getlist("removed")]
        save_calendar(actor=request.user, calendar=calendar, days=read_days(text) if text else [], removed=removed)
    except CampaignError as refused:
        form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        return False
    except ValueError:
        form.add_error(None, _("A day to take out cannot be read: load the page anew."))
        return False
    return True
