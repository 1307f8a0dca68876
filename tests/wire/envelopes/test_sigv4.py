"""Signature Version 4: AWS's published test suite (`aws-sig-v4-test-suite`), and the host as it is signed."""

from __future__ import annotations

import pytest

from penstock.wire.envelopes.interface import place
from penstock.wire.envelopes.sigv4 import AwsKeys, Scope, read_keys, signature

#: Name, method, path, query, fields, body and signature of those cases that a URL can be sent with.
VECTORS = [
    ("get-vanilla", "GET", "/", "", [], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        "",
        [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "get-header-value-trim",
        "GET",
        "/",
        "",
        [("my-header1", " value1"), ("my-header2", ' "a   b   c"')],
        "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "get-unreserved",
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "",
        [],
        "",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    ("get-utf8", "GET", "/ሴ", "", [], "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        [],
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "get-vanilla-utf8-query",
        "GET",
        "/",
        "ሴ=bar",
        [],
        "",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    ("post-vanilla", "POST", "/", "", [], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "post-header-value-case",
        "POST",
        "/",
        "",
        [("my-header1", "VALUE1")],
        "",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    (
        "post-vanilla-query-nonunreserved",
        "POST",
        "/",
        "%40%23%24%25%5E=&%2B=%2F%2C%3F%3E%3C%60%22%3B%3A%5C%7C%5D%5B%7B%7D",
        [],
        "",
        "66c82657c86e26fb25238d0e69f011edc4c6df5ae71119d7cb98ed9b87393c1e",
    ),
    (
        "post-x-www-form-urlencoded",
        "POST",
        "/",
        "",
        [("content-type", "application/x-www-form-urlencoded")],
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
]
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("example.amazonaws.com", "us-east-1", "service")
#: 2015-08-30T12:36:00Z
NOW_S = 1_440_938_160.0


@pytest.mark.parametrize(("name", "method", "path", "query", "fields", "body", "expected"), VECTORS)
def test_the_published_vectors(
    name: str, method: str, path: str, query: str, fields: list[tuple[str, str]], body: str, expected: str
) -> None:
    headers = tuple((key.encode(), value.encode()) for key, value in fields)
    given = dict(signature(method, path, query, headers, body.encode(), scope=SCOPE, keys=KEYS, now_s=NOW_S))
    names = ";".join(sorted({key for key, _ in fields} | {"host", "x-amz-date"}))
    assert given[b"authorization"].decode() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={expected}"
    )
    assert given[b"x-amz-date"] == b"20150830T123600Z"


def test_a_secret_is_a_key_or_credentials() -> None:
    assert read_keys("ABSKQmVkcm9ja0FQSUtleS0xMjM=") is None
    assert read_keys("AKID:se/cr+et") == AwsKeys("AKID", "se/cr+et")
    assert read_keys("ASIA:se/cr+et:to/ken==") == AwsKeys("ASIA", "se/cr+et", "to/ken==")
    assert repr(read_keys("ASIA:se/cr+et:to/ken==")) == "AwsKeys(ASIA)"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Bedrock.Example:443/x", "bedrock.example"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://127.0.0.1:443", "127.0.0.1:443"),
        ("https://[::1]:8443/", "[::1]:8443"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_that_is_signed_is_the_one_the_ports_send(url: str, host: str) -> None:
    from urllib.parse import urlsplit

    from penstock.ports.origin import read_origin

    parts = urlsplit(url)
    assert place(url, "").host == host == read_origin(f"{parts.scheme}://{parts.netloc}").field.decode()
