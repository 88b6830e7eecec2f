"""The ledger of consents: what people agreed to and took back. What is taken back blocks, in the same transaction.

A record never changes. The newest one that concerns a class and a line says whether consent is given; a withdrawal
blocks its class and scope until consent is given again at least as widely: whoever said "nothing from anybody" is not
written to again because one line heard a yes. A block that an operator entered is nobody's consent and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from apps.operators import audit
from apps.partners.models import BusinessLine
from apps.users import lists
from apps.users.addressing import hash_of, prepare
from apps.users.errors import PeopleError
from apps.users.models import Binding, BlacklistEntry, ConsentRecord, Recipient, Scope
from ums_site.clock import transaction_now

GIVEN, WITHDRAWN = str(ConsentRecord.State.GIVEN), str(ConsentRecord.State.WITHDRAWN)
LONGEST_EVIDENCE = 500


class ConsentRefused(PeopleError):
    """A record that would prove nothing; `field` is the one to mend."""

    def __init__(self, field: str, words: Any, **params: object) -> None:
        super().__init__(words, **params)
        self.field = field


@transaction.atomic
def record_consent(
    *, actor: object, recipient: Recipient | None = None, kind: str = "", address: str = "", state: str,
    message_class: str = "", business_line: BusinessLine | None = None, source: str, evidence: str, reference: str = "",
    unless_so: bool = False,
    unless_same: bool = False,
) -> ConsentRecord:  # fmt: skip
    """Adds one record, and puts up or lifts the blocks that follow from it.

    A person, an address, or both: a person who answered from a number. What is taken back from an address blocks that
    address, else the person. With `unless_so` nothing is added where a record of just this class and line says the same
    already and nothing since has contradicted it; that one is returned. With `unless_same` its evidence and reference must
    be the same, too: a call that is repeated adds nothing, a proof that is new does.

    Raises ConsentRefused naming the field, AddressRefused for what is no address.
    """
    _check(recipient, address, state, message_class, source, evidence)
    record = ConsentRecord(
        recipient_id=recipient.pk if recipient else None, message_class=message_class, business_line=business_line,
        state=state, source=source, evidence=evidence.strip(), reference=reference[:100], actor=str(actor)[:200],
        at=transaction_now(),
    )  # fmt: skip
    if address:
        prepared = prepare(kind, address)
        record.address_kind, record.address_hash, record.address_masked = kind, prepared.hash, prepared.masked
    _one_at_a_time(record)
    same = _same(record) if unless_so or unless_same else None
    if same and (unless_so or (same.evidence, same.reference) == (record.evidence, record.reference)):
        return same
    record.save(force_insert=True)
    if state == WITHDRAWN:
        _block(actor, record, recipient, kind, address)
    else:
        _lift(actor, record)
    detail = {"state": state, "class": message_class, "line": business_line.code if business_line else "", "by": source}
    audit.record(actor=actor, verb="record_consent", what=record, detail=detail)
    return record


def _check(recipient: object, address: str, state: str, message_class: str, source: str, evidence: str) -> None:
    if recipient is None and not address:
        raise ConsentRefused("user_id", _("Say whose consent it is: a user id or an address."))
    if state not in ConsentRecord.State.values:
        raise ConsentRefused("state", _("state is given or withdrawn."))
    try:
        lists.classes_of([message_class] if message_class else [])
    except PeopleError as unknown:
        raise ConsentRefused("message_class", unknown.words, **unknown.params) from None
    if source not in ConsentRecord.Source.values:
        raise ConsentRefused("source", _("There is no such source of a consent."))
    if not evidence.strip():
        raise ConsentRefused("evidence", _("Say what proves it: the words that were shown or said, and where."))
    if len(evidence.strip()) > LONGEST_EVIDENCE:
        raise ConsentRefused("evidence", _("The evidence may have %(most)s characters."), most=LONGEST_EVIDENCE)


def _one_at_a_time(record: ConsentRecord) -> None:
    """Two records of one subject are written one after the other, so that the newest is also the one acted on last."""
    keys = [f"consent:r{record.recipient_id}"] if record.recipient_id else []
    keys += [f"consent:a{bytes(record.address_hash).hex()}"] if record.address_hash else []
    with connection.cursor() as cursor:
        for key in sorted(keys):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _same(record: ConsentRecord) -> ConsentRecord | None:
    """The record of the same subject, class and line that says the same and that nothing since has contradicted."""
    of_subject = ConsentRecord.objects.filter(
        recipient_id=record.recipient_id, address_hash=record.address_hash, message_class=record.message_class
    )
    for held in of_subject.order_by("-id"):
        if held.state != record.state:
            return None
        if held.business_line_id == record.business_line_id:
            return held
    return None


def _block(actor: object, record: ConsentRecord, recipient: Recipient | None, kind: str, address: str) -> None:
    lists.add_blacklist(
        actor=actor,
        recipient=None if address else recipient,
        kind=kind,
        address=address,
        classes=[record.message_class] if record.message_class else [],
        scope=Scope.BUSINESS_LINE if record.business_line_id else Scope.EVERYWHERE,
        scope_id=record.business_line_id or 0,
        reason=record.evidence[:200],
        source=record.source,
        origin=lists.CONSENT,
    )


def _lift(actor: object, record: ConsentRecord) -> None:
    """Takes away what withdrawals of the person, or of an address of theirs, put up, as far as this consent reaches."""
    own = BlacklistEntry.objects.filter(origin=lists.CONSENT)
    if record.business_line_id:
        own = own.filter(scope=Scope.BUSINESS_LINE, scope_id=record.business_line_id)
    if record.message_class:
        own = own.filter(classes=[record.message_class])
    subjects = []
    if record.recipient_id:
        subjects.append(own.filter(recipient_id=record.recipient_id))
        bound = Binding.objects.filter(recipient_id=record.recipient_id).values("address_hash")
        subjects.append(own.filter(address_hash__in=bound))
    if record.address_hash:
        subjects.append(own.filter(address_hash=record.address_hash))
    for entries in subjects:
        for entry in entries:
            lists.remove_blacklist(actor=actor, entry=entry, reason=f"consent record {record.pk}")


STANDING = """
SELECT DISTINCT ON (y.message_class, y.business_line_id) y.message_class, y.business_line_id, y.state, y.at, y.id
FROM users_consentrecord y WHERE {subject} ORDER BY y.message_class, y.business_line_id, y.id DESC
"""


def consent_of(
    *, recipient: Recipient | None = None, kind: str = "", address: str = ""
) -> Sequence[tuple[str, int | None, str, Any, int]]:
    """What stands now of a person or an address: (class, business line id, state, since, record id), one query.

    An empty class or no line means all of them. Raises AddressRefused.
    """
    subject, value = (
        ("y.recipient_id = %s", recipient.pk) if recipient else ("y.address_hash = %s", hash_of(kind, address))
    )
    with connection.cursor() as cursor:
        cursor.execute(STANDING.format(subject=subject), [value])
        return cursor.fetchall()


CONSENT_BLOCKS = """
SELECT 1 FROM users_blacklistentry x WHERE {subject} AND x.effect = 'block' AND x.origin = 'consent'
  AND (x.classes = '{{}}' OR %s = ANY(x.classes)) AND (x.scope = 'everywhere' OR (x.scope = 'business_line' AND x.scope_id = %s))
"""
NEWEST = """
SELECT y.state FROM users_consentrecord y WHERE {subject} AND y.message_class IN ('', %s)
  AND (y.business_line_id IS NULL OR y.business_line_id = %s) ORDER BY y.id DESC LIMIT 1
"""


def state_of(
    *,
    message_class: str,
    business_line: BusinessLine,
    recipient: Recipient | None = None,
    kind: str = "",
    address: str = "",
) -> str:
    """What holds for one class and line: given, withdrawn, or unknown. Raises AddressRefused."""
    column, value = ("recipient_id", recipient.pk) if recipient else ("address_hash", hash_of(kind, address))
    values = [value, message_class, business_line.pk]
    with connection.cursor() as cursor:
        cursor.execute(CONSENT_BLOCKS.format(subject=f"x.{column} = %s"), values)
        if cursor.fetchone():
            return WITHDRAWN
        cursor.execute(NEWEST.format(subject=f"y.{column} = %s"), values)
        found = cursor.fetchone()
    return found[0] if found else "unknown"
