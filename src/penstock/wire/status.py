"""The provider's status page: what its summary says of the API.

Statuspage's `summary.json`, as status.claude.com serves it: `components` with a `status`, `incidents` that are open.
"""

from __future__ import annotations

import msgspec

_API = "api.anthropic.com"
_WELL = frozenset({"operational", "under_maintenance"})
_OVER = frozenset({"resolved", "postmortem", "completed"})


class _Component(msgspec.Struct):
    name: str = ""
    status: str = "operational"


class _Incident(msgspec.Struct):
    name: str = ""
    status: str = ""
    components: list[_Component] = []


class _Summary(msgspec.Struct):
    components: list[_Component] = []
    incidents: list[_Incident] = []


_DECODER = msgspec.json.Decoder(_Summary)


def incident(summary: bytes) -> str | None:
    """The open incident that touches the API, in the provider's words; None where all is well.

    Raises ValueError for what is no summary, such as the page of a bot check.
    """
    try:
        page = _DECODER.decode(summary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a status summary: {error}") from error
    for one in page.incidents:
        if one.status not in _OVER and any(_API in component.name for component in one.components):
            return one.name
    for component in page.components:
        if _API in component.name and component.status not in _WELL:
            return f"{component.name}: {component.status.replace('_', ' ')}"
    return None
