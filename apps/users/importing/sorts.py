"""What a file may hold – people, entries of a list, or consents – behind one face for the job that takes it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.backends.utils import CursorWrapper

from apps.users.importing import apply, columns, staging
from apps.users.importing.consents import Consents
from apps.users.importing.dialect import _
from apps.users.importing.entries import Entries
from apps.users.importing.rows import Row, RowRefused, check_row
from apps.users.models import Attribute, PeopleImport
from ums_site.crypto import keyring


@dataclass(slots=True)
class Taken:
    """What became of one chunk: refused rows by line, and how much each count of the import rises."""

    refused: dict[int, RowRefused] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Sort(Protocol):
    """One sort of file, made for the header of one."""

    header: tuple[str, ...]

    def check(self, line: int, cells: Sequence[str]) -> Any:
        """A row ready to be staged. Raises RowRefused. It may run in another thread: no database."""

    def take(self, cursor: CursorWrapper, order: PeopleImport, rows: Sequence[Any]) -> Taken:
        """Writes the rows, or asks what writing would do for a dry run; call inside the transaction of the chunk."""


class People:
    """Recipients with addresses, tags and attributes."""

    def __init__(self, cells: Sequence[str]) -> None:
        self._columns = columns.read_header(cells, _declared())
        self.header = self._columns.header

    def check(self, line: int, cells: Sequence[str]) -> Row:
        return check_row(line, cells, self._columns, keyring())

    def take(self, cursor: CursorWrapper, order: PeopleImport, rows: Sequence[Row]) -> Taken:
        staging.fill(cursor, rows, keyring())
        repeated = apply.take_out_repeated(cursor, order.pk)
        apply.drop_applied(cursor, order.applied_line)
        done = apply.measure(cursor) if order.dry_run else apply.apply(cursor)
        counts = {
            "recipients_added": done.added,
            "recipients_changed": done.changed,
            "recipients_unchanged": done.unchanged,
            "bindings_added": done.bindings,
            "tags_added": done.tags,
        }
        words = _("the same user_id stands in line %(line)s")
        return Taken({line: RowRefused(words, line=first) for line, first in repeated.items()}, counts)


class ListEntries:
    """Entries of the black- or whitelist, or records of consent: what names its subjects and is written once."""

    def __init__(self, entries: Entries | Consents, repeated: str) -> None:
        self._entries, self._repeated = entries, repeated
        self.header, self.check = entries.header, entries.check

    def take(self, cursor: CursorWrapper, order: PeopleImport, rows: Sequence[Any]) -> Taken:
        self._entries.stage(cursor, rows)
        refused = self._entries.unknown(cursor)
        repeated = apply.take_out_repeated(cursor, order.pk, self._entries.table, "key")
        refused |= {line: RowRefused(self._repeated, line=first) for line, first in repeated.items()}
        apply.drop_applied(cursor, order.applied_line, self._entries.table)
        counts = self._entries.measure(cursor)
        if not order.dry_run:
            self._entries.write(cursor)
        return Taken(refused, counts)


def sort_of(order: PeopleImport, cells: Sequence[str]) -> Sort:
    """The sort for an import and the header of its file. Raises BadFile."""
    if order.sort == PeopleImport.Sort.PEOPLE:
        return People(cells)
    if order.sort == PeopleImport.Sort.CONSENT:
        actor = f"{order.created_by or ''} (import {order.pk})".strip()
        return ListEntries(Consents(cells, order.reason, actor), _("the same record stands in line %(line)s"))
    return ListEntries(Entries(cells, order.sort, order.reason), _("the same entry stands in line %(line)s"))


def _declared() -> list[columns.DeclaredAttribute]:
    return [columns.DeclaredAttribute(a.key, a.label, a.type, a.sensitive) for a in Attribute.objects.order_by("key")]
