"""The presence call: a business system says that a person can be reached now."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns import serializers as bodies
from apps.campaigns.saving import came_online, people_at
from apps.users.errors import PeopleError


class PresenceSerializer(serializers.Serializer):
    """A person by user id, or by an address that they are bound to."""

    user_id = serializers.CharField(max_length=64, required=False, help_text="The enterprise's own id of the person.")
    address_kind = serializers.CharField(max_length=20, required=False, help_text="Such as `jpush`, `phone`.")
    address = serializers.CharField(max_length=500, required=False, help_text="The address itself.")

    def validate(self, given: dict[str, str]) -> dict[str, str]:
        if ("user_id" in given) == ("address" in given):
            raise serializers.ValidationError(
                {"user_id": _("Give either a user_id or an address with its address_kind.")}
            )
        if "address" in given and "address_kind" not in given:
            raise serializers.ValidationError({"address_kind": _("Say what kind of address it is.")})
        return given


class ReleasedSerializer(serializers.Serializer):
    released = serializers.IntegerField(help_text="Kept messages that are on their way now.")


class PresenceView(APIView):
    """Whoever was away is back: what was kept for them goes."""

    @extend_schema(
        operation_id="presence",
        summary="Say that a person can be reached now",
        description="Offline-saved messages of the person are sent, oldest first. Calling it again, or for somebody for "
        "whom nothing is kept or whom nobody knows, changes nothing and answers 0.",
        request=PresenceSerializer,
        responses={
            200: ReleasedSerializer,
            400: OpenApiResponse(bodies.RefusalSerializer, "The body names nobody."),
            401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
        },
        examples=[OpenApiExample("the app was opened", {"user_id": "U0000001"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        asked = PresenceSerializer(data=request.data)
        if not asked.is_valid():
            return _refused({name: str(words[0]) for name, words in asked.errors.items()})
        said = asked.validated_data
        try:
            people = people_at(
                user_id=said.get("user_id", ""), kind=said.get("address_kind", ""), address=said.get("address", "")
            )
        except PeopleError as refused:
            return _refused({"address": str(refused)})
        return Response({"released": came_online(actor=request.user, people=people) if people else 0})


def _refused(errors: dict[str, str]) -> Response:
    said = [{"field": name, "message": words} for name, words in errors.items()]
    return Response({"detail": _("Nothing was done: see the errors."), "errors": said}, status=400)
