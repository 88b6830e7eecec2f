"""Errors of the send story that a person can mend; the sentence is shown as it is, `field` names the input at fault."""

from __future__ import annotations


class CampaignError(ValueError):
    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
