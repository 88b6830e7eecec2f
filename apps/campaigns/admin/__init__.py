"""The console's pages of the send story. `apps.reports` puts the figures onto the campaign page."""

from apps.campaigns.admin.allowances import AllowanceAdmin
from apps.campaigns.admin.approvals import ApprovalAdmin, ApprovalRuleAdmin
from apps.campaigns.admin.campaigns import CampaignAdmin
from apps.campaigns.admin.caps import DuplicateGuardAdmin, FrequencyCapAdmin
from apps.campaigns.admin.holdouts import HoldoutAdmin
from apps.campaigns.admin.lists import TargetListAdmin
from apps.campaigns.admin.messages import MessageAdmin
from apps.campaigns.admin.policies import PolicyAdmin
from apps.campaigns.admin.quiet_hours import CalendarAdmin, QuietHoursAdmin
from apps.campaigns.admin.receipts import ReceiptInboxAdmin
from apps.campaigns.admin.replays import ReplayAdmin
from apps.campaigns.admin.replies import ReplyAdmin, ReplyWordAdmin
from apps.campaigns.admin.saved import SavedMessageAdmin
from apps.campaigns.admin.schedules import ScheduleAdmin
from apps.campaigns.admin.smart import SmartWeightsAdmin
from apps.campaigns.admin.stops import PauseRuleAdmin, StopSwitchAdmin
from apps.campaigns.admin.withheld import WithheldAdmin

__all__ = [
    "AllowanceAdmin",
    "ApprovalAdmin",
    "ApprovalRuleAdmin",
    "CampaignAdmin",
    "DuplicateGuardAdmin",
    "FrequencyCapAdmin",
    "HoldoutAdmin",
    "MessageAdmin",
    "PauseRuleAdmin",
    "PolicyAdmin",
    "ReceiptInboxAdmin",
    "ReplayAdmin",
    "ReplyAdmin",
    "ReplyWordAdmin",
    "SavedMessageAdmin",
    "SmartWeightsAdmin",
    "StopSwitchAdmin",
    "WithheldAdmin",
    "CalendarAdmin",
    "QuietHoursAdmin",
    "ScheduleAdmin",
    "TargetListAdmin",
]
