"""What the SDK works out anew for every call, worked out once, or in C.

Three private methods of its client are replaced on the wrapped copy, each only where it is the SDK's own, and each
with the same outcome: the address of a path is remembered, a key for repeated attempts that is never sent is made
without the operating system, and data that fits its type exactly is made a model by one validation, where the SDK puts
it together field by field in Python. Whatever does not fit goes the SDK's way.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from ...ports import Chance
from .kit import SdkClient

#: More addresses or types than this are not remembered: paths hold ids, and types may be made as a program runs.
_KEPT = 64

#: Makes a model of data, or raises where the data does not fit exactly.
_Maker: TypeAlias = Callable[[Any], Any]

_LEAVES = (str, int, bool, object, Any)
_UNIONS = (Union, types.UnionType)


def shorten(client: SdkClient, chance: Chance) -> None:
    """Give a client the shortcuts that fit its SDK."""
    if _is_usual(client, "_prepare_url"):
        client._prepare_url = _remembering(client)
    if _is_usual(client, "_idempotency_key") and client._idempotency_header is None:
        client._idempotency_key = lambda: chance.id("stainless-python-retry")
    if _is_usual(client, "_process_response_data") and not client._strict_response_validation:
        client._process_response_data = _making(client)


def _is_usual(client: SdkClient, name: str) -> bool:
    """Whether a client's method is the SDK's own for all clients, with the parameters known here."""
    known = {
        "_prepare_url": ["self", "url"],
        "_idempotency_key": ["self"],
        "_process_response_data": ["self", "data", "cast_to", "response"],
    }
    method = getattr(type(client), name, None)
    return (
        getattr(method, "__module__", "") == "anthropic._base_client"
        and name not in vars(client)
        and list(inspect.signature(method).parameters) == known[name]  # type: ignore[arg-type]
    )


def _remembering(client: SdkClient) -> Callable[[str], Any]:
    usual = client._prepare_url
    held: tuple[Any, dict[str, Any]] = (client.base_url, {})  # one value, so that threads see both or neither change

    def prepare_url(url: str) -> Any:
        nonlocal held
        mine, base = held, client.base_url
        if mine[0] is not base:
            mine = held = (base, {})
        address = mine[1].get(url)
        if address is None:
            address = usual(url)
            if len(mine[1]) < _KEPT and client.base_url is base:
                mine[1][url] = address
        return address

    return prepare_url


def _making(client: SdkClient) -> Callable[..., Any]:
    usual = client._process_response_data
    known: dict[int, tuple[Any, _Maker | None]] = {}  # by identity, as a union's hash costs more than the rest

    def process_response_data(*, data: Any, cast_to: Any, response: Any) -> Any:
        found = known.get(id(cast_to))
        if found is None and len(known) < _KEPT:
            found = known[id(cast_to)] = (cast_to, maker_of(cast_to))
        if found is not None and found[1] is not None:
            try:
                return found[1](data)
            except Exception:
                pass  # newer than the SDK, or with times in it, or wrong: loosely then, and with the SDK's own error
        return usual(data=data, cast_to=cast_to, response=response)

    return process_response_data


def maker_of(asked: Any) -> _Maker | None:
    """What makes a type the SDK asks for, of data that fits it exactly, as the SDK would; None for other types.

    The SDK validates unions, and builds models that stand outside of one without a check. A strict validation that
    succeeds has the same outcome as either, as long as those models have nothing that only a validation heeds.
    """
    if _is_plain_model(asked):
        return _built(asked)
    union = get_args(asked)[0] if get_origin(asked) is Annotated else asked
    if get_origin(union) not in _UNIONS:
        return None
    makers: dict[str, _Maker] = {}
    for variant in get_args(union):
        name = _name_of(variant)
        if name is None or name in makers:
            return None
        makers[name] = _validated(variant)
    return lambda data: makers[data["type"]](data)


def _validated(model: Any) -> _Maker:
    validate = model.model_validate
    return lambda data: validate(data, strict=True)


def _built(model: Any) -> _Maker:
    """A model as the SDK builds it: there, a field it does not know does not count as set."""
    validate, within = model.model_validate, _models_within(model)

    def build(data: Any) -> Any:
        made = validate(data, strict=True)
        for way in within:
            part = made
            for name in way:
                part = getattr(part, name)
            if part.__pydantic_extra__:
                part.__pydantic_fields_set__.difference_update(part.__pydantic_extra__)
        return made

    return build


def _models_within(model: Any) -> list[tuple[str, ...]]:
    """The ways, by field names, to all models outside of unions in a plain one, itself included."""
    ways: list[tuple[str, ...]] = [()]
    for name, field in model.model_fields.items():
        if _is_sdk_model(field.annotation):
            ways += [(name, *way) for way in _models_within(field.annotation)]
    return ways


def _name_of(variant: Any) -> str | None:
    """The one `type` a variant of a union takes; None where it is no model of the SDK, or takes any other."""
    field = variant.model_fields.get("type") if _is_sdk_model(variant) else None
    if field is None or not field.is_required() or field.alias is not None:
        return None
    names = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def _is_sdk_model(asked: Any) -> bool:
    """Whether a type is a model of the SDK on pydantic 2, built the SDK's usual way."""
    is_known = isinstance(asked, type) and asked.__module__.startswith("anthropic.types.")
    built = getattr(asked, "construct", None) if is_known and hasattr(asked, "model_validate") else None
    return getattr(built, "__module__", "") == "anthropic._models"


def _is_plain_model(asked: Any) -> bool:
    """Whether building a model and validating it strictly give the same, where both succeed."""
    if not _is_sdk_model(asked):
        return False
    checks = asked.__pydantic_decorators__
    return (
        asked.model_config.get("extra") == "allow"
        and "__pydantic_extra__" not in vars(asked).get("__annotations__", {})
        and not hasattr(asked, "build")
        and not asked.__private_attributes__
        and not (checks.validators or checks.field_validators or checks.root_validators or checks.model_validators)
        and all(_is_plain_field(field) for field in asked.model_fields.values())
    )


def _is_plain_field(field: Any) -> bool:
    is_usual_default = field.is_required() or (field.default is None and field.default_factory is None)
    is_ours = all(type(entry).__module__.startswith("anthropic.") for entry in field.metadata)
    if not is_usual_default or not is_ours or field.alias is not None:
        return False
    # A model required within itself could not be: this ends.
    return _is_plain(field.annotation) or (field.is_required() and _is_plain_model(field.annotation))


def _is_plain(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_plain(get_args(annotation)[0])
    if origin in (list, dict):
        return all(_is_plain(part) for part in get_args(annotation))
    return annotation in _LEAVES or origin is Literal or origin in _UNIONS
