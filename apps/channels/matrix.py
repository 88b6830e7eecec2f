"""What every kind of channel can do, as one table: for the console, the command line and the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta

from apps.channels.contract import Adapter, Idempotency
from apps.channels.registry import adapters


@dataclass(frozen=True, slots=True)
class Row:
    """One kind. `idempotency` names its window, `verified_with` the independent client or peer it was run against.

    check: credentials are asked for without a send; templates: the provider lists those it approved; lookup: an address
    is found by a mobile number; offline_store: the provider keeps a message for a device that is away.
    """

    kind: str
    label: str
    address_kind: str
    per_call: int
    personalised: bool
    idempotency: str
    query: bool
    receipts: str
    read: bool
    recall: bool
    token: bool
    check: bool
    templates: bool
    lookup: bool
    offline_store: bool
    price_unit: str
    hook: str
    verified_with: str


def matrix() -> list[Row]:
    """A row for each kind of the registry, in its order, drawn from the declarations and nothing else."""
    return [_row(kind) for kind in adapters()]


def _row(kind: Adapter) -> Row:
    can = kind.capabilities
    return Row(
        kind=kind.kind,
        label=kind.label,
        address_kind=can.address_kind,
        per_call=can.recipients_per_call,
        personalised=can.personalised or can.recipients_per_call == 1,
        idempotency=_idempotency(can.idempotency, can.idempotency_window),
        query=can.can_query,
        receipts=str(can.receipts),
        read=can.reports_read,
        recall=can.recall,
        token=kind.uses_token,
        check=kind.uses_token or _does(kind, "build_check"),
        templates=_does(kind, "build_templates"),
        lookup=_does(kind, "build_lookup"),
        offline_store=can.offline_store,
        price_unit=can.price_unit,
        hook=kind.hook_trust if can.receipts.pushed else "",
        verified_with=kind.verified_with,
    )


def _does(kind: Adapter, name: str) -> bool:
    """Whether the kind has the optional deed `name` of the contract."""
    return getattr(type(kind), name) is not getattr(Adapter, name)


def _idempotency(sort: Idempotency, window: timedelta) -> str:
    return "none" if sort is Idempotency.NONE else f"{sort} ({_span(window)})"


def _span(window: timedelta) -> str:
    seconds = int(window.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def as_text(rows: Sequence[Row]) -> str:
    """The table in columns, for a terminal."""
    names = [field.name for field in fields(Row) if field.name != "label"]
    lines = [names, *([_cell(asdict(row)[name]) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    return str(value) or "-"
