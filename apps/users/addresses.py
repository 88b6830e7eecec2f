"""Addresses as they are kept: one spelling each, checked, and masked for screens. Pure, and quick: imports live on it.

`normalise` decides what is the same address, so its answer is what is hashed and sealed. The shapes rest on the
identity sections of the providers' contracts; where those are silent the rule is lenient, since a wrong refusal loses a
person and a wrong address comes back from the provider as a failed delivery. What never passes: control characters (a
line break in an e-mail address is a header injection) and what a spreadsheet has mangled.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

IMPORT_KINDS = (
    "phone",
    "email",
    "jpush",
    "fcm",
    "apns",
    "wechat_oa",
    "wechat_mini",
    "wechat_unionid",
    "alipay",
    "dingtalk",
    "dingtalk_group",
    "wecom",
    "wecom_group",
    "feishu",
    "feishu_group",
    "webhook",
    "apprise",
)
LONGEST = 1000

_BARE_MOBILE = re.compile(r"1[3-9][0-9]{9}").fullmatch
_MAINLAND = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})(?:\.0)?").fullmatch
_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_DIGITS = re.compile(r"[0-9]+").fullmatch
_MANGLED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{1,3}").fullmatch
_PHONE_FILLING = re.compile(r"[\s()\-\u2010-\u2015\u2212.·]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]").search
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = re.compile(
    rf"({_ATOMS}(?:\.{_ATOMS})*)@((?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9]))"
).fullmatch
_INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u200c\u200d\u2060")


def _(text: str) -> str:
    """Marks a text for translation; whoever shows a BadAddress translates `words`."""
    return text


class BadAddress(ValueError):
    """Text that is no address of its kind. `words` (English msgid) and `params` make the reason; no address in it."""

    def __init__(self, code: str, words: str, **params: object) -> None:
        super().__init__(words % params if params else words)
        self.code = code
        self.words = words
        self.params = params


def normalise(kind: str, raw: str) -> str:
    """The one spelling of an address of this kind.

    A mainland mobile number is kept as 11 digits, any other number in E.164 with its plus sign; the domain of an e-mail
    address in lower case; a WeCom userid in lower case; of a group robot's webhook only its key, with the robot's signing
    secret behind a bar where it has one. Kinds without a rule of their own take any visible text.
    Raises BadAddress.
    """
    if kind == "phone" and _BARE_MOBILE(raw):
        return raw
    text = raw.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).strip()
    if not text:
        raise BadAddress("empty", _("it is empty"))
    if _CONTROL(text):
        raise BadAddress("control_character", _("it contains a line break or another control character"))
    if _MANGLED(text):
        raise BadAddress(
            "scientific_notation",
            _("a spreadsheet turned it into scientific notation; format the column as text and export again"),
        )
    return _RULES.get(kind, _visible)(text)


def _phone(text: str) -> str:
    digits = _PHONE_FILLING.sub("", text) if not text.endswith(".0") else text[:-2]
    mainland = _MAINLAND(digits)
    if mainland:
        return mainland[1]
    if digits.startswith("+86"):
        raise BadAddress("not_a_mobile", _("after +86 a mobile number of 11 digits from 13 to 19 must follow"))
    if digits.startswith("00") and not digits.startswith("000"):
        digits = "+" + digits[2:]
    if _E164(digits):
        return digits
    if not _DIGITS(digits.lstrip("+")):
        raise BadAddress("not_digits", _("a phone number may contain digits only"))
    if len(digits) == 11:
        raise BadAddress("not_a_mobile", _("a mainland mobile number begins with 13 to 19"))
    raise BadAddress(
        "wrong_length",
        _("it has %(count)s digits, a mainland mobile number has 11; write a foreign number with a plus sign"),
        count=len(digits.lstrip("+")),
    )


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local:
        raise BadAddress("not_an_email", _("it is no e-mail address (name@domain)"))
    if not domain.isascii():
        domain = _ascii_domain(domain)
    if not local.isascii():
        raise BadAddress("email_local_part", _("the part before @ may contain ASCII characters only"))
    if len(local) > 64 or len(local) + len(domain) + 1 > 254:
        raise BadAddress("too_long", _("it is longer than an e-mail address may be (64 before @, 254 in all)"))
    if not _EMAIL(f"{local}@{domain}"):
        raise BadAddress("not_an_email", _("it is no e-mail address (name@domain)"))
    return f"{local}@{domain.lower()}"


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadAddress("email_domain", _("its domain cannot be written in ASCII")) from None


def _shape(pattern: str, words: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    matches = re.compile(pattern).fullmatch

    def rule(text: str) -> str:
        if not matches(text):
            raise BadAddress("wrong_shape", words)
        return fold(text)

    return rule


def _robot(before_key: str, secret: str = "") -> Callable[[str], str]:
    matches = re.compile(rf"(?:https?://[^\s|]+{before_key})?([A-Za-z0-9-]{{8,64}}{secret})").fullmatch

    def rule(text: str) -> str:
        found = matches(text)
        if not found:
            raise BadAddress("wrong_shape", _("it is neither the address of a group robot's webhook nor its key"))
        return found[1]

    return rule


_WEB = re.compile(
    r"([Hh][Tt][Tt][Pp][Ss]?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-{}~]*)?"
    r"(\|wh(?:sec|sk)_[A-Za-z0-9+/]{32,96}={0,2})?"
).fullmatch
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+_-]{1,31})://([!-~]+)").fullmatch


def _webhook(text: str) -> str:
    found = _WEB(text)
    if not found or len(text) > LONGEST:
        raise BadAddress(
            "wrong_shape", _("it is no https address, with its signing secret behind a bar where it has one")
        )
    scheme, host, port, path, secret = found.groups(default="")
    return f"{scheme.lower()}://{host.lower()}{port}{path or '/'}{secret}"


def _apprise(text: str) -> str:
    found = _SCHEME(text)
    if not found or len(text) > LONGEST:
        raise BadAddress("wrong_shape", _("it is no Apprise address such as slack://… or mailtos://…"))
    return f"{found[1].lower()}://{found[2]}"


def _visible(text: str) -> str:
    if len(text) > LONGEST:
        raise BadAddress("too_long", _("it is longer than %(limit)s characters"), limit=LONGEST)
    return text


# Sources: JPush "registration_id", e.g. 1507bfd3f7c466c355c; FCM registration token (about 160 characters, one colon) or
# installation id (22); APNs device token, 32 bytes in hex so far, which Apple may lengthen; WeChat openid 28 of
# [A-Za-z0-9_-]; Alipay 2088 + 12 digits or an open_id per app; DingTalk and Feishu ids are tenant-made; WeCom userid 1-64,
# without case, listed lower-case.
_OPENID = _shape(r"[A-Za-z0-9_-]{20,64}", _("an openid has 28 letters, digits, _ or -"))
_RULES: dict[str, Callable[[str], str]] = {
    "phone": _phone,
    "email": _email,
    "jpush": _shape(r"[A-Za-z0-9_-]{10,64}", _("a registration id has 10 to 64 letters and digits")),
    "fcm": _shape(r"[A-Za-z0-9_:-]{20,512}", _("a registration token has letters, digits, _ - and : only")),
    "apns": _shape(
        r"(?:[0-9A-Fa-f]{2}){32,100}", _("a device token is written with 64 or more hexadecimal digits"), str.lower
    ),
    "wechat_oa": _OPENID,
    "wechat_mini": _OPENID,
    "wechat_unionid": _OPENID,
    "alipay": _shape(
        r"2088[0-9]{12}|(?!2088)[A-Za-z0-9_-]{16,64}", _("it is neither 2088 and 12 digits nor an open id")
    ),
    "dingtalk": _shape(r"\S{1,64}", _("a userid has 1 to 64 characters without blanks")),
    "dingtalk_group": _robot(r"[?&]access_token=", r"(?:\|[^\s|]{1,128})?"),
    "wecom": _shape(  # "@all" would be everybody
        r"(?!@[Aa][Ll][Ll]$)[A-Za-z0-9_.@-]{1,64}", _("a userid has 1 to 64 letters, digits or _ - . @"), str.lower
    ),
    "wecom_group": _robot(r"[?&]key="),
    "feishu": _shape(r"[A-Za-z0-9_.@-]{1,64}", _("an id has 1 to 64 letters, digits or _ - . @")),
    "webhook": _webhook,
    "apprise": _apprise,
    "feishu_group": _robot("/hook/", r"(?:\|[^\s|]{1,128})?"),
}


def mask(kind: str, text: str) -> str:
    """What screens and logs may show of a normalised address: 138****1234, z***@mail.example.net, o1vR****XSc7."""
    if kind == "email":
        local, at, domain = text.rpartition("@")
        return f"{local[:1]}***@{domain}" if at else "****"
    if kind == "webhook":
        return re.match(r"[^/]*//[^/|]*", text)[0] + "/****"  # type: ignore[index]  # who knows the rest can write there
    if kind == "apprise":
        return text.partition("://")[0] + "://****"  # keys stand at any place behind it
    if kind.endswith("_group"):
        return f"{text[:4]}****"  # whoever knows the rest can write to the group
    if len(text) < 7:
        return text[:1] + "****"
    if kind == "phone":
        return f"{text[: 4 if text[0] == '+' else 3]}****{text[-4 if len(text) > 9 else -2 :]}"
    return f"{text[:4]}****{text[-4:]}" if len(text) > 11 else f"{text[:2]}****{text[-2:]}"
