"""The flat XML that callbacks of the WeChat family carry: `<xml><Name>text</Name>…</xml>`, text often in CDATA."""

from __future__ import annotations

from xml.etree import ElementTree

from apps.channels.contract import BadReceipt

LARGEST = 64 * 1024  # an event takes hundreds of bytes


def read_xml(body: bytes) -> dict[str, str]:
    """The text of each child of the root, the last of equal names; children with children of their own are "".

    Raises BadReceipt.
    """
    return {child.tag: child.text or "" for child in xml_root(body)}


def xml_root(body: bytes) -> ElementTree.Element:
    """The whole tree of a callback.

    What declares a document type is refused before it is parsed: an entity may grow without bound. Raises BadReceipt.
    """
    if len(body) > LARGEST or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise BadReceipt("The body is no XML of a callback.")
    try:
        return ElementTree.fromstring(body.decode())
    except (ElementTree.ParseError, ValueError):
        raise BadReceipt("The body is not XML.") from None
