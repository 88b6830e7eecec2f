"""Stop switches and pause rules: set with a reason after a look at what would be stopped, released with a reason."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import WhyForm
from apps.campaigns.models import PauseRule, StopSwitch
from apps.campaigns.stopping import release_switch, set_switch, switches_set, would_stop
from apps.campaigns.words import CLASSES
from apps.channels.models import ChannelAccount
from apps.channels.registry import KINDS, adapter
from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.templates.models import MessageTemplate

Scope = StopSwitch.Scope
LIST = "admin:campaigns_stopswitch_changelist"


class StopForm(forms.Form):
    """What, until when, and why. The choice names scope and key together."""

    what = forms.ChoiceField(label=_("What is to be stopped"))
    until = forms.DateTimeField(
        label=_("Ends by itself at"), required=False, help_text=_("Empty: until somebody releases it."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
    )  # fmt: skip
    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("It stands on the home page while the switch is set.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["what"].choices = _choices()  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.widget.attrs["class"] = "ums-input"

    def scope_and_key(self) -> tuple[str, str]:
        """What was chosen."""
        scope, _colon, key = self.cleaned_data["what"].partition(":")
        return scope, key


def _choices() -> list[tuple[Any, Any]]:
    kinds = sorted(ChannelAccount.objects.values_list("kind", flat=True).distinct())
    return [
        ("everything:", _("Everything that is sent")),
        (_("Class"), [(f"class:{name}", words) for name, words in CLASSES.items()]),
        (_("Business line"), [(f"business_line:{one.pk}", str(one)) for one in BusinessLine.objects.order_by("name")]),
        (_("Channel"), [(f"channel:{kind}", _(adapter(kind).label)) for kind in kinds if kind in KINDS]),
        (_("Account"), [(f"account:{one.pk}", f"{one.name} ({one.code})") for one in ChannelAccount.objects.order_by("name")]),
        (_("Message template"), [(f"template:{one.pk}", str(one)) for one in MessageTemplate.objects.order_by("name")[:300]]),
    ]  # fmt: skip


@admin.register(StopSwitch)
class StopSwitchAdmin(ModelAdmin):
    """What was stopped, by whom, why, and what still is."""

    when_empty = (
        _("Nothing was ever stopped"),
        _(
            "A stop switch holds back everything, or one business line, class, channel, account or template, "
            "within seconds. Nothing is lost: it waits until the switch is released."
        ),
    )

    list_display = [
        "shown_scope",
        "label",
        "reason",
        "shown_state",
        "set_by",
        "set_at",
        "until",
        "released_by",
        "released_at",
    ]
    list_filter = ["scope"]
    ordering = ["-id"]
    actions = None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        self.now_set = {one.pk for one in switches_set()}
        return super().get_queryset(request)

    @admin.display(description=_("what is stopped"), ordering="scope")
    def shown_scope(self, switch: StopSwitch) -> Any:
        return switch.get_scope_display()

    @display(description=_("state"), label={"set": "danger", "over": "default"})
    def shown_state(self, switch: StopSwitch) -> tuple[str, Any]:
        return ("set", _("set")) if switch.pk in self.now_set else ("over", _("over"))

    def get_urls(self) -> list[URLPattern]:
        release = self.admin_site.admin_view(self.release)
        return [path("<int:switch_id>/release/", release, name="stopswitch_release"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First what it would stop, then the deed: the second button is only there once the first was pressed."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = StopForm(request.POST or None)
        looked = None
        if request.method == "POST" and form.is_valid():
            scope, key = form.scope_and_key()
            looked = would_stop(scope, key)
            if "confirmed" in request.POST and self._set(request, form, scope, key):
                return redirect(LIST)
        context = {**self.admin_site.each_context(request), "title": _("Stop sending"), "opts": self.opts}
        return render(
            request, "campaigns/stop.html", {**context, "form": form, "looked": looked, "back": reverse(LIST)}
        )

    def _set(self, request: HttpRequest, form: StopForm, scope: str, key: str) -> bool:
        said = form.cleaned_data
        try:
            set_switch(actor=request.user, scope=scope, key=key, reason=said["reason"], until=said["until"])
        except CampaignError as refused:
            form.add_error(refused.field if refused.field in form.fields else None, refused.message)
            return False
        messages.success(request, _("It is stopped: no new window opens."))
        return True

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """One switch: a page only to release it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        switch = get_object_or_404(StopSwitch, pk=int(object_id) if object_id.isdecimal() else 0)
        over = switch.pk not in {one.pk for one in switches_set()}
        return redirect(reverse(LIST) if over else reverse("admin:stopswitch_release", args=[switch.pk]))

    def release(self, request: HttpRequest, switch_id: int) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        switch = get_object_or_404(StopSwitch, pk=switch_id)
        form = WhyForm(request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            release_switch(actor=request.user, switch=switch, reason=form.cleaned_data["reason"])
            messages.success(request, _("It is released: what waited goes on."))
            return redirect(LIST)
        context = {**self.admin_site.each_context(request), "title": _("Release the stop"), "opts": self.opts}
        looked = would_stop(switch.scope, switch.key)
        return render(
            request,
            "campaigns/release.html",
            {**context, "switch": switch, "form": form, "looked": looked, "back": reverse(LIST)},
        )


@admin.register(PauseRule)
class PauseRuleAdmin(ModelAdmin):
    """When campaigns of a class pause themselves."""

    when_empty = (
        _("No rule: no campaign pauses itself"),
        _("A rule of a class pauses a campaign when too many of its sends fail, end unknown, or bring complaints."),
    )

    list_display = ["in_words", "active", "at_least", "minutes", "failed_percent", "unknown_percent", "complaints"]
    actions = None

    @admin.display(description=_("class"), ordering="message_class")
    def in_words(self, rule: PauseRule) -> str:
        return format_html("{}", CLASSES.get(rule.message_class, rule.message_class))

    def save_model(self, request: HttpRequest, obj: PauseRule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        detail = {name: str(value) for name, value in form.cleaned_data.items()}
        audit.record(
            actor=request.user, verb="change_pause_rule" if change else "add_pause_rule", what=obj, detail=detail
        )

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PauseRule]) -> None:
        for rule in queryset:
            self.delete_model(request, rule)

    def delete_model(self, request: HttpRequest, obj: PauseRule) -> None:
        audit.record(actor=request.user, verb="delete_pause_rule", what=obj, detail={"class": obj.message_class})
        super().delete_model(request, obj)
