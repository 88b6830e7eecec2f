"""Forecast: what a campaign would do if it were sent now – who is reached where, who is blocked and why, routes, money, time.

Reach and blocks are counted exactly over the whole audience, set-based, with the very SQL that expand uses, chunk by chunk:
each chunk is one transaction that also moves the forecast's place in the audience and keeps the chunk's ids, so that the
audience is frozen by the same pass, a run that died is taken up where it was, and memory does not grow with the audience.
Pieces and money come from people's own rendered texts, of everybody up to SAMPLE people and of a random sample above.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.campaigns.approvals import seal_of
from apps.campaigns.binding import definition_hash
from apps.campaigns.errors import CampaignError
from apps.campaigns.forecast_measures import add_chunk
from apps.campaigns.forecast_result import figures_of
from apps.campaigns.freezing import digest_of_ids, drop_parts, keep_part, parts_of
from apps.campaigns.models import Campaign, Forecast, TargetList
from apps.campaigns.pipeline.expand import CHUNK, fill_from_audience, fill_from_list
from apps.campaigns.pipeline.plan import clear_planning
from apps.campaigns.states import CampaignState
from apps.operators import audit
from apps.users.models import Recipient
from ums_site.clock import boottime, database_now
from ums_site.failpoints import failpoint
from ums_site.queues import ring

SAMPLE = 20_000
AT_ONCE = 20_000  # so many people are looked at while the page loads; more in the background
STALE = timedelta(seconds=30)
State = Forecast.State


class Superseded(Exception):
    """Another run has taken this forecast over."""


def order_forecast(*, actor: object, campaign: Campaign) -> Forecast:
    """Orders a forecast of a draft: made at once for a small audience, else by lane `work`. Raises CampaignError."""
    made = _new(actor, campaign)
    if made.people <= AT_ONCE:
        return run(made.pk)
    ring("work")
    return made


def forecast_now(*, actor: object, campaign: Campaign) -> Forecast:
    """As `order_forecast`, made in this process whatever the size. Raises CampaignError where it cannot be made."""
    made = run(_new(actor, campaign).pk)
    if made.state != State.DONE:
        raise CampaignError(made.error or _("The forecast is not ready yet: wait for it."))
    return made


@transaction.atomic
def _new(actor: object, campaign: Campaign) -> Forecast:
    held = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign.pk)
    if held.state != CampaignState.DRAFT or held.audience["kind"] == "given":
        raise CampaignError(_("Only a draft has a forecast to make: this one was submitted."))
    drop_parts(held.forecasts.exclude(pk=held.frozen_id).values_list("pk", flat=True))
    held.forecasts.filter(state__in=[State.WAITING, State.RUNNING]).update(state=State.FAILED, error=_("made anew"))
    last, people = _extent(held)
    return Forecast.objects.create(
        campaign=held, definition=definition_hash(held), as_of=database_now(), made_by=str(actor)[:200],
        last_id=last, people=people, heartbeat_at=database_now(),
    )  # fmt: skip


def _extent(campaign: Campaign) -> tuple[int, int]:
    """The last id to look at, and about how many are looked at in all."""
    if campaign.audience["kind"] == "list":
        targets = TargetList.objects.values_list("targets", flat=True).get(pk=campaign.audience["list"])
        return targets, targets
    last = Recipient.objects.order_by("-id").values_list("id", flat=True).first() or 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM users_recipient LIMIT %s) first_ones", [AT_ONCE + 1])
        some = cursor.fetchone()[0]
        if some > AT_ONCE:
            cursor.execute(
                "SELECT greatest(reltuples, %s)::bigint FROM pg_class WHERE relname = 'users_recipient'", [some]
            )
            some = cursor.fetchone()[0]
    return last, some


def run_due(seconds: float | None = None) -> int:
    """Makes forecasts that wait, and those whose run went silent, for a slice of time; returns how many were begun."""
    end = boottime() + (settings.UMS_TIMERS.slice if seconds is None else seconds)
    begun = 0
    while (due := _due()) is not None:
        run(due, end)
        begun += 1
        if boottime() >= end:
            break
    return begun


def _due() -> int | None:
    silent = Q(state=State.RUNNING, heartbeat_at__lt=database_now() - STALE)
    found = Forecast.objects.filter(Q(state=State.WAITING) | silent).order_by("id")
    return found.values_list("pk", flat=True).first()


def run(forecast_id: int, end: float | None = None) -> Forecast:
    """Makes one forecast, to its end or until `end` on the boot clock; then it waits for the next slice."""
    forecast = _take(forecast_id)
    if forecast is not None:
        try:
            while _chunk(forecast):
                failpoint("forecast_after_chunk")
                if end is not None and boottime() >= end:
                    _note(forecast, state=State.WAITING)
                    ring("work")
                    break
            else:
                _finish(forecast)
        except Superseded:
            pass
        except CampaignError as refused:
            _note(forecast, state=State.FAILED, error=refused.message[:200])
    return Forecast.objects.get(pk=forecast_id)


@transaction.atomic
def _take(forecast_id: int) -> Forecast | None:
    held = Forecast.objects.select_for_update(skip_locked=True).filter(pk=forecast_id).first()
    if held is None or held.state in (State.DONE, State.FAILED):
        return None
    if held.state == State.RUNNING and held.heartbeat_at and held.heartbeat_at > database_now() - STALE:
        return None
    held.state, held.epoch, held.heartbeat_at = State.RUNNING, held.epoch + 1, database_now()
    held.save(update_fields=["state", "epoch", "heartbeat_at"])
    return held


def _note(forecast: Forecast, **facts: object) -> None:
    mine = Forecast.objects.filter(pk=forecast.pk, epoch=forecast.epoch, state=State.RUNNING)
    if not mine.update(heartbeat_at=database_now(), **facts):
        raise Superseded
    for name, value in facts.items():
        setattr(forecast, name, value)


@transaction.atomic
def _chunk(forecast: Forecast) -> bool:
    """One chunk of the audience; False where none was left."""
    campaign = _as_forecast(forecast)
    place = _next_place(campaign, forecast)
    if place is None:
        return False
    with _filled(campaign, forecast.reached_id, place):
        share = min(1.0, SAMPLE / max(1, forecast.people))
        totals, people = add_chunk(campaign, forecast.totals, share)
        kept = campaign.audience["kind"] != "list"
        if kept:
            keep_part(forecast.pk, place)
    _note(forecast, totals=totals, reached_id=place, seen=forecast.seen + (CHUNK if kept else people))
    return True


def _as_forecast(forecast: Forecast) -> Campaign:
    """The campaign, surely as it was when the forecast was ordered. Raises CampaignError where it was changed since."""
    campaign = Campaign.objects.select_related("template_version", "business_line").get(pk=forecast.campaign_id)
    if definition_hash(campaign) != forecast.definition:
        raise CampaignError(_("The campaign was changed meanwhile: forecast it again."))
    return campaign


def _next_place(campaign: Campaign, forecast: Forecast) -> int | None:
    if campaign.audience["kind"] == "list":
        return min(forecast.reached_id + CHUNK, forecast.last_id) if forecast.reached_id < forecast.last_id else None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id) FROM (SELECT id FROM users_recipient WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) c",
            [forecast.reached_id, forecast.last_id, CHUNK],
        )
        return cursor.fetchone()[0]


@contextmanager
def _filled(campaign: Campaign, behind: int, last: int) -> Iterator[None]:
    """`planning` with one chunk. For a list its messages are really written and taken back: what is counted is what
    expanding does."""
    if campaign.audience["kind"] != "list":
        clear_planning()
        fill_from_audience(campaign, behind + 1, last)
        yield
        return
    point = transaction.savepoint()
    fill_from_list(campaign, behind, last)
    yield
    transaction.savepoint_rollback(point)


def _finish(forecast: Forecast) -> None:
    """Works the figures out and keeps them with the campaign, if it is still what was forecast."""
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=forecast.campaign_id)
        if campaign.state != CampaignState.DRAFT or definition_hash(campaign) != forecast.definition:
            raise CampaignError(_("The campaign was changed meanwhile: forecast it again."))
        figures = figures_of(campaign, forecast)
        forecast.targets, forecast.figures = figures["targets"], figures
        is_list = campaign.audience["kind"] == "list"
        forecast.digest = _list_digest(campaign) if is_list else digest_of_ids(parts_of(forecast))
        figures["digest"], figures["forecast_id"] = forecast.digest, forecast.pk
        _note(
            forecast, state=State.DONE, figures=figures, targets=forecast.targets, digest=forecast.digest,
            seal=seal_of(forecast), made_at=database_now(), seen=forecast.people,
        )  # fmt: skip
        Campaign.objects.filter(pk=campaign.pk).update(forecast=figures)
        detail = {"targets": figures["targets"], "price": figures["price"], "currency": figures["currency"]}
        audit.record(
            actor=forecast.made_by, verb="forecast", what=campaign, detail={**detail, "digest": forecast.digest}
        )


def progress_of_forecast(campaign_id: int) -> dict[str, Any]:
    """How far the newest forecast of a campaign is: {"percent", "over", "error"}."""
    newest = Forecast.objects.filter(campaign_id=campaign_id).order_by("-id").first()
    if newest is None or newest.state in (State.DONE, State.FAILED):
        return {"percent": 100, "over": True, "error": newest.error if newest else ""}
    return {"percent": min(99, newest.seen * 100 // max(1, newest.people)), "over": False, "error": ""}


def _list_digest(campaign: Campaign) -> str:
    return TargetList.objects.values_list("digest", flat=True).get(pk=campaign.audience["list"])
