"""What the columns of a file mean. Pure: the declared attributes are passed in."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apps.users.addresses import IMPORT_KINDS
from apps.users.importing.dialect import BadFile, _

USER_ID = "user_id"
TAGS = "tags"
IGNORED = frozenset({"line", "reason", "行号", "原因"})  # of our own file of refused rows, corrected and given back

_ALIASES = {
    USER_ID: ("userid", "uid", "用户id", "用户编号", "客户号", "客户编号", "会员号"),
    TAGS: ("tag", "标签", "用户标签"),
    "phone": ("mobile", "tel", "手机", "手机号", "手机号码", "电话", "移动电话"),
    "email": ("mail", "e-mail", "邮箱", "邮件", "电子邮件", "电子邮箱"),
    "jpush": ("registration_id", "registrationid", "极光", "极光id", "极光推送"),
    "fcm": ("fcm_token", "fcm令牌"),
    "apns": ("apns_token", "device_token", "设备令牌"),
    "wechat_oa": ("wechatoa", "公众号openid", "微信公众号", "openid"),
    "wechat_mini": ("wechatmp", "wechat_mp", "小程序openid", "微信小程序"),
    "alipay": ("alipay_life", "支付宝", "支付宝id", "支付宝用户号"),
    "dingtalk": ("钉钉", "钉钉id", "钉钉userid"),
    "dingtalk_group": ("钉钉群机器人",),
    "wecom": ("wechatwk", "企业微信", "企业微信id", "企业微信userid"),
    "wecom_group": ("企业微信群机器人",),
    "feishu": ("lark", "飞书", "飞书id"),
    "feishu_group": ("飞书群机器人",),
    "name": ("姓名", "名字", "客户姓名"),
    "city": ("城市", "所在城市"),
    "level": ("等级", "级别", "会员等级"),
    "balance": ("余额", "账户余额"),
}
_NAME_OF = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


@dataclass(frozen=True, slots=True)
class DeclaredAttribute:
    """An attribute as a file may name it: by its key or by its label."""

    key: str
    label: str
    type: str
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions of the cells; `header` as the file wrote it."""

    header: tuple[str, ...]
    user_id: int
    tags: int | None
    addresses: tuple[tuple[int, str], ...]
    attributes: tuple[tuple[int, DeclaredAttribute], ...]


def read_header(cells: Sequence[str], declared: Iterable[DeclaredAttribute]) -> Columns:
    """Raises BadFile for an unknown, repeated or missing column, and names the columns that are known."""
    by_key = {attribute.key: attribute for attribute in declared}
    by_label = {_folded(attribute.label): attribute.key for attribute in by_key.values()}
    cells = list(cells)
    while cells and not cells[-1].strip():
        cells.pop()
    names = [_name(cell, by_key, by_label) for cell in cells]
    known = {USER_ID, TAGS, *IMPORT_KINDS, *by_key}
    unknown = [cell.strip()[:40] for cell, name in zip(cells, names, strict=True) if name not in known | IGNORED]
    if unknown:
        raise BadFile(
            _("unknown columns: %(unknown)s. Known are %(known)s. Declare an attribute or remove the column."),
            unknown=", ".join(unknown),
            known=", ".join((USER_ID, *IMPORT_KINDS, TAGS, *sorted(by_key))),
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadFile(_("columns given twice: %(names)s"), names=", ".join(repeated))
    if USER_ID not in names:
        raise BadFile(_("the column user_id is missing"))
    return Columns(
        header=tuple(cells),
        user_id=names.index(USER_ID),
        tags=names.index(TAGS) if TAGS in names else None,
        addresses=tuple((place, name) for place, name in enumerate(names) if name in IMPORT_KINDS),
        attributes=tuple((place, by_key[name]) for place, name in enumerate(names) if name in by_key),
    )


def column_name(cell: str) -> str:
    """What a file calls user id or an address, in our word; any other name folded."""
    folded = _folded(cell)
    return _NAME_OF.get(folded, folded)


def _name(cell: str, by_key: dict[str, DeclaredAttribute], by_label: dict[str, str]) -> str:
    folded = _folded(cell)
    return folded if folded in by_key else by_label.get(folded) or _NAME_OF.get(folded, folded)


def _folded(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip("\ufeff \t\r\n").replace(" ", "_").lower()
