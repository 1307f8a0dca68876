"""The OpenAPI description of `/penstock/api/`."""

from __future__ import annotations

from typing import Any

from ...record import Record
from ...stores.reading import GROUPABLE
from ...version import VERSION

_KINDS = {"int": "integer", "str": "string", "bool": "boolean"}


def document() -> dict[str, Any]:
    """OpenAPI 3.1, with the fields of a call taken from the record itself."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": VERSION,
            "description": "What Penstock knows of calls. The Claude API itself, under /v1/, is not described here.",
        },
        "security": [{"key": []}],
        "paths": {
            "/penstock/api/calls/{call_id}": {
                "get": {
                    "operationId": "get_call",
                    "summary": "One call: its record, cost and trail.",
                    "parameters": [
                        {"name": "call_id", "in": "path", "required": True, "schema": {"type": "string"}},
                    ],
                    "responses": {**_answer("The call.", _call()), **_errors("401", "404", "503")},
                }
            },
            "/penstock/api/report": {
                "get": {
                    "operationId": "get_report",
                    "summary": "Cost, tokens, latency and errors, in all and by group. Needs the scope admin.",
                    "parameters": [
                        _query("by", f"Labels with commas, of {', '.join(sorted(GROUPABLE))}.", "string"),
                        _query("since_us", "From when, in Unix microseconds.", "integer"),
                        _query("until_us", "Up to when, in Unix microseconds.", "integer"),
                    ],
                    "responses": {**_answer("The report.", _report()), **_errors("400", "401", "403", "503")},
                }
            },
            "/penstock/api/upstreams": {
                "get": {
                    "operationId": "get_upstreams",
                    "summary": "Circuits that are not closed, and the provider's open incident.",
                    "responses": {**_answer("What is not well.", _upstreams()), **_errors("401", "503")},
                }
            },
        },
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}}},
    }


def _query(name: str, said: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": said, "schema": {"type": kind}}


def _answer(said: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": said, "content": {"application/json": {"schema": schema}}}}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"description": "An error in the shape of the Claude API."} for status in statuses}


def _call() -> dict[str, Any]:
    """The record's columns by their annotations: `int | None` is a nullable integer."""
    fields: dict[str, Any] = {}
    for name, hint in Record.__annotations__.items():
        kinds = [part.strip() for part in hint.split("|")]
        if name != "trail":
            fields[name] = {"type": [_KINDS.get(kind, "null") for kind in kinds]}
    fields["cost_usd"] = {"type": ["string", "null"], "description": "Exact decimal dollars."}
    fields["trail"] = {"type": "array", "items": {"type": "object"}}
    return {"type": "object", "properties": fields, "required": sorted(fields)}


def _report() -> dict[str, Any]:
    row = {"type": "object", "required": ["calls", "cost_usd"]}
    return {"type": "object", "properties": {"totals": row, "groups": {"type": "array", "items": row}}}


def _upstreams() -> dict[str, Any]:
    circuit = {
        "type": "object",
        "properties": {
            "circuit": {"type": "string", "description": "Upstream, key and model."},
            "state": {"enum": ["open", "half-open"]},
            "until_us": {"type": "integer", "description": "When one call may probe it, in Unix microseconds."},
            "opens": {"type": "integer", "description": "How often it has opened since it was last closed."},
        },
        "required": ["circuit", "state", "until_us", "opens"],
    }
    properties = {"circuits": {"type": "array", "items": circuit}, "incident": {"type": ["string", "null"]}}
    return {"type": "object", "properties": properties, "required": sorted(properties)}
