"""The XML of callbacks: flat, bounded, without document types."""

import pytest

from apps.channels.contract import BadReceipt
from apps.channels.wire.wechat_xml import LARGEST, read_xml


def test_text_is_read_with_and_without_cdata() -> None:
    body = "<xml><A><![CDATA[张三 <&>]]></A><B>17</B><C/><D><E>1</E></D></xml>"
    assert read_xml(body.encode()) == {"A": "张三 <&>", "B": "17", "C": "", "D": ""}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<xml><A></xml>",
        b"\xff\xfe<xml/>",
        b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><A>&a;</A></xml>',
        b'<!DOCTYPE xml SYSTEM "file:///etc/hostname"><xml/>',
        b'<?xml version="1.0" encoding="utf-16"?><xml/>' + "<!DOCTYPE x>".encode("utf-16-le"),
        b"<xml><A>" + b"x" * LARGEST + b"</A></xml>",
        b"<" * 60000,
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(BadReceipt):
        read_xml(body)
