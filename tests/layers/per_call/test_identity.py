"""Identity: who is asking, and may they ask for this."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from penstock.call import Tags
from penstock.config.schema import IdentityConfig
from penstock.errors import Refused, Unavailable
from penstock.layers.per_call.identity import Identified, Identity
from penstock.ports import Key
from script import HELLO, Drive, KeyRing, Played, a_call, play, ports

SECRET = b"pk_" + b"a" * 32
KEY = Key(
    id="key_1",
    name="app",
    digest=hashlib.sha256(SECRET).digest(),
    shown="pk_…aaaa",
    environment="dev",
    scopes=frozenset({"messages", "count_tokens", "models"}),
    created_at_us=0,
)


def ask(drive: Drive, *, key: Key = KEY, config: IdentityConfig | None = None, **call: Any) -> Played:
    ring = KeyRing({key.digest: key})
    call.setdefault("headers", ((b"x-api-key", SECRET),))
    return play(drive, Identity(config or IdentityConfig(), "dev", ports(keys=ring)), a_call(**call))


def refusal(played: Played) -> Refused:
    assert isinstance(played.error, Refused)
    assert played.onward == [], "a refused call must not go onward"
    return played.error


@pytest.mark.parametrize(
    "headers",
    [
        ((b"x-api-key", SECRET),),
        ((b"authorization", b"Bearer " + SECRET),),
        ((b"authorization", b"bearer " + SECRET),),
        ((b"x-api-key", b"sk-ant-left-over"), (b"authorization", b"Bearer " + SECRET)),
    ],
)
def test_a_key_is_read_from_either_header(drive: Drive, headers: Any) -> None:
    played = ask(drive, headers=headers)
    assert played.onward[0].caller is not None
    assert played.onward[0].caller.key_id == "key_1"
    assert played.fact(Identified).key_id == "key_1"


@pytest.mark.parametrize(
    ("headers", "code"), [((), "no_key"), (((b"x-api-key", b"pk_wrong"),), "unknown_key")], ids=["none", "wrong"]
)
def test_no_key_and_a_wrong_key_are_401_in_the_words_of_the_api(drive: Drive, headers: Any, code: str) -> None:
    error = refusal(ask(drive, headers=headers))
    assert (error.status, error.type, error.code) == (401, "authentication_error", code)
    assert "x-api-key" in str(error)


@pytest.mark.parametrize(
    ("changes", "call", "status", "code"),
    [
        ({"revoked_at_us": 1}, {}, 401, "key_revoked"),
        ({"expires_at_us": 1_795_132_799_000_000}, {}, 401, "key_expired"),
        ({"environment": "prod"}, {}, 403, "wrong_environment"),
        ({"scopes": frozenset({"models"})}, {}, 403, "missing_scope"),
        ({}, {"path": "/v1/files"}, 403, "missing_scope"),
        ({}, {"path": "/v1/organizations/usage_report/messages", "method": "GET"}, 403, "missing_scope"),
        ({"models": frozenset({"claude-opus-5-5"})}, {}, 403, "model_not_allowed"),
        ({"features": frozenset({"chat"})}, {}, 403, "feature_not_allowed"),
    ],
)
def test_a_key_may_do_only_what_it_was_made_for(
    drive: Drive, changes: dict[str, Any], call: dict[str, Any], status: int, code: str
) -> None:
    error = refusal(ask(drive, key=msgspec.structs.replace(KEY, **changes), **call))
    assert (error.status, error.code, error.layer) == (status, code, "identity")
    assert error.fix


def test_a_refused_key_still_leaves_who_it_was_on_the_trail(drive: Drive) -> None:
    played = ask(drive, key=msgspec.structs.replace(KEY, revoked_at_us=1))
    assert played.fact(Identified).key_id == "key_1"


def test_a_key_that_expires_later_is_good_now(drive: Drive) -> None:
    assert ask(drive, key=msgspec.structs.replace(KEY, expires_at_us=1_795_132_900_000_000)).onward


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/../organizations/x", "/v1//messages", "/v1/messages/%2e%2e/files", "/v1/x%2Ffiles", "/v1/x\\y"],
)
def test_a_path_that_is_not_what_it_seems_is_refused(drive: Drive, path: str) -> None:
    assert refusal(ask(drive, path=path)).code == "bad_path"


def test_a_key_in_the_query_is_refused_and_not_repeated(drive: Drive) -> None:
    error = refusal(ask(drive, query="beta=true&api_key=" + SECRET.decode()))
    assert (error.status, error.code) == (400, "key_in_query")
    assert SECRET.decode() not in str(error)


def test_other_queries_pass(drive: Drive) -> None:
    assert ask(drive, query="beta=true").onward[0].query == "beta=true"


def test_tags_come_from_headers_first(drive: Drive) -> None:
    headers = ((b"x-api-key", SECRET), (b"x-penstock-feature", b"chat"), (b"x-penstock-user", b"u1"))
    played = ask(
        drive, headers=headers, body={**HELLO, "metadata": {"user_id": "from-body"}}, tags=Tags(segment="acme")
    )
    assert played.onward[0].tags == Tags(feature="chat", user="u1", segment="acme")


def test_the_user_is_metadata_user_id_where_no_header_says_so(drive: Drive) -> None:
    body = {**HELLO, "metadata": {"user_id": "u7"}}
    assert ask(drive, body=body).onward[0].tags.user == "u7"
    assert ask(drive, body=body, config=IdentityConfig(user_from_metadata=False)).onward[0].tags.user is None


def test_a_long_user_id_is_kept_as_its_hash(drive: Drive) -> None:
    user = ask(drive, body={**HELLO, "metadata": {"user_id": "x" * 300}}).onward[0].tags.user
    assert user == "sha256:" + hashlib.sha256(b"x" * 300).hexdigest()


def test_the_session_of_claude_code_is_the_session(drive: Drive) -> None:
    headers = ((b"x-api-key", SECRET), (b"x-claude-code-session-id", b"s-9"))
    assert ask(drive, headers=headers).onward[0].tags.session == "s-9"


@pytest.mark.parametrize("value", [b"", b"a\x00b", b"x" * 257])
def test_a_tag_that_is_no_tag_is_refused(drive: Drive, value: bytes) -> None:
    assert refusal(ask(drive, headers=((b"x-api-key", SECRET), (b"x-penstock-user", value)))).code == "bad_tag"


def test_in_process_no_key_is_asked_for(drive: Drive) -> None:
    played = ask(drive, headers=(), face="client", tags=Tags(feature="summarise"))
    assert played.onward[0].caller is not None
    assert played.onward[0].caller.key_id is None
    assert played.fact(Identified).feature == "summarise"


def test_keys_may_be_switched_off(drive: Drive) -> None:
    config = IdentityConfig(keys_required=False)
    assert ask(drive, headers=(), config=config).onward
    assert ask(drive, headers=((b"authorization", b"Bearer callers-own"),), config=config).onward
    assert refusal(ask(drive, config=config)).code == "keys_not_taken", "our keys are not for upstreams to see"


def test_a_store_that_does_not_answer_is_503_with_a_time_to_come_back(drive: Drive) -> None:
    layer = Identity(IdentityConfig(), "dev", ports(keys=KeyRing(fails=True)))
    played = play(drive, layer, a_call(headers=((b"x-api-key", SECRET),)))
    assert isinstance(played.error, Unavailable)
    assert played.error.retry_after_s == 1
    assert played.onward == []
