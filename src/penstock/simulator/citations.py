"""Answers that quote the documents they were given, with the place of each quotation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .dice import Dice

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?\s*")
_QUOTED_MAX = 2


def cited(request: dict[str, Any], words: Dice) -> list[dict[str, Any]] | None:
    """Text blocks that quote up to two documents with citations enabled; None where there is nothing to quote."""
    quotations = [found for document in _documents(request) if (found := _quoted(*document, words)) is not None]
    if not quotations:
        return None
    blocks: list[dict[str, Any]] = [{"type": "text", "text": "According to what was given, "}]
    for number, (text, citation) in enumerate(quotations[:_QUOTED_MAX]):
        if number:
            blocks.append({"type": "text", "text": " And: "})
        blocks.append({"citations": [citation], "type": "text", "text": text})
    return blocks


def _documents(request: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Documents and search results that may be cited, each kind numbered from 0 over the whole request."""
    counts = {"document": 0, "search_result": 0}
    for turn in request["messages"]:
        content = turn.get("content")
        for block in content if isinstance(content, list) else []:
            kind = block.get("type")
            if kind not in counts:
                continue
            if isinstance(block.get("citations"), dict) and block["citations"].get("enabled") is True:
                yield counts[kind], block
            counts[kind] += 1


def _quoted(index: int, block: dict[str, Any], words: Dice) -> tuple[str, dict[str, Any]] | None:
    """A sentence of a document and the citation of it, in the field order of the wire."""
    if block["type"] == "search_result":
        texts = _texts(block.get("content"))
        if not texts:
            return None
        at = words.random.randrange(len(texts))
        return texts[at].strip(), {
            "type": "search_result_location",
            "cited_text": texts[at],
            "source": block.get("source"),
            "title": block.get("title"),
            "search_result_index": index,
            "start_block_index": at,
            "end_block_index": at + 1,
        }
    given = block.get("source")
    source: dict[str, Any] = given if isinstance(given, dict) else {}
    place = {"document_index": index, "document_title": block.get("title")}
    if source.get("type") == "text":
        found = [match for match in _SENTENCE.finditer(str(source.get("data", ""))) if match.group().strip()]
        if not found:
            return None
        one = found[words.random.randrange(len(found))]
        where = {"start_char_index": one.start(), "end_char_index": one.end()}
        return one.group().strip(), {"type": "char_location", "cited_text": one.group(), **place, **where}
    if source.get("type") == "content":
        content = source.get("content")
        texts = [content] if isinstance(content, str) else _texts(content)
        if not texts:
            return None
        at = words.random.randrange(len(texts))
        where = {"start_block_index": at, "end_block_index": at + 1}
        return texts[at].strip(), {"type": "content_block_location", "cited_text": texts[at], **place, **where}
    if source.get("type") == "base64":  # a PDF, whose words are not read here
        where = {"start_page_number": 1, "end_page_number": 2}
        text = "It is on the first page."
        return text, {"type": "page_location", "cited_text": text, **place, **where}
    return None


def _texts(content: Any) -> list[str]:
    blocks = content if isinstance(content, list) else []
    return [str(block["text"]) for block in blocks if isinstance(block, dict) and block.get("text")]
