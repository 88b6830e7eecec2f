"""The classes of messages in words, for all who name them. What they mean for sending stands in the campaigns app."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

CLASSES: dict[str, str | Promise] = {
    "otp": _("One-time password"),
    "transactional": _("Notice"),
    "marketing": _("Marketing"),
}
