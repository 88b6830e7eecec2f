"""The REST API's door to schedules of the caller's own business line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns import serializers as bodies
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Calendar, Policy, Schedule, ScheduleRun
from apps.campaigns.models.times import SHANGHAI
from apps.campaigns.scheduling import LONGEST_EXPIRY, coming, save_schedule, set_schedule_state
from apps.campaigns.states import MessageClass
from apps.templates.models import MessageTemplate, TemplateVersion

NEXT, RUNS, MOST_LISTED = 5, 20, 500
NAMES = {"message_class": "class", "template_version": "version"}


class ScheduleBody(serializers.Serializer):
    """What a schedule is made of."""

    name = serializers.CharField(max_length=150)
    cron = serializers.CharField(max_length=100, help_text="Five fields, local wall time: `0 9 * * 1-5`.")
    zone = serializers.CharField(max_length=60, default=SHANGHAI, help_text="IANA name of the time zone.")
    template = serializers.CharField(max_length=50, help_text="Code of a published template.")
    version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="A fixed version; left out: the latest, each time."
    )
    policy = serializers.CharField(max_length=50, help_text="Code of a policy.")
    audience = serializers.DictField(default=dict, help_text="Tags, attributes and user ids; empty: everybody.")
    calendar = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="Name of a calendar.")
    on_day_off = serializers.ChoiceField(choices=Schedule.OnDayOff.values, default="send")
    catch_up = serializers.ChoiceField(choices=Schedule.CatchUp.values, default="latest")
    misfire_grace_seconds = serializers.IntegerField(min_value=0, max_value=7 * 86400, default=3600)
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    pace_per_second = serializers.DecimalField(
        max_digits=13, decimal_places=6, required=False, allow_null=True, help_text="0.5 is thirty a minute."
    )
    cost_ceiling = serializers.DecimalField(
        max_digits=14, decimal_places=5, min_value=0, required=False, allow_null=True,
        help_text="What each campaign may cost, in its accounts' currency; before it costs more it pauses itself.",
    )  # fmt: skip
    expires_after_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=int(LONGEST_EXPIRY.total_seconds())
    )

    def get_fields(self) -> dict[str, Any]:
        """`class` is no name that Python gives."""
        return {**super().get_fields(), "class": serializers.ChoiceField(choices=[one.value for one in MessageClass])}


class ScheduleAnswer(ScheduleBody):
    """A schedule as it stands."""

    id = serializers.CharField()
    state = serializers.CharField(help_text="ACTIVE, PAUSED or ENDED.")
    next = serializers.ListField(child=serializers.DateTimeField(), help_text="The next occurrences; in the list one.")
    runs = serializers.ListField(child=serializers.DictField(), help_text="The newest runs, of one schedule only.")


class StateBody(serializers.Serializer):
    state = serializers.CharField(help_text="ACTIVE, PAUSED or ENDED.")

    def validate_state(self, state: str) -> str:
        if state not in Schedule.State.values:
            raise serializers.ValidationError(_("Use one of: %(known)s.") % {"known": ", ".join(Schedule.State.values)})
        return state


REFUSED = {
    400: OpenApiResponse(bodies.RefusalSerializer, "`errors` names the fields at fault."),
    401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
    404: OpenApiResponse(bodies.RefusalSerializer, "Unknown, or another line's."),
}
EXAMPLE = OpenApiExample(
    "every working day at nine",
    {"name": "Morning notice", "cron": "0 9 * * *", "template": "balance", "class": "transactional", "policy": "sms-only",
     "audience": {"tags_any": ["vip"]}, "calendar": "中国大陆", "on_day_off": "skip"},
    request_only=True,
)  # fmt: skip


class SchedulesView(APIView):
    """The schedules of the caller's line."""

    @extend_schema(
        operation_id="list_schedules", summary="Schedules of the line", responses={200: ScheduleAnswer(many=True)}
    )
    def get(self, request: Request) -> Response:
        found = _of_line(request).order_by("-id")[:MOST_LISTED]
        return Response([_told(one, {"next": [one.next_at] if one.next_at else []}) for one in found])

    @extend_schema(
        operation_id="add_schedule", summary="Make a schedule", request=ScheduleBody, examples=[EXAMPLE],
        description="Each occurrence makes a campaign of its own. Where a rule asks for approval, each waits for it.",
        responses={201: ScheduleAnswer, **REFUSED},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        return _save(request, Schedule(business_line=request.user.business_line), 201)


class ScheduleView(APIView):
    """One schedule of the caller's line."""

    @extend_schema(operation_id="schedule", summary="One schedule", responses={200: ScheduleAnswer, **REFUSED})
    def get(self, request: Request, schedule_id: str) -> Response:
        held = _one(request, schedule_id)
        return _nobody() if held is None else Response(_told(held, _coming(held) | _runs(held)))

    @extend_schema(
        operation_id="change_schedule", summary="Change a schedule", request=ScheduleBody,
        description="The whole schedule is given anew; what is left out has its default.",
        responses={200: ScheduleAnswer, **REFUSED},
    )  # fmt: skip
    def put(self, request: Request, schedule_id: str) -> Response:
        held = _one(request, schedule_id)
        return _nobody() if held is None else _save(request, held, 200)

    @extend_schema(
        operation_id="set_schedule_state", summary="Pause, resume or end a schedule", request=StateBody,
        description="What fell into a pause is not made up for; what has ended cannot go on.",
        responses={200: ScheduleAnswer, **REFUSED},
    )  # fmt: skip
    def patch(self, request: Request, schedule_id: str) -> Response:
        held = _one(request, schedule_id)
        if held is None:
            return _nobody()
        asked = StateBody(data=request.data)
        if not asked.is_valid():
            return _bad(_errors(asked.errors))
        return _state(request, held, asked.validated_data["state"])

    @extend_schema(
        operation_id="end_schedule", summary="End a schedule for good", request=None,
        responses={200: ScheduleAnswer, **REFUSED},
    )  # fmt: skip
    def delete(self, request: Request, schedule_id: str) -> Response:
        held = _one(request, schedule_id)
        return _nobody() if held is None else _state(request, held, Schedule.State.ENDED)


def _of_line(request: Request) -> Any:
    related = ("template", "template_version", "policy", "calendar", "business_line")
    return Schedule.objects.filter(business_line=request.user.business_line).select_related(*related)


def _one(request: Request, schedule_id: str) -> Schedule | None:
    found: Schedule | None = _of_line(request).filter(pk=int(schedule_id)).first()
    return found


def _nobody() -> Response:
    return Response({"detail": _("There is no schedule with this id.")}, status=404)


def _save(request: Request, schedule: Schedule, status: int) -> Response:
    asked = ScheduleBody(data=request.data)
    if not asked.is_valid():
        return _bad(_errors(asked.errors))
    problems = _fill(schedule, asked.validated_data)
    if problems:
        return _bad(problems)
    try:
        saved = save_schedule(actor=request.user, schedule=schedule)
    except CampaignError as refused:
        return _bad({NAMES.get(refused.field, refused.field) or "body": refused.message})
    return Response(_told(saved, _coming(saved)), status=status)


def _fill(schedule: Schedule, said: dict[str, Any]) -> dict[str, str]:
    """Writes what was said into the row; what it names and there is not: field -> sentence."""
    found: dict[str, str] = {}
    for name in ("name", "cron", "zone", "on_day_off", "catch_up"):
        setattr(schedule, name, said[name])
    for name in ("starts_at", "ends_at", "pace_per_second", "cost_ceiling"):
        setattr(schedule, name, said.get(name))
    schedule.message_class, schedule.audience = said["class"], said["audience"]
    schedule.misfire_grace = timedelta(seconds=said["misfire_grace_seconds"])
    seconds = said.get("expires_after_seconds")
    schedule.expires_after = timedelta(seconds=seconds) if seconds else None
    if said["audience"].get("kind", "filter") != "filter":
        found["audience"] = _("Name people by tags, attributes or user ids: imported lists are sent to in the console.")
    template = MessageTemplate.objects.filter(code=said["template"]).first()
    policy = Policy.objects.filter(code=said["policy"]).first()
    schedule.calendar = Calendar.objects.filter(name=said.get("calendar", "")).first() if said.get("calendar") else None
    if template is None:
        return {"template": _("There is no template with this code: make it, or mend the code.")}
    if policy is None:
        found["policy"] = _("There is no policy with this code: make it, or mend the code.")
    if said.get("calendar") and schedule.calendar is None:
        found["calendar"] = _("There is no calendar with this name: make it in the console, or mend the name.")
    schedule.template_version, number = None, said.get("version")
    if number is not None:
        schedule.template_version = TemplateVersion.objects.filter(template=template, number=number).first()
        if schedule.template_version is None:
            found["version"] = _("The template has no published version with this number.")
    schedule.template = template
    if policy is not None:
        schedule.policy = policy
    return found


def _state(request: Request, held: Schedule, state: str) -> Response:
    try:
        held = set_schedule_state(actor=request.user, schedule=held, state=state)
        return Response(_told(held, _coming(held) | _runs(held)))
    except CampaignError as refused:
        return _bad({NAMES.get(refused.field, refused.field) or "state": refused.message})


def _told(held: Schedule, more: dict[str, Any]) -> dict[str, Any]:
    version = held.template_version
    return more | {
        "id": str(held.pk), "name": held.name, "state": held.state, "cron": held.cron, "zone": held.zone,
        "class": held.message_class, "template": held.template.code, "version": version.number if version else None,
        "policy": held.policy.code, "audience": held.audience,
        "calendar": held.calendar.name if held.calendar else "", "on_day_off": held.on_day_off,
        "catch_up": held.catch_up, "misfire_grace_seconds": int(held.misfire_grace.total_seconds()),
        "starts_at": held.starts_at, "ends_at": held.ends_at, "pace_per_second": held.pace_per_second,
        "cost_ceiling": held.cost_ceiling,
        "expires_after_seconds": int(held.expires_after.total_seconds()) if held.expires_after else None,
    }  # fmt: skip


def _coming(held: Schedule) -> dict[str, Any]:
    return {"next": [one.at for one in coming(held, NEXT)] if held.state == Schedule.State.ACTIVE else []}


def _runs(held: Schedule) -> dict[str, Any]:
    return {"runs": [_run(one) for one in held.runs.order_by("-nominal_at", "-id")[:RUNS]]}


def _run(run: ScheduleRun) -> dict[str, Any]:
    return {
        "occurrence": run.occurrence_local, "due_at": run.nominal_at, "state": run.state, "why": run.why,
        "campaign_id": str(run.campaign_id) if run.campaign_id else None,
        "late_seconds": run.lateness.total_seconds() if run.lateness is not None else None,
    }  # fmt: skip


def _errors(errors: Any) -> dict[str, str]:
    return {str(name): str(words[0] if isinstance(words, list) else words) for name, words in errors.items()}


def _bad(problems: dict[str, str]) -> Response:
    errors = [{"field": field, "message": words} for field, words in problems.items()]
    words = _("Nothing was accepted: mend what `errors` names and send it again.")
    return Response({"detail": words, "errors": errors}, status=400)
