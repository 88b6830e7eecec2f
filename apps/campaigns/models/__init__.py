"""The rows of campaigns, one module a subject. Everybody imports them from here."""

from apps.campaigns.models.approvals import Approval, ApprovalRule, ApprovalVote, AskedFor
from apps.campaigns.models.caps import Contact, DuplicateGuard, FrequencyCap, Holdout, Withheld
from apps.campaigns.models.decisions import Decision
from apps.campaigns.models.failover import AccountTrouble
from apps.campaigns.models.forecasts import AudiencePart, Forecast
from apps.campaigns.models.lists import TargetList, TargetListRow
from apps.campaigns.models.policies import Policy, PolicyVersion
from apps.campaigns.models.replies import Reply, ReplyWord
from apps.campaigns.models.saved import SavedMessage
from apps.campaigns.models.smart import ClassExperience, PersonExperience, Replay, SmartWeights
from apps.campaigns.models.stops import PauseRule, Pulse, StopSwitch
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
from apps.campaigns.models.times import BatchWait, Calendar, CalendarDay, QuietHours, Schedule, ScheduleRun

__all__ = [
    "Approval",
    "ApprovalRule",
    "ApprovalVote",
    "AccountTrouble",
    "AskedFor",
    "Attempt",
    "AudiencePart",
    "Batch",
    "Campaign",
    "ClassExperience",
    "Contact",
    "Decision",
    "Delivery",
    "DuplicateGuard",
    "FrequencyCap",
    "Holdout",
    "Forecast",
    "Message",
    "MessagePayload",
    "PersonExperience",
    "PauseRule",
    "Policy",
    "PolicyVersion",
    "Pulse",
    "Recall",
    "RecallOrder",
    "SavedMessage",
    "Receipt",
    "ReceiptInbox",
    "Reply",
    "ReplyWord",
    "Replay",
    "SmartWeights",
    "Withheld",
    "TargetList",
    "TargetListRow",
    "StopSwitch",
    "BatchWait",
    "Calendar",
    "CalendarDay",
    "QuietHours",
    "Schedule",
    "ScheduleRun",
]
