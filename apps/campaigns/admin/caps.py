"""Frequency caps and duplicate guards in the console."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from apps.campaigns.caps import check_cap, check_guard, delete_cap, delete_guard, save_cap, save_guard
from apps.campaigns.caps_in_words import cap_in_words, classes_in_words, guard_in_words
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import DuplicateGuard, FrequencyCap
from apps.campaigns.models.caps import marketing_only
from apps.campaigns.pipeline.contacts import DEFAULT_HOURS
from apps.channels.registry import KINDS, adapter, kind_choices
from apps.partners.classes import CLASSES


def classes_field(help_text: Any = "") -> forms.MultipleChoiceField:
    """Some of the classes, as boxes."""
    return forms.MultipleChoiceField(
        label=_("Classes"),
        choices=list(CLASSES.items()),
        initial=marketing_only,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=help_text,
    )


class CheckedForm(forms.ModelForm):
    """A form whose row is judged by the service's own check, which names the field at fault."""

    check: Any = None

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            type(self).check(self.instance)
        except CampaignError as refused:
            self.add_error(refused.field if refused.field in self.fields else None, refused.message)


class CapForm(CheckedForm):
    """A cap; what it counts is what it stops."""

    check = staticmethod(check_cap)
    classes = classes_field(_("These are counted, and these are stopped. One-time passwords should not be among them."))
    channel_kind = forms.ChoiceField(label=_("Kind of channel"), required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = FrequencyCap
        fields = [
            "code", "name", "most", "span_count", "span_unit", "zone", "classes", "business_line", "channel_kind", "active",
        ]  # fmt: skip
        help_texts = {
            "span_unit": _(
                "All but calendar days roll: the limit holds in any span of that length, wherever it begins."
            ),
            "zone": _("Where calendar days begin at midnight, such as Asia/Shanghai."),
            "business_line": _("Empty: all lines together."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "channel_kind" in self.fields:
            self.fields["channel_kind"].choices = [("", _("every channel")), *kind_choices()]  # type: ignore[attr-defined]


@admin.register(FrequencyCap)
class FrequencyCapAdmin(ModelAdmin):
    """How often a person may be written to, over everything."""

    when_empty = (
        _("No frequency cap yet"),
        _(
            "A cap says how many messages one person gets at most, over all campaigns, business lines and "
            "channels together. It is exact, whatever sends at once; a message counts once, whatever steps and "
            "repeats follow. Who is on the whitelist is neither counted nor stopped."
        ),
    )

    form = CapForm
    list_display = ["name", "shown_limit", "shown_classes", "shown_line", "shown_kind", "active"]
    list_filter = ["active"]
    list_select_related = ["business_line"]
    search_fields = ["name", "code"]
    ordering = ["-active", "name"]

    def get_readonly_fields(self, request: HttpRequest, obj: FrequencyCap | None = None) -> list[str]:
        return ["code"] if obj else []

    @admin.display(description=_("limit"))
    def shown_limit(self, cap: FrequencyCap) -> str:
        return cap_in_words(cap)

    @admin.display(description=_("classes"))
    def shown_classes(self, cap: FrequencyCap) -> str:
        return classes_in_words(cap.classes)

    @admin.display(description=_("business line"))
    def shown_line(self, cap: FrequencyCap) -> Any:
        return cap.business_line or _("all lines together")

    @admin.display(description=_("kind of channel"))
    def shown_kind(self, cap: FrequencyCap) -> Any:
        return _(adapter(cap.channel_kind).label) if cap.channel_kind in KINDS else _("every channel")

    def save_model(self, request: HttpRequest, obj: FrequencyCap, form: Any, change: bool) -> None:
        save_cap(actor=request.user, cap=obj)

    def delete_model(self, request: HttpRequest, obj: FrequencyCap) -> None:
        delete_cap(actor=request.user, cap=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[FrequencyCap]) -> None:
        for cap in queryset:
            delete_cap(actor=request.user, cap=cap)


class GuardForm(CheckedForm):
    """For how long the same text is a repetition."""

    check = staticmethod(check_guard)

    class Meta:
        model = DuplicateGuard
        fields = ["business_line", "message_class", "window_hours"]
        labels = {"window_hours": _("for so many hours")}
        error_messages = {
            NON_FIELD_ERRORS: {
                "unique_together": _("There is a guard for this line and class already: change that one.")
            }
        }
        help_texts = {
            "business_line": _("Empty: every line that has no setting of its own."),
            "window_hours": _("0 lets repetitions through."),
        }


@admin.register(DuplicateGuard)
class DuplicateGuardAdmin(ModelAdmin):
    """The settings that differ from the default."""

    form = GuardForm
    list_display = ["shown_line", "shown_class", "shown_window"]
    list_display_links = ["shown_line"]
    list_select_related = ["business_line"]
    ordering = ["business_line__name", "message_class"]
    list_before_template = "campaigns/guards_before.html"

    def get_readonly_fields(self, request: HttpRequest, obj: DuplicateGuard | None = None) -> list[str]:
        return ["business_line", "message_class"] if obj else []

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        defaults = [(CLASSES[name], guard_in_words(hours)) for name, hours in DEFAULT_HOURS.items()]
        return super().changelist_view(request, {**(extra_context or {}), "guard_defaults": defaults})

    @admin.display(description=_("business line"))
    def shown_line(self, guard: DuplicateGuard) -> Any:
        return guard.business_line or _("every other line")

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, guard: DuplicateGuard) -> Any:
        return CLASSES.get(guard.message_class, guard.message_class)

    @admin.display(description=_("the same text"), ordering="window_hours")
    def shown_window(self, guard: DuplicateGuard) -> str:
        return guard_in_words(guard.window_hours)

    def save_model(self, request: HttpRequest, obj: DuplicateGuard, form: Any, change: bool) -> None:
        save_guard(actor=request.user, guard=obj)

    def delete_model(self, request: HttpRequest, obj: DuplicateGuard) -> None:
        delete_guard(actor=request.user, guard=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DuplicateGuard]) -> None:
        for guard in queryset:
            delete_guard(actor=request.user, guard=guard)
