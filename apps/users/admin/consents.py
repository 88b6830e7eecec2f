"""The ledger of consents: read and added to, never changed. What stands for a person is on the person's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.users import services
from apps.users.addresses import IMPORT_KINDS
from apps.users.admin.forms import ConsentForm
from apps.users.admin.search import hash_or_none
from apps.users.models import Binding, ConsentRecord, Recipient


@admin.register(ConsentRecord)
class ConsentAdmin(ModelAdmin):
    """Who agreed to what, or took it back, when, and what proves it."""

    when_empty = (
        _("No consent on record"),
        _(
            "What people agree to or take back stands here for good, with what proves it: recorded here, from a "
            "file or over the API, by the link in a message, or by an answer such as TD."
        ),
    )

    list_before_template = "users/consents_before.html"
    list_display = ["at", "subject", "shown_state", "shown_class", "shown_line", "source", "evidence", "actor"]
    list_filter = ["state", "source", "message_class", "business_line"]
    list_select_related = ["business_line"]
    search_fields = ["reference"]
    search_help_text = _("A whole user id, or a whole phone number or e-mail address")
    ordering = ["-id"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentRecord]:
        user_id = Recipient.objects.filter(pk=OuterRef("recipient_id")).values("user_id")
        return super().get_queryset(request).annotate(user_id=Subquery(user_id))

    @admin.display(description=_("recipient or address"))
    def subject(self, record: ConsentRecord) -> str:
        whose = record.user_id or (_("deleted person") if record.recipient_id else "")  # type: ignore[attr-defined]
        return " · ".join(filter(None, (str(whose), record.address_masked)))

    @display(description=_("consent"), ordering="state", label={"given": "success", "withdrawn": "danger"})
    def shown_state(self, record: ConsentRecord) -> tuple[str, str]:
        return record.state, record.get_state_display()

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, record: ConsentRecord) -> str:
        return str(record.get_message_class_display() or _("all"))

    @admin.display(description=_("business line"))
    def shown_line(self, record: ConsentRecord) -> str:
        return record.business_line.name if record.business_line else str(_("all"))

    def get_form(self, request: HttpRequest, obj: ConsentRecord | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = ConsentForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: ConsentRecord | None = None) -> list[str]:
        if obj is None:
            whom = ["user_id", "kind", "raw_address"]
            return [*whom, "state", "message_class", "business_line", "evidence", "reference"]
        proof = ["evidence", "reference", "said_at", "obtained", "text_version", "operator"]
        return ["at", "subject", "state", "shown_class", "shown_line", "source", *proof, "actor"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        needed = ("users.add_peopleimport", "users.add_consentrecord")
        extra = {"may_import": request.user.has_perms(needed)}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_changeform_initial_data(request) | {"message_class": "marketing"}

    def has_change_permission(self, request: HttpRequest, obj: ConsentRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ConsentRecord | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ConsentRecord], search_term: str
    ) -> tuple[QuerySet[ConsentRecord], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        hashes = list(filter(None, (hash_or_none(kind, term) for kind in IMPORT_KINDS)))
        people = Recipient.objects.filter(user_id=term).values("pk")
        theirs = Binding.objects.filter(recipient__in=people).values("address_hash")
        found = Q(recipient_id__in=people) | Q(address_hash__in=theirs) | Q(address_hash__in=hashes)
        return queryset.filter(found), False

    def save_model(self, request: HttpRequest, obj: ConsentRecord, form: ConsentForm, change: bool) -> None:
        said = form.cleaned_data
        record = services.record_consent(
            actor=request.user,
            recipient=said["user_id"],
            kind=said["kind"],
            address=said["raw_address"],
            state=said["state"],
            message_class=said["message_class"],
            business_line=said["business_line"],
            source="console",
            evidence=said["evidence"],
            reference=said["reference"],
        )
        obj.pk = record.pk
        obj.refresh_from_db()
