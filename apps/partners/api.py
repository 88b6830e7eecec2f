"""What a business line may ask about itself: what is left of its budgets and quotas."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.partners import schema  # noqa: F401  (tells the description what our authentication is)
from apps.partners.allowances import remaining
from apps.partners.quota_words import described


class QuotaSerializer(serializers.Serializer):
    """One budget or quota in its period; amounts are decimal numbers as text."""

    name = serializers.CharField()
    unit = serializers.ChoiceField(["messages", "pieces", "money"])
    currency = serializers.CharField(allow_null=True, help_text="Of money; null otherwise.")
    message_class = serializers.CharField(allow_null=True, help_text="Named `class`; null: every class counts.")
    channel_kind = serializers.CharField(allow_null=True, help_text="Null: every kind of channel counts.")
    period = serializers.ChoiceField(["day", "month", "total"])
    time_zone = serializers.CharField(help_text="Where a day or a month begins at midnight.")
    limit = serializers.CharField()
    used = serializers.CharField()
    remaining = serializers.CharField()
    resets_at = serializers.DateTimeField(allow_null=True, help_text="Null: it is not renewed by itself.")

    def get_fields(self) -> dict[str, serializers.Field]:
        return {"class" if name == "message_class" else name: one for name, one in super().get_fields().items()}


class QuotasSerializer(serializers.Serializer):
    quotas = QuotaSerializer(many=True)


class RefusedSerializer(serializers.Serializer):
    detail = serializers.CharField()


EXAMPLE = {
    "quotas": [
        {
            "name": "Notices a day",
            "unit": "messages",
            "currency": None,
            "class": "transactional",
            "channel_kind": None,
            "period": "day",
            "time_zone": "Asia/Shanghai",
            "limit": "100000",
            "used": "81250",
            "remaining": "18750",
            "resets_at": "2026-11-29T16:00:00+00:00",
        }
    ]
}


class QuotaView(APIView):
    """The caller's own business line."""

    @extend_schema(
        operation_id="quotas",
        summary="Budgets and quotas of the business line, with what is left",
        description="A call that finds no room for its messages is refused as 429 with the same object in `quota`.",
        responses={
            200: QuotasSerializer,
            401: OpenApiResponse(RefusedSerializer, "No live API key."),
        },
        examples=[OpenApiExample("a quota of messages", EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        return Response({"quotas": [described(left) for left in remaining(request.user.business_line)]})
