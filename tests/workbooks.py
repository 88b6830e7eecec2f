"""Workbooks as spreadsheets save them, for tests of imports."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence

from openpyxl import Workbook


def workbook(rows: Iterable[Sequence[object]], hidden: bool = False, saved: Mapping[str, str] | None = None) -> bytes:
    """An .xlsx file of one visible sheet, with a hidden one before it where asked; `saved` are values that formulas came to."""
    book = Workbook(write_only=True)
    if hidden:
        aside = book.create_sheet("aside")
        aside.append(["user_id", "name"])
        aside.append(["HIDDEN", "x"])
        aside.sheet_state = "hidden"
    sheet = book.create_sheet("people")
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return _with_values(out.getvalue(), saved) if saved else out.getvalue()


def _with_values(held: bytes, saved: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(held)) as parts, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for part in parts.infolist():
            text = parts.read(part)
            if part.filename.startswith("xl/worksheets/"):
                for formula, value in saved.items():
                    text = text.replace(f"<f>{formula}</f><v />".encode(), f"<f>{formula}</f><v>{value}</v>".encode())
                    text = text.replace(f"<f>{formula}</f><v></v>".encode(), f"<f>{formula}</f><v>{value}</v>".encode())
            made.writestr(part, text)
    return out.getvalue()
