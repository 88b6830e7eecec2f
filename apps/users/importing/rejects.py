"""The file of refused rows: line, reason and the original cells, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from django.utils.translation import gettext

MOST_SHOWN = 20
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


def harmless(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would take it for a formula."""
    return "'" + cell if cell.startswith(FORMULA_SIGNS) else cell


def in_words(words: str, params: dict[str, object]) -> str:
    """A reason in the active language. Reasons within a reason are translated too."""
    known = {
        key: in_words(value.words, value.params) if hasattr(value, "words") else value  # type: ignore[attr-defined]
        for key, value in params.items()
    }
    return gettext(words) % known if known else gettext(words)


class Rejects:
    """An open file of refused rows, in the order of their lines."""

    def __init__(self, out: Iterable[str]) -> None:
        self._writer = csv.writer(out)  # type: ignore[arg-type]

    def header(self, cells: Sequence[str]) -> None:
        """The first line: ours, then the file's own columns."""
        self._writer.writerow(["line", "reason", *map(harmless, cells)])

    def add(self, line: int, reason: str, cells: Sequence[str]) -> None:
        """One refused row. Our reasons may quote a column's name, so they are made harmless too."""
        self._writer.writerow([line, harmless(reason), *map(harmless, cells)])


def first_reasons(path: str) -> list[tuple[str, str]]:
    """(line, reason) of the first refused rows, for a page; none of their cells."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return [(row[0], row[1]) for row in islice(csv.reader(file), 1, MOST_SHOWN + 1)]
    except OSError:
        return []


@contextmanager
def written(path: Path, header: Sequence[str] | None) -> Iterator[Rejects]:
    """A file at `path`, readable by its owner only; UTF-8 with the mark that spreadsheets look for.

    With the columns of the import the file is made anew; with None the one that is there is continued.
    """
    anew = header is not None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else os.O_APPEND), 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8-sig" if anew else "utf-8", newline="") as out:
        rejects = Rejects(out)
        if header is not None:
            rejects.header(header)
        yield rejects
