"""Addresses of reports under /api/v1/."""

from django.urls import re_path

from apps.reports import api

urlpatterns = [
    re_path(r"^campaigns/(?P<campaign_id>[0-9]{1,18})/forecast$", api.ForecastView.as_view(), name="api-forecast"),
]
