"""What holds for every config: it survives writing and reading, shows no secret, and its pages agree with it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock.config
from penstock.config.bodies import BodiesConfig
from penstock.config.features import FeatureConfig, TierConfig
from penstock.config.keys import Section, hints, rule
from penstock.config.load import load, open_config
from penstock.config.money import BudgetConfig
from penstock.config.prompts import PromptConfig
from penstock.config.routes import RouteConfig
from penstock.config.schema import Config, ModelPriceConfig, UpstreamConfig
from penstock.config.show import describe, toml
from penstock.errors import ConfigError

EXAMPLE = Path(penstock.config.__file__).parent / "example.toml"
PAGE = Path(__file__).parents[2] / "docs" / "config.md"


def every_key() -> Iterator[tuple[str, Field[Any], str]]:
    """Each section's name in the file, and its keys with their types as written."""
    named = {
        "upstreams": ("upstreams.NAME", UpstreamConfig),
        "features": ("features.NAME", FeatureConfig),
        "tiers": ("tiers.NAME", TierConfig),
        "routes": ("[routes]", RouteConfig),
        "budgets": ("[budgets]", BudgetConfig),
        "prompts": ("prompts.named.NAME", PromptConfig),
        "prices": ("prices.models.NAME", ModelPriceConfig),
        "records": ("records.bodies", BodiesConfig),
    }
    for field in fields(Config):
        kind = hints(Config)[field.name]
        if isinstance(kind, type) and issubclass(kind, Section):
            for inner in fields(cast(Any, kind)):
                if inner.name not in ("models", "named", "bodies"):
                    yield field.name, inner, str(inner.type)
        elif field.name not in named:
            yield "", field, str(field.type)
        if field.name in named:
            section, below = named[field.name]
            for inner in fields(below):
                yield section, inner, str(inner.type)


# --- the example -------------------------------------------------------------------------------------------------


def test_the_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(EXAMPLE.read_text())
    config = load(path, environ={})
    assert list(config.upstreams) == ["anthropic"]
    assert list(config.prices.models) == ["my-model"]


def test_the_example_has_every_key_and_says_the_default_of_each() -> None:
    tree = tomllib.loads(EXAMPLE.read_text())
    seen = 0
    for section, field, _ in every_key():
        table: dict[str, Any] = tree
        for part in section.split(".") if section else ():
            table = table[part.strip("[]") if part != "NAME" else next(iter(table))]
            table = table[0] if isinstance(table, list) else table
        assert field.name in table, f"the example lacks {section}.{field.name}"
        seen += 1
        line = next(
            text
            for text in EXAMPLE.read_text()
            .partition(f"\n[{section.replace('NAME', '')}")[2 if section else 0]
            .splitlines()
            if text.startswith(f"{field.name} =")
        )
        assert re.search(r"  # \S", line), f"no reason is given for {section}.{field.name}"
        if "# example" not in line:
            default = str(field.default) if isinstance(field.default, Path) else field.default
            given = table[field.name]
            assert (tuple(given) if isinstance(given, list) else given) == default, f"{section}.{field.name}"
    assert seen == sum(1 for text in EXAMPLE.read_text().splitlines() if re.match(r"\w+ = ", text))


# --- the page ----------------------------------------------------------------------------------------------------


def test_the_page_has_every_key_with_its_default_and_meaning() -> None:
    wanted = [f"| `{field.name}` | {_default(field)} | {_cell(rule(field).meaning)} |" for _, field, _ in every_key()]
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| `\w+` \|", line)]
    assert rows == wanted, "the tables of docs/config.md must read:\n" + "\n".join(wanted)


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "must be given" if field.default_factory is MISSING else "none"
    if field.default in (None, ()):
        return "none"
    if isinstance(field.default, tuple):
        return f"`{json.dumps(list(field.default))}`"
    return f"`{json.dumps(str(field.default) if isinstance(field.default, Path) else field.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_every_toml_block_of_the_page_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "penstock.toml"
        path.write_text(block)
        load(path, environ={})


# --- there and back ----------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
PRICES = st.integers(0, 10**6).map(lambda steps: f"{steps * 2 / 100_000:.5f}")
SECONDS = st.one_of(st.integers(1, 86_400).map(float), st.floats(0.01, 86_400))


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    upstreams = draw(
        st.dictionaries(
            NAMES,
            st.fixed_dictionaries(
                {"url": st.sampled_from(["https://h.example", "http://127.0.0.1:1/p"])},
                optional={
                    "keys": st.sampled_from([["env:A_KEY"], ["file:a b/é.txt"], ['vault:m/"p"#f'], ["aws:x\\y"], []]),
                    "kind": st.sampled_from(["anthropic", "compatible"]),
                },
            ),
            max_size=3,
        )
    )
    models = draw(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.fixed_dictionaries({"input_usd": PRICES, "output_usd": PRICES}, optional={"cache_read_usd": PRICES}),
            max_size=3,
        )
    )
    tree: dict[str, Any] = {
        "environment": draw(st.sampled_from(["dev", "staging", "prod"])),
        "data": "/" + draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)),
        "upstreams": upstreams,
        "prices": {"models": models},
        "gateway": {"port": draw(st.integers(0, 65_535)), "grace_s": draw(SECONDS)},
        "transport": {"idle_s": draw(SECONDS), "on_hangup": draw(st.sampled_from(["cancel", "drain"]))},
        "identity": {"keys_required": draw(st.booleans())},
    }
    if draw(st.booleans()):
        where = st.dictionaries(st.sampled_from(["user", "feature"]), st.text(st.characters(exclude_categories=["Cs"])))
        tree["budgets"] = [{"name": "a", "where": draw(where), "plan_usd": 3}, {"per": ["user"], "limit_usd": "0.05"}]
    if draw(st.booleans()):
        weights = st.dictionaries(st.integers(1, 99).map(str), st.integers(1, 100), min_size=1, max_size=3)
        tree["prompts"] = {"folder": "p q", "named": {"a": {"split": draw(weights)}}}
    if draw(st.booleans()):
        when = {"tiers": ["a"], "hours": "22:00-06:00"} if draw(st.booleans()) else {}
        arms = [{"name": "b", "share_percent": draw(st.integers(0, 100)), "quality": "fast"}]
        tree["routes"] = [{"when": when, "max_tokens": draw(st.integers(1, 9))}]
        tree["features"] = {"f g": {"routes": [{"when": when, "lane": "background"}], "split": {"arms": arms}}}
    if upstreams:
        tree["routing"] = {"default": draw(st.sampled_from(sorted(upstreams)))}
    return tree


@settings(max_examples=60, deadline=None)
@given(configs())
def test_a_config_written_as_toml_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    config = load(_nothing(tmp_path_factory), environ={}, overrides=tree)
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(toml(config), encoding="utf-8")
    assert load(path, environ={}) == config
    assert tomllib.loads(toml(config)) == _without_none(describe(config))
    assert json.loads(json.dumps(describe(config))) == describe(config)


def _nothing(factory: pytest.TempPathFactory) -> Path:
    path = factory.getbasetemp() / "nothing.toml"
    path.touch()
    return path


def _without_none(tree: object) -> object:
    if isinstance(tree, dict):
        plain = {name: _without_none(below) for name, below in tree.items()}
        return {name: below for name, below in plain.items() if below is not None and below != {}}
    return [_without_none(below) for below in tree] if isinstance(tree, list) else tree


# --- no secret ---------------------------------------------------------------------------------------------------

# Of twelve kinds; built from parts, as they must look real to be worth anything.
BODY = "Xq7Rt2Lw9Zk4"
CANARIES = [
    "sk-ant-" + "api03-" + BODY * 4,
    "sk-ant-" + "oat01-" + BODY * 4,
    "sk-ant-" + "admin01-" + BODY,
    "pk_" + BODY * 3,
    "sk-" + BODY * 3,
    "AKIA" + "Q7RT2LW9ZK4X" + "ABCD",
    "ghp_" + BODY * 3,
    "xoxb-" + BODY,
    "eyJ" + BODY + "." + BODY,
    "-----BEGIN " + f"PRIVATE KEY-----{BODY}",
    "9f86d081884c7d659a2feaa0c55ad015" + "a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "5d41402a-bc4b-2a76-b971-" + "9d911017c592",
]
HOLES = [
    'X = "{}"',
    '"{}" = 1',
    'environment = "{}"',
    "[gateway]\nport = '{}'",
    "[gateway]\nhost = ['{}']",
    "[gateway.'{}']",
    "['{}']",
    "[upstreams.a]\nurl = '{}'",
    "[upstreams.a]\nurl = 'https://{}@h'",
    "[upstreams.a]\nurl = 'https://h?key={}'",
    "[upstreams.a]\nkind = '{}'",
    "[upstreams.a]\nkeys = ['{}']",
    "[upstreams.a]\nkeys = ['env:{}']",
    "[upstreams.a]\nkeys = ['evn:{}']",
    "[upstreams.a]\nkeys = ['{}:x']",
    "[upstreams.a]\nkeys = ['vault:{}']",
    "[upstreams.a]\nkeys = '{}'",
    "[upstreams.'{}']",
    "[routing]\ndefault = '{}'",
    "[stores]\nledger = '{}'",
    "[stores]\nledger = 'postgresql://u:{}@h/d'",
    "[prices.models.m]\ninput_usd = '{}'",
    "[prices.models.'{}']",
    "[log]\nlevel = {}",
    "[log]\nlevel = '{}",
    "[{}",
    "a = 1\na = '{}'",
    "[a]\n[a.'{}']\n[a.'{}']",
    "= '{}'",
]


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary[:7])
def test_no_error_repeats_a_secret_wherever_it_was_put(tmp_path: Path, canary: str) -> None:
    path = tmp_path / "penstock.toml"
    for hole in HOLES:
        path.write_text(hole.replace("{}", canary))
        with pytest.raises(ConfigError) as caught:
            loaded = open_config(path, environ={})
            for upstream in loaded.config.upstreams.values():
                for reference in upstream.keys:
                    loaded.secrets.resolve(reference)
            raise AssertionError(f"accepted: {hole}")
        said = f"{caught.value} {caught.value.fix} {caught.value.place}"
        assert canary not in said and canary[8:20] not in said, hole


def test_showing_a_config_shows_references_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ANTHROPIC_API_KEY={CANARIES[0]}")
    (tmp_path / ".env").chmod(0o600)
    (tmp_path / "penstock.toml").write_text("")
    loaded = open_config(tmp_path / "penstock.toml", environ={"OTHER": CANARIES[1]})
    shown = f"{loaded} {describe(loaded.config)} {toml(loaded.config)}"
    assert "env:ANTHROPIC_API_KEY" in shown
    assert BODY not in shown
    assert loaded.secrets.resolve("env:ANTHROPIC_API_KEY").reveal() == CANARIES[0]
