"""Messages: who was written to, what became of it, and why."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.campaigns.admin import recalls
from apps.campaigns.admin.reading import ReadOnlyAdmin
from apps.campaigns.evidence import evidence_of
from apps.campaigns.models import Campaign, Message
from apps.campaigns.policy_picture import account_names
from apps.campaigns.policy_words import policy_in_words
from apps.campaigns.timeline import message_timeline
from apps.campaigns.words import CLASSES, MESSAGE_STATES, reason_in_words
from apps.users.models import Recipient
from ums_site.clock import database_now
from ums_site.ids import first_row_id, moment_of

LABELS = {
    "SUCCEEDED": "success", "FAILED": "danger", "UNKNOWN": "warning", "BLOCKED": "warning", "INVALID": "warning",
    "ACTIVE": "info", "PLANNED": "info",
}  # fmt: skip


class CampaignFilter(admin.SimpleListFilter):
    """The messages of one campaign; the newest campaigns are offered, any may stand in the address."""

    title = _("campaign")
    parameter_name = "campaign"
    own_id = "id"  # the id that is younger than the campaign's, which bounds the partitions read

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = {str(one.pk): one.name for one in Campaign.objects.order_by("-id").only("id", "name")[:30]}
        asked = request.GET.get(self.parameter_name, "")
        if asked.isdecimal() and asked not in offered:
            offered |= {str(one.pk): one.name for one in Campaign.objects.filter(pk=int(asked)).only("id", "name")}
        return list(offered.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if not value.isdecimal():
            return queryset
        return queryset.filter(**{"campaign_id": int(value), f"{self.own_id}__gte": first_row_id(int(value))})


class StateFilter(admin.SimpleListFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(MESSAGE_STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class ReasonFilter(admin.SimpleListFilter):
    """By reason; offered where it was asked for, since reasons carry codes of providers without number."""

    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        common = ["blacklisted", "no_usable_address", "unknown_user", "every_step_failed", "no_receipt"]
        asked = request.GET.get(self.parameter_name)
        return [(one, reason_in_words(one)) for one in dict.fromkeys([*common, *([asked] if asked else [])])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """Every target has one row here, the invalid and the blocked too."""

    list_display = ["shown_id", "person", "campaign", "shown_state", "shown_reason", "made_at", "finished_at"]
    list_filter = [CampaignFilter, StateFilter, ReasonFilter]
    search_fields = ["id"]
    search_help_text = _("A message id or a whole user id")
    ordering = ["-id"]
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        user = Recipient.objects.filter(pk=OuterRef("recipient_id")).values("user_id")
        name = Campaign.objects.filter(pk=OuterRef("campaign_id")).values("name")
        return super().get_queryset(request).annotate(user_id=Subquery(user), campaign_name=Subquery(name))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = list(Recipient.objects.filter(user_id=term).values_list("id", flat=True))
        found = queryset.filter(recipient_id__in=people)
        if term.isdecimal() and int(term) < 1 << 63:
            found = found | queryset.filter(pk=int(term))
        return found, False

    @admin.display(description=_("message id"), ordering="id")
    def shown_id(self, message: Message) -> str:
        return str(message.pk)

    @admin.display(description=_("recipient"))
    def person(self, message: Message) -> str:
        return message.user_id or "—"  # type: ignore[attr-defined]

    @admin.display(description=_("campaign"))
    def campaign(self, message: Message) -> str:
        return message.campaign_name or str(message.campaign_id)  # type: ignore[attr-defined]

    @display(description=_("state"), ordering="state", label=LABELS)
    def shown_state(self, message: Message) -> tuple[str, Any]:
        return message.state, MESSAGE_STATES.get(message.state, message.state)

    @admin.display(description=_("reason"))
    def shown_reason(self, message: Message) -> str:
        return reason_in_words(message.reason)

    @admin.display(description=_("made at"), ordering="id")
    def made_at(self, message: Message) -> Any:
        return moment_of(message.pk)

    def get_urls(self) -> list[URLPattern]:
        recall = self.admin_site.admin_view(recalls.of_message)
        sheet = self.admin_site.admin_view(self.evidence)
        own = [path("<int:message_id>/recall/", recall, name="message_recall")]
        return [*own, path("<int:message_id>/evidence/", sheet, name="message_evidence"), *super().get_urls()]

    def evidence(self, request: HttpRequest, message_id: int) -> HttpResponse:
        """The story as a sheet to print; taking it is written into the audit log. A link asks, a POST takes it."""
        message = get_object_or_404(Message, pk=message_id)
        if not self.has_view_permission(request, message) or not request.user.has_perm("campaigns.take_evidence"):
            raise PermissionDenied
        if request.method != "POST":
            return redirect(reverse("admin:campaigns_message_change", args=[message_id]))
        taken = evidence_of(actor=request.user, message=message)
        campaign = Campaign.objects.select_related("business_line").filter(pk=message.campaign_id).first()
        context = {
            **self.admin_site.each_context(request),
            "title": _("Evidence sheet of message %(id)s") % {"id": message.pk},
            "opts": self.opts,
            "message": message,
            "state": MESSAGE_STATES.get(message.state, message.state),
            "reason": reason_in_words(message.reason),
            "campaign": campaign,
            "shown_class": CLASSES.get(campaign.message_class, "") if campaign else "",
            "sentences": policy_in_words(campaign.plan, account_names()) if campaign else [],
            "person": self._person(request, message),
            "entries": message_timeline(message.pk),
            "facts": taken.facts,
            "facts_text": json.dumps(taken.facts, ensure_ascii=False, indent=1, sort_keys=True),
            "digest": taken.digest,
            "taken_by": request.user,
            "taken_at": localtime(database_now()),
        }
        return render(request, "campaigns/evidence.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The message's story in time order."""
        if not object_id.isdecimal():
            raise Http404
        message = get_object_or_404(Message, pk=int(object_id))
        if not self.has_view_permission(request, message):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Message %(id)s") % {"id": message.pk},
            "opts": self.opts,
            "message": message,
            "state": MESSAGE_STATES.get(message.state, message.state),
            "reason": reason_in_words(message.reason),
            "campaign": Campaign.objects.filter(pk=message.campaign_id).first(),
            "person": self._person(request, message),
            "entries": message_timeline(message.pk),
            "may_take_evidence": request.user.has_perm("campaigns.take_evidence"),
            "may_recall": request.user.has_perm(recalls.PERMISSION) and message.state not in ("INVALID", "BLOCKED"),
        }
        return render(request, "campaigns/message.html", context)

    def _person(self, request: HttpRequest, message: Message) -> str:
        person = Recipient.objects.filter(pk=message.recipient_id).first() if message.recipient_id else None
        if person is None:
            return ""
        if not request.user.has_perm("users.view_recipient"):
            return person.user_id
        link = reverse("admin:users_recipient_change", args=[person.pk])
        return format_html('<a class="ums-link" href="{}">{}</a>', link, person.user_id)
