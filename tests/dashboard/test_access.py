"""Who may see the pages, and who may change something."""

from __future__ import annotations

import re

import pytest
from place import NOW_US, Place, Placed, log_in
from starlette.testclient import TestClient

from penstock.dashboard.access import COOKIE, SESSION_S
from penstock.dashboard.app import PAGES

_HIDDEN = re.compile(r'name="token" value="([^"]+)"')


def token(client: TestClient) -> str:
    found = _HIDDEN.search(client.get("/penstock/").text)
    assert found is not None
    return found[1]


def is_in(client: TestClient) -> bool:
    return client.get("/penstock/").status_code == 200


@pytest.mark.parametrize("path", [path for path, _ in PAGES])
def test_whoever_has_not_logged_in_is_sent_to_do_so_and_back(place: Place, path: str) -> None:
    client = place.client()
    answer = client.get(f"/penstock/{path}?by=model&from=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/penstock/login?next=%2Fpenstock%2F")
    assert client.get(answer.headers["location"]).status_code == 200
    entered = client.post(answer.headers["location"], data={"key": place.key()[1]})
    assert entered.headers["location"] == f"/penstock/{path}?by=model&from=a%26b"


@pytest.mark.parametrize("key", ["", "pk_dev_wrong", "sk-ant-api03-x", "' OR 1=1 --", "\N{SNOWMAN}" * 99])
def test_what_is_no_key_is_refused(place: Place, key: str) -> None:
    client = place.client()
    place.key()
    answer = log_in(client, key)
    assert answer.status_code == 403 and COOKIE not in answer.cookies
    assert "This key may not see these pages" in answer.text
    assert not is_in(client)


def test_a_key_is_refused_without_a_scope_for_it(place: Place) -> None:
    assert log_in(place.client(), place.key("messages")[1]).status_code == 403


@pytest.mark.parametrize(("scope", "may_change"), [("admin", True), ("view", False)])
def test_what_a_scope_is_for(place: Place, scope: str, may_change: bool) -> None:
    text = place.visitor(scope).get("/penstock/").text
    assert ("read-only" not in text) is may_change


def test_a_key_that_is_revoked_is_out_at_once(place: Place) -> None:
    client, (made, secret) = place.client(), place.key()
    log_in(client, secret)
    assert is_in(client)
    place.keys.revoke(made.id)
    assert not is_in(client)
    assert log_in(client, secret).status_code == 403


def test_a_key_that_has_expired_is_out(place: Place) -> None:
    client, (_, secret) = place.client(), place.key(expires_at_us=NOW_US + 1_000_000)
    log_in(client, secret)
    assert is_in(client)
    place.clock.us += 1_000_000
    assert not is_in(client)


def test_a_session_ends_by_itself(place: Place) -> None:
    client = place.visitor()
    place.clock.us += (SESSION_S - 1) * 1_000_000
    assert is_in(client)
    place.clock.us += 1_000_000
    assert not is_in(client)


def test_a_session_is_nothing_to_another_data_folder_or_to_whoever_makes_one_up(place: Place) -> None:
    client = place.visitor()
    cookie = client.cookies[COOKIE]
    head, _, signature = cookie.rpartition(".")
    for forged in (f"{head}x.{signature}", f"{head}.", "", ".", "x" * 4000, f"WyJhIiw5OTk5OTk5OTk5OV0.{signature}"):
        answer = place.client().get("/penstock/", headers={"cookie": f"{COOKIE}={forged}"})
        assert answer.status_code == 303, forged


def test_the_cookie_is_for_these_pages_and_not_for_scripts(place: Place) -> None:
    secret = place.key()[1]
    said = log_in(place.client(), secret).headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/penstock"} <= set(said.split("; "))
    assert "secure" not in said
    assert "secure" in log_in(place.client(base="https://testserver"), secret).headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/penstock/",
        "/\\evil.example",
        "/penstock/\\..\\x",
        "javascript:alert(1)",
        "/penstock",
        "/v1/messages",
        "penstock/",
        "/penstock/../..//evil.example",
        "/penstock/\r\nset-cookie: a=b",
    ],
)
def test_a_login_leads_to_no_other_place(place: Place, elsewhere: str) -> None:
    from urllib.parse import quote, urljoin, urlsplit

    answer = log_in(place.client(), place.key()[1], f"?next={quote(elsewhere, safe='')}")
    assert answer.status_code == 303
    led = urlsplit(urljoin("http://testserver/penstock/login", answer.headers["location"]))
    assert led.netloc == "testserver" and led.scheme == "http"
    assert "\n" not in answer.headers["location"] and answer.headers.get_list("set-cookie") != ["a=b"]


def test_logging_out_takes_a_token_of_that_session(place: Place) -> None:
    one, other = place.visitor(), place.visitor()
    for wrong in (token(other), "", "x", token(one)[:-1]):
        assert one.post("/penstock/logout", data={"token": wrong}).status_code == 403
        assert is_in(one)
    assert one.post("/penstock/logout", data={}).status_code == 403
    from_elsewhere = {"sec-fetch-site": "cross-site"}
    assert one.post("/penstock/logout", data={"token": token(one)}, headers=from_elsewhere).status_code == 403
    assert one.post("/penstock/logout", data={"token": token(one)}).status_code == 303
    assert not is_in(one) and is_in(other)


def test_nothing_is_changed_by_asking_for_it(place: Place) -> None:
    client = place.visitor()
    assert client.get("/penstock/logout").status_code == 405
    assert is_in(client)


def test_a_link_logs_in_once(place: Place) -> None:
    link = place.pages.login_link()
    app = place.pages.app()
    first, second = TestClient(app, follow_redirects=False), TestClient(app, follow_redirects=False)
    assert first.get(link).headers["location"] == "/penstock/"
    assert "read-only" not in first.get("/penstock/").text
    assert second.get(link).status_code == 200 and not is_in(second)
    assert first.post("/penstock/logout", data={"token": token(first)}).status_code == 303
    assert not is_in(first)


def test_logging_out_of_a_link_ends_it_for_who_kept_its_cookie(place: Place) -> None:
    client = place.client()
    client.get(place.pages.login_link())
    cookie = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert place.client().get("/penstock/", headers=cookie).status_code == 200
    client.post("/penstock/logout", data={"token": token(client)})
    assert place.client().get("/penstock/", headers=cookie).status_code == 303


def test_a_link_of_another_process_is_none(place: Place, placed: Placed) -> None:
    client = place.client()
    client.get(place.pages.login_link())
    cookie = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    again = placed()
    assert again.client().get("/penstock/", headers=cookie).status_code == 303
    assert again.client().get(place.pages.login_link()).status_code == 200


PROXIED = {"dashboard.user_header": "x-user", "dashboard.proxies": ["10.0.0.1"], "dashboard.admins": ["ann"]}


class TestProxy:
    """A proxy that knows its users tells who they are."""

    @pytest.mark.parametrize(("name", "may_change"), [("ann", True), ("bob", False), ("Ann", False)])
    def test_its_word_is_taken(self, placed: Placed, name: str, may_change: bool) -> None:
        client = placed(**PROXIED).client(host="10.0.0.1")
        text = client.get("/penstock/", headers={"x-user": name}).text
        assert f"<span>{name}{'' if may_change else ', read-only'}</span>" in text
        assert "Log out" not in text

    @pytest.mark.parametrize("host", ["10.0.0.2", "127.0.0.1", ""])
    def test_of_no_other_address(self, placed: Placed, host: str) -> None:
        client = placed(**PROXIED).client(host=host)
        assert client.get("/penstock/", headers={"x-user": "ann"}).status_code == 303

    def test_it_need_not_know_anybody(self, placed: Placed) -> None:
        client = placed(**PROXIED).client(host="10.0.0.1")
        assert client.get("/penstock/").status_code == 303
        assert client.get("/penstock/", headers={"x-user": " "}).status_code == 303

    def test_forwarded_for_is_nobodys_word(self, placed: Placed) -> None:
        head = {"x-user": "ann", "x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1"}
        assert placed(**PROXIED).client(host="10.0.0.9").get("/penstock/", headers=head).status_code == 303

    def test_a_name_is_no_markup(self, placed: Placed) -> None:
        client = placed(**PROXIED).client(host="10.0.0.1")
        assert "<script>alert" not in client.get("/penstock/", headers={"x-user": "<script>alert(1)</script>"}).text

    def test_without_a_header_configured_none_is_read(self, place: Place) -> None:
        assert place.client().get("/penstock/", headers={"x-user": "ann"}).status_code == 303


def test_whoever_may_call_without_a_key_may_look_without_one_and_change_with_one(placed: Placed) -> None:
    place = placed(**{"identity.keys_required": False})
    client = place.client()
    assert "everybody, read-only" in client.get("/penstock/").text
    log_in(client, place.key("admin")[1])
    assert "read-only" not in client.get("/penstock/").text


@pytest.mark.parametrize("path", ["", "login", "logout", "static/penstock.css", "no-such-page"])
def test_every_answer_forbids_what_pages_do_not_need(place: Place, path: str) -> None:
    headers = place.visitor().get(f"/penstock/{path}").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert path.startswith("static") or headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["../penstock.py", "..%2f..%2faccess.py", "%2e%2e/app.py", "vendor/../../app.py"])
def test_static_files_are_those_of_their_folder(place: Place, path: str) -> None:
    assert place.client().get(f"/penstock/static/{path}").status_code in (303, 404)


def test_keys_are_nowhere_on_the_login_page(place: Place) -> None:
    client = place.client()
    assert "pk_dev_typed" not in log_in(client, "pk_dev_typed").text
