"""One row of a file: checked, sealed and hashed, or refused with a reason. No database; keys are passed in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.users.addresses import BadAddress, mask, normalise
from apps.users.attribute_values import READERS, BadValue, Value
from apps.users.importing.columns import Columns, DeclaredAttribute
from apps.users.importing.dialect import _
from ums_site.crypto import Keyring, binding_place

USER_ID_LENGTH = 64
TAG_LENGTH = 60
SEVERAL = "|"
_EDGES = "\ufeff\u200b \t\r\n\u3000\u00a0"
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class RowRefused(ValueError):
    """Why a row is not imported. `words` is an English msgid; neither it nor `params` holds a cell's content."""

    def __init__(self, words: str, **params: object) -> None:
        super().__init__(words)
        self.words = words
        self.params = params


@dataclass(slots=True)
class Row:
    """A good row, ready for the staging table. The four lists of the addresses run in parallel."""

    line: int
    user_id: str
    tags: list[str] = field(default_factory=list)
    attributes: str = "{}"
    sensitive: dict[str, Value] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    sealed: list[bytes] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)


def check_row(line: int, cells: Sequence[str], columns: Columns, ring: Keyring) -> Row:
    """The row with its addresses sealed and hashed. Raises RowRefused for the first cell that is wrong."""
    row = Row(line, check_user_id(cells[columns.user_id]))
    for place, kind in columns.addresses:
        cell = cells[place]
        if cell:
            _take_addresses(row, kind, columns.header[place], cell, ring)
    if columns.tags is not None and cells[columns.tags]:
        row.tags = read_tags(cells[columns.tags])
    _take_attributes(row, cells, columns)
    return row


def check_user_id(cell: str) -> str:
    """The trimmed id. Raises RowRefused."""
    user_id = cell.strip(_EDGES)
    if not user_id:
        raise RowRefused(_("user_id is missing"))
    if len(user_id) > USER_ID_LENGTH:
        raise RowRefused(
            _("user_id has %(count)s characters, at most %(limit)s are allowed"),
            count=len(user_id),
            limit=USER_ID_LENGTH,
        )
    if not user_id.isprintable():
        raise RowRefused(_("user_id contains a line break or another control character"))
    return user_id


def read_tags(cell: str) -> list[str]:
    """The labels of a cell, separated by |, without repetition. Raises RowRefused."""
    tags = list(dict.fromkeys(tag for part in cell.replace("｜", SEVERAL).split(SEVERAL) if (tag := part.strip())))
    for tag in tags:
        if len(tag) > TAG_LENGTH:
            raise RowRefused(_("a tag is longer than %(limit)s characters"), limit=TAG_LENGTH)
        if not tag.isprintable() or tag[0] in "=＝":
            raise RowRefused(_("a tag contains a control character or a formula"))
    return tags


def without_quote(cell: str) -> str:
    """Takes away the apostrophe that `rejects.harmless` had put before a formula sign."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA_SIGNS) else cell


def _take_addresses(row: Row, kind: str, column: str, cell: str, ring: Keyring) -> None:
    parts = cell.split(SEVERAL) if SEVERAL in cell else (cell,)
    for part in parts:
        if not part or part.isspace():
            continue
        try:
            text = normalise(kind, part)
        except BadAddress as bad:
            raise RowRefused(_("%(column)s: %(why)s"), column=column, why=bad) from None
        hashed = ring.keyed_hash(kind, text)
        if hashed in row.hashes:
            continue
        row.kinds.append(kind)
        row.hashes.append(hashed)
        row.sealed.append(ring.seal(text, binding_place(hashed)))
        row.masked.append(mask(kind, text))


def _take_attributes(row: Row, cells: Sequence[str], columns: Columns) -> None:
    plain: dict[str, Value] = {}
    for place, attribute in columns.attributes:
        cell = cells[place]
        if not cell or cell.isspace():
            continue
        value = _read(attribute, columns.header[place], cell)
        if attribute.sensitive:
            row.sensitive[attribute.key] = value
        else:
            plain[attribute.key] = value
    row.attributes = _json(plain) if plain else "{}"


def _read(attribute: DeclaredAttribute, column: str, cell: str) -> Value:
    try:
        return READERS[attribute.type](cell)
    except BadValue as bad:
        raise RowRefused(_("%(column)s: %(why)s"), column=column, why=bad) from None


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _json(values: Mapping[str, Value]) -> str:
    return _encode(values)
