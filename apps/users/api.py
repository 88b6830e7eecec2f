"""The REST API's door to consents: what people agreed to or took back, with the evidence."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.partners import schema  # noqa: F401  (tells the description what our authentication is)
from apps.users import api_bodies as bodies
from apps.users.consents import ConsentRefused, record_consent

EXAMPLE = {
    "consents": [
        {
            "who": {"user_id": "u-10001"},
            "state": "given",
            "message_class": "marketing",
            "evidence": "Ticked “Send me offers” on the registration page, version 12",
            "reference": "registration-7781",
        },
        {"who": {"address_kind": "phone", "address": "13800000000"}, "state": "withdrawn", "scope": "everywhere",
         "message_class": "marketing", "evidence": "Told our hotline to stop", "reference": "call-99120"},
    ]
}  # fmt: skip
RECORD = {
    "id": "17",
    "state": "given",
    "message_class": "marketing",
    "scope": "line",
    "source": "api",
    "evidence": "Ticked “Send me offers” on the registration page, version 12",
    "reference": "registration-7781",
    "at": "2026-11-29T16:15:00+08:00",
}
STANDING = {"states": {"otp": "unknown", "transactional": "unknown", "marketing": "given"}, "records": [RECORD]}


class ProblemsSerializer(serializers.Serializer):
    """What is wrong, by the place in the body."""

    detail = serializers.CharField()
    problems = serializers.DictField(child=serializers.CharField())


REFUSALS = {
    400: OpenApiResponse(ProblemsSerializer, "Something in the body is wrong; nothing was recorded."),
    401: OpenApiResponse(description="No live API key."),
}


class ConsentsView(APIView):
    """The ledger of consents, as far as it concerns the caller's business line."""

    @extend_schema(
        operation_id="record_consents",
        summary="Record consents that were given or taken back",
        description="Records are kept for good and never change. What is taken back blocks messages of that class at "
        "once, also of running campaigns; what is given again lifts that block, but no block that an operator entered. The "
        "same call repeated adds nothing. All are recorded, or none.",
        request=bodies.GivenConsentsSerializer,
        responses={201: bodies.RecordedSerializer, **REFUSALS},
        examples=[
            OpenApiExample("two consents", EXAMPLE, request_only=True),
            OpenApiExample("recorded", {"records": [RECORD]}, response_only=True, status_codes=["201"]),
        ],
    )
    @transaction.atomic
    def post(self, request: Request) -> Response:
        given = bodies.GivenConsentsSerializer(data=request.data)
        if not given.is_valid():
            return bad(given.errors)
        try:
            records = [_recorded(request, one) for one in given.validated_data["consents"]]
        except ConsentRefused as refused:
            transaction.set_rollback(True)
            return bad({refused.field: [str(refused)]})
        return Response({"records": [bodies.told(one) for one in records]}, status=201)

    @extend_schema(
        operation_id="consents_of_person",
        summary="What a person agreed to",
        description="By class: `given`, `withdrawn`, or `unknown` where nothing is on record; and the records that concern "
        "this line. For an address use `/consents/lookup`: addresses do not belong into URLs.",
        parameters=[OpenApiParameter("user_id", str, OpenApiParameter.QUERY, required=True)],
        responses={200: bodies.StandingSerializer, **REFUSALS},
        examples=[OpenApiExample("on record", STANDING, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        return _standing(request, {"user_id": request.query_params.get("user_id", "")})


class LookupView(APIView):
    """As `GET /consents`, for a person or an address in the body."""

    @extend_schema(
        operation_id="consents_lookup",
        summary="What a person or the holder of an address agreed to",
        request=bodies.WhoSerializer,
        responses={200: bodies.StandingSerializer, **REFUSALS},
        examples=[
            OpenApiExample("an address", {"address_kind": "phone", "address": "13800000000"}, request_only=True),
            OpenApiExample("on record", STANDING, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request) -> Response:
        return _standing(request, request.data)


def _recorded(request: Request, one: dict[str, Any]) -> Any:
    line = request.user.business_line
    return record_consent(
        actor=request.user,
        **bodies.subject(one["who"]),
        state=one["state"],
        message_class=one["message_class"],
        business_line=None if one["scope"] == bodies.EVERYWHERE else line,
        source="api",
        evidence=one["evidence"],
        reference=one["reference"],
        unless_same=True,
    )


def _standing(request: Request, who: object) -> Response:
    given = bodies.WhoSerializer(data=who)
    if not given.is_valid():
        return bad(given.errors)
    return Response(bodies.standing(given.validated_data, request.user.business_line))


def bad(errors: Any) -> Response:
    """400 with a sentence for each place in the body."""
    problems = dict(_flat(errors, ""))
    return Response({"detail": "; ".join(problems.values()), "problems": problems}, status=400)


def _flat(errors: Any, place: str) -> Any:
    """`consents[1].who.user_id` -> sentence, from what the serializers say."""
    if isinstance(errors, dict):
        for name, held in errors.items():
            inner = f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}" if place else str(name)
            yield from _flat(held, place if name == "non_field_errors" else inner)
    elif isinstance(errors, list) and any(isinstance(one, dict) for one in errors):
        for number, held in enumerate(errors):
            yield from _flat(held, f"{place}[{number}]")
    else:
        for words in errors if isinstance(errors, list) else [errors]:
            yield place or "body", str(words)
