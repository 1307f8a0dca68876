"""How many tokens a request has, before it is sent.

Texts are weighed by their shape: words, digits, marks, blanks. `expected` has weights fitted on recorded traffic;
those of `most` are meant never to be too small, as budgets hold by them. docs/estimator.md says what each is worth.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

import msgspec

from .documents import pages_of
from .images import UNKNOWN, image_tokens, size_of_base64
from .messages import Request
from .models import shipped
from .overheads import (
    MORE_VENDOR_TOOLS,
    SERVER_TOOLS,
    SERVER_TOOLS_MOST,
    TOOL_SEARCHES,
    VENDOR_TOOL_MOST,
    VENDOR_TOOLS,
    tool_prompt,
    tool_prompt_most,
)
from .prompts import Prompt, read_prompt
from .shapes import Shape, shape_of
from .traits import family_and_version


class Estimate(msgspec.Struct, frozen=True):
    """Input tokens of a request: as many as are likely, and as many as there can be."""

    expected: int
    most: int


class _Likely(NamedTuple):
    """Tokens that are likely for each thing a text has."""

    word: float
    late: float
    digit: float
    mark: float
    newline: float
    gap: float
    foreign: float

    def of(self, shape: Shape) -> float:
        _, words, late, _, _, digits, marks, newlines, gaps, _, foreign, _ = shape
        word, late_letter, digit, mark, newline, gap, alien = self
        return (
            word * words
            + late_letter * late
            + digit * digits
            + mark * marks
            + newline * newlines
            + gap * gaps
            + alien * foreign
        )


class _Most(NamedTuple):
    """Tokens that there can be for each thing a text has.

    English, and code, which is made of its words, is weighed by words; everything else by `letter`, as words of other
    languages and random letters fall into many more tokens. Text of both is in between, by how often it has "th".
    A character that is not ASCII costs one for each of its bytes: no tokenizer of bytes can make more of it.
    """

    word: float
    late: float
    letter: float
    capital: float
    digit: float
    mark: float
    newline: float
    gap: float
    beyond: float

    def of(self, shape: Shape) -> float:
        letters, words, late, capitals, th, digits, marks, newlines, gaps, beyond, _, foreign_bytes = shape
        word, late_letter, letter, capital, digit, mark, newline, gap, blank = self
        english = word * words + late_letter * late
        share = min(1.0, th / (_TH_OF_ENGLISH * words)) if words else 1.0
        return (
            share * english
            + (1.0 - share) * max(english, letter * letters)
            + capital * capitals
            + digit * digits
            + mark * marks
            + newline * newlines
            + gap * gaps
            + blank * beyond
            + foreign_bytes
        )


class _Frame(NamedTuple):
    """What is added to the texts: once, for each turn after the first, for each call of a tool and for its result.

    `enabled` and `adaptive` are for thinking, `counted_down` for a task's budget; `sealed` is for each character of
    the signatures of thoughts, `page` for each page of a document. `text`, `argument`, `definition` and `schema`
    multiply what texts, inputs of calls, definitions of tools and the schema of an answer weigh.
    """

    prompt: float
    turn: float
    call: float
    result: float
    enabled: float
    adaptive: float
    formatted: float
    cited: float
    counted_down: float
    sealed: float
    page: float
    text: float
    argument: float
    definition: float
    schema: float


class _Tokenizer(NamedTuple):
    """The weights of one family of tokenizers. `image_most` is the most tokens of any image."""

    likely: _Likely
    most: _Most
    frame: _Frame
    frame_most: _Frame
    is_dense: bool
    image_most: int

    def weighed(self, texts: list[bytes]) -> tuple[float, float]:
        """What is likely for some texts, and the most."""
        if not texts:
            return _NOTHING
        shape = shape_of(b" ".join(texts))
        return self.likely.of(shape), self.most.of(shape)


_NOTHING = (0.0, 0.0)

# What is likely, up to Claude 4.6: recordings.md §5, where one half was fitted and tested on the other. From 4.7 on:
# fitted on the 79 prompts there are. The most: enough for all that was recorded; pseudo-Latin takes 0.54 a letter. The
# `argument` of the newer one is as high as the simulator counts, which had few and short inputs to go by.
_OLD = _Tokenizer(
    _Likely(1.0, 0.09, 1.03, 0.67, 0.85, 1.7, 1.1),
    _Most(1.25, 0.35, 0.58, 0.4, 1.1, 1.0, 1.0, 2.0, 0.25),
    _Frame(7.3, 3.7, 59.6, 0, 28.8, 17.0, 79.5, 550, 41, 0.28, 2_000, 1.0, 1.16, 1.03, 1.59),
    _Frame(16, 12, 70, 10, 40, 40, 100, 700, 60, 0.45, 4_700, 1.0, 1.25, 1.1, 1.6),
    is_dense=False,
    image_most=1_600,
)
_NEW = _Tokenizer(
    _Likely(1.16, 0.39, 0.52, 0.96, 0.41, 1.0, 1.5),
    _Most(1.6, 0.6, 0.75, 0.5, 1.1, 1.15, 1.0, 2.0, 0.25),
    _Frame(6.3, 1.0, 60, 0, 0, 0, 0, 550, 41, 0.34, 2_600, 1.15, 1.4, 0.92, 2.0),
    _Frame(16, 8, 70, 10, 40, 40, 100, 900, 60, 0.45, 8_800, 1.0, 4.6, 1.1, 1.9),
    is_dense=True,
    image_most=4_820,
)
_FAMILIES = {"claude-3": _OLD, "claude-4.7": _NEW}

#: Texts with a "th" for every fifty words are English, or code written in it.
_TH_OF_ENGLISH = 0.02
#: Pages that a document is expected to have which lies elsewhere.
_PAGES_UNSEEN = 5
#: What is added to the formula of an image at most.
_IMAGE_FRAME = 30
#: Where a model thinks and has tools, on some requests; recorded are 146 to 150.
_THINKING_WITH_TOOLS = 160
_WINDOW_UNKNOWN = 1_000_000
#: Bytes by which the tokens of one block are told.
_WEIGHED = 1 << 15
_FILE = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=]{64,})"')
#: Over what the API's own tools were recorded to add.
_VENDOR_MARGIN = 1.5


#: What texts, odd blocks, arguments, definitions, deferred definitions, schemas and thoughts of a prompt weigh.
_Parts = tuple[float, float, float, float, float, float, float]


class _Reader(NamedTuple):
    """A model, as far as its tokens go.

    `tools` is what tools add, by whether one is forced; `forgets`: what it thought before the user's last words is no
    part of the prompt; `thinks`: it does so unasked.
    """

    tokenizer: _Tokenizer
    tools: tuple[int, int]
    tools_most: int
    forgets: bool
    thinks: bool
    window_tokens: int
    pages_max: int


def estimate(request: Request, model: str, body: bytes = b"") -> Estimate:
    """The input tokens of a request to `model` (id or alias).

    Give the `body` it was read from, as the schema of an answer, thinking and the choice of a tool stand only there.
    """
    reader, prompt = _reader(model), read_prompt(request, body)
    weighed = reader.tokenizer.weighed
    texts, odd = weighed([" ".join(prompt.texts).encode()]), weighed(prompt.odd)
    arguments, thoughts = weighed(prompt.arguments), weighed([text.encode() for text in prompt.thoughts])
    definitions, deferred, schemas = weighed(prompt.definitions), weighed(prompt.deferred), weighed(prompt.schemas)
    likely, most = zip(texts, odd, arguments, definitions, deferred, schemas, thoughts, strict=True)
    documents = [_pages(data, reader) for data in prompt.documents]
    expected = max(1, round(_expected(prompt, likely, documents, reader)))
    return Estimate(expected, max(expected, math.ceil(_ceiling(prompt, most, documents, reader))))


def likely_tokens(raw: bytes, model: str, kind: str, most: int = _WEIGHED) -> float:
    """The tokens that one block likely has, by its values as JSON. `kind` is its type, or "tool".

    Quicker than `estimate`, as it reads nothing apart: for whoever has many blocks and minds no tenth more or less. Of
    each no more than `most` bytes are weighed; what is longer is taken to go on like that.
    """
    reader, tokens = _reader(model), 0.0
    tokenizer, frame = reader.tokenizer, reader.tokenizer.frame
    if b'"base64"' in raw:
        for file in _FILE.findall(raw):
            size = size_of_base64(file.decode())
            if size is not None:
                tokens += image_tokens(*size, is_dense=tokenizer.is_dense)
            else:
                tokens += frame.page * _pages(file.decode(), reader)[0]
        raw = _FILE.sub(b"", raw)
    elif kind == "image":
        tokens += image_tokens(*UNKNOWN, is_dense=tokenizer.is_dense)
    text = raw[:most].replace(b"\\n", b"\n")
    share = len(raw) / most if len(raw) > most else 1.0
    weight = {"tool_use": frame.argument, "tool": frame.definition}.get(kind, frame.text)
    return tokens + weight * share * tokenizer.likely.of(shape_of(text)) + (frame.call if kind == "tool_use" else 0.0)


@lru_cache(256)
def _reader(name: str) -> _Reader:
    """By id or alias. An unknown model has the newest tokenizer and the longest instructions for tools."""
    known = shipped().find(name)
    model_id = known.id if known is not None else name
    family, version = family_and_version(model_id)
    window = known.context_tokens if known is not None else _WINDOW_UNKNOWN
    oldest = {"opus": (4, 5), "sonnet": (4, 6)}.get(family, (0, 0))
    return _Reader(
        tokenizer=_FAMILIES[known.tokenizer] if known is not None else _NEW,
        tools=tool_prompt(model_id),
        tools_most=tool_prompt_most(model_id) if known is not None else tool_prompt_most(""),
        forgets=family == "haiku" or version < oldest,
        thinks=known is None or known.capabilities.thinks_unasked,
        window_tokens=window,
        pages_max=600 if window >= 1_000_000 else 100,
    )


def _expected(prompt: Prompt, parts: _Parts, documents: list[tuple[int, int]], reader: _Reader) -> float:
    tokenizer, frame = reader.tokenizer, reader.tokenizer.frame
    texts, odd, arguments, definitions, deferred, schemas, thoughts = parts
    tokens = _framed(prompt, frame) + frame.text * (texts + odd)
    tokens += frame.argument * arguments + frame.schema * schemas
    tokens += frame.definition * definitions
    if prompt.thinking:
        tokens += {"enabled": frame.enabled, "adaptive": frame.adaptive}.get(prompt.thinking, 0.0)
    if prompt.tools:
        tokens += reader.tools[prompt.choice in ("any", "tool")]
    if deferred and any(b'"tool_reference"' in block for block in prompt.odd):
        tokens += frame.definition * deferred
    if prompt.ends_in_results or not reader.forgets:
        tokens += thoughts or frame.sealed * prompt.sealed
    for size in prompt.images:
        tokens += image_tokens(*(size or UNKNOWN), is_dense=tokenizer.is_dense)
    for pages, _ in documents:
        tokens += frame.page * pages
    for kind in prompt.vendor_tools:
        tokens += _vendor_tokens(kind, tokenizer.is_dense)
    return tokens


def _ceiling(prompt: Prompt, parts: _Parts, documents: list[tuple[int, int]], reader: _Reader) -> float:
    tokenizer, frame, window = reader.tokenizer, reader.tokenizer.frame_most, reader.window_tokens
    texts, odd, arguments, definitions, deferred, schemas, thoughts = parts
    tokens = _framed(prompt, frame) + frame.text * (texts + odd)
    tokens += frame.argument * arguments + frame.schema * schemas
    tokens += frame.definition * (definitions + deferred)
    tokens += max(thoughts, frame.sealed * prompt.sealed)
    is_thinking = prompt.thinking != "disabled" and (prompt.thinking != "" or reader.thinks or not prompt.has_frame)
    if is_thinking:
        tokens += frame.enabled
    if prompt.tools:
        tokens += reader.tools_most + (_THINKING_WITH_TOOLS if is_thinking else 0)
    for size in prompt.images:
        tokens += _image_most(size, tokenizer)
    for _, pages in documents:
        tokens += frame.page * pages
    for kind in prompt.vendor_tools:
        tokens += _VENDOR_MARGIN * _vendor_tokens(kind, tokenizer.is_dense) or VENDOR_TOOL_MOST
        if kind.startswith(SERVER_TOOLS):
            return max(tokens, window, SERVER_TOOLS_MOST)  # the sum of many readings, so no window holds it
    readings = 2 if prompt.is_compacted else 1
    if prompt.vendor_tools and any(kind.startswith("tool_search_tool") for kind in prompt.vendor_tools):
        readings *= TOOL_SEARCHES
    return min(tokens, window) * readings


def _framed(prompt: Prompt, frame: _Frame) -> float:
    """What turns, calls, and what is asked of the answer add."""
    return (
        frame.prompt
        + frame.turn * max(0, prompt.turns - 1)
        + frame.call * prompt.calls
        + frame.result * prompt.results
        + (frame.formatted if prompt.schemas else 0.0)
        + (frame.cited if prompt.is_cited else 0.0)
        + (frame.counted_down if prompt.is_counted_down else 0.0)
    )


def _pages(data: str, reader: _Reader) -> tuple[int, int]:
    """Pages of a document that are likely, and the most; of one that lies elsewhere, as many as fill the window."""
    if not data:
        return _PAGES_UNSEEN, 1 + int(reader.window_tokens / reader.tokenizer.frame_most.page)
    return pages_of(data, reader.pages_max)


def _image_most(size: tuple[int, int] | None, tokenizer: _Tokenizer) -> float:
    if size is None:
        return tokenizer.image_most
    tokens = max(image_tokens(*size, is_dense=False), image_tokens(*size, is_dense=True))
    return min(tokenizer.image_most, tokens + _IMAGE_FRAME)


def _vendor_tokens(kind: str, is_dense: bool) -> int:
    for known, tokens in _ALL_VENDOR_TOOLS.items():
        if kind.startswith(known):
            return tokens[is_dense]
    return 0


_ALL_VENDOR_TOOLS = VENDOR_TOOLS | MORE_VENDOR_TOOLS
