"""Small edits and exports of recipients as a spreadsheet. Addresses leave masked only; formulas are disarmed."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from import_export import fields, resources
from import_export.widgets import Widget

from apps.users.importing.rejects import harmless
from apps.users.importing.rows import check_user_id, read_tags, without_quote
from apps.users.models import Recipient, Tag


class UserId(Widget):
    """Trimmed and checked as in every import."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        return check_user_id(without_quote(str(value or "")))


class Labels(Widget):
    """Tags in one cell, separated by |."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> list[str]:
        return read_tags(without_quote(str(value or "")))

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "|".join(value or [])


class RecipientResource(resources.ModelResource):
    """`user_id` and `tags` come in (the tags as given replace the held ones); the rest is for export only."""

    user_id = fields.Field("user_id", "user_id", widget=UserId())
    tags = fields.Field("tags", "tags", widget=Labels(), default=[])
    attributes = fields.Field(column_name="attributes", readonly=True)
    addresses = fields.Field(column_name="addresses", readonly=True)

    class Meta:
        model = Recipient
        fields = ("user_id", "tags", "attributes", "addresses")
        export_order = fields
        import_id_fields = ("user_id",)
        skip_unchanged = True
        use_bulk = False

    def get_queryset(self) -> QuerySet[Recipient]:
        return super().get_queryset().prefetch_related("bindings")

    def after_save_instance(self, instance: Recipient, row: Any, **kwargs: Any) -> None:
        Tag.objects.bulk_create([Tag(name=name) for name in instance.tags], ignore_conflicts=True)

    def dehydrate_attributes(self, recipient: Recipient) -> str:
        return "; ".join(f"{key}={value}" for key, value in sorted(recipient.attributes.items()))

    def dehydrate_addresses(self, recipient: Recipient) -> str:
        return "; ".join(sorted(str(binding) for binding in recipient.bindings.all()))

    def export_field(self, field: fields.Field, instance: Recipient, **kwargs: Any) -> Any:
        held = super().export_field(field, instance, **kwargs)
        return harmless(held) if isinstance(held, str) else held
