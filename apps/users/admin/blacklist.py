"""The black- and whitelist: entries are added and lifted with a reason, not edited; lists come in and go out as files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.channels.families import family_of, ways
from apps.channels.models import ChannelAccount
from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.users import services
from apps.users.admin.forms import BlacklistForm, LiftForm
from apps.users.admin.search import search_by_address
from apps.users.importing.rejects import harmless
from apps.users.models import BlacklistEntry, ConsentRecord, MessageClass, Scope

SOURCE = "console"
SOURCES = dict(ConsentRecord.Source.choices)  # others are shown as they are
LIST = "admin:users_blacklistentry_changelist"
COLUMNS = (
    "user_id",
    "address",
    "region",
    "list",
    "classes",
    "channel",
    "business_line",
    "account",
    "reason",
    "source",
    "expires_at",
    "added_at",
)


class ClassFilter(admin.SimpleListFilter):
    """Entries that count for a class: those that name it, and those that name none."""

    title = _("message class")
    parameter_name = "class"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(MessageClass.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> QuerySet[BlacklistEntry]:
        return queryset.filter(Q(classes=[]) | Q(classes__contains=[self.value()])) if self.value() else queryset


class WayFilter(admin.SimpleListFilter):
    """Entries that count over a kind of channel: those that name it or its family, and those that name none."""

    title = _("counts over")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(ways().items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> QuerySet[BlacklistEntry]:
        word = self.value()
        return queryset.filter(channel__in=["", word, family_of(word)]) if word else queryset


class OfFilter(admin.SimpleListFilter):
    """Entries of people, of addresses, or of regions."""

    title = _("whom it names")
    parameter_name = "whom"
    SUBJECTS: ClassVar = {
        "person": (_("a person"), Q(recipient__isnull=False)),
        "address": (_("an address"), Q(address_hash__isnull=False)),
        "region": (_("a region"), ~Q(region="")),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(word, title) for word, (title, _condition) in self.SUBJECTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> QuerySet[BlacklistEntry]:
        chosen = self.SUBJECTS.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class InForceFilter(admin.SimpleListFilter):
    """Entries that count now, or those whose time is over."""

    title = _("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("in force")), ("no", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> QuerySet[BlacklistEntry]:
        over = Q(expires_at__lte=Now())
        return {"yes": queryset.exclude(over), "no": queryset.filter(over)}.get(self.value() or "", queryset)


@admin.register(BlacklistEntry)
class BlacklistAdmin(ModelAdmin):
    """People and addresses that must not, or may always, be written to; an address can be looked up, never read."""

    when_empty = (
        _("Nobody is on a list yet"),
        _(
            "Who is on the blacklist is not written to, from the next messages of a running campaign on. Who is "
            "on the whitelist is held back by no frequency cap, quiet hours, duplicate guard or holdout; and a "
            "business line in trial operation writes to nobody else."
        ),
    )

    list_display = [
        "subject",
        "shown_effect",
        "shown_classes",
        "where",
        "reason",
        "shown_source",
        "expires_at",
        "created_at",
    ]
    list_filter = ["effect", OfFilter, ClassFilter, WayFilter, InForceFilter, "origin", "source", "scope"]
    list_select_related = ["recipient"]
    search_fields = ["recipient__user_id", "region"]
    search_help_text = _("A user id, a region, or a whole phone number or e-mail address")
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["lift_chosen"]
    list_before_template = "users/lists_before.html"
    change_form_outer_before_template = "users/lift_link.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BlacklistEntry]:
        lines, accounts = (
            model.objects.filter(pk=OuterRef("scope_id")).values("name") for model in (BusinessLine, ChannelAccount)
        )
        name = Case(When(scope=Scope.BUSINESS_LINE, then=Subquery(lines)), default=Subquery(accounts))
        return super().get_queryset(request).annotate(where_name=name)

    @admin.display(description=_("whom it names"))
    def subject(self, entry: BlacklistEntry) -> str:
        return str(_("region %(name)s") % {"name": entry.region}) if entry.region else str(entry)

    @display(description=_("list"), ordering="effect", label={"block": "danger", "allow": "success"})
    def shown_effect(self, entry: BlacklistEntry) -> tuple[str, str]:
        return entry.effect, entry.get_effect_display()

    @admin.display(description=_("message classes"))
    def shown_classes(self, entry: BlacklistEntry) -> str:
        names = dict(MessageClass.choices)
        return ", ".join(str(names.get(one, one)) for one in entry.classes) or str(_("all"))

    @admin.display(description=_("where"), ordering="scope")
    def where(self, entry: BlacklistEntry) -> str:
        if entry.scope == Scope.EVERYWHERE:
            return entry.way or str(entry.get_scope_display())
        place = entry.where_name or str(entry.scope_id)  # type: ignore[attr-defined]
        return " · ".join(filter(None, (place, entry.way)))

    @admin.display(description=_("source"), ordering="source")
    def shown_source(self, entry: BlacklistEntry) -> str:
        source = str(SOURCES.get(entry.source, entry.source))
        return f"{source} ({entry.get_origin_display()})" if entry.origin == "consent" else source

    def get_form(self, request: HttpRequest, obj: BlacklistEntry | None = None, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = BlacklistForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: BlacklistEntry | None = None) -> list[str]:
        whom = ["effect", "user_id", "kind", "raw_address", "region", "classes", "channel"]
        whom += ["scope", "business_line", "account"]
        if obj is None:
            return [*whom, "reason", "expires_at"]
        return [
            "subject",
            "effect",
            "shown_classes",
            "where",
            "reason",
            "shown_source",
            "expires_at",
            "created_at",
        ]

    def has_change_permission(self, request: HttpRequest, obj: BlacklistEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BlacklistEntry | None = None) -> bool:
        return False  # an entry is lifted, which asks for the reason

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.delete_blacklistentry")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BlacklistEntry], search_term: str
    ) -> tuple[QuerySet[BlacklistEntry], bool]:
        found = search_by_address(queryset, search_term, "recipient__user_id", "address_hash")
        return (found | queryset.filter(region=search_term.strip()) if search_term.strip() else found), False

    def save_model(self, request: HttpRequest, obj: BlacklistEntry, form: BlacklistForm, change: bool) -> None:
        said = form.cleaned_data
        entry = services.add_blacklist(
            actor=request.user,
            recipient=said["user_id"],
            kind=said["kind"],
            address=said["raw_address"],
            region=said["region"],
            effect=said["effect"],
            classes=said["classes"],
            channel=said["channel"],
            scope=said["scope"],
            scope_id=form.scope_id(),
            reason=said["reason"],
            source=SOURCE,
            expires_at=said["expires_at"],
        )
        obj.pk = entry.pk
        obj.refresh_from_db()

    def get_urls(self) -> list[URLPattern]:
        views = {"lift": self.lift, "export": self.export}
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"users_blacklistentry_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {
            "may_import": request.user.has_perm("users.add_peopleimport"),
            "may_export": request.user.has_perm("users.export_recipient"),
            "asked": request.GET.urlencode(),
        }
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        entry = self.get_object(request, object_id)
        theirs = entry is not None and entry.origin == BlacklistEntry.Origin.CONSENT
        extra = {"entry": entry, "theirs": theirs, "may_lift": self.has_lift_permission(request)}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": extra})

    @action(description=_("Lift the chosen entries"), permissions=["lift"])
    def lift_chosen(self, request: HttpRequest, queryset: QuerySet[BlacklistEntry]) -> HttpResponse:
        ids = ",".join(str(one) for one in queryset.values_list("pk", flat=True)[:1000])
        return redirect(f"{reverse('admin:users_blacklistentry_lift')}?ids={ids}")

    def lift(self, request: HttpRequest) -> HttpResponse:
        """Asks for the reason, then takes the entries off their list."""
        if not self.has_lift_permission(request):
            raise PermissionDenied
        ids = [int(one) for one in request.GET.get("ids", "").split(",") if one.isdecimal()]
        entries = list(BlacklistEntry.objects.filter(pk__in=ids).select_related("recipient").order_by("-id"))
        form = LiftForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                lifted = services.lift_entries(actor=request.user, entries=entries, reason=form.cleaned_data["reason"])
            except services.PeopleError as refused:
                form.add_error(None, str(refused))
            else:
                messages.success(request, _("Lifted: %(count)s.") % {"count": lifted})
                return redirect(LIST)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Lift entries"),
            "form": form,
            "entries": entries,
        }
        return render(request, "users/lift.html", context | {"back": reverse(LIST)})

    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """The filtered list as a file; addresses stay masked."""
        if not (self.has_view_permission(request) and request.user.has_perm("users.export_recipient")):
            raise PermissionDenied
        found = self.get_changelist_instance(request).get_queryset(request).select_related("recipient")
        audit.record(actor=request.user, verb="export", what="blacklist", detail={"filter": sorted(request.GET)})
        answer = StreamingHttpResponse(_as_csv(found), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="lists.csv"'
        return answer


class _Echo:
    """What a CSV writer writes, handed back."""

    def write(self, text: str) -> str:
        return text


def _as_csv(found: QuerySet[BlacklistEntry]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    codes = _codes()
    yield "\ufeff" + writer.writerow(COLUMNS)
    for entry in found.iterator(chunk_size=2000):
        yield writer.writerow([harmless(cell) for cell in _row(entry, codes)])


def _row(entry: BlacklistEntry, codes: dict[tuple[str, int], str]) -> Sequence[str]:
    code = codes.get((entry.scope, entry.scope_id), "")
    return (
        entry.recipient.user_id if entry.recipient else "",
        entry.address_masked,
        entry.region,
        entry.effect,
        "|".join(entry.classes),
        entry.channel,
        code if entry.scope == Scope.BUSINESS_LINE else "",
        code if entry.scope == Scope.ACCOUNT else "",
        entry.reason,
        entry.source,
        entry.expires_at.isoformat() if entry.expires_at else "",
        entry.created_at.isoformat(),
    )


def _codes() -> dict[tuple[str, int], str]:
    lines = {(str(Scope.BUSINESS_LINE), pk): code for pk, code in BusinessLine.objects.values_list("pk", "code")}
    return lines | {(str(Scope.ACCOUNT), pk): code for pk, code in ChannelAccount.objects.values_list("pk", "code")}
