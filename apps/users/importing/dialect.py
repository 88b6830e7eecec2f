"""Which encoding and delimiter a file of people has. Pure: spreadsheets do not say, so it is read off the bytes."""

from __future__ import annotations

import codecs
import csv
from dataclasses import asdict, dataclass
from pathlib import Path

BLOCK = 1 << 20
DELIMITERS = (",", ";", "\t")


def _(text: str) -> str:
    """Marks a text for translation."""
    return text


class BadFile(ValueError):
    """A file that cannot be imported at all. `words` is the English msgid of the reason."""

    def __init__(self, words: str, **params: object) -> None:
        super().__init__(words % params if params else words)
        self.words = words
        self.params = params


@dataclass(frozen=True, slots=True)
class Dialect:
    """`encoding` is a Python codec; `skipped_lines` counts a leading `sep=;` line of Excel."""

    encoding: str
    delimiter: str
    skipped_lines: int = 0

    def as_json(self) -> dict[str, object]:
        """For PeopleImport.dialect."""
        return asdict(self)


def detect(path: Path) -> Dialect:
    """Reads the whole file once for its encoding (about 1 GB/s), its first line for the delimiter. Raises BadFile."""
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as text:
        header = text.readline(1 << 16)
        skipped = 1 if header.lower().startswith("sep=") else 0
        header = text.readline(1 << 16) if skipped else header
    if not header.strip():
        raise BadFile(_("the file is empty"))
    return Dialect(encoding, _delimiter(header), skipped)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4096)
    candidates: tuple[str, ...] = ("utf-8", "gb18030")
    if start.startswith(codecs.BOM_UTF8):
        candidates = ("utf-8-sig",)
    elif start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ("utf-16",)
    elif b"\0" in start:
        candidates = ("utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be",)
    for encoding in candidates:
        if _decodes(path, encoding):
            return encoding
    raise BadFile(_("the file is neither UTF-8 nor GB18030 nor UTF-16 text; save it as CSV UTF-8 and try again"))


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(header: str) -> str:
    """The candidate that cuts the header into most cells; a comma for a single column."""
    widths = {mark: len(next(csv.reader([header], delimiter=mark))) for mark in DELIMITERS}
    return max(DELIMITERS, key=lambda mark: widths[mark])
