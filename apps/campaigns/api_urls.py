"""Addresses under /api/v1/."""

from django.urls import path, re_path

from apps.campaigns import api, presence_api

urlpatterns = [
    path("messages", api.SingleView.as_view(), name="api-message-send"),
    path("messages/batch", api.BatchView.as_view(), name="api-message-batch"),
    re_path(r"^messages/(?P<message_id>[0-9]{1,20})$", api.StatusView.as_view(), name="api-message"),
    path("presence", presence_api.PresenceView.as_view(), name="api-presence"),
]
