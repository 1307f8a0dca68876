"""Signs that a text gives orders to the model that reads it: a heuristic, by phrases known from attacks.

Each sign has words it cannot do without; only the parts of a text around them are looked at closely, by expressions
whose every repetition is bounded. What is said to the model in the user's own turn may be a wish ("keep your answer
short"); in a document or a tool's result the same is a sign.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .finding import PIECE

_AHEAD, _BACK = 200, 170
#: No sign is longer.
_WIDTH_MAX = 1000
_GAP = r"[^a-z0-9<]{1,4}"
#: Characters that are not seen: spaces of no width, joiners, marks of direction, soft hyphens.
_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
_TAGS = re.compile("[\U000e0020-\U000e007e]{8,}")


class _Sign(NamedTuple):
    name: str
    is_of_users_too: bool
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]


def _sign(name: str, anchors: str, pattern: str, *, is_of_users_too: bool = True) -> _Sign:
    """`~` in a pattern is what may stand between words, `...` up to four words."""
    spelled = pattern.replace("...", rf"(?:{_GAP}[a-z0-9'’-]{{1,20}}){{0,4}}?{_GAP}").replace("~", _GAP)
    return _Sign(name, is_of_users_too, tuple(anchors.split("|")), re.compile(spelled))


_EARLIER = r"(?:previous|prior|preceding|above|earlier|former|initial|original|foregoing|before|past)"
_ORDERS = (
    r"(?:instructions?|prompts?|orders|rules|guidelines|directions|commands|directives|programming|training|context)"
)
_SAY = (
    r"(?:repeat|reveal|print|show|output|tell|display|leak|disclose|give|write|return|translate|summari[sz]e|recite|"
    r"dump|echo|share|expose|list|type|spell|what (?:is|are|was|were))"
)
_CHANGE = (
    r"(?:add|include|append|insert|integrate|incorporate|augment|enhance|modify|finish|end|begin|start|conclude|"
    r"close|preface|provide|write|translate|encode|convert|replace|substitute|use|introduce|anagram|group|combine|"
    r"format|express|present|deliver|display|render|reverse|rearrange|shuffle|scramble|misspell|swap|remove|"
    r"embed|mention|promote|suggest|limit|respond|answer|reply|make|put|place|utili[sz]e|employ|give|attach|weave|"
    r"ensure|adjust|transform|alter|change|supplement|complement|complete|create|generate|inject|craft|shape|apply)"
)
_YOUR_ANSWER = r"(?:your|the)~(?:next~|final~|entire~|whole~)?(?:response|reply|answer|output)\b"

_SIGNS = (
    _sign(
        "override",
        "ignor|disregard|forget|overrid|overlook|bypass|follow|neglect|discard",
        rf"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|overlook|bypass|stop following|"
        rf"(?:do~not|don.?t|not) follow|neglect|discard)\b(?:...|~)"
        rf"(?:{_EARLIER}(?:...|~){_ORDERS}|{_ORDERS}(?:...|~)(?:{_EARLIER}|you)\b|(?:your|my)~{_ORDERS}"
        rf"|(?:all|any)~{_ORDERS}|everything~(?:{_EARLIER}|you|i)\b|all~{_EARLIER}\b(?:~{_ORDERS})?)",
    ),
    _sign(  # the verbs that nobody uses of a manual
        "override",
        "ignor|disregard|forget|overrid",
        rf"\b(?:ignore|disregard|forget|override)~(?:about~)?(?:the|these|those|this)~(?:\w{{1,12}}~)?{_ORDERS}\b",
    ),
    _sign(
        "override",
        "ignor|vergiss|missacht|oubli|olvid|dimentic|esquec",
        r"\b(?:ignor\w{0,6}|vergiss|missacht\w{0,4}|oubli\w{0,4}|olvid\w{0,4}|dimentic\w{0,4}|esque[cç]\w{0,4})\b"
        r"(?:...|~)(?:anweisung|instruktion|vorgaben|befehle|consignes|instructions~pr[ée]c|instruccion|istruzion|instru[cç][ãõoa])",
    ),
    _sign(
        "override",
        "instruction|new task|new rule",
        r"(?:(?:here~(?:is|are)|these~are|follow|this~is)(?:...|~)(?:new|real|updated)~(?:instructions?|tasks?|rules?)\b"
        r"|\b(?:new|real|updated|important|additional|admin|system)~instructions?~?:)",
    ),
    _sign(
        "persona",
        "from now on|you are|act as|acting as|pretend|imagine|role|simulat",
        r"(?:from~now~on,?~(?:you|your|act|answer|respond|reply|only)\b"
        r"|you~are~(?:now~|no~longer~)(?:a|an|in|the|bound|required|going|my)\b"
        r"|(?:you~are|act~as|acting~as|pretend|imagine|roleplay|role~play|simulate)(?:...|~)"
        r"(?:dan\b|jailbroken|unrestricted|unfiltered|uncensored ai|rogue|evil|no~restrictions|no~limits|no~rules|"
        r"not~bound|(?:developer|god|debug|dev|admin|root)~mode|without~(?:any~)?(?:restrictions|limits|filters|rules)))",
    ),
    _sign(
        "persona",
        "anything now|jailbr| mode|no ethical|typical confines|can do anything|not bound by",
        r"(?:do~anything~now|jailbr(?:eak|oken)~(?:mode|prompt|enabled)|\b\w{2,20}~mode~(?:enabled|activated|on)\b"
        r"|dan~mode|developer~mode~(?:is|enabled|output|v[0-9])|no~ethical~(?:or~moral~)?(?:guidelines|constraints|rules)"
        r"|typical~confines~of~ai|dan~can~do~anything|not~bound~by(?:...|~)(?:rules|policy|policies|guidelines|restrict))",
    ),
    _sign(
        "extraction",
        "prompt|instruction|password|secret|above|far",
        rf"\b{_SAY}\b(?:...|~)(?:(?:your|its|thy)~(?:\w{{1,12}}~){{0,2}}(?:prompt|instructions?|guidelines|password|"
        r"secrets?)\b|(?:system|initial|hidden|original|secret)~(?:system~)?(?:prompt|instructions?|password|word)\b"
        r"|all~(?:of~)?(?:the~|your~)?instructions\b|(?:instructions?|words|text|everything|prompt)~(?:above|so~far)\b"
        r"|the~(?:secret|password)\b)",
    ),
    _sign(
        "markup",
        "im_|inst]|sys>>|system|human:|instruction|user",
        r"(?:<\|im_(?:start|end)\|>|\[/?inst\]|<</?sys>>|</?system>|\n\nhuman:|#{2,4} ?(?:system|instruction)s?\b ?:?|"
        r"\[system\]|<\|(?:system|user|assistant)\|>|begin~system~(?:prompt|message))",
    ),
    _sign(
        "exfiltration",
        "](http|send |forward |upload |post ",
        r"(?:!\[[^\]\n]{0,80}\]\(https?://[^)\s]{1,120}[?&=/](?:\{|\[|<|\$)"
        r"|\b(?:send|forward|upload|post)~(?:(?:all|the|this|your|every|any|its|a copy of|contents?)~){1,3}"
        r"(?:\w{1,20}~){0,3}(?:conversation|history|secrets?|passwords?|api~keys?|credentials|system~prompt|emails?|"
        r"data)~(?:to|via)~(?:https?|\S{1,60}@|www|this~(?:url|address|server)))",
    ),
    _sign(
        "address",
        "language model|assistant|llm|chatgpt|claude|ai agent|ai:|an ai|chatbot",
        r"(?:\bif~you~are~(?:an?~)?(?:ai|llm|large~language~model|language~model|assistant|chatbot|agent)\b"
        r"|\b(?:dear|attention|note~to|message~(?:to|for)|hey|hello|instructions?~for)~(?:all~|any~|the~|an?~)?"
        r"(?:ai\b|llm|large~language~model|language~model|assistant|claude|chatgpt|ai~(?:agent|assistant)))",
        is_of_users_too=False,
    ),
    _sign(
        "steering",
        "response|reply|answer|output",
        rf"(?:(?:^|[.!?:;)\]>|\n]\W{{0,6}}|\b(?:please|must|and|then|also|can~you|should|to)~){_CHANGE}\b"
        rf"(?:[^.!?\n]|[.!?](?=[\w'\"”’])){{0,110}}?\b{_YOUR_ANSWER}"
        rf"|(?:^|[.!?:;)\]>|\n]\W{{0,6}})(?:in|throughout|within|at~the~end~of|as~part~of|with|for)~your~"
        r"(?:response|reply|answer|output)\b)",
        is_of_users_too=False,
    ),
    _sign(
        "steering",
        "code",
        r"\b(?:includ|ensur|add|incorporat|embed|insert|employ|us|utiliz|integrat|mak|appl|append|implement|inject|"
        r"plac|execut|run|leverag|adopt|introduc|remember)(?:e|es|ing|ion)?\b(?:...|~)"
        r"(?:(?:following|subsequent|below|given|next|provided)~(?:\w{1,12}~){0,1}code|code~(?:below|snippet|excerpt|"
        r"block|section|segment|fragment))[^.\n]{0,80}?\b(?:your|the)~(?:\w{1,15}~){0,2}"
        r"(?:implementation|codebase|code|solution|project|program|script|response|answer|logic)",
        is_of_users_too=False,
    ),
)


def signs(text: str, *, is_users: bool, is_allowed: Callable[[str], bool] | None = None) -> Iterator[tuple[str, str]]:
    """The names of the signs in a text, each once, with the words in which it was first seen, in lower case.

    Words that are allowed are none.
    """
    return (found for found in steps(text, is_users=is_users, is_allowed=is_allowed) if found is not None)


def steps(
    text: str, *, is_users: bool, is_allowed: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, str] | None]:
    """The same, with None in between where some of the work is done."""
    if not text.isascii():
        tags = _TAGS.search(text)
        if tags is not None and not (is_allowed is not None and is_allowed(tags[0])):
            yield "hidden", tags[0]
        text = _plain(text)
    text = text.lower()
    seen: set[str] = set()
    places: dict[str, list[int]] = {}
    for sign in _SIGNS:
        if sign.name in seen or (is_users and not sign.is_of_users_too):
            continue
        for start, end in _pieces(regions(text, sign.anchors, places)):
            if end - start > PIECE:
                yield None
            match = sign.pattern.search(text, start, end)
            while match is not None and is_allowed is not None and is_allowed(match[0]):
                match = sign.pattern.search(text, match.end(), end)
            if match is not None:
                seen.add(sign.name)
                yield sign.name, match[0]
                break
        if len(text) > PIECE:
            yield None


def _pieces(parts: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of a text, long ones in pieces that overlap by as much as a sign may have."""
    for start, end in parts:
        for at in range(start, end, PIECE):
            yield at, min(end, at + PIECE + _WIDTH_MAX)


def regions(text: str, anchors: tuple[str, ...], places: dict[str, list[int]]) -> list[tuple[int, int]]:
    """The parts of a text around these words, from left to right; those that touch are one.

    What looks at these parts alone takes time by the length of the text, however often the words are in it. `places`
    is where words are, as far as they have been looked for.
    """
    wanted: list[int] = []
    for anchor in anchors:
        if anchor not in places:
            places[anchor] = _places(text, anchor) if anchor in text else []
        wanted += places[anchor]
    found: list[tuple[int, int]] = []
    for at in sorted(wanted):
        start, end = max(0, at - _BACK), min(len(text), at + _AHEAD)
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _places(text: str, anchor: str) -> list[int]:
    found = []
    at = text.find(anchor)
    while at >= 0:
        found.append(at)
        at = text.find(anchor, at + len(anchor))
    return found


def _plain(text: str) -> str:
    """A text as it is read: compatible spellings as usual ones, the unseen left out, tags as their ASCII."""
    shown = _TAGS.sub(lambda tags: "".join(chr(ord(char) - 0xE0000) for char in tags[0]), text)
    shown = _UNSEEN.sub("", shown)
    return shown if unicodedata.is_normalized("NFKC", shown) else unicodedata.normalize("NFKC", shown)
