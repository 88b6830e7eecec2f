"""A workbook (.xlsx) becomes the CSV that everything behind it reads: its first visible sheet, one line for each of its rows.

It is written once, beside the upload, so that slices and runs taken up again read it like any other file, and a line in the
file of refused rows is the row that the spreadsheet shows. A formula counts as the value that was saved with it; a cell that
shows an error is written as a formula, which no cell may hold. Line breaks within a cell are kept as U+2028 there.
"""

from __future__ import annotations

import csv
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, time
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from openpyxl import load_workbook

from apps.users.importing.ahead import read_ahead
from apps.users.importing.dialect import BadFile, _
from apps.users.importing.reader import CHUNK_ROWS, LINE_BREAK, SHEET, Chunk

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MOST_TEXTS = 256 << 20  # bytes of the workbook's table of texts, the one part that is held in memory
MOST_UNPACKED = 8 << 30
ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
UNREADABLE = _("the workbook cannot be read: save it anew as .xlsx, or as CSV UTF-8")


def readable(path: Path, beat: Callable[[], None]) -> Path:
    """The file itself, or the CSV of a workbook, made where it is not there yet; `beat` is called all the while.

    Raises BadFile, and what `beat` raises.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == OLE:
        raise BadFile(
            _("it is an old .xls workbook, or one with a password: save it as .xlsx without one, or as CSV UTF-8")
        )
    if start != ZIP:
        return path
    made = path.with_name(path.name + SHEET)
    if not made.exists():
        _make(path, made, beat)
    return made


def let_go(path: Path) -> None:
    """Deletes an upload with whatever was made of it."""
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink(missing_ok=True)


def _make(path: Path, made: Path, beat: Callable[[], None]) -> None:
    """Writes the whole CSV under another name, then gives it its own: a run that dies leaves no half of it."""
    part = made.with_name(f"{made.name}.{uuid.uuid4().hex}")
    try:
        with closing(read_ahead(_written(path, part), beat)) as chunks:
            for _chunk in chunks:
                beat()
        os.replace(part, made)
    finally:
        part.unlink(missing_ok=True)


def _written(path: Path, part: Path) -> Iterator[Chunk]:
    """Writes the sheet; yields now and then, with nothing in it, so that somebody sees that it goes on."""
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        width = 0
        for number, cells in enumerate(_rows(path), 1):
            width = width or len(cells)
            writer.writerow(cells + [""] * (width - len(cells)))
            if number % CHUNK_ROWS == 0:
                yield Chunk(last_line=number)


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows as texts, without the empty cells at their ends. Raises BadFile."""
    _weigh(path)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and the like, which say nothing of the values
        try:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception:
            raise BadFile(UNREADABLE) from None
        with closing(book):
            shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            if not shown:
                raise BadFile(_("the workbook has no visible sheet"))
            shown[0].reset_dimensions()  # what the file says of its own size is often wrong
            try:
                for row in shown[0].iter_rows(values_only=True):
                    yield _trimmed([_text(value) for value in row])
            except (
                BadZipFile,
                SyntaxError,
                ValueError,
                KeyError,
                IndexError,
                TypeError,
            ):  # a ParseError is a SyntaxError
                raise BadFile(UNREADABLE) from None


def _weigh(path: Path) -> None:
    """Raises BadFile for what would unpack to more than a sheet of people can be."""
    try:
        with ZipFile(path) as parts:
            sizes = {part.filename: part.file_size for part in parts.infolist()}
    except BadZipFile:
        raise BadFile(UNREADABLE) from None
    if sizes.get("xl/sharedStrings.xml", 0) > MOST_TEXTS or sum(sizes.values()) > MOST_UNPACKED:
        raise BadFile(_("the workbook is too big to be read: save it as CSV UTF-8, or in several parts"))


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(value: object) -> str:
    """What a cell says, as people would write it into a CSV."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value in ERRORS:
            return f"={value}"
        return LINE_BREAK.join(value.splitlines()) if not value.isprintable() else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        whole_day = value.time() == time.min
        return value.date().isoformat() if whole_day else value.isoformat(" ", "seconds")
    return value.isoformat() if isinstance(value, date | time) else str(value)
