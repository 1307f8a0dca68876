"""What a feature refuses of its input, once that has been looked through."""

from __future__ import annotations

from ..config.guards import InputConfig
from ..errors import Refused
from .screen import Looked


def check(feature: str, config: InputConfig, looked: Looked) -> None:
    """Raises Refused where the input is one the feature does not want. What was found is never repeated."""
    if config.characters_max and looked.longest > config.characters_max:
        raise Refused(
            f"A message has {looked.longest:,} characters; at most {config.characters_max:,} are allowed.",
            layer="admission",
            code="input_too_long",
            fix=f"Send less, or raise `characters_max` under [features.{feature}.input].",
            status=400,
            type="invalid_request_error",
        )
    if looked.denied:
        raise Refused(
            f"The input has what feature {feature!r} denies.",
            layer="admission",
            code="input_denied",
            fix=f"Leave it out, or change `deny` under [features.{feature}.input].",
            status=400,
            type="invalid_request_error",
        )
    if looked.signs and config.injection == "block":
        raise Refused(
            f"Text from outside gives orders to the model (signs: {', '.join(looked.signs)}).",
            layer="admission",
            code="injection_suspected",
            fix=f"Leave the text out, or `allow` its phrase under [features.{feature}.input].",
            status=400,
            type="invalid_request_error",
        )
    if looked.personal and config.pii == "block":
        raise Refused(
            f"The input has personal data or credentials ({', '.join(looked.personal)}).",
            layer="admission",
            code="personal_data",
            fix=f"Leave them out, or set `pii` under [features.{feature}.input].",
            status=400,
            type="invalid_request_error",
        )
