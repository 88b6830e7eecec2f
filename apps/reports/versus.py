"""Forecast against actual: each figure that was forecast beside what came of it, the difference, and why it must differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.campaigns.freezing import digest_of_messages
from apps.campaigns.models import Campaign, Forecast, SavedMessage
from apps.campaigns.progress import is_over
from apps.reports.figures import Figures
from ums_site.ids import first_row_id

WHY: dict[str, Promise] = {
    "not_frozen": gettext_lazy("it went to whom the definition found when it began, not to the frozen audience"),
    "asked_again": gettext_lazy(
        "rules were asked again when it began and before each message: lists, caps and people had changed"
    ),
    "rests_on_rates": gettext_lazy("the later steps rest on what was delivered before; here it was another share"),
    "assumed": gettext_lazy("its rates were assumed, since there was no history yet; hence a range was given"),
    "kept": gettext_lazy("some lost or found an address meanwhile, or turned out to be away when it was sent"),
    "sampled": gettext_lazy("texts were measured on a random sample"),
    "not_over": gettext_lazy("it is still under way"),
    "time": gettext_lazy("workers, providers and waits took their own time"),
}
FIRST_STEP = """
SELECT extract(epoch FROM max(first_intent_at) - %s) FROM campaigns_delivery WHERE campaign_id = %s AND id >= %s AND step = 0
"""


class Row(NamedTuple):
    """One figure. `key` is `targets`, `blocked.blacklisted`, `tried.sms-main`, …; amounts are numbers or decimal text.

    `low` and `high` are given where the forecast gave a range, because rates were assumed.
    """

    key: str
    forecast: int | float | Decimal | None
    actual: int | float | Decimal | None
    why: str = ""
    low: int | Decimal | None = None
    high: int | Decimal | None = None

    @property
    def difference(self) -> Any:
        return None if self.forecast is None or self.actual is None else self.actual - self.forecast  # type: ignore[operator]


def forecast_of(campaign: Campaign) -> dict[str, Any] | None:
    """The figures that count: those of the frozen forecast, else of the last one; None without any."""
    frozen = Forecast.objects.filter(pk=campaign.frozen_id).first() if campaign.frozen_id else None
    said = frozen.figures if frozen else campaign.forecast
    return None if not said or said.get("given") or "routes" not in said else said


def rows_of(campaign: Campaign, figures: Figures) -> list[Row]:
    """Every figure that was forecast with its actual; empty where nothing was forecast."""
    said = forecast_of(campaign)
    if said is None:
        return []
    over = is_over(campaign)
    return [_explained(row, over) for row in _rows(campaign, said, figures)]


def _explained(row: Row, over: bool) -> Row:
    if not row.difference:
        return row._replace(why="")
    return row if over or row.key == "targets" else row._replace(why="not_over")


def _rows(campaign: Campaign, said: Mapping[str, Any], figures: Figures) -> Iterator[Row]:
    blocked = sum(said["blocked"].values())
    between = said.get("range", {}) if said.get("assumed") else {}
    rates = "assumed" if said.get("assumed") else "rests_on_rates"
    yield Row("targets", said["targets"], figures.targets, "not_frozen")
    yield Row("invalid", said["invalid"], figures.invalid, "asked_again")
    for reason in dict.fromkeys([*said["blocked"], *_codes(figures.blocked_reasons)]):
        actual = _codes(figures.blocked_reasons).get(reason, 0)
        yield Row(f"blocked.{reason}", said["blocked"].get(reason, 0), actual, "asked_again")
    yield Row("valid", said["targets"] - said["invalid"] - blocked, figures.valid, "asked_again")
    yield Row("kept", said.get("kept", 0), _kept(campaign), "kept")
    for code, people in said["expected"].items():
        tried = figures.by_channel[code]["tried"] if code in figures.by_channel else 0
        yield Row(f"tried.{code}", people, tried, rates)
    for route in dict.fromkeys([*said["routes"], *figures.by_route]):
        actual = figures.by_route[route]["people"] if route in figures.by_route else 0
        yield Row(f"route.{route}", said["routes"].get(route, 0), actual, rates)
    yield Row("delivered", said["delivered"], figures.delivered, rates, *between.get("delivered", ()))
    yield Row("pieces", said.get("expected_pieces"), figures.pieces, "sampled" if said.get("sampled") else rates)
    cost = map(Decimal, between.get("expected_price", ()))
    yield Row("cost", Decimal(said["expected_price"]), figures.cost, rates, *cost)
    yield Row("cost_first_step", Decimal(said["price"]), None)
    yield Row("cost_worst", Decimal(said["worst_price"]), figures.cost, rates)
    yield Row("seconds_first_step", said["duration_seconds"], _first_step_seconds(campaign), "time")


def _codes(reasons: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason, people in reasons.items():
        code = reason.partition(":")[0].strip()
        found[code] = found.get(code, 0) + people
    return found


def _kept(campaign: Campaign) -> int:
    """Messages that offline save kept, for however long."""
    return SavedMessage.objects.filter(campaign_id=campaign.pk).count()


def _first_step_seconds(campaign: Campaign) -> float | None:
    if campaign.started_at is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(FIRST_STEP, [campaign.started_at, campaign.pk, first_row_id(campaign.pk)])
        held = cursor.fetchone()[0]
    return None if held is None else round(float(held), 1)


def stored(campaign: Campaign, figures: Figures) -> dict[str, Any] | None:
    """The comparison as it is kept with the forecast once the campaign is over, with the proof of who became a target."""
    rows = rows_of(campaign, figures)
    if not rows or not campaign.frozen_id:
        return None
    frozen = Forecast.objects.get(pk=campaign.frozen_id)
    actual = digest_of_messages(campaign) if campaign.audience["kind"] == "filter" else ""
    return {
        "as_of": _text(figures.as_of),
        "digest": actual,
        "same_people": actual == frozen.digest if actual else None,
        "rows": [
            {
                "key": row.key,
                "forecast": _text(row.forecast),
                "actual": _text(row.actual),
                "difference": _text(row.difference),
                "why": row.why,
                "low": _text(row.low),
                "high": _text(row.high),
            }
            for row in rows
        ],
    }


def keep_versus(campaign: Campaign, figures: Figures) -> None:
    """Keeps the comparison with the forecast."""
    held = stored(campaign, figures)
    if held is not None:
        Forecast.objects.filter(pk=campaign.frozen_id).update(actual=held)


def words_of(key: str) -> str:
    """What a figure is called on pages."""
    names = {
        "targets": _("targets"), "invalid": _("invalid targets"), "valid": _("valid targets"), "delivered": _("delivered"),
        "kept": _("of these, kept until reachable"),
        "pieces": _("pieces"), "cost": _("cost, expected"), "cost_first_step": _("cost, first step only"),
        "cost_worst": _("cost, at most"), "seconds_first_step": _("seconds for the first step"),
    }  # fmt: skip
    return names.get(key, key)


def _text(held: Any) -> Any:
    if isinstance(held, datetime):
        return held.isoformat()
    return str(held) if isinstance(held, Decimal) else held
