"""What an API key may do besides sending and asking for its line, as permissions of views."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.partners.models import ApiKey


class MayTakeTokens(BasePermission):
    """Only keys that were issued with the scope `tokens`."""

    message = _("This API key may not take tokens: issue one that may, in the console.")

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, ApiKey) and ApiKey.Scope.TOKENS in request.auth.scopes
