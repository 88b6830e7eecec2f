"""The console's pages of accounts, and of provider codes that nobody has mapped yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.channels import services
from apps.channels.errors import AccountError
from apps.channels.forms import COLUMNS, WINDOWS, TestSendForm, setting_names, with_settings
from apps.channels.models import ChannelAccount, UnmappedCode
from apps.channels.registry import KINDS, adapter, adapters
from apps.channels.testing import test_send
from ums_site.confirm import Question, confirmed

PROVIDERS = Path(__file__).resolve().parent / "providers"


@admin.register(ChannelAccount)
class ChannelAccountAdmin(ModelAdmin):
    """Accounts: made by kind, paused, tested. An account is never deleted: messages and bills name it."""

    list_display = [
        "code",
        "name",
        "shown_kind",
        "business_line",
        "shown_state",
        "breaker",
        "rate_per_second",
        "shown_price",
    ]
    list_filter = ["kind", "state", "business_line"]
    list_select_related = ["business_line"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    change_form_outer_before_template = "channels/account_state.html"

    @admin.display(description=_("channel kind"), ordering="kind")
    def shown_kind(self, account: ChannelAccount) -> Any:
        return _(account.adapter_label)

    @display(description=_("state"), ordering="state", label={_("active"): "success", _("paused"): "warning"})
    def shown_state(self, account: ChannelAccount) -> str:
        return account.get_state_display()

    @display(description=_("breaker"), label={_("open"): "danger", _("closed"): "success"})
    def breaker(self, account: ChannelAccount) -> Any:
        return _("open") if is_open(account) else _("closed")

    @admin.display(description=_("price per unit"), ordering="price")
    def shown_price(self, account: ChannelAccount) -> str:
        return f"{account.price.normalize():f} {account.currency}"

    def get_form(self, request: HttpRequest, obj: ChannelAccount | None = None, **kwargs: Any) -> Any:
        form = with_settings(obj.kind if obj else _kind_asked(request))
        return super().get_form(request, obj, **kwargs | {"form": form, "fields": COLUMNS})

    def get_fieldsets(self, request: HttpRequest, obj: ChannelAccount | None = None) -> Any:
        kind = obj.kind if obj else _kind_asked(request)
        return [
            (None, {"fields": ["code", "name", "business_line"]}),
            (_("Settings of the channel"), {"fields": setting_names(kind)}),
            (_("Limits"), {"fields": ["rate_per_second", "burst", "max_in_flight"]}),
            (_("Price"), {"fields": ["price", "currency"]}),
            (_("How long to wait"), {"fields": WINDOWS}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: ChannelAccount | None = None) -> list[str]:
        return ["code"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: ChannelAccount | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ChannelAccount, form: Any, change: bool) -> None:
        services.save_account(actor=request.user, account=obj, settings=form.settings())

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if _kind_asked(request) not in KINDS:
            title = _("Which kind of channel?")
            context = {**self.admin_site.each_context(request), "title": title, "kinds": adapters(), "opts": self.opts}
            return render(request, "channels/choose_kind.html", context)
        title = _("Account: %(kind)s") % {"kind": _(adapter(_kind_asked(request)).label)}
        return super().add_view(request, form_url, {"title": title})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        account = self.get_object(request, object_id)
        extra = state_of(request, account) if account else {}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "pause": self.pause, "resume": self.resume, "close-breaker": self.close_breaker, "test": self.test,
        }  # fmt: skip
        own = [
            path(f"<int:account_id>/{name}/", self.admin_site.admin_view(view), name=f"account_{name}")
            for name, view in views.items()
        ]
        icon = path("kinds/<slug:kind>.svg", self.admin_site.admin_view(self.icon), name="account_icon")
        return [icon, *own, *super().get_urls()]

    def icon(self, request: HttpRequest, kind: str) -> HttpResponse:
        """The picture of a kind."""
        if kind not in KINDS:
            raise Http404
        answer = HttpResponse((PROVIDERS / kind / "icon.svg").read_bytes(), content_type="image/svg+xml")
        answer["Cache-Control"] = "private, max-age=86400"
        return answer

    def pause(self, request: HttpRequest, account_id: int) -> HttpResponse:
        account = self._changeable(request, account_id)
        question = Question(
            title=_("Pause the account"),
            question=_("Pause “%(account)s”?") % {"account": account},
            consequences=[_("Nothing leaves over it until it is resumed. What waits keeps waiting, and may expire.")],
            verb=_("Pause"),
            done=_("The account is paused."),
            back=page_of(account),
            dangerous=True,
        )
        return confirmed(request, question, lambda: services.pause_account(actor=request.user, account=account))

    def resume(self, request: HttpRequest, account_id: int) -> HttpResponse:
        account = self._changeable(request, account_id)
        question = Question(
            title=_("Resume the account"),
            question=_("Resume “%(account)s”?") % {"account": account},
            consequences=[_("What waited for it is sent now, at its limit per second.")],
            verb=_("Resume"),
            done=_("The account sends again."),
            back=page_of(account),
        )
        return confirmed(request, question, lambda: services.resume_account(actor=request.user, account=account))

    def close_breaker(self, request: HttpRequest, account_id: int) -> HttpResponse:
        account = self._changeable(request, account_id)
        question = Question(
            title=_("Close the breaker"),
            question=_("Let “%(account)s” send again at once?") % {"account": account},
            consequences=[
                _("Its breaker was opened because: %(reason)s") % {"reason": account.open_reason or "—"},
                _("If the cause is still there, it opens again."),
            ],
            verb=_("Close the breaker"),
            done=_("The breaker is closed."),
            back=page_of(account),
        )
        return confirmed(request, question, lambda: services.close_breaker(actor=request.user, account=account))

    def test(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """A real message to one address; what came of it is said on the same page."""
        account = get_object_or_404(ChannelAccount, pk=account_id)
        if not self.has_view_permission(request, account) or not request.user.has_perm("ums_channels.test_send"):
            raise PermissionDenied
        form = TestSendForm(account.kind, request.POST or None)
        result = None
        if request.method == "POST" and form.is_valid():
            try:
                address, content = form.cleaned_data["address"], form.content()
                result = test_send(actor=request.user, account=account, address=address, content=content)
            except AccountError as refused:
                for name, words in refused.problems.items():
                    form.add_error(name if name in form.fields else None, str(words))
        context = {"title": _("Test message"), "account": account, "form": form, "result": result}
        return render(request, "channels/test_send.html", {**self.admin_site.each_context(request), **context})

    def _changeable(self, request: HttpRequest, account_id: int) -> ChannelAccount:
        account = get_object_or_404(ChannelAccount, pk=account_id)
        if not self.has_change_permission(request, account):
            raise PermissionDenied
        return account


def is_open(account: ChannelAccount) -> bool:
    """Whether the account's breaker keeps it from sending now."""
    return account.open_until is not None and account.open_until > timezone.now()


def page_of(account: ChannelAccount) -> str:
    """The URL of an account's page."""
    return reverse("admin:ums_channels_channelaccount_change", args=[account.pk])


def state_of(request: HttpRequest, account: ChannelAccount) -> dict[str, Any]:
    """What stands above an account's form."""
    hook = request.build_absolute_uri(reverse("hook", args=[account.code, account.hook_token]))
    return {
        "account": account,
        "kind_label": adapter(account.kind).label,
        "breaker_open": is_open(account),
        "receipts": str(adapter(account.kind).capabilities.receipts),
        "hook_url": hook,
        "may_change": request.user.has_perm("ums_channels.change_channelaccount"),
        "may_test": request.user.has_perm("ums_channels.test_send"),
    }


def _kind_asked(request: HttpRequest) -> str:
    return request.GET.get("kind", "")


@admin.register(UnmappedCode)
class UnmappedCodeAdmin(ModelAdmin):
    """Answers of providers that no table knows: each counts as unknown until a release maps it."""

    list_display = ["kind", "code", "seen", "last_at"]
    list_filter = ["kind"]
    search_fields = ["code"]
    ordering = ["-seen"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UnmappedCode | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UnmappedCode | None = None) -> bool:
        return False
