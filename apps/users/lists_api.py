"""The REST API's door to the blacklist: a business line says whom it must not write to, over which channels, and lifts it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.partners import schema  # noqa: F401  (tells the description what our authentication is)
from apps.users import api_bodies as bodies
from apps.users.api import REFUSALS, bad
from apps.users.errors import PeopleError
from apps.users.lists import (
    CONSENT,
    add_blacklist,
    checked_channel,
    checked_region,
    classes_of,
    entries_of,
    lift_entries,
)
from apps.users.models import BlacklistEntry, Scope

MOST_SHOWN = 200
SOURCE = "api"
EXAMPLE = {
    "entries": [
        {"who": {"user_id": "u-10001"}, "channel": "sms", "message_classes": ["marketing"], "reason": "wants no SMS"},
        {"who": {"region": "Xinjiang"}, "channel": "email_smtp", "reason": "no mail there", "expires_at": "2099-01-01T00:00Z"},
    ]
}  # fmt: skip
ENTRY = {
    "id": "31", "message_classes": ["marketing"], "channel": "sms", "scope": "line", "reason": "wants no SMS",
    "source": "api", "expires_at": None, "since": "2026-11-29T16:15:00+08:00",
}  # fmt: skip


class ListedSerializer(bodies.WhoSerializer):
    """A person by `user_id`, an address, or everybody of a region."""

    region = serializers.CharField(required=False, max_length=60, help_text="As the people's attribute says it.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "region" not in given:
            return super().validate(given)
        if len(given) > 1:
            raise serializers.ValidationError(_("Give a user id, an address or a region: one of them."))
        try:
            return {"region": checked_region(given["region"])}
        except PeopleError as refused:
            raise serializers.ValidationError({"region": str(refused)}) from None


class NewEntrySerializer(serializers.Serializer):
    """Whom the line must not write to."""

    who = ListedSerializer()
    message_classes = serializers.ListField(
        child=serializers.CharField(max_length=20), required=False, default=list,
        help_text="`otp`, `transactional`, `marketing`; none: all of them.",
    )  # fmt: skip
    channel = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=40,
        help_text="One kind (`sms_aliyun`) or a family (`sms`): the other ways stay open. Left out: every channel.",
    )  # fmt: skip
    reason = serializers.CharField(max_length=200)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)

    def validate_message_classes(self, words: list[str]) -> list[str]:
        try:
            return classes_of(words)
        except PeopleError as refused:
            raise serializers.ValidationError(str(refused)) from None

    def validate_channel(self, word: str) -> str:
        try:
            return checked_channel(word)
        except PeopleError as refused:
            raise serializers.ValidationError(str(refused)) from None

    def validate_expires_at(self, until: Any) -> Any:
        if until is not None and until <= timezone.now():
            raise serializers.ValidationError(_("Choose a later time, or none."))
        return until


class NewEntriesSerializer(serializers.Serializer):
    """Up to 500 entries; all are added, or none."""

    entries = NewEntrySerializer(many=True, min_length=1, max_length=bodies.MOST_AT_ONCE)


class EntrySerializer(serializers.Serializer):
    """An entry of the blacklist that concerns the caller's line."""

    id = serializers.CharField()
    message_classes = serializers.ListField(child=serializers.CharField(), help_text="Empty: every class.")
    channel = serializers.CharField(help_text="Empty: every channel.")
    scope = serializers.ChoiceField(choices=[(bodies.LINE, bodies.LINE), (bodies.EVERYWHERE, bodies.EVERYWHERE)])
    reason = serializers.CharField()
    source = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    since = serializers.DateTimeField()


class EntriesSerializer(serializers.Serializer):
    entries = EntrySerializer(many=True)


ANSWER = OpenApiExample("on the list", {"entries": [ENTRY]}, response_only=True, status_codes=["200", "201"])


class BlacklistView(APIView):
    """Entries for the caller's business line."""

    @extend_schema(
        operation_id="add_blacklist_entries",
        summary="Say whom this business line must not write to",
        description="Counts from the next messages of running campaigns on. The same entry again renews reason and expiry; "
        "one that an operator entered stays as it is. All are added, or none.",
        request=NewEntriesSerializer,
        responses={201: EntriesSerializer, **REFUSALS},
        examples=[OpenApiExample("two entries", EXAMPLE, request_only=True), ANSWER],
    )
    @transaction.atomic
    def post(self, request: Request) -> Response:
        given = NewEntriesSerializer(data=request.data)
        if not given.is_valid():
            return bad(given.errors)
        return Response(
            {"entries": [_told(_added(request, one)) for one in given.validated_data["entries"]]}, status=201
        )

    @extend_schema(
        operation_id="blacklist_entries_of_person",
        summary="What keeps this line from writing to a person",
        description="Entries of the person, of an address of theirs and of their region, for this line and for everybody.",
        parameters=[OpenApiParameter("user_id", str, OpenApiParameter.QUERY, required=True)],
        responses={200: EntriesSerializer, **REFUSALS},
        examples=[ANSWER],
    )
    def get(self, request: Request) -> Response:
        asked = bodies.WhoSerializer(data={"user_id": request.query_params.get("user_id", "")})
        if not asked.is_valid():
            return bad(asked.errors)
        mine = _concerning(request, entries_of(asked.validated_data["recipient"]))
        return Response({"entries": [_told(one) for one in mine.order_by("-id")[:MOST_SHOWN]]})


class BlacklistEntryView(APIView):
    """One entry that was added over the API."""

    @extend_schema(
        operation_id="lift_blacklist_entry",
        summary="Lift an entry that this line added over the API",
        parameters=[OpenApiParameter("reason", str, OpenApiParameter.QUERY, required=True)],
        responses={204: None, 404: OpenApiResponse(description="The line added no such entry."), **REFUSALS},
    )
    @transaction.atomic
    def delete(self, request: Request, entry_id: int) -> Response:
        mine = _concerning(request, BlacklistEntry.objects.filter(pk=entry_id, source=SOURCE))
        entry = mine.filter(scope=Scope.BUSINESS_LINE).exclude(origin=CONSENT).first()
        if entry is None:
            return Response(status=404)
        try:
            lift_entries(actor=request.user, entries=[entry], reason=request.query_params.get("reason", ""))
        except PeopleError as refused:
            return bad({"reason": [str(refused)]})
        return Response(status=204)


def _added(request: Request, one: dict[str, Any]) -> BlacklistEntry:
    who = one["who"]
    return add_blacklist(
        actor=request.user,
        **({"region": who["region"]} if "region" in who else bodies.subject(who)),
        classes=one["message_classes"],
        channel=one["channel"],
        scope=Scope.BUSINESS_LINE,
        scope_id=request.user.business_line.pk,
        reason=one["reason"],
        source=SOURCE,
        expires_at=one["expires_at"],
        keep_others=True,
    )


def _concerning(request: Request, entries: QuerySet[BlacklistEntry]) -> QuerySet[BlacklistEntry]:
    """Blocks for everybody, and those of the caller's line; what other lines hold is theirs."""
    line = Q(scope=Scope.BUSINESS_LINE, scope_id=request.user.business_line.pk)
    return entries.filter(Q(scope=Scope.EVERYWHERE) | line, effect=BlacklistEntry.Effect.BLOCK)


def _told(entry: BlacklistEntry) -> dict[str, Any]:
    return {
        "id": str(entry.pk),
        "message_classes": entry.classes,
        "channel": entry.channel,
        "scope": bodies.EVERYWHERE if entry.scope == Scope.EVERYWHERE else bodies.LINE,
        "reason": entry.reason,
        "source": entry.source,
        "expires_at": entry.expires_at,
        "since": entry.created_at,
    }
