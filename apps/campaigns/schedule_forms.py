"""The forms of schedules, calendars and quiet hours. What is right is decided by the services; forms ask and pass on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import TAG_PARTS, VersionChoice, audience_of
from apps.campaigns.models import Calendar, Policy, QuietHours, Schedule
from apps.campaigns.models.times import SHANGHAI, WEEKDAYS
from apps.campaigns.quieting import check_quiet_hours
from apps.campaigns.services import per_minute
from apps.campaigns.words import CLASSES, pace_as_set
from apps.partners.models import BusinessLine
from apps.templates.models import MessageTemplate, TemplateVersion
from apps.users.models import Tag

MOST_TAGS = 300
MOMENT = {"widget": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
          "input_formats": ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]}  # fmt: skip
PACE_PER = [("second", _("second")), ("minute", _("minute"))]
FIELDS = ("name", "business_line", "cron", "zone", "calendar", "on_day_off", "catch_up", "starts_at", "ends_at",
          "message_class", "template", "template_version", "policy", "cost_ceiling")  # fmt: skip


def per_second(amount: Decimal | None, per: str) -> Decimal | None:
    """A pace as the number per second, never more than what was said."""
    return per_minute(amount) if amount is not None and per == "minute" else amount


def zones() -> list[tuple[str, str]]:
    """The zones of this machine, the usual ones first."""
    usual = [SHANGHAI, "Asia/Urumqi", "Asia/Hong_Kong", "Etc/UTC"]
    rest = sorted(name for name in available_timezones() if "/" in name and name not in usual)
    return [(name, name) for name in (*usual, *rest)]


class ScheduleForm(forms.Form):
    """When, what, to whom, how."""

    name = forms.CharField(label=_("Name"), max_length=150)
    cron = forms.CharField(
        label=_("When, as a cron expression"), max_length=100, initial="0 9 * * *",
        help_text=_("minute hour day month weekday: “0 9 * * 1-5” is 09:00 Monday to Friday, “0 9 L * *” the last of the month."),
    )  # fmt: skip
    zone = forms.ChoiceField(label=_("Time zone"), initial=SHANGHAI)
    calendar = forms.ModelChoiceField(
        label=_("Calendar"), queryset=Calendar.objects.order_by("name"), required=False, empty_label=_("none")
    )
    on_day_off = forms.ChoiceField(label=_("On a day off"), choices=Schedule.OnDayOff.choices)
    catch_up = forms.ChoiceField(
        label=_("What is made up for after an outage"), choices=Schedule.CatchUp.choices, initial="latest"
    )
    misfire_minutes = forms.IntegerField(
        label=_("if not later than, minutes"), min_value=0, max_value=7 * 24 * 60, initial=60
    )
    starts_at = forms.DateTimeField(label=_("From"), required=False, help_text=_("Empty: at once."), **MOMENT)
    ends_at = forms.DateTimeField(label=_("Until"), required=False, help_text=_("Empty: for good."), **MOMENT)
    business_line = forms.ModelChoiceField(
        label=_("Business line"), queryset=BusinessLine.objects.filter(active=True).order_by("name"), empty_label=None
    )
    message_class = forms.ChoiceField(label=_("Class"), choices=list(CLASSES.items())[::-1])
    template = forms.ModelChoiceField(
        label=_("Message template"), queryset=MessageTemplate.objects.filter(versions__isnull=False).distinct(),
        empty_label=_("Choose …"),
    )  # fmt: skip
    template_version = VersionChoice(
        label=_("Version"), required=False, empty_label=_("the latest published one, each time"),
        queryset=TemplateVersion.objects.select_related("template").order_by("template__name", "-number"),
    )  # fmt: skip
    policy = forms.ModelChoiceField(
        label=_("Policy"), queryset=Policy.objects.order_by("name"), empty_label=_("Choose …")
    )
    tags_any = forms.MultipleChoiceField(
        label=_("People with at least one of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    tags_all = forms.MultipleChoiceField(
        label=_("and with all of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    tags_none = forms.MultipleChoiceField(
        label=_("and with none of these tags"), required=False, widget=forms.CheckboxSelectMultiple
    )
    pace = forms.DecimalField(
        label=_("Pace, messages"), required=False, min_value=Decimal("0.01"), max_digits=9, decimal_places=2,
        help_text=_("Empty: as fast as the accounts allow."),
    )  # fmt: skip
    pace_per = forms.ChoiceField(label=_("per"), choices=PACE_PER, required=False)
    cost_ceiling = forms.DecimalField(
        label=_("Cost ceiling of each campaign"), required=False, min_value=0, max_digits=14, decimal_places=5,
        help_text=_("Before a campaign costs more it pauses itself. Empty: no ceiling."),
    )  # fmt: skip
    expires_minutes = forms.IntegerField(
        label=_("Each campaign expires after minutes"), required=False, min_value=1, max_value=30 * 24 * 60,
        help_text=_("Counted from its time. Empty: as the policy says."),
    )  # fmt: skip

    def __init__(self, data: Any = None, schedule: Schedule | None = None) -> None:
        super().__init__(data, initial=_initial(schedule) if schedule else None)
        self.schedule = schedule or Schedule()
        tags = [(name, name) for name in Tag.objects.order_by("name").values_list("name", flat=True)[:MOST_TAGS]]
        for part in TAG_PARTS:
            self.fields[part].choices = tags  # type: ignore[attr-defined]
        self.fields["zone"].choices = zones()  # type: ignore[attr-defined]
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxSelectMultiple):
                field.widget.attrs["class"] = "ums-input"

    def filled(self) -> Schedule:
        """The schedule with what was entered, not saved."""
        said = self.cleaned_data
        for name in FIELDS:
            setattr(self.schedule, name, said[name])
        self.schedule.misfire_grace = timedelta(minutes=said["misfire_minutes"])
        minutes = said["expires_minutes"]
        self.schedule.expires_after = timedelta(minutes=minutes) if minutes else None
        self.schedule.pace_per_second = per_second(said["pace"], said["pace_per"])
        kept = {key: value for key, value in (self.schedule.audience or {}).items() if key not in ("kind", *TAG_PARTS)}
        if (self.schedule.audience or {}).get("kind") != "list":  # made over the API, whose other conditions stay
            self.schedule.audience = {**audience_of({part: said[part] for part in TAG_PARTS}), **kept}
        return self.schedule


def _initial(held: Schedule) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(held, name) for name in FIELDS}
    found |= {part: held.audience.get(part, []) for part in TAG_PARTS}
    found["misfire_minutes"] = int(held.misfire_grace.total_seconds() // 60)
    found["expires_minutes"] = int(held.expires_after.total_seconds() // 60) if held.expires_after else None
    found["pace"], found["pace_per"] = pace_as_set(held.pace_per_second)
    found["cost_ceiling"] = None if held.cost_ceiling is None else f"{held.cost_ceiling.normalize():f}"
    for name in ("starts_at", "ends_at"):
        found[name] = timezone.localtime(found[name]) if found[name] else None
    return found


class CalendarForm(forms.Form):
    """Name, weekend, and days as text or as a file."""

    name = forms.CharField(label=_("Name"), max_length=100)
    weekend = forms.TypedMultipleChoiceField(
        label=_("Days off each week"), choices=WEEKDAYS, coerce=int, required=False, initial=[5, 6],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    days = forms.CharField(
        label=_("Add special days"), required=False,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": "2026-10-01,off,国庆节\n2026-10-10,work,调休上班"}),
        help_text=_("One a line: the day, “off” or “work”, its name. A day that is there already is replaced."),
    )  # fmt: skip
    file = forms.FileField(
        label=_("or from a file"), required=False, help_text=_("Such a list as CSV, or an iCalendar file (.ics).")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("name", "days", "file"):
            self.fields[name].widget.attrs["class"] = "ums-input"

    def clean_file(self) -> str:
        given = self.cleaned_data["file"]
        if given is None:
            return ""
        if given.size > 1_000_000:
            raise forms.ValidationError(_("The file is larger than 1 MB: a calendar is smaller."))
        raw = given.read()
        for encoding in ("utf-8-sig", "gb18030"):
            try:
                return str(raw.decode(encoding))
            except UnicodeDecodeError:
                continue
        raise forms.ValidationError(_("The file is no text in UTF-8 or GB18030."))


class QuietHoursForm(forms.ModelForm):
    """Asks; the service decides what is right."""

    classes = forms.MultipleChoiceField(
        label=_("Classes"), choices=list(CLASSES.items())[::-1], widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=["marketing"], required=False,
    )  # fmt: skip
    weekdays = forms.TypedMultipleChoiceField(
        label=_("Weekdays"), choices=WEEKDAYS, coerce=int, required=False, initial=list(range(7)),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip
    zone = forms.ChoiceField(label=_("Time zone"), initial=SHANGHAI, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = QuietHours
        fields = ["name", "active", "classes", "business_line", "region", "since", "until", "zone", "days", "weekdays",
                  "calendar", "action"]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "zone" in self.fields:
            self.fields["zone"].choices = zones()  # type: ignore[attr-defined]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            check_quiet_hours(self.instance)
        except CampaignError as refused:
            self.add_error(refused.field if refused.field in self.fields else None, refused.message)
