"""Since when an account cannot be called."""

from __future__ import annotations

from django.db import models


class AccountTrouble(models.Model):
    """An account that is paused, stopped or whose breaker is not closed, since beat first saw it so; gone once it works."""

    account_id = models.BigIntegerField(primary_key=True)
    since = models.DateTimeField()
