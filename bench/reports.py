"""Receipts as Alibaba Cloud posts them (SmsReport), made for deliveries of the bench. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from bench.people import person
from ums_site.ids import to_base36

A_BODY = 100  # reports in one POST: the most that a provider documents (Tencent Cloud); Alibaba Cloud names no number


def with_repeats(ids: Sequence[int], doubled: int) -> list[int]:
    """The ids shuffled, `doubled` in a hundred of them a second time; the same order in every round."""
    chance = random.Random(7)
    order = [*ids, *chance.sample(list(ids), len(ids) * doubled // 100)]
    chance.shuffle(order)
    return order


def bodies(ids: Sequence[int], doubled: int) -> list[bytes]:
    """The POST bodies of all these receipts. Delivery `ids[n]` is taken for the one to person n."""
    phones = {one: person(number).phone for number, one in enumerate(ids)}
    order = with_repeats(ids, doubled)
    return [_body(order[start : start + A_BODY], phones) for start in range(0, len(order), A_BODY)]


def _body(ids: Sequence[int], phones: dict[int, str]) -> bytes:
    return json.dumps([_report(one, phones[one]) for one in ids], ensure_ascii=False).encode()


def _report(delivery_id: int, phone: str) -> dict[str, object]:
    second = int(phone[-4:]) % 600  # they come in over ten minutes
    return {
        "phone_number": phone,
        "send_time": "2026-11-23 10:00:00",
        "report_time": f"2026-11-23 10:{second // 60:02d}:{second % 60:02d}",
        "success": True,
        "err_code": "DELIVERED",
        "err_msg": "用户接收成功",
        "sms_size": "1",
        "biz_id": str(delivery_id),
        "out_id": to_base36(delivery_id),
    }
