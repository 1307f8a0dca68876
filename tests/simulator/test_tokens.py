"""Token counts: known answers, recorded traffic, and one count for every use of it."""

from __future__ import annotations

import base64
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.simulator import Limits, running
from penstock.simulator.cache import count_prompt
from penstock.simulator.catalogue import find_model
from penstock.wire.images import image_size, image_tokens, size_of

sys.path.insert(0, str(Path(__file__).parents[2]))

Got = tuple[int, dict[str, str], bytes]


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))


def jpeg(width: int, height: int) -> bytes:
    metadata = b"\xff\xe1" + struct.pack(">H", 402) + b"x" * 400
    return b"\xff\xd8" + metadata + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 12


FILES = {
    "png": png(640, 480),
    "jpeg": jpeg(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\0" * 9,
    "webp lossy": b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 640, 480),
    "webp lossless": b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 5 + struct.pack("<I", 639 | 479 << 14),
    "webp extended": b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_size_of_an_image_is_read_from_its_file(kind: str) -> None:
    assert size_of(FILES[kind]) == (640, 480)
    data = base64.b64encode(FILES[kind]).decode()
    assert image_size({"type": "base64", "media_type": "image/x", "data": data}) == (640, 480)


@pytest.mark.parametrize("data", ["", "!!!!", "AAAA", "iVBORw0KGgoAAAAN", "/9j/"])
def test_an_image_that_cannot_be_read_costs_a_usual_one(data: str) -> None:
    assert image_size({"type": "base64", "data": data}) == (1024, 1024)


@pytest.mark.parametrize(
    ("size", "old", "new"),
    [((200, 200), 58, 64), ((1000, 1000), 1338, 1296), ((3008, 2000), 1570, 4784), ((8000, 10), 9, 184)],
)
def test_images_cost_by_their_area_up_to_a_cap(size: tuple[int, int], old: int, new: int) -> None:
    assert round(image_tokens(*size, is_dense=False)) == pytest.approx(old, abs=3)
    assert round(image_tokens(*size, is_dense=True)) == pytest.approx(new, abs=92)


def ask(text: str, model: str = "claude-sonnet-4-6", **more: Any) -> int:
    request = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more}
    return count_prompt(request, find_model(model))


def test_known_prompts_have_their_recorded_counts() -> None:
    assert ask("Hello") == 8
    assert ask("What is the capital of France?") in (14, 15)


TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("model", "auto", "forced"),
    [("claude-sonnet-4-6", 495, 578), ("claude-haiku-4-5", 492, 582), ("claude-opus-4-8", 290, 410)],
)
def test_tools_bring_each_models_own_prompt(model: str, auto: int, forced: int) -> None:
    bare = ask("Hello", model)
    given, must = (ask("Hello", model, tools=[TOOL], tool_choice={"type": kind}) for kind in ("auto", "any"))
    assert must - given == forced - auto
    assert auto < given - bare < auto + 50


def test_the_newer_tokenizer_is_the_denser_one() -> None:
    text = "The narrow gate follows the quiet river until the early morning. " * 20
    assert 1.15 < ask(text, "claude-sonnet-5") / ask(text, "claude-sonnet-4-6") < 1.9


def test_counting_usage_and_limits_agree(send: Callable[..., Got]) -> None:
    prompt = {
        "model": "claude-sonnet-4-6",
        "system": "Be brief.",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "word " * 4_000}]}],
    }
    body = {**prompt, "max_tokens": 40}
    with running(limits=Limits(input_tokens=100_000)) as sim:
        counted = json.loads(send(sim, path="/v1/messages/count_tokens", body=prompt)[2])
        _, headers, answer = send(sim, body=body)
        (entry,) = [one for one in sim.books if one.path == "/v1/messages"]
    used = json.loads(answer)["usage"]["input_tokens"]
    assert counted["input_tokens"] == used == entry.input_tokens
    assert int(headers["anthropic-ratelimit-input-tokens-remaining"]) == round((100_000 - used) / 1000) * 1000


def test_recorded_traffic_is_counted_within_the_target(recordings: Path) -> None:
    from bench.tokens import all_errors, part

    errors = all_errors(recordings)
    prompts, answers = (sorted(map(abs, errors["old", kind])) for kind in ("all prompts", "answers"))
    assert len(prompts) > 800 and len(answers) > 100
    assert part(prompts, 0.5) <= 0.05 and part(prompts, 0.9) <= 0.13
    assert part(answers, 0.5) <= 0.05 and part(answers, 0.9) <= 0.13
    dense = sorted(map(abs, errors["new", "all prompts"]))
    assert part(dense, 0.5) <= 0.05 and part(dense, 0.9) <= 0.15
