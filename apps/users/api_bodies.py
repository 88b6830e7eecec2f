"""Bodies about consents, as the API takes, gives and describes them. A line speaks for itself and hears what concerns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.partners.models import BusinessLine
from apps.users.addresses import IMPORT_KINDS
from apps.users.addressing import AddressRefused, hash_of
from apps.users.consents import LONGEST_EVIDENCE, state_of
from apps.users.models import ConsentRecord, MessageClass, Recipient

MOST_AT_ONCE = 500
MOST_HISTORY = 200
LINE, EVERYWHERE = "line", "everywhere"


class WhoSerializer(serializers.Serializer):
    """A person by `user_id`, or an address."""

    user_id = serializers.CharField(required=False, max_length=64)
    address_kind = serializers.CharField(required=False, max_length=20, help_text="phone, email …")
    address = serializers.CharField(required=False, max_length=1000)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        by_address = {"address_kind", "address"} & given.keys()
        if ("user_id" in given) == bool(by_address) or len(by_address) == 1:
            raise serializers.ValidationError(_("Give user_id, or address_kind and address."))
        if "user_id" in given:
            given["recipient"] = Recipient.objects.filter(user_id=given["user_id"]).first()
            if given["recipient"] is None:
                raise serializers.ValidationError({"user_id": _("Nobody has this user id.")})
            return given
        if given["address_kind"] not in IMPORT_KINDS:
            raise serializers.ValidationError({"address_kind": _("There is no such kind of address.")})
        try:
            hash_of(given["address_kind"], given["address"])
        except AddressRefused as refused:
            raise serializers.ValidationError({"address": str(refused)}) from None
        return given


def subject(who: Mapping[str, Any]) -> dict[str, Any]:
    """What the services take for a validated `WhoSerializer`."""
    if "recipient" in who:
        return {"recipient": who["recipient"]}
    return {"kind": who["address_kind"], "address": who["address"]}


class GivenConsentSerializer(serializers.Serializer):
    """One consent that was given or taken back."""

    who = WhoSerializer()
    state = serializers.ChoiceField(choices=ConsentRecord.State.choices)
    message_class = serializers.ChoiceField(
        choices=MessageClass.choices, required=False, allow_blank=True, default="", help_text="Left out: every class."
    )
    scope = serializers.ChoiceField(
        choices=[(LINE, LINE), (EVERYWHERE, EVERYWHERE)],
        default=LINE,
        help_text="`everywhere` may be taken back only: a line asks for its own messages.",
    )
    evidence = serializers.CharField(
        max_length=LONGEST_EVIDENCE, help_text="The words that were shown or said, and where. Kept for good."
    )
    reference = serializers.CharField(
        max_length=100, required=False, allow_blank=True, default="", help_text="Where the proof is found."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["scope"] == EVERYWHERE and given["state"] == ConsentRecord.State.GIVEN:
            raise serializers.ValidationError(
                {"scope": _("A line can be given consent to its own messages only: line.")}
            )
        return given


class GivenConsentsSerializer(serializers.Serializer):
    """Up to 500 consents; all are recorded, or none."""

    consents = GivenConsentSerializer(many=True, min_length=1, max_length=MOST_AT_ONCE)


class RecordSerializer(serializers.Serializer):
    """One record of the ledger."""

    id = serializers.CharField()
    state = serializers.ChoiceField(choices=ConsentRecord.State.choices)
    message_class = serializers.CharField(help_text="Empty: every class.")
    scope = serializers.ChoiceField(choices=[(LINE, LINE), (EVERYWHERE, EVERYWHERE)])
    source = serializers.ChoiceField(choices=ConsentRecord.Source.choices)
    evidence = serializers.CharField()
    reference = serializers.CharField()
    at = serializers.DateTimeField()


class RecordedSerializer(serializers.Serializer):
    """What was recorded, in the order that was given; a repeat is answered with the record that there was."""

    records = RecordSerializer(many=True)


class StandingSerializer(serializers.Serializer):
    """What holds for this line, and the records that concern it, newest first."""

    states = serializers.DictField(
        child=serializers.ChoiceField(choices=["given", "withdrawn", "unknown"]), help_text="By class."
    )
    records = RecordSerializer(many=True)


def told(record: ConsentRecord) -> dict[str, Any]:
    """A record as `RecordSerializer` describes it."""
    return {
        "id": str(record.pk),
        "state": record.state,
        "message_class": record.message_class,
        "scope": LINE if record.business_line_id else EVERYWHERE,
        "source": record.source,
        "evidence": record.evidence,
        "reference": record.reference,
        "at": record.at,
    }


def standing(who: Mapping[str, Any], line: BusinessLine) -> dict[str, Any]:
    """The answer that `StandingSerializer` describes; records of other lines are theirs."""
    mine = ConsentRecord.objects.filter(Q(business_line=line) | Q(business_line=None))
    if "recipient" in who:
        mine = mine.filter(recipient_id=who["recipient"].pk)
    else:
        mine = mine.filter(address_hash=hash_of(who["address_kind"], who["address"]))
    states = {one: state_of(message_class=one, business_line=line, **subject(who)) for one in MessageClass.values}
    return {"states": states, "records": [told(one) for one in mine.order_by("-id")[:MOST_HISTORY]]}
