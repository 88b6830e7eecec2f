"""The people of the bench: person `n` is the same in our database, in the bare loops and at the peers. Pure."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

NAMES = "王李张刘陈杨赵黄周吴"
CITIES = ("上海", "北京", "杭州", "成都", "广州")
HEADER = ("user_id", "phone", "email", "jpush", "name", "city", "balance")
SUBJECT = "{name}，您的本月账单"
TEXT = "尊敬的{name}，您好！\n您在{city}的账户余额为 {money}。\n此邮件由系统发出，请勿回复。\n"
HTML = (
    "<p>尊敬的<b>{name}</b>，您好！</p><p>您在{city}的账户余额为 <b>{money}</b>。</p>"
    "<p>此邮件由系统发出，请勿回复。</p>"
)


@dataclass(frozen=True, slots=True)
class Person:
    """One person with three addresses and three attributes."""

    user_id: str
    phone: str
    email: str
    jpush: str
    name: str
    city: str
    balance: str

    @property
    def money(self) -> str:
        """The balance as our templates write it (two decimals, grouped, yuan sign)."""
        return f"¥{float(self.balance):,.2f}"

    def filled(self, text: str) -> str:
        return text.format(name=self.name, city=self.city, money=self.money)


def person(number: int) -> Person:
    """Person `number`, from 0; numbers up to a hundred million differ in every address."""
    return Person(
        user_id=f"u{number:08d}",
        phone=f"139{number:08d}",
        email=f"person{number:08d}@example.com",
        jpush=f"1{number:018x}",
        name=f"{NAMES[number % 10]}{number % 100_000:05d}",
        city=CITIES[number % 5],
        balance=f"{number % 20_000}.{number % 100:02d}",
    )


def write_csv(path: Path, count: int) -> Path:
    """A file of the first `count` people as an enterprise would export it."""
    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(HEADER)
        for number in range(count):
            one = person(number)
            rows.writerow((one.user_id, one.phone, one.email, one.jpush, one.name, one.city, one.balance))
    return path
