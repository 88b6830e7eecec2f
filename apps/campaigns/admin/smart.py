"""The weights of the smart order, beside what is known of each class and account."""

from __future__ import annotations

from math import exp
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.campaigns.drafting import delete_weights, save_weights
from apps.campaigns.models import ClassExperience, SmartWeights
from apps.campaigns.pipeline.score_sql import class_experience, weights_for
from apps.campaigns.policy_problems import in_words
from apps.campaigns.policy_words import WEIGHTS
from apps.campaigns.scoring import HALF_LIFE, NAMES, class_rate, weights_problems
from apps.campaigns.words import CLASSES, seconds_in_words
from apps.channels.models import ChannelAccount

SHOWN = ("reach", "price", "speed", "strength", "prior_rate")
EVERY: Any = _("every class without its own")


class SmartWeightsForm(forms.ModelForm):
    """One class's weights; what is wrong is said beside the field."""

    class Meta:
        model = SmartWeights
        fields = ["message_class", *NAMES]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "message_class" in self.fields:
            self.fields["message_class"].choices = [("", EVERY), *CLASSES.items()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        held = super().clean() or {}
        said = {name: held[name] for name in NAMES if name in held}
        for name, words in weights_problems(said).items():
            self.add_error(name, in_words(words))
        if not self.errors and sum(held[name] for name in ("reach", "price", "speed")) <= 0:
            self.add_error(
                "reach", _("Give reach, price or speed a weight above 0: nothing would be left to order by.")
            )
        if not self.instance.pk and SmartWeights.objects.filter(message_class=held.get("message_class", "")).exists():
            self.add_error("message_class", _("This class has weights already: change those."))
        return held


@admin.register(SmartWeights)
class SmartWeightsAdmin(ModelAdmin):
    """A class without weights of its own takes those of every class, and without these the built-in ones."""

    form = SmartWeightsForm
    list_display = ["shown_class", "reach", "price", "speed", "strength", "prior_rate", "half_seconds", "updated_at"]
    ordering = ["message_class"]
    actions = None
    list_before_template = "campaigns/smart_known.html"
    warn_unsaved_form = False

    @admin.display(description=_("class"), ordering="message_class")
    def shown_class(self, weights: SmartWeights) -> Any:
        return CLASSES.get(weights.message_class, EVERY)

    def get_readonly_fields(self, request: HttpRequest, obj: SmartWeights | None = None) -> list[str]:
        return ["shown_class"] if obj else []

    def get_fields(self, request: HttpRequest, obj: SmartWeights | None = None) -> list[str]:
        return ["shown_class" if obj else "message_class", *NAMES]

    def save_model(self, request: HttpRequest, obj: SmartWeights, form: Any, change: bool) -> None:
        save_weights(actor=request.user, weights=obj)

    def delete_model(self, request: HttpRequest, obj: SmartWeights) -> None:
        delete_weights(actor=request.user, weights=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SmartWeights]) -> None:
        for one in queryset:
            delete_weights(actor=request.user, weights=one)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        known = {"known": what_is_known(), "half_life": HALF_LIFE.days, "in_force": in_force()}
        known["weight_words"] = [WEIGHTS[name] for name in SHOWN]
        return super().changelist_view(request, {**(extra_context or {}), **known})


def in_force() -> list[tuple[Any, list[tuple[Any, str]]]]:
    """Of each class: its name and the weights that hold for it, by name."""
    return [
        (words, [(WEIGHTS[name], f"{getattr(weights_for(code, None), name):g}") for name in SHOWN])
        for code, words in CLASSES.items()
    ]


def what_is_known() -> list[dict[str, Any]]:
    """A row for each class and account with experience: counts as they count today, rate, typical time."""
    accounts = ChannelAccount.objects.in_bulk()
    rows = []
    for message_class in ClassExperience.objects.values_list("message_class", flat=True).distinct():
        weights = weights_for(message_class, None)
        for account_id, held in class_experience(message_class, list(accounts)).items():
            rows.append(
                {
                    "class": CLASSES.get(message_class, message_class),
                    "account": accounts[account_id],
                    "tried": held.tried,
                    "delivered": held.delivered,
                    "rate": 100 * class_rate(held, weights),
                    "seconds": seconds_in_words(exp(held.log_seconds / held.timed) - 1) if held.timed >= 0.5 else "—",
                }
            )
    return sorted(rows, key=lambda row: (str(row["class"]), row["account"].code))
