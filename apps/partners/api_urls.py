"""Addresses of a business line itself under /api/v1/."""

from django.urls import path

from apps.partners import api

urlpatterns = [path("quota", api.QuotaView.as_view(), name="api-quota")]
