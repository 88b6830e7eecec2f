"""Policies: written with an editor beside a picture of the route, kept in versions that can be compared and restored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from apps.campaigns.admin.policy_offers import offers
from apps.campaigns.admin.what_if import what_if_view
from apps.campaigns.drafting import restore_policy_version, save_policy
from apps.campaigns.errors import CampaignError, PolicyRefused
from apps.campaigns.forms import PolicyForm, read_plan
from apps.campaigns.models import Campaign, Policy, PolicyVersion
from apps.campaigns.policy import problems
from apps.campaigns.policy_changes import changes
from apps.campaigns.policy_picture import account_names, route
from apps.campaigns.policy_problems import found_in
from apps.campaigns.policy_words import summary
from ums_site.confirm import Question, confirmed


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    """Campaigns freeze the plan they use, so that changing a policy changes no campaign made before."""

    when_empty = (
        _("No policy yet"),
        _(
            "A policy says over which channels a message goes, at once or one after another, and when the next "
            "one follows."
        ),
    )

    list_display = ["name", "code", "in_words", "number", "updated_at"]
    search_fields = ["code", "name"]
    ordering = ["name"]
    actions = None

    def get_queryset(self, request: HttpRequest) -> Any:
        self.names = account_names()
        return super().get_queryset(request)

    @admin.display(description=_("what it does"))
    def in_words(self, policy: Policy) -> str:
        return summary(policy.plan, self.names)

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        own = [
            path("look/", guard(self.look), name="policy_look"),
            path("what-if/", guard(what_if_view), name="what_if"),
            path("<int:policy_id>/versions/", guard(self.versions), name="policy_versions"),
            path("<int:policy_id>/versions/<int:number>/restore/", guard(self.restore), name="policy_restore"),
        ]
        return [*own, *super().get_urls()]

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
            saved = self._saved(request, form)
            if saved is not None:
                return redirect(reverse("admin:campaigns_policy_change", args=[saved.pk]))
        plan = policy.plan if policy else None
        context = {
            **self.admin_site.each_context(request),
            "title": policy.name if policy else _("New policy"),
            "opts": self.opts,
            "policy": policy,
            "form": form,
            "may_save": allowed,
            "look": route(plan) if plan else None,
            "problems": form.problems,
            "offers": offers(),
        }
        return render(request, "campaigns/policy.html", context)

    def _saved(self, request: HttpRequest, form: PolicyForm) -> Policy | None:
        said = form.cleaned_data
        based_on = said["based_on"] if form.instance.pk else None
        before = Policy.objects.filter(pk=form.instance.pk).values_list("number", flat=True).first()
        try:
            saved = save_policy(
                actor=request.user, policy=form.save(commit=False), note=said["note"], based_on=based_on
            )
        except PolicyRefused as refused:
            form.problems = refused.problems
            form.add_error("plan", [f"{place}: {words}" for place, words in refused.problems.items()])
            return None
        except CampaignError as refused:
            form.add_error(refused.field or None, refused.message)
            return None
        if saved.number == before:
            messages.info(request, _("Nothing has changed: version %(number)s stands.") % {"number": saved.number})
        else:
            messages.success(request, _("The policy is saved as version %(number)s.") % {"number": saved.number})
        return saved

    def look(self, request: HttpRequest) -> HttpResponse:
        """The picture, the summary and the problems of a plan that is being written. Nothing is kept."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            plan = read_plan(request.POST.get("plan", ""))
        except forms.ValidationError as bad:
            return JsonResponse({"html": "", "problems": {"": " ".join(bad.messages)}})
        drawn = "" if problems(plan) else render_to_string("campaigns/policy_look.html", {"look": route(plan)}, request)
        return JsonResponse({"html": drawn, "problems": found_in(plan)})

    def versions(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """Every version, and what differs between two of them."""
        policy = self._seen(request, policy_id)
        names = account_names()
        held = list(policy.versions.order_by("-number"))
        used = dict(
            Campaign.objects.filter(policy_code=policy.code).values_list("policy_number").annotate(count=Count("pk"))
        )
        older, newer = _chosen(request, held)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Versions of “%(name)s”") % {"name": policy.name},
            "opts": self.opts,
            "policy": policy,
            "rows": [(one, summary(one.plan, names), used.get(one.number, 0)) for one in held],
            "older": older,
            "newer": newer,
            "lines": changes(older.plan, newer.plan, names) if older and newer else [],
            "may_save": self.has_change_permission(request, policy),
        }
        return render(request, "campaigns/policy_versions.html", context)

    def restore(self, request: HttpRequest, policy_id: int, number: int) -> HttpResponse:
        policy = self._seen(request, policy_id)
        if not self.has_change_permission(request, policy):
            raise PermissionDenied
        version = get_object_or_404(PolicyVersion, policy=policy, number=number)
        question = Question(
            title=_("Restore a version"),
            question=_("Make version %(number)s of “%(name)s” the newest again?")
            % {"number": number, "name": policy.name},
            consequences=[
                summary(version.plan, account_names()),
                _("It becomes a version of its own; the versions between stay. Campaigns that were made keep theirs."),
            ],
            verb=_("Restore"),
            done=_("The version is restored."),
            back=reverse("admin:policy_versions", args=[policy.pk]),
        )
        return confirmed(
            request, question, lambda: restore_policy_version(actor=request.user, version=version), (CampaignError,)
        )

    def _seen(self, request: HttpRequest, policy_id: int) -> Policy:
        policy = get_object_or_404(Policy, pk=policy_id)
        if not self.has_view_permission(request, policy):
            raise PermissionDenied
        return policy


def _chosen(request: HttpRequest, held: list[PolicyVersion]) -> tuple[PolicyVersion | None, PolicyVersion | None]:
    """The two versions to compare, the older first: those asked for, else the newest and the one before."""
    by_number = {str(one.number): one for one in held}
    asked = [by_number[one] for one in (request.GET.get("a", ""), request.GET.get("b", "")) if one in by_number]
    pair = asked if len(asked) == 2 else held[:2]
    if len(pair) < 2:
        return None, None
    older, newer = sorted(pair, key=lambda one: one.number)
    return older, newer
