"""Lists of sensitive words in the console: what they apply to, their words, and import from a file with a dry run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.channels.registry import kind_choices
from apps.partners.classes import CLASSES
from apps.templates.errors import TemplateError
from apps.templates.models import ListedWord, WordList
from apps.templates.word_lists import (
    Imported,
    add_words,
    delete_word_list,
    import_words,
    remove_words,
    save_word_list,
)

IMPORT = "templates.import_words"


class WordListForm(forms.ModelForm):
    """What the list is called, does, and applies to."""

    classes = forms.MultipleChoiceField(
        label=_("Classes"),
        required=False,
        choices=list(CLASSES.items()),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None chosen: all classes."),
    )
    kinds = forms.MultipleChoiceField(
        label=_("Kinds of channel"),
        required=False,
        choices=kind_choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None chosen: every channel."),
    )

    class Meta:
        model = WordList
        fields = ["name", "action", "active", "business_lines", "classes", "kinds"]
        help_texts = {"business_lines": _("None chosen: all lines.")}


class ImportForm(forms.Form):
    """A file of words, or words typed in."""

    file = forms.FileField(
        label=_("File"), required=False, widget=UnfoldAdminFileFieldWidget(),
        help_text=_("Text or CSV in UTF-8 or GB18030, one word a line or in the first column."),
    )  # fmt: skip
    typed = forms.CharField(
        label=_("Or words, one a line"), required=False, widget=forms.Textarea(attrs={"rows": 5, "class": "ums-input"})
    )
    dry_run = forms.BooleanField(
        label=_("Only count, change nothing"), required=False, widget=UnfoldBooleanSwitchWidget()
    )

    def clean(self) -> dict[str, Any]:
        held: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(held.get("file")) == bool(held.get("typed", "").strip()):
            raise forms.ValidationError(_("Choose a file, or type words."))
        return held


@admin.register(WordList)
class WordListAdmin(ModelAdmin):
    """Lists apply at once, in every process, from its next batch on."""

    when_empty = (
        _("No list of sensitive words yet"),
        _(
            "Every text is searched for the words of your lists right before it is sent, on every channel, "
            "together with the values that stand in it. Full-width forms, capitals, blanks and signs between the "
            "letters make no difference. A text with a word of a blocking list is not sent; the next step of the "
            "policy may follow."
        ),
    )

    form = WordListForm
    list_display = ["name", "shown_action", "shown_scope", "shown_words", "active", "updated_at"]
    list_filter = ["active", "action"]
    search_fields = ["name"]
    ordering = ["-active", "name"]
    actions = None
    change_form_outer_before_template = "templates/words_of_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[WordList]:
        return super().get_queryset(request).annotate(count=Count("words")).prefetch_related("business_lines")

    @admin.display(description=_("a text with such a word"), ordering="action")
    def shown_action(self, held: WordList) -> str:
        return WordList.Action(held.action).label

    @admin.display(description=_("applies to"))
    def shown_scope(self, held: WordList) -> str:
        kinds = dict(kind_choices())
        chosen = [
            *[line.name for line in held.business_lines.all()],
            *[str(CLASSES.get(one, one)) for one in held.classes],
            *[str(kinds.get(one, one)) for one in held.kinds],
        ]
        return " · ".join(chosen) or gettext("everything")

    @admin.display(description=_("words"), ordering="count")
    def shown_words(self, held: WordList) -> str:
        link = f"{reverse('admin:templates_listedword_changelist')}?word_list__id__exact={held.pk}"
        return format_html('<a class="ums-link" href="{}">{}</a>', link, held.count)  # type: ignore[attr-defined]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service keeps the lines together with the list."""

    def save_model(self, request: HttpRequest, obj: WordList, form: Any, change: bool) -> None:
        save_word_list(actor=request.user, word_list=obj, business_lines=list(form.cleaned_data["business_lines"]))

    def delete_model(self, request: HttpRequest, obj: WordList) -> None:
        delete_word_list(actor=request.user, word_list=obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The words go with their list: their number says more than tens of thousands of lines."""
        counts = [gettext("%(list)s with %(count)s words") % {"list": one, "count": one.words.count()} for one in objs]
        return counts, {str(WordList._meta.verbose_name_plural): len(counts)}, set(), []

    def response_add(self, request: HttpRequest, obj: WordList, post_url_continue: str | None = None) -> HttpResponse:
        """A new list wants words."""
        if request.user.has_perm(IMPORT):
            return redirect("admin:wordlist_import", obj.pk)
        return super().response_add(request, obj, post_url_continue)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        held = self.get_object(request, object_id)
        more = kwargs.pop("extra_context", None) or {}
        if held is not None:
            more |= {"word_list": held, "may_import": request.user.has_perm(IMPORT)}
        return super().change_view(request, object_id, *args, extra_context=more, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        bring = self.admin_site.admin_view(self.bring_in)
        return [path("<int:list_id>/import/", bring, name="wordlist_import"), *super().get_urls()]

    def bring_in(self, request: HttpRequest, list_id: int) -> HttpResponse:
        """Words from a file or typed in; a dry run says what they would come to."""
        held = get_object_or_404(WordList, pk=list_id)
        if not request.user.has_perm(IMPORT):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        result = None
        if request.method == "POST" and form.is_valid():
            try:
                result = _brought(request, held, form.cleaned_data)
            except TemplateError as refused:
                form.add_error("file", str(refused))
            else:
                if not form.cleaned_data["dry_run"]:
                    messages.success(request, gettext("%(count)s words are new on the list.") % {"count": result.added})
                    return redirect("admin:templates_wordlist_change", held.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Words for %(list)s") % {"list": held},
            "opts": self.opts,
            "form": form,
            "result": result,
            "back": reverse("admin:templates_wordlist_change", args=[held.pk]),
        }
        return render(request, "templates/word_import.html", context)


def _brought(request: HttpRequest, held: WordList, said: dict[str, Any]) -> Imported:
    typed = str(said["typed"]).encode()
    content = said["file"].read() if said["file"] else typed
    if said["dry_run"] or said["file"]:
        return import_words(actor=request.user, word_list=held, content=content, dry_run=said["dry_run"])
    return add_words(
        actor=request.user, word_list=held, words=[one for one in said["typed"].splitlines() if one.strip()]
    )


@admin.register(ListedWord)
class ListedWordAdmin(ModelAdmin):
    """The words of a list: found, and taken off it."""

    list_display = ["word", "word_list", "id"]
    list_filter = ["word_list"]
    list_select_related = ["word_list"]
    search_fields = ["word", "key"]
    ordering = ["word_list", "word"]
    list_per_page = 100
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # reached from its list

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ListedWord | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: ListedWord) -> None:
        remove_words(actor=request.user, word_list=obj.word_list, entry_ids=[obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ListedWord]) -> None:
        for word_list in WordList.objects.filter(words__in=queryset).distinct():
            entries = list(queryset.filter(word_list=word_list).values_list("pk", flat=True))
            remove_words(actor=request.user, word_list=word_list, entry_ids=entries)
