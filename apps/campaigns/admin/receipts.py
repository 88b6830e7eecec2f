"""Bodies that came to the hooks: how many wait, which could not be read. What is in them stays sealed."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.campaigns.admin.reading import ReadOnlyAdmin
from apps.campaigns.models import ReceiptInbox
from apps.channels.models import ChannelAccount


@admin.register(ReceiptInbox)
class ReceiptInboxAdmin(ReadOnlyAdmin):
    """The receipt inbox."""

    list_display = ["received_at", "account", "shown_state", "events", "tries", "note"]
    list_filter = ["state"]
    ordering = ["-id"]
    fields = readonly_fields = ["received_at", "account", "shown_state", "events", "tries", "next_try_at", "note"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReceiptInbox]:
        name = ChannelAccount.objects.filter(pk=OuterRef("account_id")).values("name")
        return super().get_queryset(request).defer("sealed").annotate(account_name=Subquery(name))

    @admin.display(description=_("account"))
    def account(self, row: ReceiptInbox) -> str:
        return row.account_name or str(row.account_id)  # type: ignore[attr-defined]

    @display(
        description=_("state"), ordering="state",
        label={"NEW": "info", "MERGED": "success", "UNMATCHED": "warning", "BAD": "danger"},
    )  # fmt: skip
    def shown_state(self, row: ReceiptInbox) -> tuple[str, str]:
        return row.state, row.get_state_display()
