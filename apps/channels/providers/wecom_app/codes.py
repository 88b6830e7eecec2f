"""WeCom's error numbers in our words. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, StaleToken, Throttled, Unknown

_LONG = "The list of members is too long for one call."
_UNKNOWN_MEMBER = "There is no such member, or the app may not see it."

_OUTCOMES: tuple[Rejected | Misconfigured | StaleToken | Throttled | Unknown, ...] = (
    # "call again" does not say that nothing was sent: the duplicate check makes a repeat harmless, where it is on
    Unknown("-1", "The provider was busy."),
    Throttled("6000", "The provider's data changed under the call; it asks to be called again.", timedelta(seconds=1)),
    Throttled("45009", "The app has used up its calls of this minute, hour or day.", timedelta(minutes=1)),
    Throttled("45033", "Too many calls at once.", timedelta(seconds=3)),
    StaleToken("40014", "The access token is not valid any more."),
    StaleToken("42001", "The access token has expired."),
    Rejected("81013", "Nobody of the call can be reached by this app."),
    Rejected("60111", "There is no such member."),
    Rejected("40003", "The userid is not valid."),
    Rejected("46004", "There is no such member."),
    Rejected("40031", "The list holds a userid that is not valid."),
    Rejected("43004", "The member does not follow the plug-in."),
    Rejected("50002", "The member is outside what this app may see."),
    Rejected("60011", "The app has no permission for this member."),
    Rejected("301021", "The userid is not valid."),
    Rejected("701008", "The member has no licence."),
    Rejected("40032", _LONG, "call"),
    Rejected("82002", _LONG, "call"),
    Rejected("82003", _LONG, "call"),
    Rejected("40008", "The provider does not know this type of message.", "content"),
    Rejected("40058", "A parameter is not valid.", "content"),
    Rejected("44004", "The text is empty.", "content"),
    Rejected("45002", "The text is too long.", "content"),
    Rejected("82001", "The call named nobody.", "content"),
    Rejected("85002", "The text holds a forbidden word.", "content"),
    Misconfigured("40001", "The secret of the app is wrong."),
    Misconfigured("40013", "The corp id is wrong."),
    Misconfigured("40091", "The secret of the app is wrong."),
    Misconfigured("41001", "The call carried no access token."),
    Misconfigured("41002", "The corp id is missing."),
    Misconfigured("41004", "The secret of the app is missing."),
    Misconfigured("40056", "The agent id is not valid."),
    Misconfigured("41011", "The agent id is missing."),
    Misconfigured("301002", "The agent id does not belong to this secret."),
    Misconfigured("50003", "The app is switched off."),
    Misconfigured("60020", "The address of this machine is not among the app's trusted ones."),
    Misconfigured("48002", "The app has no permission for this interface."),
    Misconfigured("48004", "The corp has withdrawn the app's permission."),
    Misconfigured("301007", "The corp cannot be used."),
    Misconfigured("2000002", "The corp id is wrong."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

# Lists of an answer that is a success otherwise; whoever stands in one gets nothing.
LISTS: dict[str, Rejected] = {
    "invaliduser": Rejected("invaliduser", _UNKNOWN_MEMBER),
    "unlicenseduser": Rejected("unlicenseduser", "The member has no licence for the basic interface."),
}
ALL_OF_THEM = "81013"
NO_SUCH_MEMBER = (CODES["46004"], CODES["60111"])

# Events about a member: (reachable, reason); every other event is no news for us.
MEMBER_EVENTS: dict[str, tuple[bool, str]] = {
    "subscribe": (True, "followed"),
    "unsubscribe": (False, "unfollowed"),
}
