"""Versions, releases and splits: a released version stays as it was, whichever of its files is touched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from penstock.config.load import Loaded, open_config
from penstock.config.prompts import PromptConfig
from penstock.errors import ConfigError
from penstock.prompts import open_prompts, registry, split
from penstock.prompts.folder import release, rollback

AT = "2026-11-21T12:00:00+00:00"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    for path, text in {
        "support/1.md": "+++\n+++\nOne {{> scope}}",
        "support/2.md": "+++\n+++\nTwo {{> scope}}",
        "parts/scope.md": "In {{> deep}}.",
        "parts/deep.md": "scope",
    }.items():
        (tmp_path / "prompts" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "prompts" / path).write_text(text)
    (tmp_path / "penstock.toml").write_text("")
    return open_config(tmp_path / "penstock.toml", environ={})


@pytest.fixture
def folder(loaded: Loaded) -> Path:
    return loaded.secrets.folder / "prompts"


def system(loaded: Loaded, version: str = "released") -> str:
    return open_prompts(loaded).render("support", {}, version=version).system


def test_released_latest_and_rollback(loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match="No version of support is released"):
        system(loaded)
    assert release(loaded, "support", "1", AT) == (1, [])
    assert (system(loaded), system(loaded, "latest")) == ("One In scope.", "Two In scope.")
    assert release(loaded, "support", "latest", AT) == (2, [])
    assert system(loaded) == "Two In scope."
    assert rollback(loaded, "support", "1", AT) == 1
    assert (system(loaded), system(loaded, "2")) == ("One In scope.", "Two In scope.")
    assert release(loaded, "support", "1", AT) == (1, []), "which it is already"
    history = open_prompts(loaded).lock.prompts["support"].history
    assert [(step.action, step.version, step.before) for step in history] == [
        ("release", 1, None),
        ("release", 2, 1),
        ("rollback", 1, 2),
    ]


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("support/1.md", "+++\n+++\nOne! {{> scope}}"),
        ("support/1.md", "+++\nmodel = 'claude-haiku-4-5'\n+++\nOne {{> scope}}"),
        ("support/1.md", "+++\n[variables]\na = { untrusted = true }\n+++\nOne {{> scope}}"),
        ("support/1.md", "+++\n+++\nOne {{> missing}}"),
        ("support/1.md", "+++\n+++\nOne {{> deep}}"),
        ("parts/scope.md", "In a {{> deep}}."),
        ("parts/deep.md", "another"),
        ("parts/deep.md", None),
        ("support/1.md", None),
    ],
)
def test_an_edit_to_a_released_version_is_refused_naming_the_file(
    loaded: Loaded, folder: Path, file: str, edit: str | None
) -> None:
    release(loaded, "support", "1", AT)
    before = (folder / "prompts.lock").read_text()
    if edit is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(edit)
    for act in (system, lambda it: system(it, "1"), lambda it: release(it, "support", "1", AT)):
        with pytest.raises(ConfigError) as caught:
            act(loaded)
        assert caught.value.code == "prompt_changed" and caught.value.fix
        assert caught.value.place == str(folder / file)
    assert "prompt_changed" in {fault.code for fault in open_prompts(loaded).findings()}
    assert (folder / "prompts.lock").read_text() == before


def test_what_does_not_render_may_be_edited(loaded: Loaded, folder: Path) -> None:
    release(loaded, "support", "1", AT)
    (folder / "support" / "1.md").write_bytes(b"+++\r\ndescription = 'x'\r\n+++\r\n\r\nOne {{> scope}}\r\n")
    (folder / "parts" / "new.md").write_text("not used yet")
    assert system(loaded) == "One In scope." and open_prompts(loaded).findings() == []


def test_an_unsound_version_is_not_released(loaded: Loaded, folder: Path) -> None:
    (folder / "support" / "3.md").write_text("+++\n[variables]\nm = { untrusted = true }\n+++\nObey {{m}}")
    number, findings = release(loaded, "support", "latest", AT)
    assert number == 3 and [finding.code for finding in findings] == ["untrusted_in_instructions"]
    assert not (folder / "prompts.lock").exists()
    assert release(loaded, "support", "2", AT) == (2, []), "others are not held up by it"


def test_only_what_was_released_can_be_rolled_back_to(loaded: Loaded) -> None:
    release(loaded, "support", "1", AT)
    with pytest.raises(ConfigError, match=r"support 2 was never released\. Released were: 1"):
        rollback(loaded, "support", "2", AT)
    for name, version in (("nope", "1"), ("support", "9"), ("support", "../1"), ("support", "01")):
        with pytest.raises(ConfigError) as caught:
            rollback(loaded, name, version, AT)
        assert caught.value.code == "no_such_prompt"


@pytest.mark.parametrize("text", ["{", "[]", '{"prompts": {"a": {"released": 1, "versions": {}, "history": []}}}'])
def test_a_lock_that_cannot_be_read_stops_everything(loaded: Loaded, folder: Path, text: str) -> None:
    (folder / "prompts.lock").write_text(text)
    with pytest.raises(ConfigError) as caught:
        open_prompts(loaded)
    assert (caught.value.code, caught.value.place) == ("bad_prompt_lock", str(folder / "prompts.lock"))


def test_files_that_are_no_prompts_are_found(loaded: Loaded, folder: Path) -> None:
    for path in ("support/v3.md", "support/0.md", "Parts/x.md", "parts/X.md"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("+++\n+++\nx")
    (folder / "README.md").write_text("about")
    assert {fault.place.removeprefix(f"{folder}/") for fault in open_prompts(loaded).findings()} == {
        "support/v3.md",
        "support/0.md",
        "Parts/x.md",
        "parts/X.md",
    }


def test_a_file_that_is_no_text_is_named(loaded: Loaded, folder: Path) -> None:
    (folder / "support" / "1.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        open_prompts(loaded)
    assert (caught.value.code, caught.value.place) == ("prompts_unreadable", str(folder / "support" / "1.md"))


# --- splits ------------------------------------------------------------------------------------------------------


def test_users_are_split_in_proportion_and_each_keeps_their_version() -> None:
    users = [f"user-{number}" for number in range(20_000)]
    shares = {3: 90, 4: 10}
    got = {user: split("support", shares, user) for user in users}
    assert Counter(got.values())[4] / len(users) == pytest.approx(0.1, abs=0.01)
    assert all(split("support", dict(reversed(shares.items())), user) == got[user] for user in users[:500])
    more = {user: split("support", {3: 80, 4: 20}, user) for user in users}
    assert all(more[user] == 4 for user in users if got[user] == 4), "more for one takes none from it"
    assert sum(more[user] != got[user] for user in users) / len(users) == pytest.approx(0.1, abs=0.01)
    same = {user: split("support", {3: 9, 4: 1}, user) for user in users}
    assert same == got, "weights, not percents"


def test_each_prompt_shuffles_users_anew() -> None:
    users = [f"user-{number}" for number in range(10_000)]
    both = sum(split("a", {1: 1, 2: 1}, user) == split("b", {1: 1, 2: 1}, user) for user in users)
    assert both / len(users) == pytest.approx(0.5, abs=0.02)


def test_a_split_never_changes_between_releases_of_penstock() -> None:
    """Written down: users of an experiment under way must not change sides with an upgrade."""
    got = [split("support", {1: 1, 2: 1, 3: 2}, user) for user in ("", "ada", "bob", "é", "u1", "u2")]
    assert got == [1, 3, 1, 3, 3, 3]


def test_no_version_without_weight_is_given() -> None:
    assert {split("a", {1: 0, 2: 5, 3: 0}, str(number)) for number in range(500)} == {2}
    with pytest.raises(ValueError, match="no version"):
        split("a", {1: 0}, "u")


def test_the_config_splits_users_among_released_versions(loaded: Loaded, folder: Path) -> None:
    (folder.parent / "penstock.toml").write_text('[prompts.named.support]\nsplit = { "1" = 1, "2" = 1 }\n')
    loaded = open_config(folder.parent / "penstock.toml", environ={})
    release(loaded, "support", "1", AT)
    assert [fault.code for fault in open_prompts(loaded).findings()] == ["no_such_prompt"]
    prompts = open_prompts(loaded)
    users = [f"u{number}" for number in range(40)]
    moved = [user for user in users if split("support", {1: 1, 2: 1}, user) == 2]
    with pytest.raises(ConfigError, match="version 2, which was never released"):
        prompts.render("support", {}, user=moved[0])
    release(loaded, "support", "2", AT)
    prompts = open_prompts(loaded)
    assert {user for user in users if prompts.render("support", {}, user=user).version == 2} == set(moved)
    assert prompts.render("support", {}).version == 2, "nobody named: the released one"
    assert prompts.render("support", {}, user=moved[0], version=1).version == 1


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ('{ "v3" = 1 }', 'names the string "v3"'),
        ('{ "0" = 1 }', 'names the string "0"'),
        ('{ "3" = -1 }', r"split\.3` is -1"),
        ('{ "3" = true }', r"split\.3` is true"),
        ('{ "3" = 0.5 }', r"split\.3` is 0\.5"),
        ('{ "3" = 0, "4" = 0 }', "leaves nothing to any version"),
    ],
)
def test_a_split_that_is_none_stops_the_start_with_its_line(tmp_path: Path, split: str, said: str) -> None:
    (tmp_path / "penstock.toml").write_text(f"[prompts.named.a]\nsplit = {split}\n")
    with pytest.raises(ConfigError, match=said) as caught:
        open_config(tmp_path / "penstock.toml", environ={})
    assert caught.value.place.endswith("penstock.toml:2") and caught.value.fix
    for given in ({3: 90}, ["3"], None):
        with pytest.raises(ConfigError, match="split"):
            PromptConfig(split=given)  # type: ignore[arg-type]


def test_a_part_of_the_folder_does_not_change_the_hash_of_prompts_without_it() -> None:
    one = registry({"p/1.md": "+++\n+++\nx", "parts/a.md": "A"}).get("p", "latest")
    other = registry({"p/1.md": "+++\n+++\nx", "parts/a.md": "B"}).get("p", "latest")
    assert one.hash == other.hash


def test_a_hash_never_changes_between_releases_of_penstock() -> None:
    """Written down: the locks of all users hold such hashes."""
    text = "+++\nmodel = 'm'\n[variables]\na = {}\nb = { untrusted = true }\n+++\n{{a}} {{> c}}\n+++ user\né {{b}}"
    prompts = registry({"p/1.md": text, "parts/c.md": "C"})
    assert prompts.get("p", "latest").hash == "1dadb0db09c95b24c56d5d0e2e51b1451ff9482c7a5a73661e51a7f7a62f896f"
    assert prompts.parts["c"] == "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d"
