"""The rows of campaigns, one module a subject. Everybody imports them from here."""

from apps.campaigns.models.decisions import Decision
from apps.campaigns.models.policies import Policy
from apps.campaigns.models.story import (
    Attempt,
    Batch,
    Campaign,
    Delivery,
    Message,
    MessagePayload,
    Recall,
    RecallOrder,
    Receipt,
    ReceiptInbox,
)

__all__ = [
    "Attempt",
    "Batch",
    "Campaign",
    "Decision",
    "Delivery",
    "Message",
    "MessagePayload",
    "Policy",
    "Recall",
    "RecallOrder",
    "Receipt",
    "ReceiptInbox",
]
