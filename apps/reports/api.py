"""Reports over the API of business lines: a campaign's forecast beside what came of it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns.models import Campaign
from apps.campaigns.serializers import RefusalSerializer
from apps.reports.figures import campaign_figures
from apps.reports.versus import forecast_of, stored


class VersusRowSerializer(serializers.Serializer):
    key = serializers.CharField(help_text="`targets`, `blocked.blacklisted`, `tried.sms-main`, `route.sms_aliyun`, …")
    forecast = serializers.JSONField(help_text="A number, or decimal text for money; null where none was made.")
    actual = serializers.JSONField()
    difference = serializers.JSONField(help_text="Actual less forecast.")
    why = serializers.CharField(allow_blank=True, help_text="Why it must differ, empty where it does not.")
    low = serializers.JSONField(
        help_text="The least, where the forecast gave a range because rates were assumed; else null."
    )
    high = serializers.JSONField(help_text="The most, likewise.")


class VersusSerializer(serializers.Serializer):
    """The forecast of a campaign, and what came of it."""

    campaign_id = serializers.CharField()
    forecast = serializers.DictField(allow_null=True)
    actual_as_of = serializers.DateTimeField(allow_null=True)
    same_people = serializers.BooleanField(
        allow_null=True, help_text="Whether exactly the frozen people became targets."
    )
    rows = VersusRowSerializer(many=True)


class ForecastView(APIView):
    """One campaign of the caller's own business line."""

    @extend_schema(
        operation_id="campaign_forecast",
        summary="Forecast against actual",
        parameters=[OpenApiParameter("campaign_id", str, OpenApiParameter.PATH)],
        responses={
            200: VersusSerializer,
            401: OpenApiResponse(RefusalSerializer, "No live API key."),
            404: OpenApiResponse(RefusalSerializer, "Unknown, or another line's."),
        },
    )
    def get(self, request: Request, campaign_id: str) -> Response:
        line = request.user.business_line
        campaign = Campaign.objects.filter(pk=int(campaign_id), business_line=line).first()
        if campaign is None:
            return Response({"detail": _("There is no campaign with this id.")}, status=404)
        actual: dict[str, Any] = {}
        if campaign.started_at is not None:
            actual = stored(campaign, campaign_figures(campaign.pk)) or {}
        return Response(
            {
                "campaign_id": str(campaign.pk),
                "forecast": forecast_of(campaign),
                "actual_as_of": actual.get("as_of"),
                "same_people": actual.get("same_people"),
                "rows": actual.get("rows", []),
            }
        )
