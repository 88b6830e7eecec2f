"""Runs in the environment of lark-oapi: its calls, and its event handler over given requests."""

import json
import sys
from typing import Any

import lark_oapi as lark
from lark_oapi.api.im.v1 import (
    CreateMessageRequest,
    CreateMessageRequestBody,
    DeleteMessageRequest,
    GetProgressBatchMessageRequest,
    P2ImMessageMessageReadV1,
    ReadUsersMessageRequest,
)
from lark_oapi.core.model import RawRequest


def said(response: Any) -> dict[str, Any]:
    return {"code": response.code, "raw": json.loads(response.raw.content)}


def send(client: lark.Client, given: dict[str, Any]) -> dict[str, Any]:
    body = CreateMessageRequestBody.builder().receive_id(given["to"]).msg_type("text")
    body = body.content(json.dumps({"text": given["text"]})).uuid(given["uuid"]).build()
    request = CreateMessageRequest.builder().receive_id_type("open_id").request_body(body).build()
    return said(client.im.v1.message.create(request))


def readers(client: lark.Client, given: dict[str, Any]) -> dict[str, Any]:
    request = ReadUsersMessageRequest.builder().message_id(given["id"]).user_id_type("open_id").page_size(20).build()
    return said(client.im.v1.message.read_users(request))


def recall(client: lark.Client, given: dict[str, Any]) -> dict[str, Any]:
    return said(client.im.v1.message.delete(DeleteMessageRequest.builder().message_id(given["id"]).build()))


def announce(client: lark.Client, given: dict[str, Any]) -> dict[str, Any]:
    request = lark.BaseRequest.builder().http_method(lark.HttpMethod.POST).uri("/open-apis/message/v4/batch_send/")
    request = request.token_types({lark.AccessTokenType.TENANT}).body(given["body"]).build()
    return said(client.request(request))


def progress(client: lark.Client, given: dict[str, Any]) -> dict[str, Any]:
    request = GetProgressBatchMessageRequest.builder().batch_message_id(given["id"]).build()
    return said(client.im.v1.batch_message.get_progress(request))


def handled(given: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    seen: list[Any] = []

    def note(event: P2ImMessageMessageReadV1) -> None:
        seen.append([event.event.reader.reader_id.open_id, event.event.message_id_list])

    builder = lark.EventDispatcherHandler.builder(given["encrypt_key"], given["verification_token"])
    handler = builder.register_p2_im_message_message_read_v1(note).build()
    request = RawRequest()
    request.uri, request.headers, request.body = "/hook", one["headers"], one["body"].encode()
    response = handler.do(request)
    return {"status": response.status_code, "body": response.content.decode(), "seen": seen}


CALLS = {"send": send, "readers": readers, "recall": recall, "announce": announce, "progress": progress}


def main() -> None:
    given = json.load(sys.stdin)
    builder = lark.Client.builder().app_id(given["app_id"]).app_secret(given["app_secret"])
    client = builder.domain(given["base_url"]).log_level(lark.LogLevel.CRITICAL).build()
    answers = [CALLS[name](client, arguments) for name, arguments in given.get("calls", [])]
    json.dump({"answers": answers, "handled": [handled(given, one) for one in given.get("handle", [])]}, sys.stdout)


main()
