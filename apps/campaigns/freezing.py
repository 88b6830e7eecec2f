"""A frozen audience: the ids that a definition found at one moment, in parts of some thousands, and a hash over them.

What it proves: the SHA-256 runs over all ids in order, eight bytes each, so that it is equal for equal sets of people and
for no others. Whoever was added or came to match later never joins. Whoever was frozen stays a target and is judged
anew when the campaign begins: who was deleted, has left the audience or was blacklisted since has a row with that reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from struct import pack

from django.db import connection, transaction

from apps.campaigns.models import AudiencePart, Campaign, Forecast
from ums_site.ids import first_row_id

FETCHED = 50

KEEP = """
INSERT INTO campaigns_audiencepart (forecast_id, last_id, ids)
SELECT %s, %s, coalesce(array_agg(recipient_id ORDER BY recipient_id), '{}') FROM planning
"""


def keep_part(forecast_id: int, last_id: int) -> None:
    """Keeps the people in `planning` as the part of the audience that ends at `last_id`."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [forecast_id, last_id])


def digest_of_ids(parts: Iterable[Iterable[int]]) -> str:
    """SHA-256 (hex) over ids in ascending order, however they are cut into parts."""
    hashed = hashlib.sha256()
    for part in parts:
        ids = list(part)
        hashed.update(pack(f">{len(ids)}q", *ids))
    return hashed.hexdigest()


def parts_of(forecast: Forecast) -> Iterator[list[int]]:
    """The ids of a frozen audience, part by part in order."""
    rows = AudiencePart.objects.filter(forecast_id=forecast.pk).order_by("last_id")
    yield from rows.values_list("ids", flat=True).iterator(chunk_size=FETCHED)


def is_whole(forecast: Forecast) -> bool:
    """Whether the kept ids are still those that the digest was made of."""
    return digest_of_ids(parts_of(forecast)) == forecast.digest


def digest_of_messages(campaign: Campaign) -> str:
    """The digest over the people who really became targets: equal to the forecast's where they are the frozen ones."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT recipient_id / 100000, array_agg(recipient_id ORDER BY recipient_id) FROM campaigns_message "
            "WHERE campaign_id = %s AND id >= %s AND recipient_id IS NOT NULL GROUP BY 1 ORDER BY 1",
            [campaign.pk, first_row_id(campaign.pk)],
        )
        return digest_of_ids(ids for _bucket, ids in cursor)


def drop_parts(forecast_ids: Iterable[int]) -> None:
    """Lets go of ids that are not needed any more; the digest stays."""
    AudiencePart.objects.filter(forecast_id__in=list(forecast_ids)).delete()


ROWS_DIGEST = """
SELECT sha256(string_agg(key || convert_to(user_id, 'UTF8') || int8send(coalesce(binding_id, 0)) || coalesce(sealed, ''::bytea),
    ''::bytea ORDER BY number))
FROM campaigns_targetlistrow WHERE target_list_id = %s GROUP BY (number - 1) / 20000 ORDER BY (number - 1) / 20000
"""


def digest_of_rows(list_id: int) -> str:
    """SHA-256 (hex) over every target of a list with its values, as they stand in the table."""
    hashed = hashlib.sha256()
    with connection.cursor() as cursor:
        cursor.execute(ROWS_DIGEST, [list_id])
        for (part,) in cursor.fetchall():
            hashed.update(bytes(part))
    return hashed.hexdigest()
