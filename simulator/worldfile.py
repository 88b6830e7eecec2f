"""A world file: which world it starts from, what is changed in it, who lives there and in which state."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from simulator.world import SettingError


class WorldFile(NamedTuple):
    """``settings`` is a document as of ``PUT /_sim/ctl``, ``people`` one as of ``PUT /_sim/people``."""

    base: str
    settings: dict[str, Any]
    people: list[dict[str, Any]]


def read_world(name: str) -> WorldFile:
    """Read ``believable``, ``perfect`` or a JSON file; SettingError on fields that a world does not have."""
    if name in ("believable", "perfect"):
        return WorldFile(name, {}, [])
    document = json.loads(Path(name).read_text("utf-8"))
    if unknown := set(document) - {"base", "settings", "people"}:
        raise SettingError(f"a world has no {sorted(unknown)[0]}")
    return WorldFile(document.get("base", "believable"), document.get("settings", {}), document.get("people", []))
