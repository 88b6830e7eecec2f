"""Addresses of people under /api/v1/."""

from django.urls import path

from apps.users import api

urlpatterns = [
    path("consents", api.ConsentsView.as_view(), name="api-consents"),
    path("consents/lookup", api.LookupView.as_view(), name="api-consents-lookup"),
]
