"""Addresses of people under /api/v1/."""

from django.urls import path

from apps.users import api, lists_api

urlpatterns = [
    path("blacklist", lists_api.BlacklistView.as_view(), name="api-blacklist"),
    path("blacklist/<int:entry_id>", lists_api.BlacklistEntryView.as_view(), name="api-blacklist-entry"),
    path("consents", api.ConsentsView.as_view(), name="api-consents"),
    path("consents/lookup", api.LookupView.as_view(), name="api-consents-lookup"),
]
