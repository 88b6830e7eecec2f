"""`next_step` against a second opinion: a model that knows only the policy's JSON and asks minute after minute what is true.

Where `next_step` says at once what follows, the model says the same now; where it waits, the model waits in every minute up
to the one it names, and no longer. Nothing is shared with the code under test but the words of states and policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from apps.campaigns.policy import freeze, load
from apps.campaigns.states import MessageClass
from apps.campaigns.strategy import DeliveryFacts, Go, Hold, Stop, next_step, quiet_end

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW, NOW, FAR = 60, 100, 400  # minutes

# the second opinion -------------------------------------------------------------------------------------------------

KNOWN = {"ACCEPTED": 1, "CLOSED": 1, "DELIVERED": 2, "READ": 3, "CLICKED": 4}
WANTED = {"accepted": 1, "delivered": 2, "read": 3, "clicked": 4}
ON_ITS_WAY = ("PENDING", "HELD", "SENDING")
FOR_THE_PERSON = ("blacklisted", "frequency_cap", "quota")


@dataclass(frozen=True)
class Row:
    """One delivery: its step, the number of its slot, its state, when it was accepted (minute), why it was called off."""

    step: int
    slot: int
    state: str
    accepted: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Model:
    plan: Mapping[str, Any]
    message_class: str
    step: int
    rows: Sequence[Row]

    def at(self, minute: int) -> tuple[str, Any] | None:
        """What is to be done in this minute if nothing was heard since; None: nothing yet."""
        if any(self.good(row, minute) for row in self.rows):
            return "stop", "SUCCEEDED"
        if self.step == len(self.plan["steps"]):
            return self.end(minute)
        here = [row for row in self.rows if row.step == self.step]
        states = [row.state for row in here]
        if any(state in ON_ITS_WAY for state in states):
            return None
        if not self.goes_on_in_doubt():
            if "UNKNOWN" in states:
                return None
            if "UNKNOWN_FINAL" in states:
                return self.end(minute)
        if any(row.state == "CANCELLED" and row.reason in FOR_THE_PERSON for row in self.rows):
            return self.end(minute)
        if any(minute < self.patience(row) for row in here if self.hoped_for(row)):
            return None
        return "go", self.step if self.left_over(here) else self.step + 1

    def goes_on_in_doubt(self) -> bool:
        said = self.plan.get("unknown_starts_next")
        return self.message_class == "otp" if said is None else said

    def good(self, row: Row, minute: int) -> bool:
        step = self.plan["steps"][row.step]
        if KNOWN.get(row.state, 0) >= WANTED[step["until"]]:
            return True
        if step["until"] != "delivered" or row.state not in ("ACCEPTED", "CLOSED"):
            return False
        told = {self.slot(other)["receipts"] for other in self.rows if other.step == row.step}
        if told & {"push", "poll", "both"}:
            return False
        return self.slot(row)["receipts"] == "none" or minute >= self.patience(row)

    def slot(self, row: Row) -> Mapping[str, Any]:
        return next(one for one in self.plan["steps"][row.step]["channels"] if one["slot"] == row.slot)

    def patience(self, row: Row) -> int:
        wait = self.plan["steps"][row.step]["wait_seconds"]
        return (row.accepted or 0) + (WINDOW if wait is None else int(wait) // 60)

    def hoped_for(self, row: Row) -> bool:
        return (
            row.state != "CLOSED"
            and 0 < KNOWN.get(row.state, 0) < WANTED[self.plan["steps"][row.step]["until"]]
            or (row.state == "ACCEPTED")
        )

    def left_over(self, here: Sequence[Row]) -> bool:
        step = self.plan["steps"][self.step]
        tried = {row.slot for row in here}
        mine = {one["slot"] for one in step["channels"]}
        if step["mode"] == "smart":
            return len(mine) > 1 and bool(mine - tried)
        begun = {one.get("group") for one in step["channels"] if one["slot"] in tried} - {None}
        return any(one.get("group") in begun and one["slot"] not in tried for one in step["channels"])

    def end(self, minute: int) -> tuple[str, Any] | None:
        states = {row.state for row in self.rows}
        if states & {*ON_ITS_WAY, "UNKNOWN"}:
            return None
        if states & {"DELIVERED", "READ", "CLICKED"}:
            return "stop", "SUCCEEDED"
        if any(row.state == "ACCEPTED" for row in self.rows) and any(
            minute < (row.accepted or 0) + WINDOW for row in self.rows if row.state == "ACCEPTED"
        ):
            return None
        return "stop", "UNKNOWN" if states & {"ACCEPTED", "CLOSED", "UNKNOWN_FINAL"} else "FAILED"

    def next_minute(self) -> int | None:
        """The first minute from now on in which something is to be done."""
        return next((minute for minute in range(NOW, FAR) if self.at(minute) is not None), None)


# what is drawn ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    id: int
    code: str
    receipts: str
    kind: str = "sms_aliyun"
    address_kind: str = "phone"
    reports_read: bool = True
    reports_clicks: bool = True
    active: bool = True


ACCOUNTS = [Account(number, f"a{number}", how) for number, how in enumerate(["push", "none", "failures", "poll"])]
codes = st.permutations([one.code for one in ACCOUNTS])


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    names = list(draw(codes))
    channels: list[dict[str, Any]] = []
    for _number in range(draw(st.integers(1, 3))):
        vendors = draw(st.integers(1, 2))
        mine, names = names[:vendors], names[vendors:]
        if len(mine) == 1:
            channels.append({"account": mine[0]})
        elif mine:
            channels.append({"vendors": [{"account": code} for code in mine]})
    return {
        "channels": channels,
        "mode": draw(st.sampled_from(["all", "first", "smart"])),
        "until": draw(st.sampled_from(list(WANTED))),
        "wait_seconds": draw(st.one_of(st.none(), st.integers(1, 90).map(lambda minutes: minutes * 60))),
    }


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A policy, and any deliveries that a message at some step of it may have."""
    policy: dict[str, Any] = {"steps": draw(st.lists(steps(), min_size=1, max_size=3))}
    policy["unknown_starts_next"] = draw(st.sampled_from([None, True, False]))
    plan = freeze(policy, ACCOUNTS)
    step = draw(st.integers(0, len(plan["steps"])))
    rows = []
    for number in range(min(step + 1, len(plan["steps"]))):
        for channel in plan["steps"][number]["channels"]:
            if draw(st.booleans()):
                rows.append(draw(deliveries(number, channel["slot"])))
    return Model(plan, draw(st.sampled_from(["otp", "transactional", "marketing"])), step, rows)


def _closed_in_time(row: Row) -> Row:
    """A delivery is closed once its receipt window is over, not before."""
    return replace(row, accepted=min(row.accepted or 0, NOW - WINDOW)) if row.state == "CLOSED" else row


def deliveries(step: int, slot: int) -> st.SearchStrategy[Row]:
    sent = st.builds(
        Row,
        st.just(step),
        st.just(slot),
        st.sampled_from([*KNOWN, "UNDELIVERED"]),
        st.integers(NOW - 120, NOW),
    ).map(_closed_in_time)
    unsent = st.builds(
        Row,
        st.just(step),
        st.just(slot),
        st.sampled_from([*ON_ITS_WAY, "UNKNOWN", "UNKNOWN_FINAL", "REJECTED", "CANCELLED"]),
        st.none(),
        st.sampled_from(["", "over_ceiling", "failover", *FOR_THE_PERSON]),
    )
    return st.one_of(sent, unsent)


def moment(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


@settings(max_examples=500, deadline=None)
@given(models())
def test_next_step_and_the_model_agree(model: Model) -> None:
    plan = load(model.plan)
    slots = {one.slot: one for one in plan.channels()}
    facts = [
        DeliveryFacts(
            row.step,
            slots[row.slot],
            row.state,
            None if row.accepted is None else moment(row.accepted),
            timedelta(minutes=WINDOW),
            row.reason,
        )
        for row in model.rows
    ]
    decision = next_step(model.step, facts, plan, MessageClass(model.message_class), moment(NOW))
    event(type(decision).__name__)
    match decision:
        case Go(step=step):
            assert model.at(NOW) == ("go", step)
        case Stop(state=state):
            assert model.at(NOW) == ("stop", state)
        case Hold(until=until):
            quiet = [end for one in facts if (end := quiet_end(one, plan)) is not None and end > moment(NOW)]
            looks = min([*quiet, *([until] if until else [])], default=None)
            due = model.next_minute()
            assert due != NOW, "it waits though something is to be done"
            if due is not None:
                assert looks is not None and looks <= moment(due), "it would look too late"
            assert until is None or due is None or moment(due) <= until, (
                "it names a minute in which nothing is to be done"
            )
