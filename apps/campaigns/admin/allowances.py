"""Budgets and quotas in the console: their list with what is used, and those of a line on its own page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget

from apps.campaigns import allowances_in_words as words
from apps.campaigns.models import Campaign
from apps.channels.registry import kind_choices
from apps.partners.admin import BusinessLineAdmin
from apps.partners.allowances import left_of, problems_of, remaining, save_allowance
from apps.partners.classes import CLASSES
from apps.partners.models import Allowance, BusinessLine
from ums_site.clock import database_now

NEAR, FULL = "near", "full"


class AllowanceForm(forms.ModelForm):
    """Asks; what is right the service decides. The ceiling of a campaign is set on the campaign's own page."""

    message_class = forms.ChoiceField(label=_("class"), required=False, widget=UnfoldAdminSelectWidget)
    channel_kind = forms.ChoiceField(label=_("channel kind"), required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Allowance
        fields = [
            "name", "business_line", "message_class", "channel_kind", "unit", "period", "zone", "most", "currency", "warn_at",
            "wall", "active",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, empty, choices in (
            ("message_class", _("every class"), list(CLASSES.items())),
            ("channel_kind", _("every channel"), kind_choices()),
        ):
            if name in self.fields:
                self.fields[name].choices = [("", empty), *choices]  # type: ignore[attr-defined]
        if "business_line" in self.fields:
            self.fields["business_line"].required = True
        if self.instance.pk and "most" in self.fields:
            self.initial["most"] = f"{self.instance.most.normalize():f}"

    def clean(self) -> dict[str, Any]:
        held: dict[str, Any] = super().clean() or self.cleaned_data
        asked = Allowance(pk=self.instance.pk, created_at=self.instance.created_at)
        for name in self.Meta.fields:
            setattr(asked, name, held.get(name, getattr(self.instance, name)))
        for name, said in problems_of(asked).items():
            if name not in self.errors:
                self.add_error(name if name in self.fields else None, said)
        return held


class StandingFilter(admin.SimpleListFilter):
    """Those that need somebody."""

    title = _("used")
    parameter_name = "used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(NEAR, _("from the warning on")), (FULL, _("used up"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Allowance]) -> QuerySet[Allowance]:
        if self.value() not in (NEAR, FULL):
            return queryset
        found = left_of(list(queryset.filter(active=True)), database_now())
        wanted = [one.allowance.pk for one in found if (one.full if self.value() == FULL else one.warns)]
        return queryset.filter(pk__in=wanted)


@admin.register(Allowance)
class AllowanceAdmin(ModelAdmin):
    """An allowance is switched off, not deleted: what it counted belongs to the story."""

    when_empty = (
        _("No budget and no quota yet"),
        _(
            "A quota limits how many messages or pieces a business line may send in a day, a month or in all; a "
            "budget limits what they may cost. Counting is exact, whatever sends at once; a warning comes before "
            "the wall."
        ),
    )

    form = AllowanceForm
    list_display = [
        "name",
        "shown_whose",
        "shown_counts",
        "shown_limit",
        "shown_use",
        "shown_renewal",
        "shown_wall",
        "active",
    ]
    list_filter = ["active", StandingFilter, "business_line", "unit", "period"]
    list_select_related = ["business_line"]
    search_fields = ["name"]
    ordering = ["-active", "business_line__name", "name"]
    list_per_page = 50
    actions = None
    change_form_outer_before_template = "campaigns/allowance_state.html"

    def has_delete_permission(self, request: HttpRequest, obj: Allowance | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Allowance | None = None) -> bool:
        """The ceiling of a campaign belongs to what was approved with it: it is changed there."""
        return super().has_change_permission(request, obj) and not (obj is not None and obj.campaign_id is not None)

    def get_fields(self, request: HttpRequest, obj: Allowance | None = None) -> list[str]:
        if obj is None:
            return list(AllowanceForm.Meta.fields)
        chosen = [name for name in AllowanceForm.Meta.fields if name not in ("message_class", "channel_kind")]
        if obj.campaign_id is not None:
            return ["name", "shown_whose", "shown_limit", "shown_wall", "active"]
        return [*chosen[:2], "shown_counts", *chosen[2:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Allowance | None = None) -> list[str]:
        """What was counted stays comparable: whose it is and what it counts are chosen once."""
        if obj is not None and obj.campaign_id is not None:
            return ["shown_whose", "shown_limit", "shown_wall"]
        return ["business_line", "shown_counts", "unit", "period", "zone", "currency"] if obj else []

    def save_model(self, request: HttpRequest, obj: Allowance, form: Any, change: bool) -> None:
        save_allowance(actor=request.user, allowance=obj)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Each row knows how it stands, all read in one statement."""
        shown = super().get_changelist_instance(request)
        held = list(shown.result_list)
        for one, left in zip(held, left_of(held, database_now()), strict=True):
            one.left = left
        shown.result_list = held
        return shown

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        held = Allowance.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        more = kwargs.pop("extra_context", None) or {}
        if held is not None:
            more |= {"allowance_row": words.row(left_of([held], database_now())[0]), "campaign_link": _campaign(held)}
        return super().change_view(request, object_id, *args, extra_context=more, **kwargs)

    @admin.display(description=_("of"))
    def shown_whose(self, held: Allowance) -> str:
        return words.whose(held)

    @admin.display(description=_("what is counted"))
    def shown_counts(self, held: Allowance) -> str:
        return words.counts(held)

    @admin.display(description=_("limit"), ordering="most")
    def shown_limit(self, held: Allowance) -> str:
        return words.limit(held)

    @admin.display(description=_("used"))
    def shown_use(self, held: Allowance) -> SafeString:
        row = words.row(held.left)  # type: ignore[attr-defined]
        return format_html(
            '<div style="min-width: 9rem"><span class="ums-bar"><i class="ums-part-{}" style="width: {}%"></i></span>'
            '<span class="ums-dim">{} · {} %</span></div>',
            row["tone"], row["width"], row["used"], row["percent"],
        )  # fmt: skip

    @admin.display(description=_("renewed"))
    def shown_renewal(self, held: Allowance) -> str:
        return words.renewal(held.left)  # type: ignore[attr-defined]

    @admin.display(description=_("what finds no room"))
    def shown_wall(self, held: Allowance) -> Any:
        return gettext("pauses the campaign") if held.is_ceiling else Allowance.Wall(held.wall).label


def _campaign(held: Allowance) -> str:
    known = held.campaign_id is not None and Campaign.objects.filter(pk=held.campaign_id).exists()
    return reverse("admin:campaigns_campaign_change", args=[held.campaign_id]) if known else ""


admin.site.unregister(BusinessLine)


@admin.register(BusinessLine)
class LineAdmin(BusinessLineAdmin):
    """A line together with what is left of its budgets and quotas."""

    change_form_outer_before_template = "campaigns/line_allowances.html"

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        more = kwargs.pop("extra_context", None) or {}
        line = BusinessLine.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        if line is not None and request.user.has_perm("partners.view_allowance"):
            more |= {
                "line": line,
                "allowances": words.rows(remaining(line)),
                "may_add": request.user.has_perm("partners.add_allowance"),
            }
        return super().change_view(request, object_id, *args, extra_context=more, **kwargs)
