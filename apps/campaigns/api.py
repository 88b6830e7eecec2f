"""The REST API of business lines: send one, send many, ask what became of one, take one back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns import serializers as bodies
from apps.campaigns.api_bodies import Asked, BadBody, read_batch, read_single
from apps.campaigns.api_order import asked_ahead, take_order
from apps.campaigns.api_status import message_status
from apps.campaigns.errors import CampaignError
from apps.campaigns.recalling import LONGEST_REASON, recall_message
from apps.partners import schema  # noqa: F401  (tells the description what our authentication is)
from apps.partners.counting import QuotaReached
from apps.partners.idempotency import (
    HEADER,
    LONGEST_KEY,
    RETRY_AFTER_SECONDS,
    OtherBody,
    StillRunning,
    body_hash,
    once,
)
from apps.partners.quota_words import refusal

_KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}").fullmatch


class SingleView(APIView):
    """One message."""

    key_is_rechecked = True

    @extend_schema(
        operation_id="send_message",
        summary="Send one message",
        description="The answer 202 means that the message is durable and will end in exactly one final state. "
        "A retry with the same Idempotency-Key never sends twice. Where a rule says that somebody must approve it, "
        "`campaign_state` is `AWAITING_APPROVAL`: it is kept, and sent once that was done.",
        parameters=[bodies.KEY_PARAMETER, bodies.REPLAYED],
        request=bodies.SingleSerializer,
        responses={202: bodies.TakenSingleSerializer, **bodies.REFUSALS},
        examples=[
            OpenApiExample("to an address, by a named policy", bodies.SINGLE, request_only=True),
            OpenApiExample("to a person, with steps of its own", bodies.SINGLE_STEPS, request_only=True),
            OpenApiExample("accepted", bodies.ACCEPTED, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request) -> HttpResponseBase:
        return _take(request, read_single, single=True)


class BatchView(APIView):
    """Up to 5000 messages in one call: all are accepted, or none."""

    key_is_rechecked = True

    @extend_schema(
        operation_id="send_messages",
        summary="Send up to 5000 messages",
        description="All are accepted, or none where the body is wrong. Targets that cannot be reached are accepted as "
        "`INVALID`, each with its reason.",
        parameters=[bodies.KEY_PARAMETER, bodies.REPLAYED],
        request=bodies.BatchSerializer,
        responses={202: bodies.TakenBatchSerializer, **bodies.REFUSALS},
        examples=[
            OpenApiExample("two messages", bodies.BATCH, request_only=True),
            OpenApiExample("accepted", bodies.ACCEPTED_BATCH, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request) -> HttpResponseBase:
        return _take(request, read_batch, single=False)


class StatusView(APIView):
    """One message of the caller's own business line: what became of it, and taking it back."""

    @extend_schema(
        operation_id="message_status",
        summary="State, deliveries and receipts of one message",
        parameters=[
            OpenApiParameter("message_id", str, OpenApiParameter.PATH, description="The `id` that was answered.")
        ],
        responses={
            200: bodies.StatusSerializer,
            401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
            404: OpenApiResponse(bodies.RefusalSerializer, "Unknown, or another line's."),
        },
        examples=[OpenApiExample("delivered", bodies.STATUS, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, message_id: str) -> Response:
        found = _status(request, message_id)
        return _nobody() if found is None else Response(found)

    @extend_schema(
        operation_id="recall_message",
        summary="Call off or take back one message",
        description="What was not sent yet is never sent; what a provider accepted is taken back where its channel can "
        "(`recall` of each delivery says so, and why not). The answer 202 means that the order is durable; it is carried "
        "out in the background. Again, it changes nothing more.",
        parameters=[
            OpenApiParameter("message_id", str, OpenApiParameter.PATH, description="The `id` that was answered."),
            OpenApiParameter(
                "reason",
                str,
                OpenApiParameter.QUERY,
                description=f"Why, for the audit log and the message's story; at most {LONGEST_REASON} characters.",
            ),
        ],
        request=None,
        responses={
            202: bodies.CalledOffSerializer,
            400: OpenApiResponse(bodies.RefusalSerializer, "The reason is too long."),
            401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
            404: OpenApiResponse(bodies.RefusalSerializer, "Unknown, or another line's."),
        },
        examples=[OpenApiExample("being taken back", bodies.CALLED_OFF, response_only=True, status_codes=["202"])],
    )
    def delete(self, request: Request, message_id: str) -> Response:
        if _status(request, message_id) is None:
            return _nobody()
        reason = request.query_params.get("reason", "").replace("\0", "").strip() or _("asked for over the API")
        try:
            called_off = recall_message(actor=request.user, message_id=int(message_id), reason=reason)
        except CampaignError as refused:
            return _bad(BadBody({refused.field or "reason": refused.message}))
        found = _status(request, message_id) or {}
        deliveries = found["deliveries"]
        waiting = sum(1 for one in deliveries if one["recall"] and one["recall"]["state"] in ("WAITING", "ASKED"))
        told = {"id": found["id"], "called_off": called_off, "recalling": waiting, "deliveries": deliveries}
        return Response(told, status=202)


def _status(request: Request, message_id: str) -> dict[str, Any] | None:
    """The message as its own business line sees it."""
    number = int(message_id) if len(message_id) <= 19 else 1 << 63
    return message_status(number, request.user.business_line.pk) if number < 1 << 63 else None


def _nobody() -> Response:
    return Response({"detail": _("There is no message with this id.")}, status=404)


def _take(request: Request, read: Callable[[object], Asked], *, single: bool) -> HttpResponseBase:
    """Reads, accepts once for the key, answers. What is refused is not stored under the key."""
    key = request.headers.get(HEADER, "")
    line = request.user.business_line
    try:
        if not _KEY(key):
            words = _("Send this header with 1 to %(most)s visible ASCII characters, the same on every retry.")
            raise BadBody({HEADER: words % {"most": LONGEST_KEY}})
        hashed = _hash(request)
        asked = read(request.data)
        given = once(
            line,
            key,
            hashed,
            lambda row: take_order(line, asked, row, single=single, actor=request.user),
            asked_ahead(line, asked),
            request.auth,
        )
    except BadBody as bad:
        return _bad(bad)
    except OtherBody:
        words = _("This Idempotency-Key was used for another body: take a new key for a new call.")
        return Response({"detail": words}, status=422)
    except QuotaReached as reached:
        told, when = refusal(reached.allowance)
        return Response(told, status=429, headers=when)
    except StillRunning:
        words = _("The first call with this Idempotency-Key is still running: ask again.")
        return Response({"detail": words}, status=409, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    headers = {"Idempotent-Replayed": "true"} if given.replayed else {}
    return HttpResponse(given.body, status=given.status, content_type="application/json", headers=headers)


def _hash(request: Request) -> str:
    try:
        return body_hash(request.path, request.data)
    except UnicodeEncodeError:
        raise BadBody({"body": _("A text holds half a character (a lone surrogate): send whole ones.")}) from None


def _bad(bad: BadBody) -> Response:
    errors = [{"field": field, "message": words} for field, words in bad.problems.items()]
    words = _("Nothing was accepted: mend what `errors` names and send it again.")
    return Response({"detail": words, "errors": errors}, status=400)
