"""The events call: a business system says what people did with its messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns import serializers as bodies
from apps.campaigns.reporting import Report, take_reports

MOST_EVENTS = 500
CLOCKS_APART = timedelta(minutes=5)
LARGEST_ID = (1 << 63) - 1


class EventSerializer(serializers.Serializer):
    """What somebody did with a message, named by its id, or by campaign and user id."""

    state = serializers.ChoiceField(["read", "clicked"], help_text="What happened.")
    message = serializers.RegexField(r"^[0-9]{1,19}$", required=False, help_text="The id of the message.")
    campaign = serializers.RegexField(r"^[0-9]{1,19}$", required=False, help_text="The id of the campaign.")
    user_id = serializers.CharField(max_length=64, required=False, help_text="Together with `campaign`: whose message.")
    account = serializers.CharField(
        max_length=60, required=False, help_text="The account that it went over; else the last that was tried."
    )
    at = serializers.DateTimeField(required=False, help_text="When it happened; now, if left out.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        by_person = "campaign" in given or "user_id" in given
        if ("message" in given) == by_person or by_person and not {"campaign", "user_id"} <= given.keys():
            raise serializers.ValidationError({"message": _("Give either a message, or a campaign with a user_id.")})
        for name in ("message", "campaign"):
            if int(given.get(name, 0)) > LARGEST_ID:
                raise serializers.ValidationError({name: _("This is no id of ours.")})
        if "at" in given and given["at"] > timezone.now() + CLOCKS_APART:
            raise serializers.ValidationError({"at": _("This lies in the future: give the time at which it happened.")})
        return given


class EventsSerializer(serializers.Serializer):
    events = serializers.ListField(
        child=EventSerializer(), min_length=1, max_length=MOST_EVENTS, help_text=f"1 to {MOST_EVENTS} events."
    )


class EventsTakenSerializer(serializers.Serializer):
    taken = serializers.IntegerField(help_text="Events that belong to messages of this business line.")
    unknown = serializers.ListField(
        child=serializers.IntegerField(), help_text="Places, from 0, of events about nothing that was sent for it."
    )


class EventsView(APIView):
    """Reads and clicks that only the business line's own pages and apps see."""

    @extend_schema(
        operation_id="events",
        summary="Report what was read or clicked",
        description="Merged like a provider's receipt: a step that waits until something is read or clicked is over, and "
        "what would have followed is called off. The same event with the same `at` counts once, whatever the order; a "
        "read after a click changes nothing. A policy that waits for such reports says `own_reports: true`.",
        request=EventsSerializer,
        responses={
            200: EventsTakenSerializer,
            400: OpenApiResponse(bodies.RefusalSerializer, "An event is not as it should be; none was taken."),
            401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
        },
        examples=[
            OpenApiExample(
                "a link was opened",
                {"events": [{"state": "clicked", "message": "251658240000000001", "at": "2026-11-29T10:00:00+08:00"}]},
                request_only=True,
            ),
            OpenApiExample("both known", {"taken": 1, "unknown": []}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        asked = EventsSerializer(data=request.data)
        if not asked.is_valid():
            errors = [{"field": place, "message": words} for place, words in _problems("", asked.errors)]
            words = _("Nothing was taken: mend what `errors` names and send it again.")
            return Response({"detail": words, "errors": errors}, status=400)
        reports = [_report(event) for event in asked.validated_data["events"]]
        unknown = take_reports(business_line_id=request.user.business_line.pk, reports=reports)
        return Response({"taken": len(reports) - len(unknown), "unknown": unknown})


def _report(event: dict[str, Any]) -> Report:
    return Report(
        state=event["state"],
        at=event.get("at"),
        message_id=int(event.get("message", 0)),
        campaign_id=int(event.get("campaign", 0)),
        user_id=event.get("user_id", ""),
        account=event.get("account", ""),
    )


def _problems(place: str, errors: Any) -> list[tuple[str, str]]:
    """`events[3].at` and the sentence, of errors as the framework nests them."""
    if isinstance(errors, list):
        return [(place or "body", str(errors[0]))]
    return [
        found
        for name, held in errors.items()
        for found in _problems(f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}".strip("."), held)
    ]
