"""Where providers report: the raw body is stored and answered, nothing else, so that it never takes long.

The token in the address says which account it is and that the caller knows it; whether a body is authentic by the
provider's own rules is decided when it is merged. Wrong account and wrong token are the same 404.
"""

from __future__ import annotations

import hmac

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.campaigns.pipeline import inbox
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from ums_site.queues import ring

LARGEST = 256 * 1024
NOBODY = "-" * 43  # as long as a real token


@csrf_exempt
@require_POST
def receive(request: HttpRequest, code: str, token: str) -> HttpResponse:
    """Stores one body for the account with this code and hook token: 413 above 256 KB, 404 for anybody else."""
    account = ChannelAccount.objects.only("id", "code", "kind", "hook_token").filter(code=code).first()
    known = account.hook_token if account is not None else NOBODY
    if not hmac.compare_digest(token.encode(), known.encode()) or account is None:
        return HttpResponse(status=404)
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:
        return HttpResponse(status=413)
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    inbox.store(account=account, headers=request.headers, query=request.GET.dict(), body=body)
    ring("receipts")
    content_type, answer = adapter(account.kind).hook_answer
    return HttpResponse(answer, content_type=content_type)
