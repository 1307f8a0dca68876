"""Structure: answers are judged by why they ended, then by their form, and what has no form passes."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest

from formed import BAD, GOOD, SCHEMA, asked, layer, message, outcome, said, stream
from penstock.call import Call, Candidate, Plan, Spent, Target
from penstock.config.features import FeatureConfig
from penstock.config.form import FormConfig
from penstock.config.schema import Config
from penstock.errors import ConfigError, UpstreamFailed
from penstock.form import Wanted
from penstock.layers.per_attempt.structure import Structure
from penstock.reply import Reply, Whole
from penstock.structure.asking import Formatted
from penstock.structure.judging import Judged
from penstock.structure.schema import SchemaForm
from penstock.wire.envelopes import envelope
from penstock.wire.reading import reading
from script import HELLO, JSON, SSE, Drive, a_call, a_reply, play, ports

# --- asking ------------------------------------------------------------------------------------------------------


def test_the_api_is_asked_for_the_form_and_nothing_else_changes(drive: Drive) -> None:
    body = b'{ "model":"claude-haiku-4-5","max_tokens" : 64, "messages":[{"role":"user","content":"Hi"}]}'
    call = a_call(body)
    played = play(drive, layer(), call, said(message()))
    sent = played.onward[0].body
    assert sent.startswith(body[:-1] + b',"output_config":{"format":{"type":"json_schema","schema":{')
    schema = asked(played.onward[0])["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False and "minimum" not in schema["properties"]["age"]
    assert "minimum: 0" in schema["properties"]["age"]["description"]
    assert outcome(played) == "valid" and played.body == message() and played.fact(Formatted).told()


def test_other_settings_of_the_output_stay(drive: Drive) -> None:
    call = a_call({**HELLO, "output_config": {"effort": "low"}})
    assert list(asked(play(drive, layer(), call, said(message())).onward[0])["output_config"]) == ["effort", "format"]


@pytest.mark.parametrize(
    "change",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}}},
        {"model": "claude-3-5-haiku-20241022"},
        {"model": "somebody-elses"},
        {"system": [{"type": "text", "text": "a", "citations": {"enabled": True}}]},
    ],
)
def test_where_it_cannot_be_asked_for_the_request_is_left_alone_and_the_answer_judged(
    drive: Drive, change: dict[str, Any]
) -> None:
    call = a_call({**HELLO, **change})
    played = play(drive, layer(repairs=0), call, said(message(BAD)))
    assert played.onward[0].body is call.body and outcome(played) == "invalid"


@pytest.mark.parametrize(
    "cloud",
    [
        Target("b", "https://b.example", None, 1, envelope("bedrock", "https://b.example", region="us-east-1")),
        Target("vertex", "https://v.example"),
    ],
)
def test_a_cloud_is_not_asked_in_the_apis_words(drive: Drive, cloud: Target) -> None:
    call = a_call(plan=Plan((Candidate(cloud),)))
    played = play(drive, layer(), call, said(message()))
    assert played.onward[0].body is call.body and outcome(played) == "valid"


def test_native_off_leaves_the_request_alone(drive: Drive) -> None:
    call = a_call()
    assert play(drive, layer(native="off"), call, said(message())).onward[0].body is call.body


@pytest.mark.parametrize(
    "call",
    [
        a_call(path="/v1/messages/count_tokens"),
        a_call(aside="summary"),
        a_call({**HELLO, "max_tokens": 0}),
        a_call({**HELLO, "messages": [*HELLO["messages"], {"role": "assistant", "content": "{"}]}),  # type: ignore[misc]
        a_call({**HELLO, "messages": []}),
    ],
)
def test_what_cannot_have_a_form_passes(drive: Drive, call: Call) -> None:
    played = play(drive, layer(), call, said(message(BAD)))
    assert played.onward == [call] and played.body == message(BAD) and not played.trail


def test_a_feature_without_a_form_is_passed_by(drive: Drive) -> None:
    call = a_call()
    played = play(drive, Structure(Config(), {}, ports().clock), call, said(message(BAD)))
    assert played.onward == [call] and not played.trail


# --- outcomes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [message, stream])
@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        ("end_turn", "valid"),
        ("stop_sequence", "valid"),
        ("max_tokens", "truncated"),
        ("refusal", "refused"),
        ("pause_turn", "paused"),
        ("model_context_window_exceeded", "overflowed"),
        ("tool_use", None),
        ("something_new", None),
    ],
)
def test_why_it_ended_decides_before_what_it_says(drive: Drive, make: Any, stop: str, wanted: str | None) -> None:
    headers = JSON if make is message else SSE
    played = play(drive, layer(repairs=3), a_call(), said(make(GOOD, stop), headers=headers))
    assert outcome(played) == wanted and played.body == make(GOOD, stop), "the bytes are the API's"
    assert len(played.onward) == 1, "a refusal or a cut is nothing to be mended"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "json"),
        ("Ada is 36.", "json"),
        (f"```json\n{GOOD}\n```", "json"),
        (f"Here: {GOOD}", "json"),
        (GOOD + GOOD, "json"),
        ('{"name": "Ada"}', "required"),
        ('{"name": "Ada", "age": -1}', "minimum"),
        (BAD, "type"),
        ("[" * 100_000, "json"),
    ],
)
def test_what_is_not_the_form_is_invalid_and_its_values_stay_off_the_record(drive: Drive, text: str, rule: str) -> None:
    played = play(drive, layer(repairs=0), a_call(), said(message(text)))
    assert outcome(played) == "invalid" and played.fact(Judged).flaws == {rule: 1}
    assert b"Ada" not in msgspec.json.encode(played.trail) and rule in played.fact(Judged).told()


def test_the_answer_is_the_text_after_all_that_is_no_text(drive: Drive) -> None:
    blocks = [
        {"type": "text", "text": "Let me look."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": GOOD[:9]},
        {"type": "text", "text": GOOD[9:]},
    ]
    assert outcome(play(drive, layer(), a_call(), said(message(blocks=blocks)))) == "valid"


# --- streams -----------------------------------------------------------------------------------------------------


def test_a_stream_is_held_judged_and_mended(drive: Drive) -> None:
    call = a_call({**HELLO, "stream": True})
    played = play(drive, layer(), call, said(stream(BAD), stream(), headers=SSE))
    assert outcome(played) == "repaired" and played.body == stream()
    turn = asked(played.onward[1])["messages"][1]
    assert turn["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": BAD},
    ]


@pytest.mark.parametrize(("text", "wanted"), [(GOOD, "valid"), (BAD, "invalid")])
@pytest.mark.parametrize("looks", [0, 99])
def test_a_stream_that_passes_is_judged_for_the_record_alone(drive: Drive, text: str, wanted: str, looks: int) -> None:
    chunks = [event + b"\n\n" for event in stream(text).split(b"\n\n") if event]

    class Ahead(Structure):
        """As resilience does above: looks into the reply before the caller gets it."""

        async def __call__(self, call: Call, onward: Any) -> Reply:
            reply = await super().__call__(call, onward)
            for _ in range(looks):
                if not await reply.look():
                    break
            return reply

    def answer(call: Call) -> Reply:
        return Reply(200, SSE, Whole(chunks), reading=reading(call.endpoint, 200, SSE), request_id="r")

    feature = FeatureConfig(form=FormConfig(schema="answer.json", streams="pass"))
    config = Config(features={"default": feature})
    own = Ahead(config, {"answer.json": json.dumps(SCHEMA).encode()}, ports().clock)
    played = play(drive, own, a_call({**HELLO, "stream": True}), answer)
    assert outcome(played) == wanted and played.body == b"".join(chunks) and len(played.onward) == 1
    assert played.reply is not None and b"x-penstock-outcome" not in dict(played.reply.headers)


def test_a_stream_that_breaks_while_it_is_held_is_as_if_it_had_not_begun(drive: Drive) -> None:
    cut = a_call({**HELLO, "stream": True})
    played = play(drive, layer(), cut, said(stream()[:700], headers=SSE))
    assert isinstance(played.error, UpstreamFailed) and played.error.code == "cut", "so it may be tried again"
    assert played.fact(Spent).usage.input_tokens == 8
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error = stream()[:700] + b"\n\nevent: error\ndata: " + json.dumps(failed).encode() + b"\n\n"
    played = play(drive, layer(), a_call({**HELLO, "stream": True}), said(error, headers=SSE))
    assert played.body == error and played.trail.last(Judged) is None


# --- replies that are none of its business -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [((b"content-type", b"application/octet-stream"),), (*JSON, (b"content-encoding", b"br"))]
)
def test_what_cannot_be_read_passes(drive: Drive, headers: Any) -> None:
    played = play(drive, layer(), a_call(), said(message(BAD), headers=headers))
    assert played.body == message(BAD) and played.trail.last(Judged) is None


def test_errors_pass(drive: Drive) -> None:
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    played = play(drive, layer(), a_call(), lambda call: a_reply(call, 529, error))
    assert played.body == error and played.trail.last(Judged) is None


# --- schemas -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [b"{", b"[]", b'"a"', {"type": "objekt"}, {"pattern": "("}, {"$ref": "#/nowhere"}, {"$ref": "other.json"}],
)
def test_a_schema_that_is_none_is_an_error_at_the_start_that_names_it(schema: Any) -> None:
    with pytest.raises(ConfigError, match=r"answer\.json, the schema of \[features\.default\.form\]") as caught:
        layer(schema)
    assert caught.value.code == "bad_schema" and caught.value.fix


def test_without_its_library_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(ConfigError, match="jsonschema-rs") as caught:
        layer()
    assert caught.value.code == "extra_missing" and "penstock[schema]" in caught.value.fix


def test_a_form_of_the_program_goes_before_that_of_the_feature(drive: Drive) -> None:
    own = Wanted(SchemaForm(b'{"type":"integer"}', is_native=False), repairs=0)
    call = msgspec.structs.replace(a_call(), wanted=own)
    assert outcome(play(drive, layer(), call, said(message("3")))) == "valid"
