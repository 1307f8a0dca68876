"""A request taken apart into what its tokens are counted by: texts, calls of tools, images, documents, frames.

Texts are decoded, everything else stays JSON. Where a part is not of the shape the API takes, all of its bytes count
as text: the API will refuse it, and if it does not, that is more than it can have.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from . import lenient
from .images import size_of_base64
from .messages import Request

_ABSENT = msgspec.Raw(b"")
_SHOWN = b'{"name":%b,"description":%b,"input_schema":%b,"input_examples":%b}'
_SHOWN_BARE = b'{"name":%b,"description":%b,"input_schema":%b}'


class _Source(msgspec.Struct, frozen=True):
    type: str = ""
    data: str = ""


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    input: msgspec.Raw = _ABSENT
    content: msgspec.Raw = _ABSENT
    source: msgspec.Raw = _ABSENT
    citations: msgspec.Raw = _ABSENT


class _Turn(msgspec.Struct, frozen=True):
    role: str = ""
    content: msgspec.Raw = _ABSENT


class _Tool(msgspec.Struct, frozen=True):
    type: str | None = None
    name: msgspec.Raw = _ABSENT
    description: msgspec.Raw = _ABSENT
    input_schema: msgspec.Raw = _ABSENT
    input_examples: msgspec.Raw = _ABSENT
    allowed_callers: msgspec.Raw = _ABSENT
    defer_loading: bool = False


class _Typed(msgspec.Struct, frozen=True):
    type: str = ""


class _Format(msgspec.Struct, frozen=True):
    schema: msgspec.Raw = _ABSENT


class _Output(msgspec.Struct, frozen=True):
    format: _Format | None = None
    task_budget: msgspec.Raw = _ABSENT


class _Frame(msgspec.Struct, frozen=True):
    thinking: _Typed | None = None
    tool_choice: _Typed | None = None
    output_config: _Output | None = None
    output_format: _Format | None = None
    mcp_servers: msgspec.Raw = _ABSENT
    context_management: msgspec.Raw = _ABSENT


_TURNS = msgspec.json.Decoder(list[_Turn])
_CONTENT = msgspec.json.Decoder(str | list[_Block] | None)
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_TOOLS = msgspec.json.Decoder(list[_Tool])
_SOURCE = msgspec.json.Decoder(_Source)
_FRAME = msgspec.json.Decoder(_Frame)


@dataclass(slots=True)
class Prompt:
    """What a request asks a model to read.

    texts            of turns, of the system prompt and of tools' results
    arguments        inputs of tool calls, JSON
    definitions      tools as the model sees them, JSON; `deferred` are those that are loaded only when searched for
    schemas          what an answer must have, JSON
    odd              blocks of other kinds, documents of text among them, JSON
    thoughts         texts of thinking; `sealed` counts the characters of their signatures
    images           width and height in pixels, None where the file lies elsewhere or cannot be read
    documents        those that are no text, in base64, empty where they lie elsewhere
    vendor_tools     types of tools that the API defines itself
    turns, calls, results, tools    how many there are
    thinking, choice                types of `thinking` and `tool_choice`, empty where absent
    ends_in_results  the last turn answers tool calls
    is_cited         a document is to be cited
    is_counted_down  the model is told a budget for its task
    is_compacted     the API may read it once more, to sum it up
    has_frame        what stands beside system, tools and messages was read too
    """

    texts: list[str] = field(default_factory=list)
    arguments: list[bytes] = field(default_factory=list)
    definitions: list[bytes] = field(default_factory=list)
    deferred: list[bytes] = field(default_factory=list)
    schemas: list[bytes] = field(default_factory=list)
    odd: list[bytes] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    sealed: int = 0
    images: list[tuple[int, int] | None] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    vendor_tools: list[str] = field(default_factory=list)
    turns: int = 0
    calls: int = 0
    results: int = 0
    tools: int = 0
    thinking: str = ""
    choice: str = ""
    ends_in_results: bool = False
    is_cited: bool = False
    is_counted_down: bool = False
    is_compacted: bool = False
    has_frame: bool = False


def read_prompt(request: Request, body: bytes = b"") -> Prompt:
    """The prompt of a request. What stands beside system, tools and messages is seen only where `body` is given."""
    prompt = Prompt()
    if request.messages:
        _read_turns(prompt, request.messages)
    if request.system:
        _read_content(prompt, request.system)
    if request.tools:
        _read_tools(prompt, request.tools)
    if body:
        _read_frame(prompt, body)
    return prompt


def _read_turns(prompt: Prompt, raw: msgspec.Raw) -> None:
    try:
        turns = _TURNS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        prompt.odd.append(bytes(raw))
        return
    prompt.turns = len(turns)
    results = 0
    for turn in turns:
        results = prompt.results
        _read_content(prompt, turn.content)
    prompt.ends_in_results = prompt.results > results


def _read_content(prompt: Prompt, raw: msgspec.Raw) -> None:
    """A text, or blocks, of a turn, a system prompt, a tool's result or a document."""
    try:
        content = _CONTENT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        prompt.odd.append(bytes(raw))
        return
    if isinstance(content, str):
        prompt.texts.append(content)
        return
    odd = [at for at, block in enumerate(content or ()) if not _is_read(prompt, block)]
    if odd:
        raws = _RAWS.decode(raw)
        prompt.odd += [compact(raws[at]) for at in odd]


def _is_read(prompt: Prompt, block: _Block) -> bool:
    """Whether a block is of a kind known here; if so it is now in the prompt."""
    kind = block.type
    if block.citations and b"true" in bytes(block.citations):
        prompt.is_cited = True
    if kind == "text":
        prompt.texts.append(block.text)
    elif kind == "tool_use":
        prompt.calls += 1
        prompt.arguments.append(compact(block.input))
    elif kind == "tool_result":
        prompt.results += 1
        if block.content:
            _read_content(prompt, block.content)
    elif kind in ("thinking", "redacted_thinking"):
        prompt.thoughts.append(block.thinking)
        prompt.sealed += len(block.signature) + len(block.data)
    elif kind in ("image", "document"):
        return _is_source_read(prompt, block)
    else:
        return False
    return True


def _is_source_read(prompt: Prompt, block: _Block) -> bool:
    try:
        source = _SOURCE.decode(block.source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if block.type == "image":
        prompt.images.append(size_of_base64(source.data) if source.type == "base64" else None)
        return True
    if source.type in ("text", "content"):
        return False
    prompt.documents.append(source.data)
    return True


def _read_tools(prompt: Prompt, raw: msgspec.Raw) -> None:
    try:
        tools = _TOOLS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        prompt.odd.append(bytes(raw))
        prompt.tools = 1
        return
    prompt.tools = len(tools)
    for tool in tools:
        if tool.type is not None and tool.type != "custom":
            prompt.vendor_tools.append(tool.type)
            continue
        if b"code_execution" in bytes(tool.allowed_callers):
            prompt.vendor_tools.append("code_execution")
        fields = (tool.name, tool.description, tool.input_schema, tool.input_examples)
        shown = _SHOWN % fields if tool.input_examples else _SHOWN_BARE % fields[:3]
        (prompt.deferred if tool.defer_loading else prompt.definitions).append(compact(shown))


def _read_frame(prompt: Prompt, body: bytes) -> None:
    try:
        frame = lenient.decode(_FRAME, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    prompt.has_frame = True
    prompt.thinking = frame.thinking.type if frame.thinking is not None else ""
    prompt.choice = frame.tool_choice.type if frame.tool_choice is not None else ""
    prompt.is_counted_down = frame.output_config is not None and bool(frame.output_config.task_budget)
    prompt.is_compacted = b'"compact_' in bytes(frame.context_management)
    if frame.mcp_servers and bytes(frame.mcp_servers) not in (b"null", b"[]"):
        prompt.vendor_tools.append("mcp_toolset")
    for asked in (frame.output_config.format if frame.output_config is not None else None, frame.output_format):
        if asked is not None and asked.schema:
            prompt.schemas.append(compact(asked.schema))


def compact(raw: bytes | msgspec.Raw) -> bytes:
    """JSON as the model sees it: characters that were escaped as \\uXXXX stand for themselves."""
    given = bytes(raw)
    if b"\\u" not in given:
        return given
    try:
        return msgspec.json.encode(msgspec.json.decode(given))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return given
