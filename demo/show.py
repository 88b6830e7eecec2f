"""The account at the end of the demo, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SYMBOLS = (
    ("T", "目标数 targets", "targets"),
    ("I", "无效目标数 invalid", "invalid"),
    ("X", "管控拦截数 blocked", "blocked"),
    ("V", "有效目标数 valid", "valid"),
    ("S", "提交成功数 accepted", "accepted"),
    ("SF", "提交失败数 refused", "refused"),
    ("P", "处理中 in progress", "in_progress"),
    ("R", "撤回数 recalled", "recalled"),
    ("D", "送达数 delivered", "delivered"),
    ("DF", "送达失败数 undelivered", "undelivered"),
    ("U", "未知 unknown", "unknown"),
    ("", "回执窗口内 inside the receipt window", "in_window"),
)


def lines(document: dict[str, Any]) -> Iterator[str]:
    """The table, line by line."""
    for symbol, words, key in SYMBOLS:
        yield f"  {symbol:<3}{document[key]:>7}  {words}"
    for reason, count in document["blocked_reasons"].items():
        yield f"     {count:>7}    X by {reason}"
    yield ""
    yield "  channel        tried  accepted  delivered  undelivered  unknown  pieces      cost"
    for code, row in document["by_channel"].items():
        delivered = f"{row['delivered']:>9}" if row["measurable"] else "       – "
        yield (
            f"  {code:<12}{row['tried']:>8}{row['accepted']:>10}  {delivered}{row['undelivered']:>13}"
            f"{row['unknown']:>9}{row['pieces']:>8}{row['cost']:>10}"
        )
    yield ""
    for route, row in sorted(document["by_route"].items(), key=lambda item: -item[1]["people"]):
        yield f"  {row['people']:>7} people, {row['delivered']:>5} delivered  {route}"
    yield ""
    money = document["currency"]
    yield f"  cost {document['cost']} {money}, baseline (SMS first) {document['baseline_cost']}, saved {document['saved']}"
    yield f"  reissued {document['reissued']}, rescued by it {document['rescued']}, SMS and other pieces {document['pieces']}"
    for words, holds in document["identities"].items():
        yield f"  {'holds ' if holds else 'BROKEN'}  {words}"
    yield (
        f"  the providers' ledger: {document['ledger_accepted']} acceptances, {document['unexplained']} unexplained, "
        f"{document['ledger_duplicates']} twice"
    )
