"""How much a request may hold."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.delivery import Head, Piece
from penstock.simulator.rules import BODY_BYTES_MAX
from simulator.rules.cases import ASK, HAIKU_4_5, OLD, USER, result, said, used, verdict


def png(width: int, height: int = 1) -> str:
    head = struct.pack(">II", width, height) + b"\x08\x02\x00\x00\x00"
    chunk = b"IHDR" + head
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return base64.b64encode(data).decode()


def image(data: str, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}, **more}


def pdf(pages: int) -> dict[str, Any]:
    data = base64.b64encode(b"%PDF-1.4\n" + b"<< /Type /Pages >>" + b"<< /Type /Page >>" * pages).decode()
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}


DATA = "messages.0.content.0.image.source.base64"


def test_images_are_what_they_say_and_no_larger_than_can_be_seen() -> None:
    assert verdict({"messages": [said(image(png(8000)))]}) == ""
    wide = "At least one of the image dimensions exceed max allowed size: 8000 pixels"
    assert verdict({"messages": [said(image(png(8001)))]}) == f"{DATA}.data: {wide}"
    smaller = image(png(8001), transformations={"oversized_image": "downsize"})
    assert verdict({"messages": [said(smaller)]}) == ""
    other = f"{DATA}.data: Image does not match the provided media type image/jpeg"
    assert verdict({"messages": [said(image(png(9), "image/jpeg"))]}) == other
    assert verdict({"messages": [said(image("aGVsbG8="))]}) == "Could not process image"
    assert verdict({"messages": [said(image("###"))]}) == f"{DATA}.data: Invalid base64 data"
    heavy = png(9) + "A" * 12 * 1024 * 1024
    assert verdict({"messages": [said(image(heavy.replace("=", "A")))]}).startswith(
        f"{DATA}: image exceeds 10 MB maximum"
    )


def test_many_images_are_held_to_a_smaller_side() -> None:
    assert verdict({"messages": [said(*[image(png(2001))] * 20)]}) == ""
    fault = verdict({"messages": [said(*[image(png(2001))] * 21)]})
    assert fault.endswith("exceed max allowed size for many-image requests: 2000 pixels")


def test_images_are_counted_by_window_those_in_results_too() -> None:
    hundred = {"messages": [USER, said(used(), role="assistant"), said(result(content=[image(png(9))] * 50))]}
    hundred["messages"].append(said(*[image(png(9))] * 51))
    assert verdict(hundred) == ""
    assert verdict({"model": HAIKU_4_5, **hundred}) == "messages: Too many images: 101 > 100 maximum"


def test_pages_are_counted_by_window() -> None:
    assert verdict({"messages": [said(pdf(60), pdf(41))]}) == ""
    fault = "A maximum of 100 PDF pages may be provided."
    assert verdict({"model": HAIKU_4_5, "messages": [said(pdf(60), pdf(41))]}) == fault
    wrong = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGVsbG8="}}
    broken = "messages.0.content.0.document.source.base64.data: The PDF specified was not valid."
    assert verdict({"messages": [said(wrong)]}) == broken


def test_text_and_messages_are_limited() -> None:
    words = "too many total text bytes: 9000001 > 9000000"
    assert verdict({"system": "é", "messages": [{"role": "user", "content": "a" * 8_999_999}]}) == words
    fault = verdict({"messages": [USER] * 100_001})
    assert fault == "messages: List should have at most 100000 items after validation, not 100001"


def answered(simulator: Simulator, path: str, body: bytes, **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    given = {"x-api-key": simulator.key, "anthropic-version": OLD, **headers}
    _, steps = simulator.exchange(Served("POST", path, given, body))
    head, pieces = None, b""
    for step in steps:
        if isinstance(step, Head):
            head = step
        elif isinstance(step, Piece):
            pieces += step.data
    assert head is not None
    return head.status, dict(head.headers), pieces


def test_the_edge_refuses_what_is_too_large_before_anybody_asks_for_a_key() -> None:
    simulator = Simulator()
    filler = b" " * (BODY_BYTES_MAX + 1 - len(json.dumps(ASK)))
    for path in ("/v1/messages", "/v1/messages/count_tokens?beta=true"):
        status, headers, body = answered(simulator, path, json.dumps(ASK).encode() + filler, **{"x-api-key": "no"})
        assert (status, json.loads(body)["error"]["type"]) == (413, "request_too_large")
        assert json.loads(body) == {
            "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}
        }
        assert b"request-id" not in headers and not any(name.startswith(b"anthropic-") for name in headers)
    assert answered(simulator, "/v1/messages", json.dumps(ASK).encode() + filler[1:])[0] == 200
    assert answered(simulator, "/v1/messages/batches", b"{}" + filler)[0] == 400


def test_strict_betas_are_an_option() -> None:
    ask: Callable[[Simulator], int] = lambda one: answered(  # noqa: E731
        one, "/v1/messages", json.dumps(ASK).encode(), **{"anthropic-beta": "new-2027-01-01"}
    )[0]
    assert ask(Simulator()) == 200 and ask(Simulator(strict_betas=True)) == 400
