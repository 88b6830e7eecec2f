"""A file of targets read row by row: whom each names, and the values that stand beside. No database.

Columns are `user_id` or kinds of addresses (in the words that an import of people knows), at least one of them; every
other column is a variable of the text. A row names its person by user id, else by the first address that it gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.users.addresses import IMPORT_KINDS, BadAddress, normalise
from apps.users.importing.columns import IGNORED, USER_ID, column_name
from apps.users.importing.dialect import BadFile, _
from apps.users.importing.reader import OpenFile
from apps.users.importing.rows import RowRefused, check_user_id, without_quote
from ums_site.crypto import Keyring

CHUNK_ROWS = 5000
LONGEST_VALUE = 4000
MOST_VARIABLES = 50
_NAME = re.compile(r"[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_\u4e00-\u9fff]{0,59}").fullmatch


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Positions of the cells; `variables` are (place, name)."""

    header: tuple[str, ...]
    user_id: int | None
    addresses: tuple[tuple[int, str], ...]
    variables: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One good row. `key` is a keyed hash of whom it names."""

    line: int
    key: bytes
    user_id: str
    kind: str
    address: str = field(repr=False)
    sealed: bytes | None = field(repr=False)


@dataclass(slots=True)
class ListChunk:
    """Some thousand rows; `cells` keeps what was refused, by line, for the file of refusals."""

    targets: list[Target] = field(default_factory=list)
    refused: dict[int, RowRefused] = field(default_factory=dict)
    cells: dict[int, list[str]] = field(default_factory=dict)
    rows: int = 0
    last_line: int = 0
    bytes_read: int = 0


def read_list_header(cells: Sequence[str]) -> ListColumns:
    """Raises BadFile for a column that names nothing, stands twice, or where nobody is named at all."""
    held = list(cells)
    while held and not held[-1].strip():
        held.pop()
    names = [column_name(cell) for cell in held]
    plain = [_variable(cell) for cell in held]
    places = {name: place for place, name in enumerate(names) if name == USER_ID or name in IMPORT_KINDS}
    variables = [
        (place, plain[place]) for place, name in enumerate(names) if name not in places and name not in IGNORED
    ]
    bad = [name[:40] for _place, name in variables if not _NAME(name)]
    if bad:
        raise BadFile(_("these columns cannot be variables: %(names)s. Begin with a letter."), names=", ".join(bad))
    said = [name for name in names if name in places] + [name for _place, name in variables]
    repeated = sorted({name for name in said if said.count(name) > 1})
    if repeated:
        raise BadFile(_("columns given twice: %(names)s"), names=", ".join(repeated))
    if not places:
        known = ", ".join((USER_ID, *IMPORT_KINDS))
        raise BadFile(_("no column names anybody: one of %(known)s is needed"), known=known)
    if len(variables) > MOST_VARIABLES:
        raise BadFile(_("%(count)s variables; at most %(most)s are allowed"), count=len(variables), most=MOST_VARIABLES)
    addresses = tuple((place, name) for name, place in places.items() if name != USER_ID)
    return ListColumns(tuple(held), places.get(USER_ID), addresses, tuple(variables))


def _variable(cell: str) -> str:
    """A column's name as a variable: as it stands, or what an import of people calls it (姓名 is `name`)."""
    plain = cell.strip("\ufeff \t\r\n")
    name = column_name(cell)
    return plain if name == plain.lower() else name


def list_chunks(
    file: OpenFile, columns: ListColumns, ring: Keyring, after_line: int = 0, size: int = CHUNK_ROWS
) -> Iterator[ListChunk]:
    """The rows behind a line, gathered; blank lines are left out."""
    chunk = ListChunk()
    for line, cells in file.rows:
        if line <= after_line or not any(cells):
            continue
        chunk.rows, chunk.last_line = chunk.rows + 1, line
        try:
            chunk.targets.append(_target(line, _fitted(cells, len(columns.header)), columns, ring))
        except RowRefused as refused:
            chunk.refused[line], chunk.cells[line] = refused, cells
        if chunk.rows >= size:
            chunk.bytes_read = file.position()
            yield chunk
            chunk = ListChunk()
    if chunk.rows:
        chunk.bytes_read = file.position()
        yield chunk


def _fitted(cells: list[str], width: int) -> list[str]:
    if len(cells) < width or any(cells[width:]):
        raise RowRefused(_("the row has %(count)s cells, the header has %(width)s"), count=len(cells), width=width)
    return [without_quote(cell) if cell[:1] == "'" else cell for cell in cells[:width]]


def _target(line: int, cells: Sequence[str], columns: ListColumns, ring: Keyring) -> Target:
    values = {}
    for place, name in columns.variables:
        cell = cells[place].strip()
        if cell.startswith(("=", "＝")):
            raise RowRefused(_("%(column)s: it holds a spreadsheet formula instead of a value"), column=name)
        if len(cell) > LONGEST_VALUE or "\0" in cell:
            raise RowRefused(_("%(column)s: it is longer than %(most)s characters"), column=name, most=LONGEST_VALUE)
        if cell:
            values[name] = cell
    sealed = ring.seal(json.dumps(values, ensure_ascii=False), PAYLOAD_PLACE) if values else None
    if columns.user_id is not None and cells[columns.user_id].strip():
        user_id = check_user_id(cells[columns.user_id])
        return Target(line, ring.keyed_hash(USER_ID, user_id), user_id, "", "", sealed)
    for place, kind in columns.addresses:
        if cells[place].strip():
            try:
                address = normalise(kind, cells[place])
            except BadAddress as bad:
                raise RowRefused(_("%(column)s: %(why)s"), column=columns.header[place], why=bad) from None
            return Target(line, ring.keyed_hash(kind, address), "", kind, address, sealed)
    raise RowRefused(_("it names nobody: neither a user id nor an address"))
