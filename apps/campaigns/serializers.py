"""The bodies of the API as its OpenAPI description tells them, with examples. Requests are read by `api_bodies`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from apps.campaigns.accepting import MOST_AT_ONCE
from apps.campaigns.policy_checks import GOALS, HEAVIEST, MODES
from apps.campaigns.states import ApprovalState, CampaignState, DeliveryState, MessageClass, MessageState, RecallState
from apps.partners.idempotency import HEADER, LONGEST_KEY

TO_PERSON = {"user_id": "u-10001"}
TO_ADDRESS = {"address_kind": "phone", "address": "13800000000"}
STEPS = [
    {"channels": [{"account": "push-main"}], "until": "delivered", "wait_seconds": 60},
    {"channels": [{"account": "sms-main"}], "until": "delivered"},
]
SINGLE: dict[str, Any] = {
    "template": "login-code",
    "policy": "sms-only",
    "class": "otp",
    "to": TO_ADDRESS,
    "variables": {"code": "493027"},
    "client_ref": "login-7781",
}
SINGLE_STEPS: dict[str, Any] = {
    "template": "balance-notice",
    "steps": STEPS,
    "class": "transactional",
    "to": TO_PERSON,
    "variables": {"balance": "1024.50"},
    "expires_at": "2030-01-01T18:00:00+08:00",
}
BATCH: dict[str, Any] = {
    "template": "balance-notice",
    "policy": "push-then-sms",
    "class": "transactional",
    "messages": [
        {"to": TO_PERSON, "variables": {"balance": "1024.50"}, "client_ref": "row-1"},
        {"to": TO_ADDRESS, "variables": {"balance": "88"}, "client_ref": "row-2"},
    ],
}
ACCEPTED = {
    "id": "251658240000000001",
    "state": "PLANNED",
    "reason": "",
    "client_ref": "login-7781",
    "campaign_id": "251658240000000000",
    "campaign_state": "EXPANDING",
}


ACCEPTED_BATCH = {
    "campaign_id": "251658240000000000",
    "campaign_state": "AWAITING_APPROVAL",
    "accepted": 2,
    "messages": [
        {"id": "251658240000000001", "state": "PLANNED", "reason": "", "client_ref": "row-1"},
        {"id": "251658240000000002", "state": "INVALID", "reason": "unknown_user", "client_ref": "row-2"},
    ],
}
STATUS = {
    "id": "251658240000000001",
    "campaign_id": "251658240000000000",
    "campaign_state": "FINISHED",
    "class": "otp",
    "state": "SUCCEEDED",
    "reason": "",
    "accepted_at": "2026-11-23T10:00:00+00:00",
    "finished_at": "2026-11-23T10:00:04+00:00",
    "deliveries": [
        {
            "id": "251658240000000003",
            "channel": "sms_aliyun",
            "account": "sms-main",
            "address": "138****0000",
            "step": 1,
            "state": "DELIVERED",
            "reason": "",
            "pieces": 1,
            "sent_at": "2026-11-23T10:00:01+00:00",
            "accepted_at": "2026-11-23T10:00:01+00:00",
            "receipt_at": "2026-11-23T10:00:04+00:00",
            "recall": None,
        }
    ],
}
CALLED_OFF = {
    "id": "251658240000000001",
    "called_off": 0,
    "recalling": 1,
    "deliveries": [
        {
            "id": "251658240000000003",
            "channel": "wecom_app",
            "account": "wecom-main",
            "address": "zh***an",
            "step": 1,
            "state": "DELIVERED",
            "reason": "",
            "pieces": 1,
            "sent_at": "2026-11-23T10:00:01+00:00",
            "accepted_at": "2026-11-23T10:00:01+00:00",
            "receipt_at": "2026-11-23T10:00:04+00:00",
            "recall": {"state": "WAITING", "code": "", "at": None},
        }
    ],
}


class TargetSerializer(serializers.Serializer):
    """Either `user_id`, or `address_kind` and `address`."""

    user_id = serializers.CharField(required=False, max_length=64, help_text="A person, by the enterprise's own id.")
    address_kind = serializers.CharField(required=False, help_text="`phone`, `email`, …")
    address = serializers.CharField(required=False, max_length=1000)


class VendorSerializer(serializers.Serializer):
    account = serializers.CharField(help_text="Code of a channel account that the business line may use.")
    weight = serializers.IntegerField(
        required=False, default=1, min_value=0, max_value=HEAVIEST, help_text="Its share; 0: only where no other can."
    )


class ConditionSerializer(serializers.Serializer):
    """Of whom a channel is for; all parts must hold."""

    tags_any = serializers.ListField(child=serializers.CharField(), required=False)
    tags_all = serializers.ListField(child=serializers.CharField(), required=False)
    tags_none = serializers.ListField(child=serializers.CharField(), required=False)
    attributes = serializers.DictField(child=serializers.JSONField(), required=False)


class ChannelSerializer(serializers.Serializer):
    """One `account`, or several `vendors` that share by weight and stand in for each other."""

    account = serializers.CharField(
        required=False, help_text="Code of a channel account that the business line may use."
    )
    vendors = VendorSerializer(many=True, required=False)
    kind = serializers.CharField(required=False)
    only_tag = serializers.CharField(required=False, help_text="Only for people with this tag.")
    only_if = ConditionSerializer(required=False)
    body = serializers.CharField(required=False, help_text="Name of a variant of the template's text for the channel.")
    failover_seconds = serializers.FloatField(
        required=False, help_text="After so long out of order a vendor's waiting messages go over another one."
    )


class StepSerializer(serializers.Serializer):
    channels = ChannelSerializer(many=True)
    mode = serializers.ChoiceField(MODES, required=False, default="first")
    until = serializers.ChoiceField(GOALS, required=False, default="delivered")
    wait_seconds = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text="The next step follows after so long without what `until` names; without it, on failure only.",
    )


class CommonSerializer(serializers.Serializer):
    template = serializers.CharField(help_text="Code of a template; its latest published version is sent.")
    policy = serializers.CharField(required=False, help_text="Code of a policy; or give `steps`.")
    steps = StepSerializer(many=True, required=False, help_text="A policy of its own for this call.")
    ceiling_per_person = serializers.CharField(
        required=False, help_text="With `steps`: the most that one message may cost over all of them, such as `0.10`."
    )
    expires_at = serializers.DateTimeField(required=False, help_text="Nothing is sent for the first time after this.")

    def get_fields(self) -> dict[str, Any]:
        """`class` is no name that Python lets a class attribute have."""
        choice = serializers.ChoiceField([str(one) for one in MessageClass], help_text="Decides lane and priority.")
        return {**super().get_fields(), "class": choice}


class ItemSerializer(serializers.Serializer):
    to = TargetSerializer()
    variables = serializers.DictField(
        child=serializers.JSONField(), required=False, help_text="Values of the template's variables, never nested."
    )
    client_ref = serializers.CharField(required=False, max_length=128, help_text="Your own reference, echoed.")


class SingleSerializer(CommonSerializer, ItemSerializer):
    """One message."""


class BatchSerializer(CommonSerializer):
    """Up to 5000 messages of one template and policy."""

    messages = serializers.ListField(child=ItemSerializer(), min_length=1, max_length=MOST_AT_ONCE)


class TakenSerializer(serializers.Serializer):
    """A message that is now durable. `INVALID` ones say why: the person or the address is none."""

    id = serializers.CharField()
    state = serializers.ChoiceField([str(one) for one in MessageState])
    reason = serializers.CharField(allow_blank=True)
    client_ref = serializers.CharField(allow_null=True)


ORDER_STATE = serializers.ChoiceField(
    [str(one) for one in CampaignState],
    help_text="`AWAITING_APPROVAL`: kept, and sent once somebody else agreed to it.",
)


class TakenSingleSerializer(TakenSerializer):
    campaign_id = serializers.CharField()
    campaign_state = ORDER_STATE


class TakenBatchSerializer(serializers.Serializer):
    campaign_id = serializers.CharField()
    campaign_state = ORDER_STATE
    accepted = serializers.IntegerField()
    messages = TakenSerializer(many=True, help_text="In the order of the request.")


class RecallSerializer(serializers.Serializer):
    """Whether a delivery was taken back, once that was asked for."""

    state = serializers.ChoiceField([str(one) for one in RecallState])
    code = serializers.CharField(allow_blank=True, help_text="Why not: `no_recall`, `too_late`, `shared_call`, …")
    at = serializers.DateTimeField(allow_null=True, help_text="When that was known.")


class DeliverySerializer(serializers.Serializer):
    id = serializers.CharField()
    channel = serializers.CharField(help_text="The channel's kind.")
    account = serializers.CharField(help_text="The account's code.")
    address = serializers.CharField(help_text="Masked.")
    step = serializers.IntegerField(help_text="From 1.")
    state = serializers.ChoiceField([str(one) for one in DeliveryState])
    reason = serializers.CharField(allow_blank=True)
    pieces = serializers.IntegerField(help_text="Billed pieces, 0 before acceptance.")
    sent_at = serializers.DateTimeField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True, help_text="By the provider.")
    receipt_at = serializers.DateTimeField(allow_null=True)
    recall = RecallSerializer(allow_null=True)


class StatusSerializer(serializers.Serializer):
    """A message and everything that was tried for it."""

    id = serializers.CharField()
    campaign_id = serializers.CharField()
    campaign_state = ORDER_STATE
    state = serializers.ChoiceField([str(one) for one in MessageState])
    reason = serializers.CharField(allow_blank=True)
    accepted_at = serializers.DateTimeField(help_text="By this API.")
    finished_at = serializers.DateTimeField(allow_null=True)
    deliveries = DeliverySerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "class": serializers.ChoiceField([str(one) for one in MessageClass])}


class CalledOffSerializer(serializers.Serializer):
    """What became of a message that is wanted back. `GET` tells how it ends."""

    id = serializers.CharField()
    called_off = serializers.IntegerField(help_text="Deliveries that were waiting and are never sent.")
    recalling = serializers.IntegerField(help_text="Deliveries that the provider is being asked to take back.")
    deliveries = DeliverySerializer(many=True)


class ProblemSerializer(serializers.Serializer):
    field = serializers.CharField()
    message = serializers.CharField()


class RefusalSerializer(serializers.Serializer):
    """Why a call was refused; nothing was accepted."""

    detail = serializers.CharField()
    errors = ProblemSerializer(many=True, required=False)


KEY_PARAMETER = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    required=True,
    description=f"Any text of 1 to {LONGEST_KEY} visible ASCII characters, new for every new call and the same on "
    "every retry of it. Kept for seven days.",
)
REFUSALS = {
    400: OpenApiResponse(
        RefusalSerializer,
        "A field is missing or wrong; `errors` names it and the remedy.",
        [
            OpenApiExample(
                "unknown template",
                {
                    "detail": "Nothing was accepted: mend what `errors` names and send it again.",
                    "errors": [{"field": "template", "message": "No template with this code is published."}],
                },
            )
        ],
    ),
    401: OpenApiResponse(RefusalSerializer, "No live API key."),
    409: OpenApiResponse(RefusalSerializer, "The first call with this key is still running; see Retry-After."),
    422: OpenApiResponse(RefusalSerializer, "The key was used for another body."),
    429: OpenApiResponse(
        RefusalSerializer,
        "A quota of messages has no room for the call: nothing was accepted, the key is still free. `quota` says which one, "
        "what is left and when it is renewed (as in GET /api/v1/quota); Retry-After says the same in seconds.",
    ),
}
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    str,
    OpenApiParameter.HEADER,
    response=[202],
    description="`true` where this is the stored answer of an earlier call with the same key and body.",
)


class VoteSerializer(serializers.Serializer):
    who = serializers.CharField()
    verdict = serializers.ChoiceField(["approve", "reject"])
    note = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class ApprovalSerializer(serializers.Serializer):
    """One request for approval, and exactly what it is for: `hash` stands for all of `bound`."""

    id = serializers.CharField()
    campaign_id = serializers.CharField()
    campaign_name = serializers.CharField()
    campaign_state = ORDER_STATE
    state = serializers.ChoiceField([str(one) for one in ApprovalState])
    hash = serializers.CharField()
    bound = serializers.DictField(help_text="Content, people, plan, ceiling, time and price, as they stand.")
    needs = serializers.ListField(child=serializers.DictField(), help_text="Rules, and how many must agree for each.")
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    reason = serializers.CharField(allow_blank=True)
    votes = VoteSerializer(many=True)


class DecisionSerializer(serializers.Serializer):
    """A verdict on exactly what `hash` stands for."""

    verdict = serializers.ChoiceField(["approve", "reject"])
    hash = serializers.CharField(help_text="As it was shown; where it was changed since, the answer is 409.")
    note = serializers.CharField(required=False, max_length=400, help_text="Needed for a refusal.")
