"""What may be done to people: one function each for console, API, commands and workers. All but the two for raw
addresses (a send of thousands, itself on record) leave an audit event, without any address in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import F, Func, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.operators import audit
from apps.users.addressing import AddressRefused, hash_of, prepare
from apps.users.attribute_values import BadValue, read_value
from apps.users.attributes import open_attributes, seal_attributes
from apps.users.consents import record_consent
from apps.users.errors import PeopleError
from apps.users.importing.orders import forget_import, repeat_for_real, start_import
from apps.users.importing.rows import RowRefused, check_user_id, read_tags
from apps.users.lists import add_blacklist, keep_refusals, lift_entries, remove_blacklist
from apps.users.models import Attribute, Binding, Recipient, Scope, Tag
from ums_site.crypto import binding_place, keyring

__all__ = [
    "AddressRefused", "PeopleError", "RawBindings", "add_binding", "add_blacklist", "bind_raw_address",
    "bind_raw_addresses", "delete_binding", "delete_recipient", "delete_tag", "ensure_recipient", "forget_import",
    "lift_entries", "record_consent", "remove_blacklist", "repeat_for_real", "reveal_address", "set_attributes",
    "set_bindings", "start_import", "tag", "unbind", "untag",
]  # fmt: skip

EVERYWHERE = str(Scope.EVERYWHERE)
# What apps above this one keep of a person and have to forget with them; they add theirs when they start.
BEFORE_DELETING: list[Callable[[Recipient], None]] = []


@transaction.atomic
def ensure_recipient(*, actor: object, user_id: str) -> Recipient:
    """The person of this user id, made where there is none. Raises PeopleError."""
    try:
        user_id = check_user_id(user_id)
    except RowRefused as refused:
        raise PeopleError(refused.words, **refused.params) from None
    recipient, made = Recipient.objects.get_or_create(user_id=user_id)
    if made:
        audit.record(actor=actor, verb="add_recipient", what=recipient)
    return recipient


@transaction.atomic
def delete_recipient(*, actor: object, recipient: Recipient) -> None:
    """Deletes the person with all addresses and attributes. Figures, and blacklisted addresses, stay.

    A blacklisting of the person becomes one of each address, and so does a consent that they took back, so that a later
    import does not write to them again.
    """
    keep_refusals(actor=actor, recipient=recipient)
    for forget in BEFORE_DELETING:
        forget(recipient)
    audit.record(actor=actor, verb="delete_recipient", what=recipient)
    recipient.delete()


@transaction.atomic
def set_attributes(*, actor: object, recipient: Recipient, values: Mapping[str, object]) -> None:
    """Merges declared attributes; None takes one away. Raises PeopleError naming the attribute."""
    declared = {attribute.key: attribute for attribute in Attribute.objects.filter(key__in=list(values))}
    held = Recipient.objects.select_for_update().get(pk=recipient.pk)
    plain, sensitive = dict(held.attributes), open_attributes(held)
    for key, value in values.items():
        attribute = declared.get(key)
        if attribute is None:
            raise PeopleError(_("The attribute %(key)s is not declared."), key=key)
        target = sensitive if attribute.sensitive else plain
        if value is None:
            target.pop(key, None)
            continue
        try:
            target[key] = read_value(attribute.type, str(value))
        except BadValue as bad:
            raise PeopleError(_("%(column)s: %(why)s"), column=key, why=bad) from None
    held.attributes = plain
    held.sealed_attributes, held.sealed_digest = seal_attributes(held.user_id, sensitive)
    held.save(update_fields=["attributes", "sealed_attributes", "sealed_digest", "updated_at"])
    audit.record(actor=actor, verb="set_attributes", what=held, detail={"keys": sorted(values)})


@transaction.atomic
def add_binding(
    *, actor: object, recipient: Recipient, kind: str, address: str, scope: str = EVERYWHERE, scope_id: int = 0
) -> Binding:
    """Binds an address, or finds it bound already. Raises AddressRefused."""
    binding, made = _bind(recipient, kind, address, scope, scope_id)
    if made:
        audit.record(actor=actor, verb="add_binding", what=binding, detail={"kind": kind, "recipient": recipient.pk})
    return binding


@transaction.atomic
def set_bindings(
    *, actor: object, recipient: Recipient, kind: str, addresses: Iterable[str], scope: str = EVERYWHERE,
    scope_id: int = 0,
) -> list[Binding]:  # fmt: skip
    """Makes these the only addresses of this kind and scope. Raises AddressRefused and then changes nothing."""
    pairs = [_bind(recipient, kind, address, scope, scope_id) for address in addresses]
    kept = [binding.pk for binding, _made in pairs]
    others = Binding.objects.filter(recipient=recipient, address_kind=kind, scope=scope, scope_id=scope_id)
    removed, _rows = others.exclude(pk__in=kept).delete()
    added = sum(made for _binding, made in pairs)
    if added or removed:
        detail = {"kind": kind, "added": added, "removed": removed}
        audit.record(actor=actor, verb="set_bindings", what=recipient, detail=detail)
    return list(dict.fromkeys(binding for binding, _made in pairs))


@transaction.atomic
def delete_binding(*, actor: object, binding: Binding) -> None:
    """Takes one binding away."""
    detail = {"kind": binding.address_kind, "recipient": binding.recipient_id}
    audit.record(actor=actor, verb="delete_binding", what=binding, detail=detail)
    binding.delete()


@transaction.atomic
def unbind(
    *, actor: object, recipient: Recipient, kind: str, address: str, scope: str = EVERYWHERE, scope_id: int = 0
) -> bool:
    """As `delete_binding`, by the address; False where it was not bound. Raises AddressRefused."""
    binding = Binding.objects.filter(
        recipient=recipient, address_kind=kind, address_hash=hash_of(kind, address), scope=scope, scope_id=scope_id
    ).first()
    if binding:
        delete_binding(actor=actor, binding=binding)
    return binding is not None


@transaction.atomic
def reveal_address(*, actor: object, binding: Binding, reason: str) -> str:
    """The address in clear, for somebody who says why. The caller checks the permission. Raises PeopleError."""
    if not reason.strip():
        raise PeopleError(_("Say why the address must be shown."))
    audit.record(actor=actor, verb="reveal_address", what=binding, detail={"reason": reason.strip()[:200]})
    return keyring().open(binding.address, binding_place(binding.address_hash))


def tag(*, actor: object, recipients: Iterable[Recipient], tags: Sequence[str]) -> int:
    """Adds labels; how many people changed. Raises PeopleError."""
    return _retag(
        actor, "tag", recipients, tags,
        "UPDATE users_recipient SET tags = tags || ARRAY(SELECT t FROM unnest(%(tags)s::varchar[]) t"
        " WHERE NOT t = ANY(tags)), updated_at = now() WHERE id = ANY(%(ids)s) AND NOT tags @> %(tags)s::varchar[]",
    )  # fmt: skip


def untag(*, actor: object, recipients: Iterable[Recipient], tags: Sequence[str]) -> int:
    """Takes labels away; how many people changed. Raises PeopleError."""
    return _retag(
        actor, "untag", recipients, tags,
        "UPDATE users_recipient SET tags = ARRAY(SELECT t FROM unnest(tags) t WHERE NOT t = ANY(%(tags)s::varchar[])),"
        " updated_at = now() WHERE id = ANY(%(ids)s) AND tags && %(tags)s::varchar[]",
    )  # fmt: skip


@transaction.atomic
def delete_tag(*, actor: object, tag: Tag) -> None:
    """Deletes a label and takes it from everybody."""
    wearers = Recipient.objects.filter(tags__contains=[tag.name])
    wearers.update(tags=Func(F("tags"), Value(tag.name), function="array_remove"), updated_at=Now())
    audit.record(actor=actor, verb="delete_tag", what=tag, detail={"tag": tag.name})
    tag.delete()


@transaction.atomic
def _retag(actor: object, verb: str, recipients: Iterable[Recipient], tags: Sequence[str], statement: str) -> int:
    try:
        names = list(dict.fromkeys(name for text in tags for name in read_tags(text)))
    except RowRefused as refused:
        raise PeopleError(refused.words, **refused.params) from None
    ids = [recipient.pk for recipient in recipients]
    if verb == "tag":
        Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tags": names, "ids": ids})
        changed = cursor.rowcount
    if changed:
        audit.record(actor=actor, verb=verb, what="recipients", detail={"tags": names, "changed": changed})
    return changed


@dataclass(frozen=True, slots=True)
class RawBindings:
    """`bound`: given text → binding id; `refused`: given text → why it is no address. Neither is for logs."""

    bound: dict[str, int] = field(repr=False)
    refused: dict[str, AddressRefused] = field(repr=False)


def bind_raw_address(*, kind: str, address: str) -> Binding:
    """The binding without a person that stands for this address. Raises AddressRefused."""
    return _bind(None, kind, address, EVERYWHERE, 0)[0]


@transaction.atomic(savepoint=False)
def bind_raw_addresses(*, kind: str, addresses: Iterable[str]) -> RawBindings:
    """As `bind_raw_address` for thousands at once; bad ones are told apart instead of raising."""
    prepared, refused = {}, {}
    for text in dict.fromkeys(addresses):
        try:
            prepared[text] = prepare(kind, text)
        except AddressRefused as bad:
            refused[text] = bad
    Binding.objects.bulk_create(
        [
            Binding(address_kind=kind, address=one.sealed, address_hash=one.hash, address_masked=one.masked)
            for one in sorted(prepared.values(), key=lambda one: one.hash)  # one order for all: no deadlock
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    hashes = [one.hash for one in prepared.values()]
    raw = Binding.objects.filter(recipient=None, address_kind=kind, scope=Scope.EVERYWHERE, scope_id=0)
    rows = raw.filter(address_hash__in=hashes).values_list("address_hash", "id")
    ids = {bytes(hashed): binding_id for hashed, binding_id in rows}
    return RawBindings({text: ids[one.hash] for text, one in prepared.items()}, refused)


def _bind(recipient: Recipient | None, kind: str, raw: str, scope: str, scope_id: int) -> tuple[Binding, bool]:
    address = prepare(kind, raw)
    return Binding.objects.get_or_create(
        recipient=recipient, address_kind=kind, address_hash=address.hash, scope=scope, scope_id=scope_id,
        defaults={"address": address.sealed, "address_masked": address.masked},
    )  # fmt: skip
