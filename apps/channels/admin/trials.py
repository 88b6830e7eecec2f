"""An account tried by hand: its credentials asked for, or one real message sent, with what went over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from apps.channels.above import Above, Blank, Bound, above
from apps.channels.admin.pages import TEST, TEST_RAW, VIEW, asked, drawn, page_of
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.channels.testing import TestSend, can_be_checked, check_account, test_send
from apps.channels.trial_forms import ChooseForm, TestSendForm


def check(request: HttpRequest, account_id: int) -> HttpResponse:
    """Asks the provider whether it takes the credentials; sends nothing to anybody."""
    account = asked(request, account_id, VIEW, TEST)
    result = check_account(actor=request.user, account=account) if request.method == "POST" else None
    context = {"title": _("Check the credentials"), "account": account, "result": result, "back": page_of(account)}
    more = {"can_be_checked": can_be_checked(account), "fetches_token": adapter(account.kind).uses_token}
    return drawn(request, "channels/check.html", context | more)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom and with which text, as the address of the page says it."""

    user_id: str
    text: int
    bindings: Sequence[Bound] | None
    blanks: Sequence[Blank] | None
    note: str = ""


def test(request: HttpRequest, account_id: int) -> HttpResponse:
    """A real message; what came of it is said on the same page."""
    account = asked(request, account_id, VIEW, TEST)
    known = above()
    sees_people = known is not None and known.may_see_people(request.user)
    choose = ChooseForm(request.GET, known.texts(account.kind) if known else [], sees_people=sees_people)
    chosen = _chosen(request, account, known, choose)
    form, result = None, None
    if chosen.bindings or (chosen.bindings is None and request.user.has_perm(TEST_RAW)):
        posted = request.POST if request.method == "POST" else None
        form = TestSendForm(account.kind, posted, chosen.bindings, chosen.blanks)
        if form.is_valid():
            result = _sent(request, account, known, chosen, form)
    elif request.method == "POST":
        raise PermissionDenied
    context = {"title": _("Test message"), "account": account, "choose": choose, "chosen": chosen, "form": form}
    more = {"result": result, "sees_people": sees_people, "may_type": request.user.has_perm(TEST_RAW)}
    return drawn(request, "channels/test_send.html", context | more | {"back": page_of(account)})


def _chosen(request: HttpRequest, account: ChannelAccount, known: Above | None, choose: ChooseForm) -> Chosen:
    given = choose.cleaned_data if choose.is_valid() else {}
    user_id, text = str(given.get("user_id", "")).strip(), int(given.get("version") or 0)
    if known is None:
        return Chosen("", 0, None, None)
    bindings, note = None, ""
    if user_id:
        found = known.bindings(user_id, account)
        bindings = found or []
        if found is None:
            note = _("There is no recipient with this user id.")
        elif not found:
            kind = adapter(account.kind).capabilities.address_kind
            note = _("This person has no address of kind “%(kind)s” that this account may use.") % {"kind": kind}
    try:
        filled_for = user_id if bindings else ""
        blanks = known.blanks(request.user, text, account.kind, filled_for) if text else None
    except AccountError as refused:
        messages.error(request, str(refused))
        text, blanks = 0, None
    return Chosen(user_id, text, bindings, blanks, note)


def _sent(
    request: HttpRequest, account: ChannelAccount, known: Above | None, chosen: Chosen, form: TestSendForm
) -> TestSend | None:
    try:
        address, whose = _address(account, known, chosen, form)
        content: Mapping[str, Any] = form.content()
        if chosen.text and known:
            content = known.content(chosen.text, account.kind, form.values())
            whose["text"] = chosen.text
        if known and (words := known.words_against(content, account)):
            raise AccountError({"": words})
        return test_send(actor=request.user, account=account, address=address, content=content, whose=whose)
    except AccountError as refused:
        form.refuse(refused.problems)
        return None


def _address(
    account: ChannelAccount, known: Above | None, chosen: Chosen, form: TestSendForm
) -> tuple[str, dict[str, Any]]:
    """The address in clear and whose it is. Raises AccountError."""
    if chosen.bindings and known:
        binding_id = int(form.cleaned_data["binding"])
        address = known.opened(binding_id, chosen.user_id, account)
        return address, {"user_id": chosen.user_id, "binding": binding_id}
    address = form.cleaned_data["address"]
    if known and (words := known.refusal(address, account)):
        raise AccountError({"address": words})
    return address, {}
