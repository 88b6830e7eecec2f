"""The page behind a link to unsubscribe. It needs no log-in, no cookie and no script: the link itself is the proof.

GET asks, POST does, also the single POST of a mail program (RFC 8058). Anything that is no link of ours gets one and the
same answer, and nothing is stored of it.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.partners.models import BusinessLine
from apps.users import unsubscribing
from apps.users.models import Scope
from apps.users.unsubscribing import Asking

EVERYTHING, AGAIN = "everything", "again"
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe_page(request: HttpRequest, token: str) -> HttpResponse:
    """Asks, does, and says what stands. 404 with one constant page for every token that is none."""
    asking = unsubscribing.read_token(token)
    if asking is None:
        return _answer(request, "unsubscribe/unknown.html", {}, 404)
    line = BusinessLine.objects.filter(pk=asking.business_line_id).first()
    name = line.name if line else ""
    if request.method == "POST":
        _do(request, asking, name)
    off = unsubscribing.is_off(asking)
    again = request.POST.get("do") == AGAIN
    told = {"line": name, "off": off, "everything": off == Scope.EVERYWHERE, "again": again and not off}
    return _answer(request, "unsubscribe/page.html", told, 200)


def _do(request: HttpRequest, asking: Asking, line: str) -> None:
    if request.POST.get("do") == AGAIN:
        unsubscribing.subscribe_again(asking, evidence=_("Pressed “Subscribe again” on the page of the link."))
    elif request.POST.get("List-Unsubscribe") == "One-Click":
        evidence = _("One click on “Unsubscribe” in the mail program (RFC 8058).")
        unsubscribing.unsubscribe(asking, everything=False, evidence=evidence)
    else:
        everything = request.POST.get("from") == EVERYTHING
        evidence = (
            _("Pressed “Unsubscribe” for everything on the page of the link.")
            if everything
            else _("Pressed “Unsubscribe” for %(line)s on the page of the link.") % {"line": line}
        )
        unsubscribing.unsubscribe(asking, everything=everything, evidence=evidence)


def _answer(request: HttpRequest, template: str, told: dict[str, Any], status: int) -> HttpResponse:
    page = render(request, template, told, status=status)
    for name, value in HEADERS.items():
        page.headers[name] = value
    return page
