"""The side bar of the console. To add a page, add an Entry; who may not see it does not see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: the list of `model` (app_label.Model), or the page `url_name` guarded by `permission`."""

    title: str | Promise
    icon: str
    model: str = ""
    url_name: str = ""
    permission: str = ""

    def link(self, request: HttpRequest) -> str | None:
        """Where it leads, None for those who may not go there and for models without a console page."""
        if self.url_name:
            allowed = not self.permission or request.user.has_perm(self.permission)
            return reverse(self.url_name) if allowed else None
        try:
            model = apps.get_model(self.model)
        except LookupError:
            return None
        page = admin.site._registry.get(model)
        if page is None or not page.has_view_permission(request):
            return None
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@dataclass(frozen=True, slots=True)
class Section:
    """A titled group of lines."""

    title: str | Promise
    entries: Sequence[Entry]


SECTIONS: list[Section] = [
    Section(
        _("Overview"),
        [
            Entry(_("Home"), "home", url_name="admin:index"),
            Entry(_("Costs"), "payments", url_name="report-costs", permission="campaigns.view_campaign"),
        ],
    ),
    Section(
        _("Sending"),
        [
            Entry(_("Campaigns"), "campaign", model="campaigns.Campaign"),
            Entry(_("Policies"), "route", model="campaigns.Policy"),
            Entry(_("What if"), "psychology_alt", url_name="admin:what_if", permission="campaigns.ask_what_if"),
            Entry(_("Replays"), "replay", model="campaigns.Replay"),
            Entry(_("Message templates"), "description", model="templates.MessageTemplate"),
            Entry(_("Messages"), "mail", model="campaigns.Message"),
            Entry(_("Schedules"), "event_repeat", model="campaigns.Schedule"),
            Entry(_("Approvals"), "approval", model="campaigns.Approval"),
            Entry(_("Offline-saved"), "mark_email_unread", model="campaigns.SavedMessage"),
            Entry(_("Imported lists"), "playlist_add_check", model="campaigns.TargetList"),
        ],
    ),
    Section(
        _("Rules"),
        [
            Entry(_("Stop switches"), "front_hand", model="campaigns.StopSwitch"),
            Entry(_("Pause rules"), "pause_circle", model="campaigns.PauseRule"),
            Entry(_("Quiet hours"), "bedtime", model="campaigns.QuietHours"),
            Entry(_("Calendars"), "calendar_month", model="campaigns.Calendar"),
            Entry(_("Frequency caps"), "speed", model="campaigns.FrequencyCap"),
            Entry(_("Same text again"), "content_copy", model="campaigns.DuplicateGuard"),
            Entry(_("Would have been sent"), "do_not_disturb_on", model="campaigns.Withheld"),
            Entry(_("Sensitive words"), "spellcheck", model="templates.WordList"),
            Entry(_("Holdout groups"), "science", model="campaigns.Holdout"),
            Entry(_("Budgets and quotas"), "savings", model="partners.Allowance"),
            Entry(_("Approval rules"), "rule", model="campaigns.ApprovalRule"),
            Entry(_("Smart order"), "insights", model="campaigns.SmartWeights"),
        ],
    ),
    Section(
        _("People"),
        [
            Entry(_("Recipients"), "group", model="users.Recipient"),
            Entry(_("Segments"), "filter_alt", model="users.Segment"),
            Entry(_("Tags"), "sell", model="users.Tag"),
            Entry(_("Addresses"), "contact_mail", model="users.Binding"),
            Entry(_("Attributes"), "list_alt", model="users.Attribute"),
            Entry(_("Blacklist and whitelist"), "block", model="users.BlacklistEntry"),
            Entry(_("Consent"), "handshake", model="users.ConsentRecord"),
            Entry(_("Replies"), "reply", model="campaigns.Reply"),
            Entry(_("Imports"), "upload_file", model="users.PeopleImport"),
        ],
    ),
    Section(
        _("Connections"),
        [
            Entry(_("Channel accounts"), "cell_tower", model="ums_channels.ChannelAccount"),
            Entry(
                _("What channels can do"),
                "grid_on",
                url_name="admin:account_features",
                permission="ums_channels.view_channelaccount",
            ),
            Entry(_("Approved templates"), "verified", model="ums_channels.ProviderTemplate"),
            Entry(_("Receipts in"), "inbox", model="campaigns.ReceiptInbox"),
            Entry(_("Unmapped codes"), "help", model="ums_channels.UnmappedCode"),
            Entry(_("Business lines"), "hub", model="partners.BusinessLine"),
            Entry(_("API keys"), "key", model="partners.ApiKey"),
        ],
    ),
    Section(
        _("Administration"),
        [
            Entry(_("Operators"), "badge", model="operators.Operator"),
            Entry(_("Roles"), "admin_panel_settings", model="auth.Group"),
            Entry(_("Audit log"), "fact_check", model="operators.AuditEvent"),
        ],
    ),
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar as django-unfold wants it; sections without a line are left out."""
    groups = []
    offered = [(section, [(entry, entry.link(request)) for entry in section.entries]) for section in SECTIONS]
    here = _here(request.path, [link for _section, links in offered for _entry, link in links if link])
    for section, links in offered:
        items = [
            {"title": entry.title, "icon": entry.icon, "link": link, "active": link == here}
            for entry, link in links
            if link
        ]
        if items:
            groups.append({"title": section.title, "separator": True, "items": items})
    return groups


def zone(_request: HttpRequest) -> list[str]:
    """Stands at the top of every page: the zone in which its moments are written, such as `UTC+8`."""
    minutes = int((localtime().utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return [f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02d}' if rest else ''}", "info"]


def _here(path: str, links: Sequence[str]) -> str:
    """The link that the path stands below: the longest one, and the first page only for itself."""
    first = reverse("admin:index")
    below = [link for link in links if path == link or (link != first and path.startswith(link))]
    return max(below, key=len, default="")
