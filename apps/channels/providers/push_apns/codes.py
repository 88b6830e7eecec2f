"""Apple's reasons in our words. Source: developer.apple.com, handling notification responses; marks stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unavailable, Unknown

_OUTCOMES: tuple[Rejected | Misconfigured | StaleToken | Throttled | Unavailable | Unknown, ...] = (
    Rejected("Unregistered", "The app was removed from the device.", bad_address=True),
    Rejected("ExpiredToken", "The device token has expired.", bad_address=True),
    Rejected("BadDeviceToken", "The device token is malformed, or is one of the other environment."),
    Rejected("DeviceTokenNotForTopic", "The device token belongs to another app."),
    Rejected("MissingDeviceToken", "The device token is missing."),
    Rejected("BadExpirationDate", "The expiration is no time.", "content"),
    Rejected("BadPriority", "The priority is neither 1, 5 nor 10.", "content"),
    Rejected("BadCollapseId", "The collapse id is longer than 64 bytes.", "content"),
    Rejected("BadMessageId", "The message id is no UUID.", "content"),
    Rejected("DuplicateHeaders", "A header stands twice.", "content"),
    Rejected("PayloadEmpty", "The message is empty.", "content"),
    Rejected("PayloadTooLarge", "The message is too big.", "content"),
    Misconfigured("BadTopic", "The topic is not valid."),
    Misconfigured("MissingTopic", "The topic is missing."),
    Misconfigured("TopicDisallowed", "The team may not push to this topic."),
    Misconfigured("InvalidPushType", "The push type is not valid."),
    Misconfigured("BadPath", "The endpoint is not that of the provider."),
    Misconfigured("MethodNotAllowed", "The endpoint is not that of the provider."),
    StaleToken("ExpiredProviderToken", "The token that was signed here is too old."),
    Misconfigured("InvalidProviderToken", "Key, key id and team id do not belong together."),
    Misconfigured("MissingProviderToken", "No token came with the message."),
    Misconfigured("Forbidden", "The team may not do this."),
    Misconfigured("UnrelatedKeyIdInToken", "The key is for other topics."),
    Misconfigured("BadEnvironmentKeyIdInToken", "The key is for the other environment."),
    Misconfigured("BadCertificate", "The certificate is not valid."),
    Misconfigured("BadCertificateEnvironment", "The certificate is for the other environment."),
    Throttled("TooManyRequests", "Too many messages for this device.", timedelta(minutes=2), "recipient"),
    Throttled("TooManyProviderTokenUpdates", "A new token came too soon after the last.", timedelta(minutes=20)),
    Unavailable("IdleTimeout", "The provider waited for the request and gave it up."),
    Unavailable("ServiceUnavailable", "The provider is not available."),
    Unavailable("Shutdown", "The provider's server is shutting down."),
    Unknown("InternalServerError", "The provider had an error of its own."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
