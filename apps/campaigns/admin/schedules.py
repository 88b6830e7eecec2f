"""Schedules in the console: their list, the form with a preview, the page with what comes and what was."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns import schedule_words as words
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Calendar, Schedule
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import policy_in_words
from apps.campaigns.recurrence import BadRule, OnDayOff
from apps.campaigns.schedule_forms import ScheduleForm
from apps.campaigns.scheduling import bad_rule_in_words, coming, save_schedule, set_schedule_state
from apps.campaigns.words import CAMPAIGN_STATES, CLASSES
from ums_site.clock import database_now
from ums_site.confirm import Question, confirmed

LABELS = {"ACTIVE": "success", "PAUSED": "warning", "ENDED": "default"}
FORM_FIELDS = {"class": "message_class", "audience": "tags_any", "pace_per_second": "pace",
               "misfire_grace": "misfire_minutes", "expires_after": "expires_minutes"}  # fmt: skip
SHOWN = 10
RUNS = 50
DEEDS = {"pause": "PAUSED", "resume": "ACTIVE", "end": "ENDED"}


@admin.register(Schedule)
class ScheduleAdmin(ModelAdmin):
    """Whoever makes a schedule sends with it: it needs the permission to send besides."""

    when_empty = (
        _("No schedule yet"),
        _(
            "A schedule makes a campaign by itself again and again, say each working day at 09:00, and asks for "
            "approval where a rule wants it."
        ),
    )

    list_display = ["name", "shown_state", "when", "shown_next", "shown_class", "business_line"]
    list_filter = ["state", "business_line"]
    list_select_related = ["business_line", "calendar"]
    search_fields = ["name"]
    ordering = ["state", "next_at", "-id"]
    list_per_page = 50
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and request.user.has_perm("campaigns.send_campaign")

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return super().has_change_permission(request, obj) and request.user.has_perm("campaigns.send_campaign")

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return False

    @display(description=_("state"), ordering="state", label=LABELS)
    def shown_state(self, schedule: Schedule) -> tuple[str, Any]:
        return schedule.state, schedule.get_state_display()

    @admin.display(description=_("when"))
    def when(self, schedule: Schedule) -> str:
        return words.when_in_words(schedule)

    @admin.display(description=_("next"), ordering="next_at")
    def shown_next(self, schedule: Schedule) -> str:
        return words.moment_in_words(schedule.next_at, schedule.zone)

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, schedule: Schedule) -> Any:
        return CLASSES.get(schedule.message_class, schedule.message_class)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview), name="schedule_preview"),
            path("<int:schedule_id>/edit/", wrap(self.edit), name="schedule_edit"),
            path("<int:schedule_id>/<str:deed>/sure/", wrap(self.deed), name="schedule_deed"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._form(request, ScheduleForm(request.POST or None), _("New schedule"))

    def edit(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """The form of one that stands."""
        schedule = self._seen(request, schedule_id)
        if not self.has_change_permission(request, schedule):
            raise PermissionDenied
        return self._form(request, ScheduleForm(request.POST or None, schedule), schedule.name)

    def _form(self, request: HttpRequest, form: ScheduleForm, title: Any) -> HttpResponse:
        if request.method == "POST" and form.is_valid():
            try:
                saved = save_schedule(actor=request.user, schedule=form.filled())
            except CampaignError as refused:
                field = FORM_FIELDS.get(refused.field, refused.field)
                form.add_error(field if field in form.fields else None, refused.message)
            else:
                messages.success(request, _("The schedule is saved."))
                return redirect(page_of(saved))
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "form": form}
        return render(request, "campaigns/schedule_form.html", context)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The next occurrences of a rule as it is being written, or what is wrong with it."""
        if not self.has_view_permission(request) and not self.has_add_permission(request):
            raise PermissionDenied
        asked = request.GET
        number = asked.get("calendar", "")
        days: OnDayOff = asked.get("on_day_off", "send")  # type: ignore[assignment]
        schedule = Schedule(
            cron=asked.get("cron", "")[:100], zone=asked.get("zone", ""), on_day_off=days, after_at=database_now(),
            calendar=Calendar.objects.filter(pk=number).first() if number.isdecimal() else None,
        )  # fmt: skip
        try:
            found = coming(schedule, SHOWN)
            rows = words.occurrence_rows(found, schedule.zone)
            context = {"rows": rows, "rule": words.when_in_words(schedule)}
            if not found:
                context = {"problem": bad_rule_in_words(BadRule("cron", "never"))}
        except CampaignError as refused:
            context = {"problem": refused.message}
        return render(request, "campaigns/occurrences.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """What it is, what comes, what was."""
        schedule = self._seen(request, int(object_id) if object_id.isdecimal() else 0)
        context = {**self.admin_site.each_context(request), "title": schedule.name, "opts": self.opts}
        context |= {
            "schedule": schedule,
            "rule": words.when_in_words(schedule),
            "deeds": self._deeds(request, schedule),
        }
        context |= {"class": CLASSES.get(schedule.message_class, schedule.message_class)}
        most = schedule.cost_ceiling
        context |= {"ceiling": "" if most is None else f"{most.normalize():f}"}
        context |= {"sentences": policy_in_words(schedule.policy.plan, account_names()), "runs": _runs(schedule)}
        if schedule.state == Schedule.State.ACTIVE:
            context["rows"] = words.occurrence_rows(coming(schedule, SHOWN), schedule.zone)
        return render(request, "campaigns/schedule.html", context)

    def _deeds(self, request: HttpRequest, schedule: Schedule) -> list[tuple[str, Any, bool]]:
        """(URL, label, dangerous) of what this person may do to it as it stands."""
        if not self.has_change_permission(request, schedule) or schedule.state == Schedule.State.ENDED:
            return []
        paused = schedule.state == Schedule.State.PAUSED
        offered = [("resume", _("Resume")) if paused else ("pause", _("Pause")), ("end", _("End for good"))]
        edit = (reverse("admin:schedule_edit", args=[schedule.pk]), _("Edit"), False)
        return [edit, *((_deed_url(schedule, name), label, name == "end") for name, label in offered)]

    def deed(self, request: HttpRequest, schedule_id: int, deed: str) -> HttpResponse:
        """Asks, then pauses, resumes or ends."""
        schedule = self._seen(request, schedule_id)
        if not self.has_change_permission(request, schedule) or deed not in DEEDS:
            raise PermissionDenied
        return confirmed(
            request,
            _question(schedule, deed),
            lambda: set_schedule_state(actor=request.user, schedule=schedule, state=DEEDS[deed]),
            (CampaignError,),
        )

    def _seen(self, request: HttpRequest, schedule_id: int) -> Schedule:
        related = Schedule.objects.select_related(
            "business_line", "template", "template_version__template", "policy", "calendar", "created_by"
        )
        schedule = get_object_or_404(related, pk=schedule_id)
        if not self.has_view_permission(request, schedule):
            raise PermissionDenied
        return schedule


def page_of(schedule: Schedule) -> str:
    """The URL of a schedule's page."""
    return reverse("admin:campaigns_schedule_change", args=[schedule.pk])


def _deed_url(schedule: Schedule, deed: str) -> str:
    return reverse("admin:schedule_deed", args=[schedule.pk, deed])


def _question(schedule: Schedule, deed: str) -> Question:
    name = {"name": schedule.name}
    words_of: dict[str, tuple[Any, Any, Any, Any, Any]] = {
        "pause": (_("Pause the schedule"), _("Pause “%(name)s”?"), _("Pause"), _("The schedule is paused."),
                  _("Nothing new is started; campaigns that it started go on.")),
        "resume": (_("Resume the schedule"), _("Resume “%(name)s”?"), _("Resume"), _("The schedule goes on."),
                   _("What fell into the pause is not made up for.")),
        "end": (_("End the schedule"), _("End “%(name)s” for good?"), _("End it for good"), _("The schedule has ended."),
                _("It cannot be started again. Campaigns that it started go on.")),
    }  # fmt: skip
    title, question, verb, done, consequence = words_of[deed]
    return Question(title, question % name, verb, done, page_of(schedule), [consequence], dangerous=deed == "end")


def _runs(schedule: Schedule) -> list[dict[str, Any]]:
    rows = schedule.runs.select_related("campaign").order_by("-nominal_at", "-id")[:RUNS]
    return [
        {
            "run": run,
            "when": run.occurrence_local.replace("T", " "),
            "why": words.run_why(run),
            "late": words.lateness_in_words(run),
            "campaign_state": CAMPAIGN_STATES.get(run.campaign.state, run.campaign.state) if run.campaign else "",
        }
        for run in rows
    ]
