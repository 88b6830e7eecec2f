"""The console's page of costs: a span of days, and the same money by account, class, day, line and campaign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.reports.campaign_page import money
from apps.reports.costs import LONGEST, Only, Row, Span, costs

PERMISSION = "campaigns.view_campaign"


def cost_page(request: HttpRequest) -> HttpResponse:
    """A GET with `from` and `to`, the last seven days without; `account`, `class`, `line` narrow it down."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    today = timezone.localdate()
    span, problem = _asked(request, Span(today - timedelta(days=6), today))
    asked = {name: request.GET[name] for name in ("account", "class", "line") if request.GET.get(name)}
    found = costs(span, Only(_number(asked.get("account")), asked.get("class"), _number(asked.get("line"))))
    asked |= {"from": span.first.isoformat(), "to": span.last.isoformat()}

    def narrowed(name: str) -> Callable[[Row], str]:
        return lambda row: f"?{urlencode({**asked, name: row.key})}"

    tables = [
        (_("By account"), _rows(found.by_account, narrowed("account"))),
        (_("By class"), _rows(found.by_class, narrowed("class"))),
        (_("By day"), _rows(found.by_day, lambda row: f"?{urlencode({**asked, 'from': row.key, 'to': row.key})}")),
        (_("By business line"), _rows(found.by_line, narrowed("line"))),
        (_("By campaign"), _rows(found.by_campaign, _billed)),
    ]
    context = {"title": _("Costs"), "span": span, "problem": problem, "totals": _rows(found.totals), "tables": tables}
    context["narrow"] = len(asked) > 2
    return render(request, "reports/costs.html", {**admin.site.each_context(request), **context})


def _billed(row: Row) -> str:
    """The messages of a campaign that cost something; what came over the API has no list of its own."""
    if not row.key:
        return ""
    return f"{reverse('admin:campaigns_message_changelist')}?{urlencode({'campaign': row.key, 'figure': 'billed'})}"


def _number(text: str | None) -> int | None:
    """A number that is none finds nothing."""
    return None if text is None else int(text) if text.isdecimal() and len(text) < 19 else -1


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


def _rows(rows: list[Row], link: Callable[[Row], str] = lambda row: "") -> list[dict[str, Any]]:
    """With the page that tells more of a row."""
    return [{"row": row, "link": link(row), "cost": money(row.cost), "failed": money(row.failed_cost)} for row in rows]
