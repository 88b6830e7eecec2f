"""Approvals over the API: for keys that were issued with the right to approve, never for the key that asked."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.campaigns import serializers as bodies
from apps.campaigns.approving import Changed, decide_approval
from apps.campaigns.binding import bound_of, digest_of
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Approval, Campaign
from apps.campaigns.states import ApprovalState
from apps.partners.models import ApiKey

MOST = 200
NUMBER = OpenApiParameter("approval_id", str, OpenApiParameter.PATH)
REFUSED = {
    401: OpenApiResponse(bodies.RefusalSerializer, "No live API key."),
    403: OpenApiResponse(bodies.RefusalSerializer, "The key may not approve, or asked for it itself."),
    404: OpenApiResponse(bodies.RefusalSerializer, "Unknown, or another line's."),
}


class MayApprove(BasePermission):
    """Only keys that were issued with the scope `approve`."""

    message = gettext_lazy("This API key may not approve: issue one that may, in the console.")

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, ApiKey) and ApiKey.Scope.APPROVE in request.auth.scopes


class ApprovalsView(APIView):
    """What waits for a decision in the caller's business line."""

    permission_classes = [MayApprove]

    @extend_schema(
        operation_id="list_approvals",
        summary="What waits for approval",
        description=f"The newest {MOST} of the key's business line. Only for keys with the scope `approve`.",
        responses={200: bodies.ApprovalSerializer(many=True), **{code: REFUSED[code] for code in (401, 403)}},
    )
    def get(self, request: Request) -> Response:
        waiting = Approval.objects.filter(
            campaign__business_line=request.user.business_line, state=ApprovalState.PENDING
        ).select_related("campaign__business_line", "requested_by", "requested_key")
        return Response([told(one) for one in waiting.order_by("-id")[:MOST]])


class ApprovalView(APIView):
    """One request for approval."""

    permission_classes = [MayApprove]

    @extend_schema(
        operation_id="approval",
        summary="One request for approval",
        parameters=[NUMBER],
        responses={200: bodies.ApprovalSerializer, **REFUSED},
    )
    def get(self, request: Request, approval_id: str) -> Response:
        found = _found(request, approval_id)
        return _nobody() if found is None else Response(told(found))


class DecisionView(APIView):
    """A verdict."""

    permission_classes = [MayApprove]

    @extend_schema(
        operation_id="decide_approval",
        summary="Approve or refuse",
        description="The last agreement that is needed starts the campaign. The key that submitted it never decides on it, "
        "and a key counts for rules without a role only.",
        parameters=[NUMBER],
        request=bodies.DecisionSerializer,
        responses={
            200: bodies.ApprovalSerializer,
            400: OpenApiResponse(bodies.RefusalSerializer, "A field is missing or wrong."),
            409: OpenApiResponse(bodies.RefusalSerializer, "It was changed since, or is no longer waiting."),
            **REFUSED,
        },
    )
    def post(self, request: Request, approval_id: str) -> Response:
        found = _found(request, approval_id)
        if found is None:
            return _nobody()
        body = bodies.DecisionSerializer(data=request.data)
        if not body.is_valid():
            errors = [{"field": name, "message": str(words[0])} for name, words in body.errors.items()]
            return Response({"detail": _("Nothing was decided."), "errors": errors}, status=400)
        said = body.validated_data
        try:
            decide_approval(
                actor=request.user, approval=found, verdict=said["verdict"], seen_hash=said["hash"],
                note=said.get("note", ""),
            )  # fmt: skip
        except Changed as changed:
            return Response({"detail": changed.message}, status=409)
        except CampaignError as refused:
            if refused.field:
                errors = [{"field": refused.field, "message": refused.message}]
                return Response({"detail": _("Nothing was decided."), "errors": errors}, status=400)
            found.refresh_from_db()
            return Response({"detail": refused.message}, status=403 if found.state == ApprovalState.PENDING else 409)
        return Response(told(_found(request, approval_id) or found))


def _found(request: Request, approval_id: str) -> Approval | None:
    related = Approval.objects.select_related("campaign__business_line", "requested_by", "requested_key")
    return related.filter(pk=int(approval_id), campaign__business_line=request.user.business_line).first()


def _nobody() -> Response:
    return Response({"detail": _("There is no approval with this id.")}, status=404)


def told(approval: Approval) -> dict[str, Any]:
    """A request as the API tells it; what waits is shown as it stands now."""
    campaign: Campaign = approval.campaign
    waits = approval.state == ApprovalState.PENDING
    bound = bound_of(campaign) if waits else approval.bound
    votes = approval.votes.select_related("operator", "api_key").order_by("at")
    return {
        "id": str(approval.pk),
        "campaign_id": str(campaign.pk),
        "campaign_name": campaign.name,
        "campaign_state": campaign.state,
        "state": approval.state,
        "hash": digest_of(bound) if waits else approval.bound_hash,
        "bound": bound,
        "needs": approval.needs,
        "requested_by": str(approval.requested_by or approval.requested_key or campaign.business_line),
        "requested_at": approval.requested_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "reason": approval.reason,
        "votes": [
            {
                "who": str(vote.operator or vote.api_key),
                "verdict": vote.verdict,
                "note": vote.note,
                "at": vote.at.isoformat(),
            }
            for vote in votes
        ],
    }
