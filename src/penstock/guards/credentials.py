"""Keys, tokens and private keys, by the marks their issuers gave them."""

from __future__ import annotations

import re

from .finding import Span, run_from

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What credentials are made of as far as they are matched; those with a banner, of more.
_WRITTEN = _LETTERS + _LETTERS.lower() + "0123456789_.-"
_BANNER = _LETTERS + " -"
_TOKEN = re.compile(r"[A-Za-z0-9_+/=.-]*+")
#: Lines end as they are, or as a JSON string within the text has them.
_ARMOUR = re.compile(r"[A-Za-z0-9+/=\r\n\\]*+")
_ALONE = r"(?<![A-Za-z0-9])"


def _mark(mark: str, rest: str, run: re.Pattern[str] = _TOKEN) -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    return mark, re.compile(_ALONE + re.escape(mark) + rest), run


#: What a credential begins with, what must follow, and what may go on behind that.
_MARKS = (
    _mark("sk-", r"[A-Za-z0-9_-]{20}"),
    _mark("sk_live_", r"[A-Za-z0-9]{16}"),
    _mark("rk_live_", r"[A-Za-z0-9]{16}"),
    _mark("pk_", r"(?:(?:dev|staging|prod)_[A-Za-z0-9_-]{40}|[A-Za-z0-9]{24})"),  # Penstock's own, and others'
    _mark("AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _mark("ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _mark("ghp_", r"[A-Za-z0-9]{30}"),
    _mark("gho_", r"[A-Za-z0-9]{30}"),
    _mark("ghu_", r"[A-Za-z0-9]{30}"),
    _mark("ghs_", r"[A-Za-z0-9]{30}"),
    _mark("github_pat_", r"[A-Za-z0-9_]{40}"),
    _mark("glpat-", r"[A-Za-z0-9_-]{20}"),
    _mark("xox", r"[abeoprs]-[A-Za-z0-9-]{10}"),
    _mark("AIza", r"[A-Za-z0-9_-]{35}"),
    _mark("npm_", r"[A-Za-z0-9]{30}"),
    _mark("hf_", r"[A-Za-z]{30}"),
    _mark("SG.", r"[A-Za-z0-9_-]{22}[.][A-Za-z0-9_-]{16}"),
    _mark("eyJ", r"[A-Za-z0-9_-]{10,400}+[.]eyJ[A-Za-z0-9_-]{8}"),
    _mark("-----BEGIN ", r"(?:[A-Z]{2,9} ){0,2}PRIVATE KEY-----", _ARMOUR),
)


class Credential:
    """Finds credentials of one mark; each goes on for as long as its token does."""

    reach = 440

    def __init__(self, mark: str, pattern: re.Pattern[str], run: re.Pattern[str]) -> None:
        self._mark, self._pattern, self._run = mark, pattern, run
        self._written = _BANNER if " " in mark else _WRITTEN

    def open_from(self, text: str, at: int) -> int:
        mark, end = self._mark, len(text)
        place = text.find(mark[0], run_from(text, at, self._written))
        while place >= 0:
            is_alone = place == 0 or not (text[place - 1].isascii() and text[place - 1].isalnum())
            if is_alone and mark.startswith(text[place : place + len(mark)]):
                return place
            place = text.find(mark[0], place + 1)
        return end

    def search(self, text: str, at: int) -> Span | None:
        place = text.find(self._mark, at)
        while place >= 0:
            match = self._pattern.match(text, place)
            if match is not None:
                rest = self._run.match(text, match.end())
                return Span("secret", place, rest.end() if rest is not None else match.end(), self._run)
            place = text.find(self._mark, place + 1)
        return None


def credentials() -> list[Credential]:
    """A detector for each mark: what one has looked through, it need not look through again for another."""
    return [Credential(*mark) for mark in _MARKS]
