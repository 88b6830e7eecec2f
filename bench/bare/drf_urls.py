"""The two bare views: no key, no idempotency, no check, no sealing; the same bodies in, as many ids out."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

INSERT = """
WITH given AS (SELECT ums_id() AS id, body FROM unnest(%s::text[]) AS v(body)),
payload AS (INSERT INTO campaigns_messagepayload SELECT id, convert_to(body, 'UTF8') FROM given)
INSERT INTO campaigns_message (id, campaign_id) SELECT id, 1 FROM given RETURNING id
"""


class Bare(APIView):
    """Takes one message or a list of them."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        items = request.data.get("messages") or [request.data]
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [[json.dumps(item) for item in items]])
            ids = [str(row[0]) for row in cursor.fetchall()]
        return Response({"ids": ids}, status=202)


urlpatterns = [path("api/v1/messages", Bare.as_view()), path("api/v1/messages/batch", Bare.as_view())]
