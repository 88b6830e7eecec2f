"""The REST API's door to the access tokens of accounts."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.channels.token_door import NoSuchAccount, NoToken, hand_out
from apps.channels.tokens import TokenBusy, TokenRefused
from apps.partners import schema  # noqa: F401  (tells the description what our authentication is)
from apps.partners.scopes import MayTakeTokens

BUSY_SECONDS = 5
PRIVATE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenSerializer(serializers.Serializer):
    """What is handed out."""

    token = serializers.CharField(help_text="The provider's access token now in force. Keep it out of logs.")
    expires_at = serializers.DateTimeField(
        help_text="Ask again then: UMS uses another one from that moment. The provider may end it earlier."
    )


class TokenRefusalSerializer(serializers.Serializer):
    """Why nothing is handed out."""

    detail = serializers.CharField()
    code = serializers.CharField(required=False, help_text="The provider's own word, with 502.")


class TokenView(APIView):
    """The current access token of one account."""

    permission_classes = [IsAuthenticated, MayTakeTokens]

    @extend_schema(
        operation_id="account_token",
        summary="The access token of an account",
        description="For your own systems that call the same provider with the same credentials: where each fetched a "
        "token of its own they would end each other's. Needs an API key that was issued with the permission to take "
        "tokens. Every hand-out is written to the audit log.",
        parameters=[OpenApiParameter("code", str, OpenApiParameter.PATH, description="The code of the account.")],
        responses={
            200: TokenSerializer,
            401: OpenApiResponse(TokenRefusalSerializer, "No live API key."),
            403: OpenApiResponse(TokenRefusalSerializer, "The key may not take tokens."),
            404: OpenApiResponse(TokenRefusalSerializer, "Unknown, paused, or another business line's."),
            409: OpenApiResponse(TokenRefusalSerializer, "Calls of this kind of channel carry no access token."),
            502: OpenApiResponse(TokenRefusalSerializer, "The provider gave no token."),
            503: OpenApiResponse(TokenRefusalSerializer, "Somebody is fetching it: ask again after `Retry-After`."),
        },
        examples=[
            OpenApiExample(
                "in force",
                {"token": "77_aBcDeF…", "expires_at": "2026-11-23T20:15:00+08:00"},
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, code: str) -> Response:
        try:
            given = hand_out(key=request.auth, code=code)
        except NoSuchAccount:
            return _refused(404, _("There is no account of this code that your business line may use."))
        except NoToken:
            return _refused(409, _("Calls of this kind of channel carry no access token."))
        except TokenRefused as refused:
            words = _("The provider gave no access token. It says: %(words)s")
            said = {"words": getattr(refused.outcome, "words", "")}
            return _refused(502, words % said, code=getattr(refused.outcome, "code", ""))
        except TokenBusy:
            words = _("The token is being fetched and takes long: ask again.")
            return _refused(503, words, headers={"Retry-After": str(BUSY_SECONDS)})
        body = TokenSerializer({"token": given.token, "expires_at": given.expires_at}).data
        return Response(body, headers=PRIVATE)


def _refused(status: int, words: str, headers: dict[str, str] | None = None, **more: str) -> Response:
    return Response({"detail": words, **more}, status=status, headers={**PRIVATE, **(headers or {})})
