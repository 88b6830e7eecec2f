"""Pages of the kinds of channel: which one a new account is of, what each can do, its picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.channels.admin.pages import VIEW, drawn
from apps.channels.families import families
from apps.channels.matrix import matrix
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS

RECEIPTS = {
    "none": gettext_lazy("none"),
    "failures": gettext_lazy("failures only"),
    "push": gettext_lazy("pushed"),
    "poll": gettext_lazy("asked for"),
    "both": gettext_lazy("pushed and asked for"),
}
IDEMPOTENCY = {"none": "–", "keyed": gettext_lazy("by a key"), "content": gettext_lazy("by equal content")}
NO_PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="9" fill="#9ca3af"/></svg>'
)
PROVIDERS = Path(__file__).resolve().parents[1] / "providers"


def icon(request: HttpRequest, kind: str) -> HttpResponse:
    """The picture of a kind."""
    if kind not in KINDS:
        raise Http404
    path = PROVIDERS / kind / "icon.svg"
    picture = path.read_bytes() if path.is_file() else NO_PICTURE
    answer = HttpResponse(picture, content_type="image/svg+xml")
    answer["Cache-Control"] = "private, max-age=86400"
    return answer


def choose(request: HttpRequest) -> HttpResponse:
    """All kinds by family; `q` narrows them down."""
    search = request.GET.get("q", "").strip()
    context = {"title": _("Which kind of channel?"), "families": families(search), "search": search}
    return drawn(request, "channels/choose_kind.html", context | {"opts": ChannelAccount._meta})


def features(request: HttpRequest) -> HttpResponse:
    """What every kind can do, drawn from the declarations."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    rows = [
        {**asdict(row), "receipts_words": RECEIPTS[row.receipts], "repeat": _repeat(row.idempotency)}
        for row in matrix()
    ]
    return drawn(request, "channels/matrix.html", {"title": _("What each channel can do"), "rows": rows})


def _repeat(idempotency: str) -> str:
    """By which sign, and how long, the provider knows a repeated call."""
    sort, _space, window = idempotency.partition(" ")
    return f"{IDEMPOTENCY[sort]} {window}".rstrip()
