"""Pages that do something to an account: pause, resume, close its breaker, set and withdraw a price."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.channels import prices, services
from apps.channels.admin.pages import CHANGE, asked, drawn, page_of
from apps.channels.errors import AccountError
from apps.channels.models import AccountPrice
from apps.channels.trial_forms import PauseForm, PriceForm
from apps.partners.classes import CLASSES
from ums_site.confirm import Question, confirmed


def pause(request: HttpRequest, account_id: int) -> HttpResponse:
    """Asks for the reason."""
    account = asked(request, account_id, CHANGE)
    form = PauseForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.pause_account(actor=request.user, account=account, reason=form.cleaned_data["reason"])
        except AccountError as refused:
            form.add_error("reason", refused.problems["reason"])
        else:
            messages.success(request, _("The account is paused."))
            return redirect(page_of(account))
    context = {"title": _("Pause the account"), "account": account, "form": form, "back": page_of(account)}
    return drawn(request, "channels/pause.html", context)


def resume(request: HttpRequest, account_id: int) -> HttpResponse:
    """Says why it was paused, and asks."""
    account = asked(request, account_id, CHANGE)
    question = Question(
        title=_("Resume the account"),
        question=_("Resume “%(account)s”?") % {"account": account},
        consequences=[
            _("It was paused because: %(reason)s") % {"reason": account.pause_reason or "—"},
            _("What waited for it is sent now, at its limit per second."),
        ],
        verb=_("Resume"),
        done=_("The account sends again."),
        back=page_of(account),
    )
    return confirmed(request, question, lambda: services.resume_account(actor=request.user, account=account))


def close_breaker(request: HttpRequest, account_id: int) -> HttpResponse:
    """Says why it was opened, and asks."""
    account = asked(request, account_id, CHANGE)
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


def renew_hook(request: HttpRequest, account_id: int) -> HttpResponse:
    """Asks, and says what must be done at the provider afterwards."""
    account = asked(request, account_id, CHANGE)
    question = Question(
        title=_("New address for receipts"),
        question=_("Make a new secret address for “%(account)s”?") % {"account": account},
        consequences=[
            _("What the provider reports to the old address is refused from then on."),
            _("Enter the new one at the provider at once: receipts that come in between may be lost."),
        ],
        verb=_("Make a new address"),
        done=_("The address is new: copy it and enter it at the provider."),
        back=page_of(account),
        dangerous=True,
    )
    return confirmed(request, question, lambda: services.renew_hook(actor=request.user, account=account))


def price(request: HttpRequest, account_id: int) -> HttpResponse:
    """A new price from now or later, above the history of all."""
    account = asked(request, account_id, CHANGE)
    form = PriceForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        given = form.cleaned_data
        try:
            prices.set_price(
                actor=request.user,
                account=account,
                price=given["price"],
                valid_from=given["valid_from"],
                note=given["note"],
                message_class=given["message_class"],
            )
        except AccountError as refused:
            form.refuse(refused.problems)
        else:
            messages.success(request, _("The price is set."))
            return redirect(page_of(account))
    context = {"title": _("Price of “%(account)s”") % {"account": account}, "account": account, "form": form}
    return drawn(
        request,
        "channels/price.html",
        {**context, "prices": prices.history(account), "may_change": True, "now": timezone.now()},
    )


def end_price(request: HttpRequest, account_id: int, price_id: int) -> HttpResponse:
    """Ends the price of a class that is in force."""
    account = asked(request, account_id, CHANGE)
    held = get_object_or_404(AccountPrice, pk=price_id, account=account)
    said = {"price": f"{held.price.normalize():f} {account.currency}", "class": CLASSES.get(held.message_class, "")}
    question = Question(
        title=_("End the price"),
        question=_("End the price of %(price)s for “%(class)s” now?") % said,
        consequences=[_("From now on the price for all classes holds. What was sent keeps the price of its time.")],
        verb=_("End it"),
        done=_("The price has ended."),
        back=page_of(account),
    )
    return confirmed(
        request, question, lambda: prices.end_class_price(actor=request.user, price=held), refusals=(AccountError,)
    )


def withdraw_price(request: HttpRequest, account_id: int, price_id: int) -> HttpResponse:
    """Takes back a price that has not begun."""
    account = asked(request, account_id, CHANGE)
    held = get_object_or_404(AccountPrice, pk=price_id, account=account)
    said = {"price": f"{held.price.normalize():f} {account.currency}"}
    question = Question(
        title=_("Withdraw the price"),
        question=_("Withdraw the price of %(price)s?") % said,
        consequences=[_("The price before it goes on.")],
        verb=_("Withdraw"),
        done=_("The price is withdrawn."),
        back=page_of(account),
    )
    return confirmed(
        request, question, lambda: prices.withdraw_price(actor=request.user, price=held), refusals=(AccountError,)
    )
