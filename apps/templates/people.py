"""Whose values a preview shows.

People live in an app that this one does not know: an app above both brings them together by `register` when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Lookup = Callable[[object, str], "Mapping[str, object] | None"]

_lookups: list[Lookup] = []


def register(lookup: Lookup) -> None:
    """`lookup(actor, user_id)` answers the values that this actor may see of a person, None for nobody of that id."""
    _lookups[:] = [lookup]


def values_of(actor: object, user_id: str) -> Mapping[str, object] | None:
    """The person's values with the built-in `user_id`; None where nobody has that id."""
    for lookup in _lookups:
        values = lookup(actor, user_id)
        if values is not None:
            return {**values, "user_id": user_id}
    return None
