"""The console's page of costs: a span of days, and the same money by account, class, day, line and campaign."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.reports.campaign_page import money
from apps.reports.costs import LONGEST, Row, Span, costs

PERMISSION = "campaigns.view_campaign"


def cost_page(request: HttpRequest) -> HttpResponse:
    """A GET with `from` and `to`; the last seven days without."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    today = timezone.localdate()
    span, problem = _asked(request, Span(today - timedelta(days=6), today))
    found = costs(span)
    tables = [
        (_("By account"), _rows(found.by_account, "admin:ums_channels_channelaccount_change")),
        (_("By class"), _rows(found.by_class)),
        (_("By day"), _rows(found.by_day)),
        (_("By business line"), _rows(found.by_line, "admin:partners_businessline_change")),
        (_("By campaign"), _rows(found.by_campaign, "admin:campaigns_campaign_change")),
    ]
    context = {"title": _("Costs"), "span": span, "problem": problem, "totals": _rows(found.totals), "tables": tables}
    return render(request, "reports/costs.html", {**admin.site.each_context(request), **context})


def _asked(request: HttpRequest, usual: Span) -> tuple[Span, str]:
    """The span that was asked for; where it cannot be, the usual one and a sentence."""
    try:
        span = Span(
            date.fromisoformat(request.GET.get("from") or usual.first.isoformat()),
            date.fromisoformat(request.GET.get("to") or usual.last.isoformat()),
        )
    except ValueError:
        return usual, _("Write days as 2026-11-29.")
    if not timedelta(0) <= span.last - span.first < timedelta(days=LONGEST):
        return usual, _("Choose a last day after the first, and at most %(days)s days.") % {"days": LONGEST}
    return span, ""


def _rows(rows: list[Row], page: str = "") -> list[dict[str, Any]]:
    """With the page of what a row stands for; a day leads to itself."""
    shown = []
    for row in rows:
        link = reverse(page, args=[row.key]) if page and row.key else ""
        if isinstance(row.key, date):
            link = f"?from={row.key.isoformat()}&to={row.key.isoformat()}"
        shown.append({"row": row, "link": link, "cost": money(row.cost), "failed": money(row.failed_cost)})
    return shown
