"""What belongs to one environment must not be used in another: the upstreams of a config, and their keys by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .keys import BadValue, is_secret_like
from .references import split

ENVIRONMENTS = ("dev", "staging", "prod")

_WORD = re.compile(r"[A-Za-z0-9]+")


def check_environment(
    environment: str, name: str, of_upstream: str | None, references: Mapping[str, Sequence[str | None]]
) -> None:
    """Refuse an upstream of another environment than the config's, and keys whose names say another.

    `references` are those of the upstream, by the key of the config that holds them. Raises BadValue.
    """
    if of_upstream not in (None, environment):
        raise BadValue(
            "Config",
            f"upstreams.{name}.environment",
            f'is "{of_upstream}", and `environment` is "{environment}"',
            f"Give {environment} an upstream and keys of its own, and keep this one in the config of {of_upstream}.",
        )
    for key, held in references.items():
        for reference in filter(None, held):
            others = environments_of(reference)
            if others and environment not in others:
                called = "a reference" if is_secret_like(reference) else reference
                raise BadValue(
                    "Config",
                    f"upstreams.{name}.{key}",
                    f"has {called}, by its name a key of {' and '.join(sorted(others))}, "
                    f'and `environment` is "{environment}"',
                    f"Name a key of {environment}, or set `environment` to the one this file is for.",
                )


def environments_of(reference: str) -> frozenset[str]:
    """The environments that a reference names by a whole word, such as dev in env:ANTHROPIC_API_KEY_DEV.

    Of a file only its own name counts, and of Google's secrets the secret's: folders and projects are called dev for
    other reasons.
    """
    scheme, rest = split(reference)
    if scheme == "file":
        rest = rest.rpartition("/")[2]
    elif scheme == "google":
        rest = rest.partition("/secrets/")[2]
    words = {word.lower() for word in _WORD.findall(rest.replace("_", " "))}
    return frozenset(words.intersection(ENVIRONMENTS))
