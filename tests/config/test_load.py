"""From files and the environment to a Config, and the words for what is wrong with them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from penstock.config.load import load, open_config
from penstock.config.schema import Config, UpstreamConfig
from penstock.errors import ConfigError

LITERAL = "sk-ant-" + "api03-" + "Zx9" * 12


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "penstock.toml") -> Path:
    path = Path.cwd() / name
    path.write_text(text)
    return path


def refused(text: str, environ: dict[str, str] | None = None) -> str:
    """What is said of a file, its place shortened to `penstock.toml:LINE`."""
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ=environ or {})
    return str(caught.value).replace(f"{path.parent}{os.sep}", "")


def test_with_no_file_and_no_environment_everything_has_its_default(tmp_path: Path) -> None:
    loaded = open_config(environ={})
    assert loaded.config == Config(data=tmp_path / "penstock-data")
    assert loaded.file is None


def test_with_no_file_the_api_is_named_by_the_sdks_variables() -> None:
    config = load(environ={"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://proxy.example/claude/"})
    assert config.upstreams == {
        "anthropic": UpstreamConfig(url="https://proxy.example/claude", keys=("env:ANTHROPIC_API_KEY",))
    }
    assert load(environ={"ANTHROPIC_API_KEY": "k"}).upstreams["anthropic"].url == "https://api.anthropic.com"
    assert load(environ={"ANTHROPIC_API_KEY": ""}).upstreams == {}


def test_a_bad_address_in_the_environment_is_blamed_on_its_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "nonsense"})
    assert str(caught.value).startswith("ANTHROPIC_BASE_URL: `upstreams.anthropic.url` is not an http or https URL.")


def test_upstreams_of_the_file_hide_the_sdks_variables() -> None:
    path = write('[upstreams.a]\nkeys = ["env:A"]')
    assert list(load(path, environ={"ANTHROPIC_API_KEY": "k"}).upstreams) == ["a"]


def test_a_file_is_found_by_option_then_variable_then_working_folder() -> None:
    write("gateway.port = 1")
    named, given = write("gateway.port = 2", "named.toml"), write("gateway.port = 3", "given.toml")
    environ = {"PENSTOCK_CONFIG": str(named)}
    assert load(environ={}).gateway.port == 1
    assert load(environ=environ).gateway.port == 2
    assert load(given, environ=environ).gateway.port == 3


def test_the_real_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    assert list(load().upstreams) == ["anthropic"]


def test_paths_of_a_file_begin_beside_it_and_those_of_overrides_where_one_works(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = write('data = "store"', "etc/penstock.toml")
    assert load(path, environ={}).data == tmp_path / "etc" / "store"
    assert load(path, environ={}, overrides={"data": Path("here")}).data == tmp_path / "here"
    assert load(path, environ={}, overrides={"data": "/abs"}).data == Path("/abs")


def test_overrides_win_and_none_means_not_given() -> None:
    path = write("[gateway]\nport = 1\nhost = '0.0.0.0'")
    gateway = load(path, environ={}, overrides={"gateway.port": 0, "gateway.host": None}).gateway
    assert (gateway.port, gateway.host) == (0, "0.0.0.0")
    upstream = {"upstreams.anthropic.url": "http://127.0.0.1:1"}
    assert load(environ={"ANTHROPIC_API_KEY": "k"}, overrides=upstream).upstreams["anthropic"] == UpstreamConfig(
        url="http://127.0.0.1:1", keys=("env:ANTHROPIC_API_KEY",)
    )


def test_a_bad_override_is_not_blamed_on_the_file() -> None:
    path = write("[gateway]\nport = 1")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={}, overrides={"gateway.port": 70_000})
    assert str(caught.value) == "`gateway.port` is 70000. Give a whole number from 0 to 65,535."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gateway]\nprot = 1", "penstock.toml:2: `gateway.prot` is not a key Penstock knows. Did you mean `port`?"),
        ("\n[gatway]\nport = 1", "penstock.toml:2: `gatway` is not a key Penstock knows. Did you mean `gateway`?"),
        ("x.y = 1", "penstock.toml:1: `x` is not a key Penstock knows. There are: environment, data, upstreams, "),
        ("port = 1", "penstock.toml:1: `port` is not a key Penstock knows. It belongs under [gateway]."),
        ("[log]\nenvironment = 'dev'", "penstock.toml:2: `log.environment` is not a key Penstock knows. It belongs at"),
        ("[[budgets]]\nplan_usd = 1\n[[budgets]]\nlimit = 1", "penstock.toml:4: `budgets.limit` is not a key Penstock"),
        ("[[budgets]]\nname = 'x'", "penstock.toml:1: `budgets.plan_usd` is missing, and so is `limit_usd`."),
        ('[[budgets]]\nplan_usd = "1,5"', "penstock.toml:2: `budgets.plan_usd` is not a decimal number. Give dollars"),
        ("[[budgets]]\nplan_usd = 1\n[[budgets]]\nplan_usd = 2", "penstock.toml:1: `budgets` has two called"),
        ("[budgets]\nplan_usd = 1", "penstock.toml:1: `budgets` is a table"),
        ("[gateway]\nport = '1'", 'penstock.toml:2: `gateway.port` is the string "1". Give a whole number from 0 to'),
        ("gateway = 5", "penstock.toml:1: `gateway` is 5. Make it a table: [gateway]."),
        ("upstreams = 5", "penstock.toml:1: `upstreams` is 5. Make it tables: [upstreams.NAME]."),
        ("[upstreams]\na = 5", "penstock.toml:2: `upstreams.a` is 5. Make it a table: [upstreams.a]."),
        ("[[upstreams.a]]", "penstock.toml:1: `upstreams.a` is a list of 1. Make it a table: [upstreams.a]."),
        (
            "[upstreams.a]\nkeys = [\n'env:A',\n'env:A']",
            "penstock.toml:2: `upstreams.a.keys` lists a key twice. List each once.",
        ),
        ("[upstreams.a]\nkeys = 'env:A'", 'penstock.toml:2: `upstreams.a.keys` is the string "env:A". Give a list of'),
        ("[upstreams.a]\nkeys = [5]", "penstock.toml:2: `upstreams.a.keys` is a list of 1. Give a list of strings."),
        (
            "[upstreams.a]\nkind = 'gogle'",
            'penstock.toml:2: `upstreams.a.kind` is the string "gogle". Give "anthropic"',
        ),
        ("[upstreams.a]\n\nkind='compatible'", "penstock.toml:1: `upstreams.a.url` is missing, and kind"),
        (
            "[prices.models.m]\ninput_usd = '3'",
            "penstock.toml:1: `prices.models.m.output_usd` is missing. Give a string.",
        ),
        ("[prices.models.m]\ninput_usd = 3", "penstock.toml:1: `prices.models.m.output_usd` is missing."),
        ("[gateway]\nport = 1\n\nport = 2", "penstock.toml:4: This key or table is given twice. Keep one."),
        ("[gateway]\n[log]\n[gateway]", "penstock.toml:3: This key or table is given twice. Keep one."),
        ("[gateway]\nport = = 2", "penstock.toml:2: Invalid value. Correct the TOML there."),
        ("a = [1,", "penstock.toml:1: "),
        ("routing.default = 'b'", 'penstock.toml:1: `routing.default` has the string "b", which is no upstream.'),
        ("[gateway]\ngrace_s = 1979-05-27", "penstock.toml:2: `gateway.grace_s` is a date. Give a number from 0 to"),
        ("[gateway]\ngrace_s = inf", "penstock.toml:2: `gateway.grace_s` is inf. Give a number from 0 to 86,400."),
        (f"[gateway]\nport = 0x{'f' * 5000}", "penstock.toml:2: `gateway.port` is a very long number."),
        (f"[gateway]\nport = {'9' * 5000}", "penstock.toml: A value is too long or too deep. Correct the TOML there."),
    ],
)
def test_a_fault_is_named_with_its_place_and_fix(text: str, said: str) -> None:
    assert refused(text).startswith(said)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory") as caught:
        load(tmp_path / "none.toml", environ={})
    assert caught.value.place == str(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"# fine\nx = '\xff'")
    with pytest.raises(ConfigError, match=r"bad\.toml:2: The config file is not UTF-8"):
        load(tmp_path / "bad.toml", environ={})


def test_line_ends_and_marks_of_other_systems_are_understood(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_bytes(b"\xef\xbb\xbf[gateway]\r\nport = 9\r\n")
    assert load(tmp_path / "w.toml", environ={}).gateway.port == 9


@pytest.mark.parametrize(
    "text",
    [
        f'[upstreams.a]\nkeys = ["{LITERAL}"]',
        f'[upstreams.a]\nkeys = "{LITERAL}"',
        f'[upstreams.a]\nkeys = ["env:{LITERAL}"]',
        f'[upstreams.a]\nkey = "{LITERAL}"',
        f'[upstreams.a]\nurl = "{LITERAL}"',
        f'[a]\n"{LITERAL}" = 1',
        f"[a]\n{LITERAL} = 1",
        f'[[a]]\nb = [{{ c = "x{LITERAL}" }}]',
    ],
)
def test_a_literal_key_anywhere_is_refused_and_never_repeated(text: str) -> None:
    said = refused(text)
    assert said.startswith("penstock.toml:2: ")
    assert "literal key" in said
    assert '"env:ANTHROPIC_API_KEY"' in said
    assert "Zx9" not in said


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("ANTHROPIC_API_KEY", 'names a variable without saying so. Put env: before the name, such as "env:'),
        ("evn:NAME", "has the unknown scheme evn:. Did you mean env:? Write env:NAME."),
        ("env:", "is not a whole env: reference. Write env:NAME."),
        ("vault:secret/app", "is not a whole vault: reference. Write vault:MOUNT/PATH#FIELD."),
        ("keyring:penstock", "is not a whole keyring: reference. Write keyring:SERVICE/NAME."),
        ("google:my-key", "is not a whole google: reference. Write google:projects/PROJECT/secrets/NAME"),
        ("9f86d081884c7d65" * 4, "holds a literal key, and secrets stand in the config by reference only."),
        ("env:" + "q7Rt" * 8, "holds a literal key behind env:"),
        ("", "holds a literal key"),
    ],
)
def test_what_is_no_reference_is_named_without_being_shown(reference: str, said: str) -> None:
    text = refused(f'[upstreams.a]\nkeys = ["{reference}"]')
    assert text.startswith("penstock.toml:2: `upstreams.a.keys`")
    assert said in text
    assert "9f86" not in text
    assert "q7Rt" not in text


class TestDotenv:
    def test_its_values_are_used_and_the_environment_wins(self) -> None:
        write("A=from-file\nexport B='b # b'\n# C=c\n", ".env").chmod(0o600)
        secrets = open_config(environ={"A": "from-environment"}).secrets
        assert secrets.resolve("env:A").reveal() == "from-environment"
        assert secrets.dotenv["B"] == "b # b"
        assert "A" not in os.environ

    def test_it_lies_beside_the_config(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        write("ANTHROPIC_API_KEY=k", "etc/.env").chmod(0o600)
        path = write("", "etc/penstock.toml")
        assert open_config(path, environ={}).secrets.resolve("env:ANTHROPIC_API_KEY").reveal() == "k"
        assert list(load(path, environ={}).upstreams) == ["anthropic"]

    @pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
    def test_a_secret_from_a_file_others_may_read_is_refused(self, mode: int) -> None:
        path = write("KEY=hush-hush", ".env")
        path.chmod(mode)
        loaded = open_config(environ={"OTHER": "fine"})  # a file that is not needed does no harm
        assert loaded.secrets.resolve("env:OTHER").reveal() == "fine"
        with pytest.raises(ConfigError, match=f"has mode {stat.S_IMODE(mode):o}.*Run `chmod 600") as caught:
            loaded.secrets.resolve("env:KEY")
        assert "hush" not in str(caught.value)

    def test_values_are_taken_as_they_stand(self) -> None:
        write("A=x\nB=${A}-${HOME}", ".env").chmod(0o600)
        assert open_config(environ={}).secrets.dotenv["B"] == "${A}-${HOME}"
