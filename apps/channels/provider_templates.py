"""The local mirror of the templates that providers approved: ordered in the console, fetched by the work lane.

A run fetches page after page, each call outside any transaction; what a page says, and that it was read, is one
transaction that commits only while this start is the newest. So a run that dies anywhere is taken up again where it
stood, and two runners at once change nothing twice. What the provider lists no more is dropped at the end of a run.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.channels import tokens
from apps.channels.contract import Adapter, ApprovedTemplate, HttpAnswer, TransportFault
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount, ProviderTemplate, TemplateRefresh
from apps.channels.outcomes import Outcome, StaleToken, Unavailable
from apps.channels.registry import KINDS, adapter
from apps.channels.transport.http import fetch
from apps.operators import audit
from ums_site import queues
from ums_site.clock import boottime, database_now

log = structlog.get_logger(__name__)

STALE = timedelta(seconds=60)
MOST_PAGES = 500
State = TemplateRefresh.State
Page = tuple[Sequence[ApprovedTemplate], bool]


class Superseded(Exception):
    """Another runner has started the same order since; this one stops without a trace."""


class Refused(Exception):
    """The provider did not say which templates there are; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def lists_templates(kind: str) -> bool:
    """Whether providers of this kind can be asked which templates they approved."""
    return kind in KINDS and type(adapter(kind)).build_templates is not Adapter.build_templates


def listing_kinds() -> list[str]:
    """All kinds of which `lists_templates` holds."""
    return [kind for kind in KINDS if lists_templates(kind)]


def order_refresh(*, actor: object, account: ChannelAccount) -> TemplateRefresh:
    """The work lane asks the account's provider anew. While an order waits or runs, another one changes nothing.

    Raises AccountError for kinds that list no templates.
    """
    if not lists_templates(account.kind):
        raise AccountError({"": _("Providers of this kind do not tell which templates they approved.")})
    with transaction.atomic():
        ChannelAccount.objects.select_for_update().get(pk=account.pk)
        held = TemplateRefresh.objects.filter(account=account).first() or TemplateRefresh(account=account)
        if held.requested_at is not None and held.state in (State.WAITING, State.RUNNING):
            return held
        held.state, held.requested_at, held.finished_at = State.WAITING, database_now(), None
        held.next_page, held.found, held.words = 1, 0, ""
        held.save()
        audit.record(actor=actor, verb="refresh_templates", what=account, detail={"code": account.code})
        queues.ring("work")
    return held


def refresh_due(seconds: float | None = None) -> int:
    """Carries out orders that wait, and those whose runner went silent, for so long (default: the slice of a job).

    Returns how many were started. Must not be called inside a transaction.
    """
    end = boottime() + (settings.UMS_TIMERS.slice if seconds is None else seconds)
    started = 0
    while boottime() < end and (order := _start()) is not None:
        started += 1
        try:
            _run(order, end)
        except Superseded:
            continue
        except DatabaseError:
            raise
        except Exception as fault:  # an answer that an adapter stumbles over ends this order, not the worker
            place = traceback.extract_tb(fault.__traceback__)[-1]  # its words may quote the answer
            at = f"{place.name}:{place.lineno}"
            log.error("template_refresh_failed", account=order.account.code, fault=type(fault).__name__, at=at)
            _finish(order, State.FAILED, type(fault).__name__)
    return started


def _start() -> TemplateRefresh | None:
    """Claims one order, which no older runner may write to from now on."""
    now = database_now()
    with transaction.atomic():
        due = Q(state=State.WAITING) | Q(state=State.RUNNING, heartbeat_at__lt=now - STALE)
        rows = TemplateRefresh.objects.select_for_update(skip_locked=True, of=("self",)).select_related("account")
        order = rows.filter(due).order_by("requested_at").first()
        if order is not None:
            order.state, order.heartbeat_at, order.epoch = State.RUNNING, now, order.epoch + 1
            order.save(update_fields=["state", "heartbeat_at", "epoch"])
    return order


def _run(order: TemplateRefresh, end: float) -> None:
    """Page after page until the last one; where the slice is over first, the order waits for the next."""
    more = True
    while more:
        if order.next_page > MOST_PAGES:
            return _finish(order, State.FAILED, _("The list of the provider has no end."))
        if boottime() >= end:
            _note(order, state=State.WAITING)
            return queues.ring("work")
        try:
            found, more = _page(order.account, order.next_page)
        except (Refused, tokens.TokenRefused) as refused:
            return _finish(order, State.FAILED, _words(refused.outcome))
        except tokens.TokenBusy:
            return _finish(order, State.FAILED, _("Another process is fetching the access token: try again."))
        _keep(order, found)
    return _finish(order, State.DONE)


def _page(row: ChannelAccount, number: int) -> Page:
    read, version = _asked(row, number)
    if isinstance(read, StaleToken) and tokens.refused(row, version):
        read, _version = _asked(row, number)
    if isinstance(read, Outcome):
        raise Refused(read)
    return read


def _asked(row: ChannelAccount, number: int) -> tuple[Page | Outcome, int]:
    """What the provider says, and the version of the access token that it was asked with."""
    kind = adapter(row.kind)
    account, version = tokens.signed_in(row)
    answer = fetch(kind.build_templates(account, number), timeout_s=settings.UMS_TIMERS.t_http)
    if isinstance(answer, TransportFault):
        return Unavailable(answer.code, answer.words), version
    assert isinstance(answer, HttpAnswer)
    return kind.read_templates(account, answer), version


def _words(outcome: Outcome) -> str:
    said = [str(getattr(outcome, name, "")) for name in ("code", "words")]
    return " · ".join(filter(None, said)) or type(outcome).__name__


def _keep(order: TemplateRefresh, found: Sequence[ApprovedTemplate]) -> None:
    """One page and that it was read, or neither."""
    with transaction.atomic():
        now = database_now()
        rows = {one.code: _row(order, one, now) for one in found}
        ProviderTemplate.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["account", "code"],
            update_fields=["name", "text", "state", "refreshed_at"],
        )
        order.next_page, order.found = order.next_page + 1, order.found + len(rows)
        _note(order, next_page=order.next_page, found=order.found)


def _row(order: TemplateRefresh, one: ApprovedTemplate, now: datetime) -> ProviderTemplate:
    return ProviderTemplate(
        account=order.account,
        code=one.code[:200],
        name=one.name[:200],
        text=one.text,
        state=one.state,
        refreshed_at=now,
    )


def _finish(order: TemplateRefresh, state: str, words: str = "") -> None:
    with transaction.atomic():
        if state == State.DONE:
            ProviderTemplate.objects.filter(account=order.account, refreshed_at__lt=order.requested_at).delete()
        _note(order, state=state, words=words[:200], finished_at=database_now())


def _note(order: TemplateRefresh, **facts: object) -> None:
    """Writes progress and a heartbeat while this start is the newest. Raises Superseded."""
    mine = TemplateRefresh.objects.filter(pk=order.pk, epoch=order.epoch, state=State.RUNNING)
    if not mine.update(heartbeat_at=database_now(), **facts):
        raise Superseded
