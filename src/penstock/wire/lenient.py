"""Reads JSON into structs without giving up on a field of the wrong type.

The API judges what is well-formed, not we: a field that is not of the type we expect is left at its default, and all
others are read as usual.
"""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeVar, get_args

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(decoder: msgspec.json.Decoder[S], body: bytes | msgspec.Raw) -> S:
    """`body` by `decoder`; where a field has the wrong type, everything but that field.

    Raises msgspec.DecodeError where the body is not JSON or not an object.
    """
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise msgspec.DecodeError("JSON is nested too deeply") from error
    except msgspec.ValidationError:
        return _salvage(decoder.type, body)


def _salvage(kind: type[S], body: bytes | msgspec.Raw) -> S:
    given = _FIELDS.decode(body)
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = given.get(field.encode_name)
        if raw is None:
            continue
        try:
            kept[field.name] = msgspec.json.decode(raw, type=field.type)
        except msgspec.DecodeError:
            inner = _struct_in(field.type)
            if inner is not None and bytes(raw).lstrip().startswith(b"{"):
                kept[field.name] = _salvage(inner, raw)
    return kind(**kept)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for part in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None
