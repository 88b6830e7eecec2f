"""Accounts in the console: their list, their forms as each kind declares them, and what stands above a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.channels import above, services
from apps.channels.admin import deeds, kinds, trials
from apps.channels.admin.pages import CHANGE, TEST
from apps.channels.contract import Adapter
from apps.channels.forms import COLUMNS, PRICE, WINDOWS, setting_names, with_settings
from apps.channels.health import Health, Hour, health, share
from apps.channels.models import ChannelAccount, TemplateRefresh
from apps.channels.prices import history
from apps.channels.provider_templates import lists_templates
from apps.channels.registry import KINDS, adapter
from apps.channels.testing import can_be_checked

FEW = 4  # optional settings that need no fold
HEALTH_WORDS = {
    Health.GOOD: (_("sends well"), "success"),
    Health.POOR: (_("some calls fail"), "warning"),
    Health.BAD: (_("fails"), "danger"),
    Health.IDLE: (_("idle"), "info"),
    Health.PAUSED: (_("paused"), "warning"),
}
OPEN = "breaker"
HEALTH_LABELS = {str(word): tone for word, (_words, tone) in HEALTH_WORDS.items()}


@admin.register(ChannelAccount)
class ChannelAccountAdmin(ModelAdmin):
    """Accounts: made by kind, paused, tested. An account is never deleted: messages and bills name it."""

    list_display = [
        "code",
        "name",
        "shown_kind",
        "business_line",
        "shown_state",
        "shown_health",
        "today",
        "rate_per_second",
        "shown_price",
    ]
    list_filter = ["kind", "state", "business_line"]
    list_select_related = ["business_line"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    change_form_outer_before_template = "channels/account_state.html"
    list_before_template = "channels/accounts_before.html"

    class Media:
        js = ["channels/copy.js"]

    @admin.display(description=_("channel kind"), ordering="kind")
    def shown_kind(self, account: ChannelAccount) -> Any:
        return _(account.adapter_label)

    @display(description=_("state"), ordering="state", label={"ACTIVE": "success", "PAUSED": "warning"})
    def shown_state(self, account: ChannelAccount) -> tuple[str, str]:
        return account.state, account.get_state_display()

    @display(description=_("health"), label={**HEALTH_LABELS, OPEN: "danger"})
    def shown_health(self, account: ChannelAccount) -> tuple[str, Any]:
        word = health_of(account, above.figures_of(account.pk))
        if word != Health.PAUSED and is_open(account):
            return OPEN, _("breaker open")
        return str(word), "—" if word == Health.PAUSED else HEALTH_WORDS[word][0]

    @admin.display(description=_("taken today"))
    def today(self, account: ChannelAccount) -> str:
        figures = above.figures_of(account.pk)
        return f"{figures.taken:,}" if figures else "—"

    @admin.display(description=_("price per unit"), ordering="price")
    def shown_price(self, account: ChannelAccount) -> str:
        return f"{account.price.normalize():f} {account.currency}"

    def get_form(self, request: HttpRequest, obj: ChannelAccount | None = None, **kwargs: Any) -> Any:
        form = with_settings(obj.kind if obj else _kind_asked(request))
        return super().get_form(request, obj, **kwargs | {"form": form, "fields": COLUMNS if obj else COLUMNS + PRICE})

    def get_fieldsets(self, request: HttpRequest, obj: ChannelAccount | None = None) -> Any:
        limits = (_("Limits"), {"fields": ["rate_per_second", "burst", "max_in_flight"]})
        own: list[Any] = [(None, {"fields": ["code", "name", "business_line"]})]
        if obj and not self.has_change_permission(request, obj):
            return [*own, limits]  # settings may name what only those who keep them need to see
        kind = obj.kind if obj else _kind_asked(request)
        own += _settings_sections(kind, obj)
        own.append(limits)
        if obj is None:
            own.append((_("Price"), {"fields": [*PRICE, "bills_failed"]}))
        else:
            own.append((_("Price"), {"fields": ["bills_failed"]}))
        return [*own, (_("How long to wait"), {"fields": WINDOWS})]

    def get_readonly_fields(self, request: HttpRequest, obj: ChannelAccount | None = None) -> list[str]:
        return ["code"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: ChannelAccount | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ChannelAccount, form: Any, change: bool) -> None:
        services.save_account(actor=request.user, account=obj, settings=form.settings(), forget=form.forgotten())

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if _kind_asked(request) not in KINDS:
            return kinds.choose(request)
        kind = adapter(_kind_asked(request))
        title = _("Account: %(kind)s") % {"kind": _(kind.label)}
        return super().add_view(request, form_url, {"title": title, "new_kind": kind})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        account = self.get_object(request, object_id)
        extra = state_of(request, account) if account else {}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "pause": deeds.pause, "resume": deeds.resume, "close-breaker": deeds.close_breaker, "price": deeds.price,
            "renew-hook": deeds.renew_hook,
            "check": trials.check, "test": trials.test,
        }  # fmt: skip
        guard = self.admin_site.admin_view
        own = [path(f"<int:account_id>/{name}/", guard(view), name=f"account_{name}") for name, view in views.items()]
        withdraw, end = guard(deeds.withdraw_price), guard(deeds.end_price)
        return [
            path("kinds/", guard(kinds.features), name="account_features"),
            path("kinds/<slug:kind>.svg", guard(kinds.icon), name="account_icon"),
            path("<int:account_id>/price/<int:price_id>/withdraw/", withdraw, name="account_price-withdraw"),
            path("<int:account_id>/price/<int:price_id>/end/", end, name="account_price-end"),
            *own,
            *super().get_urls(),
        ]


def _settings_sections(kind: str, account: ChannelAccount | None) -> list[tuple[Any, dict[str, Any]]]:
    """Required settings first; optional ones behind them, in a fold where they are many."""
    required, optional = (setting_names(kind, account, required=needed) for needed in (True, False))
    if not optional or len(optional) < FEW:
        return [(_("Settings of the channel"), {"fields": required + optional})]
    more = {"fields": optional, "classes": ["collapse"]}
    return [(_("Settings of the channel"), {"fields": required}), (_("More settings, all optional"), more)]


def is_open(account: ChannelAccount) -> bool:
    """Whether the account's breaker keeps it from sending now."""
    return account.open_until is not None and account.open_until > timezone.now()


def health_of(account: ChannelAccount, figures: above.Figures | None) -> Health:
    """In one word."""
    held = figures or above.Figures()
    active = account.state == ChannelAccount.State.ACTIVE
    return health(active, is_open(account), Hour(held.hour_tried, held.hour_taken, held.hour_failed))


def state_of(request: HttpRequest, account: ChannelAccount) -> dict[str, Any]:
    """What stands above an account's form."""
    kind, figures = adapter(account.kind), above.figures_of(account.pk)
    word = health_of(account, figures)
    part = share(Hour(figures.hour_tried, figures.hour_taken, figures.hour_failed)) if figures else None
    return {
        "account": account,
        "kind_label": kind.label,
        "breaker_open": is_open(account),
        "health": HEALTH_WORDS[word][0],
        "health_tone": {"success": "good", "warning": "warn", "danger": "bad"}.get(HEALTH_WORDS[word][1], "dim"),
        "hour_share": None if part is None else round(part * 100, 1),
        "figures": figures,
        "receipts": receipts_of(kind),
        "hook_url": hook_of(request, account),
        "may_change": request.user.has_perm(CHANGE),
        "may_test": request.user.has_perm(TEST),
        "may_check": request.user.has_perm(TEST) and can_be_checked(account),
        "prices": history(account),
        "now": timezone.now(),
        "price_unit": kind.capabilities.price_unit,
        "lists_templates": lists_templates(account.kind)
        and request.user.has_perm("ums_channels.view_providertemplate"),
        "refresh": TemplateRefresh.objects.filter(account=account).first(),
    }


def receipts_of(kind: Adapter) -> str:
    """How receipts reach us, as one word for the page: hook, hook-and-poll, poll, session, none."""
    receipts = kind.capabilities.receipts
    if kind.transport == "session":
        return "session"
    if receipts.pushed or type(kind).parse_hook is not Adapter.parse_hook:
        return "hook-and-poll" if receipts.polled else "hook"
    return "poll" if receipts.polled else "none"


def hook_of(request: HttpRequest, account: ChannelAccount) -> str:
    """The address that the provider reports to."""
    return request.build_absolute_uri(reverse("hook", args=[account.code, account.hook_token]))


def _kind_asked(request: HttpRequest) -> str:
    return request.GET.get("kind", "")
