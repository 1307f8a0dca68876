"""Tools that run at the API: web search, web fetch, code execution. What they bring is made up, and always the same."""

from __future__ import annotations

import re
from typing import Any

from .dice import Dice

_URL = re.compile(r"https?://[^\s\"'<>)]+")
_ASKS = {
    "web_search_": re.compile(r"\b(?:search|look up|latest|current|news|on the web)\b", re.I),
    "web_fetch_": _URL,
    "code_execution_": re.compile(r"\b(?:run|execute|compute|calculate|code|python)\b", re.I),
}
_CALLER = {"type": "direct"}


def served(request: dict[str, Any], prompt: str, words: Dice, ids: Dice) -> list[dict[str, Any]] | None:
    """One use of a server tool the prompt asks for: call, result and a last word; None where it asks for none."""
    for tool in request.get("tools") or []:
        kind = str(tool.get("type") or "")
        prefix = next((one for one in _ASKS if kind.startswith(one)), None)
        is_off = (request.get("tool_choice") or {}).get("type") == "none"
        if prefix is None or is_off or not _ASKS[prefix].search(prompt):
            continue
        id = ids.id("srvtoolu")
        if prefix == "web_search_":
            return _searched(request, tool, id, prompt, words)
        return _fetched(id, prompt) if prefix == "web_fetch_" else _executed(id)
    return None


def searches(blocks: list[dict[str, Any]], name: str = "web_search") -> int:
    """How many uses of a server tool answered: failed ones are not billed."""
    results = [block for block in blocks if block["type"].endswith("_tool_result")]
    failed = {block["tool_use_id"] for block in results if "error_code" in block["content"]}
    uses = [block for block in blocks if block["type"] == "server_tool_use" and block["name"] == name]
    return sum(block["id"] not in failed for block in uses)


def _searched(request: dict[str, Any], tool: dict[str, Any], id: str, prompt: str, words: Dice) -> list[dict[str, Any]]:
    query = " ".join(prompt.split()[:8])
    call = {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": query}, "caller": _CALLER}
    most = tool.get("max_uses")
    if isinstance(most, int) and _used(request, "web_search") >= most:
        error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
        refused = {"type": "web_search_tool_result", "tool_use_id": id, "content": error, "caller": _CALLER}
        return [call, refused, {"type": "text", "text": "No more searches are allowed."}]
    found: list[dict[str, Any]] = [
        {
            "type": "web_search_result",
            "title": f"About {query}",
            "url": f"https://www.example.com/{number}",
            "encrypted_content": words.base64(400),
            "page_age": None,
        }
        for number in (1, 2)
    ]
    result = {"type": "web_search_tool_result", "tool_use_id": id, "content": found, "caller": _CALLER}
    said = "The river turns the wheel."
    citation = {
        "type": "web_search_result_location",
        "cited_text": said,
        "url": found[0]["url"],
        "title": found[0]["title"],
        "encrypted_index": words.base64(200),
    }
    text = {"citations": [citation], "type": "text", "text": said}
    return [call, result, {"type": "text", "text": "From what was found: "}, text]


def _fetched(id: str, prompt: str) -> list[dict[str, Any]]:
    found = _URL.search(prompt)
    url = found.group() if found else ""
    page = {"type": "text", "media_type": "text/plain", "data": "The river turns the wheel."}
    content = {
        "type": "web_fetch_result",
        "url": url,
        "retrieved_at": "2026-08-01T00:00:00.000000+00:00",
        "content": {"type": "document", "source": page, "title": "A page", "citations": None},
    }
    return [
        {"type": "server_tool_use", "id": id, "name": "web_fetch", "input": {"url": url}, "caller": _CALLER},
        {"type": "web_fetch_tool_result", "tool_use_id": id, "content": content, "caller": _CALLER},
        {"type": "text", "text": "The page says that the river turns the wheel."},
    ]


def _executed(id: str) -> list[dict[str, Any]]:
    content = {"type": "code_execution_result", "stdout": "42\n", "stderr": "", "return_code": 0, "content": []}
    code = {"code": "print(6 * 7)"}
    return [
        {"type": "server_tool_use", "id": id, "name": "code_execution", "input": code, "caller": _CALLER},
        {"type": "code_execution_tool_result", "tool_use_id": id, "content": content},
        {"type": "text", "text": "It printed 42."},
    ]


def _used(request: dict[str, Any], name: str) -> int:
    """How often a tool has been used in the conversation so far."""
    return sum(
        block.get("type") == "server_tool_use" and block.get("name") == name
        for turn in request["messages"]
        for block in (turn["content"] if isinstance(turn.get("content"), list) else [])
    )
