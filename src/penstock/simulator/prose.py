"""Text that means nothing and always comes out the same."""

from __future__ import annotations

import re
from random import Random

from .tokens import Weights, answer_tokens

_PIECE = re.compile(r"\s*\S+|\s+$")
_VERBS = [
    "carries",
    "holds",
    "meets",
    "turns",
    "follows",
    "opens",
    "lifts",
    "feeds",
    "guards",
    "crosses",
    "joins",
    "slows",
]
_NOUNS = [
    "water",
    "gate",
    "river",
    "pipe",
    "wheel",
    "valve",
    "basin",
    "channel",
    "stone",
    "bridge",
    "meadow",
    "harbour",
    "lantern",
    "mill",
    "turbine",
    "reservoir",
    "embankment",
    "weather",
    "signal",
    "morning",
    "engineer",
    "measure",
    "current",
    "pressure",
]
_QUALITIES = [
    "quiet",
    "narrow",
    "steady",
    "cold",
    "early",
    "broad",
    "patient",
    "level",
    "distant",
    "bright",
    "careful",
    "deep",
]
_LINKS = ["while", "because", "so", "although", "where", "once", "until"]


def sentence(random: Random) -> list[str]:
    """One sentence, as words; the last one carries the full stop."""
    words = ["The", random.choice(_QUALITIES), random.choice(_NOUNS), random.choice(_VERBS), "the"]
    words += [random.choice(_QUALITIES), random.choice(_NOUNS)]
    if random.getrandbits(1):
        words[-1] += ","
        words += [random.choice(_LINKS), "the", random.choice(_NOUNS), random.choice(_VERBS)]
        words += ["the", random.choice(_NOUNS)]
    words[-1] += "."
    return words


def prose(random: Random, words_wanted: int) -> str:
    """Exactly `words_wanted` words in sentences and paragraphs."""
    words: list[str] = []
    paragraph = 0
    while len(words) < words_wanted:
        for word in sentence(random):
            if paragraph >= 60 and words and words[-1].endswith("."):
                words[-1] += "\n\n"
                paragraph = 0
            words.append(word)
            paragraph += 1
    text = " ".join(words[:words_wanted]).replace("\n\n ", "\n\n").rstrip()
    return text if text.endswith(".") else text.rstrip(",") + "."


def cut_to(text: str, tokens: int, weights: Weights) -> str:
    """The longest beginning of `text`, at a word's end, that costs no more than `tokens`."""
    pieces = _PIECE.findall(text)
    low, high = 0, len(pieces)
    while low < high:
        middle = (low + high + 1) // 2
        if answer_tokens("".join(pieces[:middle]), weights) <= tokens:
            low = middle
        else:
            high = middle - 1
    return "".join(pieces[:low])


def pieces_of(text: str, random: Random) -> list[str]:
    """The text in streamed pieces of one to four words; joined they are the text, and the first is not empty."""
    words = _PIECE.findall(text)
    pieces, at = [], 0
    while at < len(words):
        size = 1 + random.getrandbits(2)
        pieces.append("".join(words[at : at + size]))
        at += size
    return pieces


def json_pieces(text: str, random: Random) -> list[str]:
    """The text in pieces of 2 to 12 characters, as tool inputs are streamed."""
    pieces, at = [], 0
    while at < len(text):
        size = 2 + random.randrange(11)
        pieces.append(text[at : at + size])
        at += size
    return pieces
