"""Policies: written with an editor of steps, shown as sentences."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.campaigns.drafting import save_policy
from apps.campaigns.errors import CampaignError
from apps.campaigns.forms import PolicyForm
from apps.campaigns.models import Policy
from apps.campaigns.words import policy_in_words
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.users.models import Tag


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    """Campaigns freeze the plan they use, so that changing a policy changes no campaign made before."""

    list_display = ["name", "code", "in_words", "updated_at"]
    search_fields = ["code", "name"]
    ordering = ["name"]

    @admin.display(description=_("what it does"))
    def in_words(self, policy: Policy) -> str:
        return format_html_join("", "<div>{}</div>", ((words,) for words in policy_in_words(policy.plan)))

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The editor, for a new policy and for one that stands."""
        policy = self.get_object(request, object_id) if object_id else None
        if object_id and policy is None:
            raise Http404
        allowed = self.has_change_permission(request, policy) if policy else self.has_add_permission(request)
        if not allowed and not (policy and request.method == "GET" and self.has_view_permission(request, policy)):
            raise PermissionDenied
        form = PolicyForm(request.POST or None, instance=policy)
        if request.method == "POST" and form.is_valid():
            try:
                saved = save_policy(actor=request.user, policy=form.save(commit=False))
            except CampaignError as refused:
                form.add_error(refused.field or None, refused.message)
            else:
                messages.success(request, _("The policy is saved."))
                return redirect(reverse("admin:campaigns_policy_change", args=[saved.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": policy.name if policy else _("New policy"),
            "opts": self.opts,
            "policy": policy,
            "form": form,
            "may_save": allowed,
            "sentences": policy_in_words(policy.plan) if policy else [],
            "offers": {"accounts": _accounts(), "tags": list(Tag.objects.values_list("name", flat=True)[:500])},
        }
        return render(request, "campaigns/policy.html", context)


def _accounts() -> list[dict[str, str]]:
    accounts = ChannelAccount.objects.order_by("code")
    return [
        {"code": one.code, "name": one.name, "kind": one.kind, "label": str(_(adapter(one.kind).label))}
        for one in accounts
    ]
