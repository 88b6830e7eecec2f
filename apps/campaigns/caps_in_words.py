"""Caps, guards and holdout groups as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from apps.campaigns.models import FrequencyCap, Holdout
from apps.campaigns.spans import SpanUnit
from apps.partners.classes import CLASSES


def cap_in_words(cap: FrequencyCap) -> str:
    """`At most 2 messages in any 7 days`."""
    if cap.span_unit == SpanUnit.CALENDAR_DAYS:
        words = ngettext("at most %(count)s message in %(span)s", "at most %(count)s messages in %(span)s", cap.most)
    else:
        words = ngettext(
            "at most %(count)s message in any %(span)s", "at most %(count)s messages in any %(span)s", cap.most
        )
    return words % {"count": cap.most, "span": _span(cap.span_count, cap.span_unit)}


def _span(count: int, unit: str) -> str:
    said = {
        SpanUnit.MINUTES: ngettext("%(count)s minute", "%(count)s minutes", count),
        SpanUnit.HOURS: ngettext("%(count)s hour", "%(count)s hours", count),
        SpanUnit.DAYS: ngettext("%(count)s day", "%(count)s days", count),
        SpanUnit.WEEKS: ngettext("%(count)s week", "%(count)s weeks", count),
        SpanUnit.CALENDAR_DAYS: ngettext("%(count)s calendar day", "%(count)s calendar days", count),
    }
    return said[SpanUnit(unit)] % {"count": count}


def guard_in_words(hours: int) -> str:
    """For how long the same text goes once."""
    if not hours:
        return gettext("may go again at once")
    words = ngettext("goes once in %(count)s hour", "goes once in %(count)s hours", hours)
    return words % {"count": hours}


def classes_in_words(classes: Sequence[str]) -> str:
    return " · ".join(str(CLASSES.get(one, one)) for one in classes)


def holdout_in_words(holdout: Holdout) -> str:
    """Who is left out."""
    if holdout.tag:
        return gettext("people with the tag %(tag)s") % {"tag": holdout.tag}
    percent = number_format((holdout.percent or 0).normalize(), use_l10n=True)
    return gettext("%(percent)s %% of people, always the same") % {"percent": percent}
