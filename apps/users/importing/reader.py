"""The rows of a file as a stream, with their physical line numbers, gathered into chunks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.users.importing.dialect import BadFile, Dialect, _
from apps.users.importing.rows import RowRefused, without_quote

CHUNK_ROWS = 5000
SHEET = ".sheet"  # the CSV that sheet.py made of a workbook
LINE_BREAK = "\u2028"  # a line break within a cell of it: there a row is a line


@dataclass(slots=True)
class Chunk:
    """Some thousand rows of the file, good and refused. `cells` keeps the original cells by line, for refusals."""

    rows: list[Any] = field(default_factory=list)
    refused: dict[int, RowRefused] = field(default_factory=dict)
    cells: dict[int, list[str]] = field(default_factory=dict)
    last_line: int = 0
    bytes_read: int = 0


@dataclass(slots=True)
class OpenFile:
    """`header` are its first cells; `rows` yields (physical line of the row's start, cells)."""

    header: list[str]
    rows: Iterator[tuple[int, list[str]]]
    position: Callable[[], int]  # bytes taken from the file so far


@contextmanager
def opened(path: Path, dialect: Dialect) -> Iterator[OpenFile]:
    """Opens a file of people. Raises BadFile for a file without a header."""
    with path.open("rb") as raw, open(raw.fileno(), encoding=dialect.encoding, newline="", closefd=False) as text:
        for _line in range(dialect.skipped_lines):
            text.readline()
        reader = csv.reader(text, delimiter=dialect.delimiter)
        try:
            header = next(reader)
        except (StopIteration, csv.Error):
            raise BadFile(_("the file has no header line")) from None
        rows = _numbered(reader, dialect.skipped_lines)
        yield OpenFile(header, _with_line_breaks(rows) if path.suffix == SHEET else rows, raw.raw.tell)


def _numbered(reader: Iterator[list[str]], skipped: int) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1 + skipped  # type: ignore[attr-defined]
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise BadFile(
                _("line %(line)s holds a cell of more than 128 KiB; a quotation mark is probably not closed"), line=line
            ) from None
        yield line, cells


def _with_line_breaks(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        yield line, [cell.replace(LINE_BREAK, "\n") for cell in cells]


def chunks(
    file: OpenFile, width: int, check: Callable[[int, list[str]], Any], after_line: int = 0, size: int = CHUNK_ROWS
) -> Iterator[Chunk]:
    """The rows behind a line in order, as `check` reads them; blank lines are left out. Raises BadFile."""
    chunk = Chunk()
    for line, cells in file.rows:
        if line <= after_line or not any(cells):
            continue
        chunk.cells[line] = cells
        try:
            chunk.rows.append(check(line, _fitted(cells, width)))
        except RowRefused as refused:
            chunk.refused[line] = refused
        chunk.last_line = line
        if len(chunk.cells) >= size:
            chunk.bytes_read = file.position()
            yield chunk
            chunk = Chunk()
    if chunk.cells:
        chunk.bytes_read = file.position()
        yield chunk


def _fitted(cells: list[str], width: int) -> list[str]:
    """The row cut to the header's width; surplus cells must be empty. Quoting of our own file of refusals is undone."""
    if len(cells) < width or (len(cells) > width and any(cells[width:])):
        raise RowRefused(_("the row has %(count)s cells, the header has %(width)s"), count=len(cells), width=width)
    return [without_quote(cell) if cell[:1] == "'" else cell for cell in cells[:width]]
