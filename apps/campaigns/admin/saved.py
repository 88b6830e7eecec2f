"""Offline-saved messages: who waits for what, released by hand or discarded."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from apps.campaigns.admin.reading import ReadOnlyAdmin
from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import ReasonForm
from apps.campaigns.models import SavedMessage
from apps.campaigns.saving import discard_saved, release_saved
from apps.users.models import Recipient

LABELS = {"SAVED": "info", "RELEASED": "success", "EXPIRED": "warning", "DISCARDED": "default", "MERGED": "default"}
PERMISSION = "campaigns.decide_saved"


@admin.register(SavedMessage)
class SavedMessageAdmin(ReadOnlyAdmin):
    """The list opens with what is kept now."""

    when_empty = (
        _("Nothing is kept"),
        _(
            "Where a policy says so, messages are kept for people whom no address reaches now. They go out once "
            "an address comes or the person returns, until they expire."
        ),
    )

    list_display = ["message", "person", "campaign", "why", "shown_state", "saved_at", "expires_at", "ended_at"]
    list_filter = ["state", "why", "campaign__business_line", "lane"]
    list_select_related = ["campaign"]
    search_fields = ["message_id"]
    search_help_text = _("A message id or a whole user id")
    ordering = ["-saved_at"]
    list_per_page = 50
    actions = ["release", "discard"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedMessage]:
        user = Recipient.objects.filter(pk=OuterRef("recipient_id")).values("user_id")
        return super().get_queryset(request).annotate(user_id=Subquery(user[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SavedMessage], search_term: str
    ) -> tuple[QuerySet[SavedMessage], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = list(Recipient.objects.filter(user_id=term).values_list("id", flat=True))
        found = queryset.filter(recipient_id__in=people)
        if term.isdecimal() and int(term) < 1 << 63:
            found = found | queryset.filter(pk=int(term))
        return found, False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("campaigns.view_savedmessage") or self.has_decide_permission(request)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Who may release and discard; the actions ask for it by name."""
        return bool(request.user.has_perm(PERMISSION))

    @admin.display(description=_("message"), ordering="message_id")
    def message(self, saved: SavedMessage) -> str:
        return str(saved.pk)

    @admin.display(description=_("recipient"))
    def person(self, saved: SavedMessage) -> str:
        return saved.user_id or "—"  # type: ignore[attr-defined]

    @display(description=_("state"), ordering="state", label=LABELS)
    def shown_state(self, saved: SavedMessage) -> tuple[str, Any]:
        return saved.state, saved.get_state_display()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The story of the message says all that is known."""
        return redirect(reverse("admin:campaigns_message_change", args=[object_id]))

    @admin.action(description=_("Try to send now"), permissions=["decide"])
    def release(self, request: HttpRequest, queryset: QuerySet[SavedMessage]) -> None:
        ids = list(queryset.values_list("message_id", flat=True))
        count = release_saved(actor=request.user, messages=ids)
        said = ngettext(
            "%(count)s message is tried now; it stays kept while no address reaches its person.",
            "%(count)s messages are tried now; those stay kept whose person no address reaches.",
            count,
        )
        messages.success(request, said % {"count": count})

    @admin.action(description=_("Discard for good …"), permissions=["decide"])
    def discard(self, request: HttpRequest, queryset: QuerySet[SavedMessage]) -> HttpResponse | None:
        """Asks for the reason; the second time it is the answer of that page."""
        kept = queryset.filter(state=SavedMessage.State.SAVED)
        ids = list(kept.values_list("message_id", flat=True))
        if not ids:
            messages.warning(request, _("None of the chosen messages is kept any more: there is nothing to discard."))
            return None
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if form.is_bound and form.is_valid():
            try:
                count = discard_saved(actor=request.user, messages=ids, reason=form.cleaned_data["reason"])
            except CampaignError as refused:
                messages.error(request, refused.message)
                return None
            said = ngettext("%(count)s message is discarded.", "%(count)s messages are discarded.", count)
            messages.success(request, said % {"count": count})
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Discard offline-saved messages"),
            "count": len(ids),
            "form": form,
            "selected": request.POST.getlist("_selected_action"),
            "back": reverse("admin:campaigns_savedmessage_changelist"),
        }
        return render(request, "campaigns/discard_saved.html", context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Without a word about states, what is kept now."""
        if request.method == "GET" and not request.GET:
            return redirect(format_html("{}?state__exact=SAVED", request.path))
        return super().changelist_view(request, extra_context)
