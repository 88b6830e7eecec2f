"""A page of the console that asks before it does something: GET asks, POST does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.utils.functional import Promise

Words = str | Promise


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the deed as `verb` on the button, `consequences` as sentences, `back` the URL of the page before.

    `done` is said afterwards. `dangerous` deeds have a red button.
    """

    title: Words
    question: Words
    verb: Words
    done: Words
    back: str
    consequences: Sequence[Words] = ()
    dangerous: bool = False


def confirmed(
    request: HttpRequest, question: Question, deed: Callable[[], object], refusals: tuple[type[Exception], ...] = ()
) -> HttpResponse:
    """Asks at GET; at POST does the deed and leads back, saying what came of it. The caller has checked permission.

    `refusals` are errors whose sentence is for the person; others pass.
    """
    if request.method == "GET":
        words = {name: getattr(question, name) for name in Question.__dataclass_fields__}
        return render(request, "console/confirm.html", {**admin.site.each_context(request), **words})
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "POST"])
    try:
        deed()
    except refusals as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, str(question.done))
    return redirect(question.back)
