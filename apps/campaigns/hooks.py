"""Where providers report: what is authentic is stored as it came and answered, nothing else, so that it never takes long.

In this order, which no adapter can skip: the secret in the address, the size, the provider's own signature, a trial of
the address (answered at once, not stored), the inbox. Wrong account and wrong secret are the same 404; a wrong
signature is 403 and written down. What is stored is proved once more when it is merged.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

import structlog
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.campaigns.pipeline import inbox
from apps.channels.contract import Adapter, BadReceipt
from apps.channels.contract import HookRequest as Heard
from apps.channels.hooks import greeting
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.services import opened
from apps.operators import audit
from ums_site.queues import ring

log = structlog.get_logger(__name__)
LARGEST = 256 * 1024
NOBODY = "-" * 43  # as long as a real token
REFUSALS_APART = 60.0  # seconds between two lines of the audit log for one account: a flood must not fill it
_written_down: dict[int, float] = {}


@csrf_exempt
@require_http_methods(["GET", "POST"])
def receive(request: HttpRequest, code: str, token: str, rest: str = "") -> HttpResponse:
    """Stores one body for the account with this code and hook token: 413 above 256 KB, 404 for anybody else."""
    account_id, kind_name, known = _account(code)
    if not hmac.compare_digest(token.encode(), known.encode()) or account_id is None:
        return HttpResponse(status=404)
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:
        return HttpResponse(status=413)
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    kind = adapter(kind_name)
    if (
        type(kind).parse_hook is Adapter.parse_hook
    ):  # its receipts come another way: whoever reports here is somebody else
        return HttpResponse(status=404)
    headers = {name.lower(): value for name, value in request.headers.items()}
    query = request.GET.dict()
    if _has_a_say(kind):
        heard = Heard(headers, query, body, timezone.now(), request.method or "", rest)
        try:
            reply = greeting(kind, opened(ChannelAccount.objects.get(pk=account_id)), heard)
        except BadReceipt as bad:
            return _refused(account_id, code, str(bad))
        if reply is not None:
            return _answered(reply.body, reply.content_type, reply.headers)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    inbox.store(account_id=account_id, headers=headers, query=query, body=body, path=rest)
    ring("receipts")
    content_type, answer = kind.hook_answer
    return _answered(answer, content_type, {})


def _has_a_say(kind: Adapter) -> bool:
    """Whether the kind signs its calls or tries the address; for the others the account need not even be loaded."""
    return kind.hook_trust == "signature" or type(kind).greet_hook is not Adapter.greet_hook


def _answered(body: bytes, content_type: str, headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(body, content_type=content_type, headers=dict(headers))


def _refused(account_id: int, code: str, words: str) -> HttpResponse:
    """A call that knows the secret address but not the signature: somebody listens, or a secret is wrong here."""
    log.warning("hook_refused", account=code, words=words)
    now = time.monotonic()
    if now - _written_down.get(account_id, -REFUSALS_APART) >= REFUSALS_APART:
        _written_down[account_id] = now
        account = ChannelAccount.objects.get(pk=account_id)
        audit.record(actor="hook", verb="refuse_receipt", what=account, detail={"code": code, "words": words})
    return HttpResponse(status=403)


def _account(code: str) -> tuple[int | None, str, str]:
    """Id, kind and token of the account, without the making of a model for every body."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, kind, hook_token FROM ums_channels_channelaccount WHERE code = %s", [code])
        return cursor.fetchone() or (None, "", NOBODY)
