"""What people answered, what it was taken for and what was done; and the words that answers are read for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns.admin.reading import ReadOnlyAdmin
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Reply, ReplyWord
from apps.campaigns.pipeline.replies import text_of
from apps.campaigns.replying import add_reply_word, checked_reply_word, remove_reply_word
from apps.channels.models import ChannelAccount
from apps.operators import audit
from apps.users.addressing import AddressRefused, hash_of
from apps.users.models import Recipient
from ums_site.crypto import SealBroken

READ = "campaigns.read_reply"


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    """Answers. Their text is sealed: it is read with a permission of its own, and that is on record."""

    when_empty = (
        _("Nobody has answered yet"),
        _(
            "Answers come in by the hook or the session of an SMS account. Give the provider the account's hook "
            "address for answers, too; its page shows it."
        ),
    )

    list_display = [
        "received_at",
        "address_masked",
        "account",
        "shown_meaning",
        "shown_deed",
        "complained",
        "business_line",
    ]
    list_filter = ["meaning", "deed", "complaint", "business_line"]
    list_select_related = ["business_line"]
    search_fields = ["address_masked"]
    search_help_text = _("A whole phone number")
    ordering = ["-id"]
    list_before_template = "campaigns/replies_before.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reply]:
        name = ChannelAccount.objects.filter(pk=OuterRef("account_id")).values("name")
        user_id = Recipient.objects.filter(pk=OuterRef("recipient_id")).values("user_id")
        return super().get_queryset(request).annotate(account_name=Subquery(name), user_id=Subquery(user_id))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.filter(address_hash=hash_of("phone", search_term.strip())), False
        except AddressRefused:
            return queryset.none(), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_words": request.user.has_perm("campaigns.view_replyword")}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def get_fields(self, request: HttpRequest, obj: Reply | None = None) -> list[str]:
        told = ["received_at", "occurred_at", "account", "address_masked", "extension"]
        text = ["text"] if request.user.has_perm(READ) else []
        return [*told, *text, "meaning_in_words", "shown_deed", "complained", "person", "business_line", "message"]

    get_readonly_fields = get_fields

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        reply = self.get_object(request, object_id)
        if reply is not None and request.user.has_perm(READ) and request.method == "GET":
            audit.record(actor=request.user, verb="read_reply", what=reply)
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description=_("account"))
    def account(self, reply: Reply) -> str:
        return reply.account_name or str(reply.account_id)  # type: ignore[attr-defined]

    @admin.display(description=_("text"))
    def text(self, reply: Reply) -> str:
        try:
            return text_of(reply)[1]
        except SealBroken:
            return "—"

    @display(
        description=_("meaning"), ordering="meaning",
        label={"unsubscribe": "danger", "subscribe": "success", "complaint": "warning"},
    )  # fmt: skip
    def shown_meaning(self, reply: Reply) -> tuple[str, str]:
        return reply.meaning, self.meaning_in_words(reply)

    @admin.display(description=_("meaning"))
    def meaning_in_words(self, reply: Reply) -> str:
        return f"{reply.get_meaning_display()} ({reply.word})" if reply.meaning else "—"

    @admin.display(description=_("complaint"), ordering="complaint")
    def complained(self, reply: Reply) -> str:
        return str(_("yes")) if reply.complaint else "—"

    @admin.display(description=_("carried out"), ordering="deed")
    def shown_deed(self, reply: Reply) -> str:
        return str(reply.get_deed_display()) if reply.handled_at else str(_("waiting"))

    @admin.display(description=_("recipient"))
    def person(self, reply: Reply) -> str:
        if not reply.user_id:  # type: ignore[attr-defined]
            return "—"
        where = reverse("admin:users_recipient_change", args=[reply.recipient_id])
        return format_html('<a class="ums-link" href="{}">{}</a>', where, reply.user_id)  # type: ignore[attr-defined]

    @admin.display(description=_("message"))
    def message(self, reply: Reply) -> str:
        if not reply.message_id:
            return "—"
        where = reverse("admin:campaigns_message_change", args=[reply.message_id])
        return format_html('<a class="ums-link" href="{}">{}</a>', where, reply.message_id)


class ReplyWordForm(forms.ModelForm):
    """A word as people write it; it is kept in its normal form."""

    class Meta:
        model = ReplyWord
        fields = ["word", "meaning", "whole"]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if {"word", "meaning"} <= said.keys():
            try:
                checked_reply_word(said["word"], said["meaning"], bool(said.get("whole")))
            except CampaignError as refused:
                self.add_error(refused.field or None, refused.message)
        return said


@admin.register(ReplyWord)
class ReplyWordAdmin(ModelAdmin):
    """Words are added and removed, not edited; answers that came before stay as they were read."""

    list_display = ["word", "shown_meaning", "whole"]
    list_filter = ["meaning"]
    ordering = ["meaning", "word"]
    form = ReplyWordForm
    fields = ["word", "meaning", "whole"]

    @display(
        description=_("meaning"), ordering="meaning",
        label={"unsubscribe": "danger", "subscribe": "success", "complaint": "warning"},
    )  # fmt: skip
    def shown_meaning(self, word: ReplyWord) -> tuple[str, str]:
        return word.meaning, word.get_meaning_display()

    def has_change_permission(self, request: HttpRequest, obj: ReplyWord | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ReplyWord, form: ReplyWordForm, change: bool) -> None:
        made = add_reply_word(actor=request.user, word=obj.word, meaning=obj.meaning, whole=obj.whole)
        obj.pk, obj.word = made.pk, made.word

    def delete_model(self, request: HttpRequest, obj: ReplyWord) -> None:
        remove_reply_word(actor=request.user, word=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ReplyWord]) -> None:
        for word in queryset:
            remove_reply_word(actor=request.user, word=word)
