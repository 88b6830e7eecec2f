"""What the pages of one account have in common: who may, where it stands, how it is drawn."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from apps.channels.models import ChannelAccount

VIEW = "ums_channels.view_channelaccount"
CHANGE = "ums_channels.change_channelaccount"
TEST = "ums_channels.test_send"
TEST_RAW = "ums_channels.test_send_raw"


def asked(request: HttpRequest, account_id: int, *permissions: str) -> ChannelAccount:
    """The account, for somebody with all of these permissions. Raises Http404 and PermissionDenied."""
    if not request.user.has_perms(permissions):
        raise PermissionDenied
    return get_object_or_404(ChannelAccount.objects.select_related("business_line"), pk=account_id)


def page_of(account: ChannelAccount) -> str:
    """The URL of an account's page."""
    return reverse("admin:ums_channels_channelaccount_change", args=[account.pk])


def drawn(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page of the console."""
    return render(request, template, {**admin.site.each_context(request), **context})
