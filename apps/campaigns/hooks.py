"""Where providers report: the raw body is stored and answered, nothing else, so that it never takes long.

The token in the address says which account it is and that the caller knows it; whether a body is authentic by the
provider's own rules is decided when it is merged. Wrong account and wrong token are the same 404.
"""

from __future__ import annotations

import hmac

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.campaigns.pipeline import inbox
from apps.channels.registry import adapter
from ums_site.queues import ring

LARGEST = 256 * 1024
NOBODY = "-" * 43  # as long as a real token


@csrf_exempt
@require_POST
def receive(request: HttpRequest, code: str, token: str) -> HttpResponse:
    """Stores one body for the account with this code and hook token: 413 above 256 KB, 404 for anybody else."""
    account_id, kind, known = _account(code)
    if not hmac.compare_digest(token.encode(), known.encode()) or account_id is None:
        return HttpResponse(status=404)
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:
        return HttpResponse(status=413)
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    inbox.store(account_id=account_id, headers=request.headers, query=request.GET.dict(), body=body)
    ring("receipts")
    content_type, answer = adapter(kind).hook_answer
    return HttpResponse(answer, content_type=content_type)


def _account(code: str) -> tuple[int | None, str, str]:
    """Id, kind and token of the account, without the making of a model for every body."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, kind, hook_token FROM ums_channels_channelaccount WHERE code = %s", [code])
        return cursor.fetchone() or (None, "", NOBODY)
