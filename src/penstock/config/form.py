"""What a feature's answers are to be like: `[features.NAME.form]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .keys import Section, key


@dataclass(frozen=True, slots=True)
class FormConfig(Section):
    """Structured output of a feature: `[features.NAME.form]`."""

    schema: str | None = key(
        None, "the JSON Schema its answers must fit: a file, from the config file's folder; none wants no form"
    )
    native: Literal["auto", "off"] = key(
        "auto",
        "whether the API itself is asked for the form, where the model and the schema allow it",
        one_of=("auto", "off"),
    )
    repairs: int = key(1, "how often a wrong answer is sent back with its errors", least=0, most=5)
    invalid: Literal["return", "hop", "refuse"] = key(
        "return",
        'what becomes of an answer that stays wrong: "return" passes it on and says so, "hop" asks the next of '
        '`fallback`, "refuse" is an error',
        one_of=("return", "hop", "refuse"),
    )
    streams: Literal["hold", "pass"] = key(
        "hold",
        'whether a stream is held back until it is judged; "pass" lets it through, judged only for the record',
        one_of=("hold", "pass"),
    )
