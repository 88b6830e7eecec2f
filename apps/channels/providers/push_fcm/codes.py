"""FCM's words in ours. Source: firebase.google.com, FCM error codes, and google.rpc.Code; marks stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown

MALFORMED = (
    "BAD_REQUEST"  # our own word: INVALID_ARGUMENT whose google.rpc.BadRequest blames another field than the token
)

_OUTCOMES: tuple[Rejected | Misconfigured | StaleToken | Throttled | Unknown, ...] = (
    Rejected("UNREGISTERED", "The app was removed from the device, or its token has ended.", bad_address=True),
    Rejected("INVALID_ARGUMENT", "The registration token is malformed."),
    Rejected("SENDER_ID_MISMATCH", "The token belongs to an app of another project."),
    Rejected(MALFORMED, "The message is not in the provider's form.", "content"),
    Throttled("QUOTA_EXCEEDED", "Too many messages for this project, device or topic.", timedelta(minutes=1)),
    Throttled("RESOURCE_EXHAUSTED", "Too many calls of this project.", timedelta(minutes=1)),
    Throttled("UNAVAILABLE", "The provider is overloaded and asks for another try."),
    Unknown("INTERNAL", "The provider had an error of its own."),
    Unknown("UNSPECIFIED_ERROR", "The provider says nothing of the reason."),
    Unknown("DEADLINE_EXCEEDED", "The provider ran out of time."),
    StaleToken("UNAUTHENTICATED", "The access token is no longer taken."),
    Misconfigured("THIRD_PARTY_AUTH_ERROR", "The APNs key or the web push key stored in Firebase is not valid."),
    Misconfigured("PERMISSION_DENIED", "The service account may not send messages for this project."),
    Misconfigured("NOT_FOUND", "There is no such project."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

# `error` of the token endpoint (RFC 6749, 5.2, and what Google adds)
TOKEN_REFUSALS: dict[str, Outcome] = {
    one.code: one
    for one in (
        Misconfigured(
            "invalid_grant", "The service account's key was withdrawn, or the clock of this machine is wrong."
        ),
        Misconfigured("invalid_client", "The service account is not known or was removed."),
        Misconfigured("unauthorized_client", "The service account may not ask for an access token."),
        Misconfigured("invalid_scope", "The service account may not send messages."),
        Misconfigured("invalid_request", "The token endpoint does not understand the request."),
        Misconfigured("unsupported_grant_type", "The token endpoint is not Google's."),
        Misconfigured("access_denied", "The service account was disabled."),
        Throttled("rate_limit_exceeded", "Too many tokens were asked for."),
    )
}
