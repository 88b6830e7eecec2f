"""An address made ready to be stored: normalised, hashed, sealed, masked."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from apps.users.addresses import BadAddress, mask, normalise
from apps.users.errors import PeopleError
from ums_site.crypto import binding_place, keyring


class AddressRefused(PeopleError):
    """Text that is no address of its kind; `code` is addresses.BadAddress.code."""

    def __init__(self, kind: str, bad: BadAddress) -> None:
        super().__init__(_("%(kind)s: %(why)s"), kind=kind, why=bad)
        self.code = bad.code


@dataclass(frozen=True, slots=True)
class Prepared:
    """The three forms of an address that the database holds."""

    kind: str
    hash: bytes
    sealed: bytes = field(repr=False)
    masked: str


def prepare(kind: str, raw: str) -> Prepared:
    """Raises AddressRefused."""
    text = _normalised(kind, raw)
    hashed = keyring().keyed_hash(kind, text)
    return Prepared(kind, hashed, keyring().seal(text, binding_place(hashed)), mask(kind, text))


def hash_of(kind: str, raw: str) -> bytes:
    """What `Binding.address_hash` holds for this address. Raises AddressRefused."""
    return keyring().keyed_hash(kind, _normalised(kind, raw))


def _normalised(kind: str, raw: str) -> str:
    try:
        return normalise(kind, raw)
    except BadAddress as bad:
        raise AddressRefused(kind, bad) from None
