"""The schema as Python sees it: defaults, limits and what only the gateway asks."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from penstock.call import Timeouts
from penstock.config.gateway import check_for_gateway
from penstock.config.keys import Section, hints, rule
from penstock.config.schema import (
    AdmissionConfig,
    Config,
    FeatureConfig,
    GatewayConfig,
    IdentityConfig,
    ModelPriceConfig,
    PricesConfig,
    RecordsConfig,
    RoutingConfig,
    StoresConfig,
    TransportConfig,
    UpstreamConfig,
)
from penstock.errors import ConfigError
from penstock.ports.origin import PoolLimits

ENV_KEY = ("env:ANTHROPIC_API_KEY",)


def refused(section: type[Section], /, **given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        section(**given)
    return str(caught.value)


def test_a_config_needs_nothing() -> None:
    config = Config()
    assert config.upstreams == {}
    assert config.default_upstream is None
    assert config.gateway.port == 8787
    assert config == Config()
    assert hash(config) == hash(Config())


def test_equal_configs_hash_alike_with_upstreams_and_prices() -> None:
    def one() -> Config:
        return Config(
            upstreams={"a": UpstreamConfig(keys=ENV_KEY)},
            prices=PricesConfig(models={"m": ModelPriceConfig(input_usd="1", output_usd="2")}),
        )

    assert one() == one()
    assert hash(one()) == hash(one())


def test_defaults_are_those_of_the_parts_they_configure() -> None:
    transport, limits, timeouts = TransportConfig(), PoolLimits(), Timeouts()
    assert (transport.connections_max, transport.idle_connections_max) == (limits.connections_max, limits.idle_max)
    for name in Timeouts.__struct_fields__:
        assert getattr(transport, name) == getattr(timeouts, name)


def test_every_key_says_what_it_means_and_numbers_name_their_unit() -> None:
    def walk(kind: type[Any]) -> None:
        types_of = hints(kind)
        for field in fields(kind):
            hint = types_of[field.name]
            assert rule(field).meaning, f"{kind.__name__}.{field.name}"
            if isinstance(hint, type) and issubclass(hint, Section):
                walk(hint)
            elif hint is float:
                assert field.name.endswith("_s"), field.name

    walk(Config)
    walk(UpstreamConfig)
    walk(ModelPriceConfig)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (GatewayConfig, {"port": 70_000}, "`GatewayConfig.port` is 70000. Give a whole number from 0 to 65,535."),
        (GatewayConfig, {"port": True}, "`GatewayConfig.port` is true. Give a whole number from 0 to 65,535."),
        (GatewayConfig, {"grace_s": float("nan")}, "`GatewayConfig.grace_s` is nan. Give a number from 0 to 86,400."),
        (GatewayConfig, {"body_idle_s": 0}, "`GatewayConfig.body_idle_s` is 0. Give a number from 0.01 to 86,400."),
        (TransportConfig, {"connections_max": 0}, "is 0. Give a whole number of at least 1."),
        (TransportConfig, {"backend": "curl"}, 'is the string "curl". Give "pool" or "aiohttp".'),
        (IdentityConfig, {"keys_required": 1}, "`IdentityConfig.keys_required` is 1. Give true or false."),
        (AdmissionConfig, {"body_bytes_max": -1}, "is -1. Give a whole number of at least 1."),
        (RecordsConfig, {"sync": None}, '`RecordsConfig.sync` is missing. Give "os" or "disk".'),
        (RecordsConfig, {"keep_days": 1.5}, "is 1.5. Give a whole number from 1 to 36,500."),
        (StoresConfig, {"ledger": "postgresql://db/x"}, "names PostgreSQL, which comes with a later version."),
        (StoresConfig, {"ledger": "redis://db"}, "names Redis, which comes with a later version"),
        (StoresConfig, {"ledger": "sqlite:/other.db"}, "names another file than penstock.db"),
        (UpstreamConfig, {"kind": "compatable"}, 'is the string "compatable". Give "anthropic" or "compatible" or'),
        (UpstreamConfig, {"kind": "compatible"}, 'is missing, and kind "compatible" has no default. Give its URL.'),
        (UpstreamConfig, {"url": "ftp://x"}, "`UpstreamConfig.url` is not an http or https URL."),
        (UpstreamConfig, {"url": "http://x:99999"}, "`UpstreamConfig.url` is not a URL."),
        (UpstreamConfig, {"url": "https://api.anthropic.com/v1/"}, "ends in /v1"),
        (UpstreamConfig, {"url": "https://h/p?a=b"}, "has a query or a fragment."),
        (UpstreamConfig, {"keys": [*ENV_KEY]}, "`UpstreamConfig.keys` is a list of 1. Give a list of strings."),
        (UpstreamConfig, {"keys": (*ENV_KEY, *ENV_KEY)}, "lists a key twice. List each once."),
        (FeatureConfig, {"fallback": ("static:a", "m")}, 'goes on after the string "static:a", which never fails.'),
        (FeatureConfig, {"fallback": ("cached:60", "m")}, 'asks a model after the string "cached:60".'),
        (FeatureConfig, {"fallback": ("cached:soon",)}, 'Write "cached:" and a number of seconds.'),
        (FeatureConfig, {"fallback": ("a model",)}, 'Write a "MODEL", "@UPSTREAM" or'),
        (
            Config,
            {"features": {"f": FeatureConfig(fallback=("@b",))}},
            "there is no upstream of that name. There are: none.",
        ),
        (
            ModelPriceConfig,
            {"input_usd": "1", "output_usd": "1e3"},
            'output_usd` is the string "1e3". Give dollars per',
        ),
        (ModelPriceConfig, {"input_usd": "0.00001", "output_usd": "1"}, "in steps of 0.00002"),
        (Config, {"environment": "production"}, 'Give "dev" or "staging" or "prod".'),
        (Config, {"routing": RoutingConfig("b")}, "which is no upstream. There are: none."),
        (
            Config,
            {"upstreams": {"A b": UpstreamConfig()}},
            'has the name the string "A b". Name upstreams in lower-case',
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_fix(kind: type[Section], given: dict[str, Any], said: str) -> None:
    assert said in refused(kind, **given)


def test_a_credential_in_a_url_is_refused_and_not_repeated() -> None:
    said = refused(UpstreamConfig, url="https://user:hunter2@host")
    assert "holds a credential" in said
    assert "hunter2" not in said


def test_several_upstreams_need_a_default() -> None:
    two = {"a": UpstreamConfig(), "b": UpstreamConfig()}
    assert (
        "`Config.routing.default` is missing, and there are 2 upstreams. Name one of a, b, or several under `among`."
        in refused(Config, upstreams=two)
    )
    assert Config(upstreams=two, routing=RoutingConfig("b")).default_upstream == "b"
    assert Config(upstreams={"a": UpstreamConfig()}).default_upstream == "a"


class TestForGateway:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_an_upstream_that_is_the_gateway_itself_is_refused(self, host: str) -> None:
        config = Config(upstreams={"a": UpstreamConfig(url=f"http://{host}:8787", keys=ENV_KEY)})
        with pytest.raises(ConfigError, match="Upstream a is this gateway itself") as caught:
            check_for_gateway(config)
        assert "unset ANTHROPIC_BASE_URL" in caught.value.fix

    def test_another_port_of_this_machine_is_fine(self) -> None:
        check_for_gateway(Config(upstreams={"a": UpstreamConfig(url="http://127.0.0.1:8788", keys=ENV_KEY)}))

    def test_the_api_wants_a_key_where_callers_hold_penstocks(self) -> None:
        without = {"a": UpstreamConfig(url="https://h")}
        with pytest.raises(ConfigError, match="Upstream a has no key"):
            check_for_gateway(Config(upstreams=without))
        check_for_gateway(Config(upstreams=without, identity=IdentityConfig(keys_required=False)))
        check_for_gateway(Config(upstreams={"a": UpstreamConfig(kind="compatible", url="https://h")}))


def test_an_upstream_of_another_environment_is_refused_by_name() -> None:
    said = refused(Config, environment="prod", upstreams={"main": UpstreamConfig(environment="dev")})
    assert '`Config.upstreams.main.environment` is "dev", and `environment` is "prod".' in said
    assert "keep this one in the config of dev" in said
    Config(environment="prod", upstreams={"main": UpstreamConfig(environment="prod")})


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        ("prod", {"keys": ("env:ANTHROPIC_API_KEY_DEV",)}),
        ("dev", {"keys": (*ENV_KEY, "env:PROD_ANTHROPIC_KEY")}),
        ("staging", {"keys": ("file:/run/secrets/anthropic-prod.key",)}),
        ("prod", {"keys": ("aws:staging/anthropic#key",)}),
        ("prod", {"admin_key": "vault:secret/dev/anthropic#admin"}),
        ("prod", {"keys": ("google:projects/acme/secrets/anthropic-dev",)}),
    ],
    ids=str,
)
def test_a_key_whose_name_says_another_environment_is_refused(environment: str, given: dict[str, Any]) -> None:
    said = refused(Config, environment=environment, upstreams={"main": UpstreamConfig(**given)})
    reference = given.get("admin_key") or given["keys"][-1]
    assert reference in said and f'`environment` is "{environment}"' in said
    assert f"`Config.upstreams.main.{next(iter(given))}`" in said


@pytest.mark.parametrize(
    "reference",
    [
        "env:ANTHROPIC_API_KEY_PROD",
        "env:PRODUCT_KEY",
        "env:DEVICE_KEY",
        "env:PROD_NOT_DEV",
        "file:/home/dev/prod.key",
        "file:/dev/fd/3",
        "google:projects/acme-dev/secrets/anthropic",
    ],
)
def test_a_name_that_only_looks_like_another_environment_is_fine(reference: str) -> None:
    Config(environment="prod", upstreams={"main": UpstreamConfig(keys=(reference,))})


def test_the_data_folder_is_a_path() -> None:
    assert "`Config.data` is the string" in refused(Config, data="x")
    assert Config(data=Path("x")).data == Path("x")
