"""The people of the rehearsal, synthetic, by the number of each: who has which address, who is staff, who sleeps when."""

from __future__ import annotations

import csv
import io
from pathlib import Path

COLUMNS = ["user_id", "name", "phone", "email", "jpush", "feishu", "balance", "tags", "region"]


def phone(number: int) -> str:
    return f"139{number:08d}"


def row(number: int) -> list[str]:
    """Eight of ten have the app, nine of ten a phone, every tenth is staff, one of a hundred has no address at all."""
    nobody = number % 100 == 99
    has_app, has_phone, staff = number % 10 < 8 and not nobody, number % 10 != 3 and not nobody, number % 10 == 5
    tags = ["staff"] if staff else []
    tags += ["regular"] if number % 20 == 0 else []
    return [
        f"R{number:07d}",
        f"客户{number}",
        phone(number) if has_phone else "",
        f"r{number}@mail.example.net" if number % 3 == 0 and not nobody else "",
        f"{number:019x}" if has_app else "",
        f"ou_{number:032x}" if staff and not nobody else "",
        "12.50",
        "|".join(tags),
        "west" if number % 25 == 7 else "east",
    ]


def write(path: Path, count: int) -> None:
    """A CSV as a system exports it."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for number in range(count):
        rows.writerow(row(number))
    path.write_text(text.getvalue(), encoding="utf-8-sig")
