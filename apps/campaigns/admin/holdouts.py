"""Holdout groups in the console: made, shown with what they left out, ended."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import DateTimeField, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.campaigns.admin.caps import CheckedForm, classes_field
from apps.campaigns.caps import check_holdout, end_holdout, save_holdout
from apps.campaigns.caps_in_words import classes_in_words, holdout_in_words
from apps.campaigns.holdouts import figures
from apps.campaigns.models import Holdout
from ums_site.clock import database_now
from ums_site.confirm import Question, confirmed


class HoldoutForm(CheckedForm):
    """Who is left out of what. What decides who they are is chosen once."""

    check = staticmethod(check_holdout)
    classes = classes_field(_("One-time passwords and notices go to everybody unless you choose them."))

    class Meta:
        model = Holdout
        fields = ["name", "percent", "tag", "salt", "classes", "business_lines", "from_at", "until_at"]
        help_texts = {
            "percent": _("0.01 to 50. The same people for as long as the group stands."),
            "tag": _("Instead of a percentage: people who were chosen elsewhere."),
            "salt": _("Groups with the same salt leave the same people out. Empty: a new one."),
            "business_lines": _("None chosen: all lines."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "salt" in self.fields:
            self.fields["salt"].required = False

    def clean_salt(self) -> str:
        return str(self.cleaned_data["salt"]).strip() or secrets.token_hex(8)


@admin.register(Holdout)
class HoldoutAdmin(ModelAdmin):
    """A group is ended, not deleted: figures of campaigns refer to it."""

    when_empty = (
        _("No holdout group yet"),
        _(
            "A holdout group is left out of campaigns on purpose, so that you can compare what people do who are "
            "written to with what they do anyway. Nobody in it gets marketing of the chosen lines until the "
            "group ends; notices and one-time passwords go out as ever."
        ),
    )

    form = HoldoutForm
    list_display = ["name", "shown_who", "shown_classes", "from_at", "until_at", "shown_state"]
    ordering = ["-id"]
    actions = None
    change_form_outer_before_template = "campaigns/holdout_figures.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Holdout]:
        now = Value(database_now(), output_field=DateTimeField())  # one moment for the whole list
        return super().get_queryset(request).annotate(now=now)

    def has_delete_permission(self, request: HttpRequest, obj: Holdout | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Holdout | None = None) -> list[str]:
        return ["percent", "tag", "salt", "from_at"] if obj else []

    @admin.display(description=_("people left out"))
    def shown_who(self, holdout: Holdout) -> str:
        return holdout_in_words(holdout)

    @admin.display(description=_("classes"))
    def shown_classes(self, holdout: Holdout) -> str:
        return classes_in_words(holdout.classes)

    @display(description=_("state"), label={"on": "success", "later": "info", "over": "default"})
    def shown_state(self, holdout: Holdout) -> tuple[str, Any]:
        now = holdout.now  # type: ignore[attr-defined]
        if holdout.from_at > now:
            return "later", _("not begun")
        if holdout.until_at is not None and holdout.until_at <= now:
            return "over", _("over")
        return "on", _("in force")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service keeps the lines together with the group."""

    def save_model(self, request: HttpRequest, obj: Holdout, form: Any, change: bool) -> None:
        save_holdout(actor=request.user, holdout=obj, business_lines=list(form.cleaned_data["business_lines"]))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        held = self.get_object(request, object_id)
        more = kwargs.pop("extra_context", None) or {}
        if held is not None:
            over = held.until_at is not None and held.until_at <= database_now()
            may_end = not over and self.has_change_permission(request, held)
            more |= {"holdout": held, "figures": figures(held), "may_end": may_end}
        return super().change_view(request, object_id, *args, extra_context=more, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        end = self.admin_site.admin_view(self.end)
        return [path("<int:holdout_id>/end/", end, name="holdout_end"), *super().get_urls()]

    def end(self, request: HttpRequest, holdout_id: int) -> HttpResponse:
        """Asks, then ends the group."""
        held = get_object_or_404(Holdout, pk=holdout_id)
        if not self.has_change_permission(request, held):
            raise PermissionDenied
        question = Question(
            title=held.name,
            question=_("End this holdout group now?"),
            verb=_("End it"),
            done=_("The group has ended."),
            back=reverse("admin:campaigns_holdout_change", args=[held.pk]),
            consequences=[
                _("Campaigns that begin from now on write to its people again."),
                _("It cannot be taken up again: comparisons after a break would compare nothing."),
            ],
            dangerous=True,
        )
        return confirmed(request, question, lambda: end_holdout(actor=request.user, holdout=held))
