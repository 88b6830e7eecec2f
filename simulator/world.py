"""How the outside world behaves: settings, habits of people and networks, and what may be changed."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.chance import between, chance
from simulator.traits import Traits

DAY_SECONDS = 86400.0
REACHED = frozenset(("delivered", "late", "read"))
PEOPLE_WHO_ARE_WELL = frozenset(("ok", "delivered", "followed"))
# Seeds of older worlds name two channels otherwise; the same seed keeps the same fates.
LUCK = {"app": "push"}

PERFECT: dict[str, Any] = {
    "world": {"calls": {"throttled": 0.0, "error_before": 0.0, "error_after": 0.0}},
    "receipts": {
        "auto": True,
        "delay": [0.0, 0.2],
        "dup": 0.0,
        "shuffle": False,
        "lost": 0.0,
        "late": 0.0,
        "late_s": [20.0, 40.0],
        "bad_sig": 0.0,
        "retry_scale": 1.0,
        "urls": {},
    },
    "idempotency": {"mode": "key", "window_s": DAY_SECONDS},
}

BELIEVABLE_CHANGES: dict[str, Any] = {
    "world": {"calls": {"throttled": 0.01, "error_before": 0.005, "error_after": 0.002}},
    "receipts": {"delay": [0.2, 3.0], "dup": 0.01, "shuffle": True, "lost": 0.01, "late": 0.02},
}


class SettingError(ValueError):
    """A control document names a setting that does not exist or gives it a value of the wrong kind."""


class Fate(NamedTuple):
    """What becomes of one message: a word, and the moment from which it is so."""

    word: str
    at: float

    def reached(self, now: float) -> bool:
        """Tell whether the person has it by now."""
        return self.word in REACHED and now >= self.at


def merge_settings(base: dict[str, Any], changes: Mapping[str, Any], where: str = "") -> None:
    """Write changes into base, refusing unknown names and other kinds of values (SettingError)."""
    for name, value in changes.items():
        path = f"{where}.{name}" if where else name
        if name not in base:
            raise SettingError(f"unknown setting {path}")
        if isinstance(base[name], dict):
            if not isinstance(value, dict):
                raise SettingError(f"{path} must be an object")
            merge_settings(base[name], value, path)
        else:
            base[name] = _checked(base[name], value, path)


def _checked(old: Any, new: Any, path: str) -> Any:
    """Return the new value if it is of the kind of the old one; a number may stand for a fixed span."""
    if isinstance(old, bool):
        fits = isinstance(new, bool)
    elif isinstance(old, float | int):
        fits = isinstance(new, float | int) and not isinstance(new, bool)
    elif isinstance(old, list) and path.endswith(("delay", "late_s")):
        new = [new, new] if isinstance(new, float | int) else new
        fits = isinstance(new, list) and len(new) == 2 and all(isinstance(item, float | int) for item in new)
    else:
        fits = isinstance(new, type(old))
    if not fits:
        raise SettingError(f"{path} has a value of the wrong kind")
    return new


def preset(name: str, kinds: Sequence[type[Traits]]) -> dict[str, Any]:
    """Return the settings of the world ``perfect`` or ``believable`` for these providers."""
    if name not in ("perfect", "believable"):
        raise SettingError(f"unknown world {name}")
    settings = copy.deepcopy(PERFECT)
    for kind in kinds:
        settings[kind.name] = copy.deepcopy(dict(kind.settings))
        settings["world"][kind.name] = copy.deepcopy(dict(kind.habits))
    if name == "believable":
        merge_settings(settings, copy.deepcopy(BELIEVABLE_CHANGES))
        for kind in kinds:
            own = copy.deepcopy(dict(kind.believable))
            merge_settings(settings["world"][kind.name], own.pop("world", {}), f"world.{kind.name}")
            merge_settings(settings[kind.name], own, kind.name)
    return settings


@dataclass(slots=True)
class World:
    """The seed, the settings and the states of people; the one thing that decides fates."""

    seed: int
    settings: dict[str, Any]
    states: dict[tuple[str, str], str] = field(default_factory=dict)

    def rates(self, part: str) -> dict[str, Any]:
        """Return the habits of one part of the world (a provider, or ``calls``), as set at this moment."""
        rates: dict[str, Any] = self.settings["world"][part]
        return rates

    def lot(self, channel: str, address: str, chances: Mapping[str, float]) -> str:
        """Return the word that fell to this address: its state if it has one, else by chance, else ``delivered``.

        It depends on the seed, the channel and the address alone, so a number that is empty is so for every
        provider of the channel. ``chances`` (word -> share) are laid end to end in their order.
        """
        state = self.states.get((channel, address))
        if state is not None:
            return "delivered" if state in PEOPLE_WHO_ARE_WELL else state
        draw = chance(self.seed, LUCK.get(channel, channel), address)
        for word, share in chances.items():
            if draw < share:
                return word
            draw -= share
        return "delivered"

    def fate(
        self,
        channel: str,
        address: str,
        pid: str,
        now: float,
        chances: Mapping[str, float],
        delay: list[float] | None = None,
    ) -> Fate:
        """Return what becomes of a message and when; ``delay`` [low, high] s (default: that of receipts)."""
        span = self.settings["receipts"]["delay"] if delay is None else delay
        at = now + between(self.seed, span, f"{LUCK.get(channel, channel)}-delay", address, pid)
        return Fate(self.lot(channel, address, chances), at)
