"""Personal data that can be told by its form: addresses of e-mail and IP, telephones, cards, accounts, identities.

Every expression here begins with one character of a class, repeats no more than a number of times and repeats nothing
that repeats: what it costs is the length of the text times a constant. Names, street addresses and dates are not told
by form, and not looked for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from . import checksums
from .finding import Span, run_from

_SEPARATORS = str.maketrans("", "", " .-()/")

_LOCAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'-")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]{1,64}+@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}+[.]){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9_-])"
)
#: Where a number may begin: not within a word, a longer number or a decimal fraction.
_NUMBER = re.compile(r"[0-9+(](?<![0-9A-Za-z_.+].)(?=[0-9 .()/-]{5})", re.DOTALL)
_LETTERED = re.compile(r"[A-Z](?<![0-9A-Za-z_].)(?=[A-Z0-9]{1,6}[ -]?[0-9])[A-Z0-9]", re.DOTALL)
_COLON = re.compile(r":(?=[0-9a-fA-F:])")
_HEX = frozenset("0123456789abcdefABCDEF")
_NOT_WITHIN = r"(?![0-9A-Za-z_])(?![.-][0-9])"

# The same for texts that may go on: where something may begin, as far as that can be seen, and what it is made of.
# It is decided once the text has gone on for three characters that are none of it: a letter at its end, and the two
# that `_NOT_WITHIN` looks at.
_WORD = "".join(sorted(_LOCAL)) + "@:"
_NUMBER_BEGUN = re.compile(r"[0-9+(](?<![0-9A-Za-z_.+].)(?=[0-9 .()/-]{5}|[0-9 .()/-]{0,4}\Z)", re.DOTALL)
_NUMBER_RUN = re.compile(r"[0-9+() ./x-]*+")
_LETTERED_BEGUN = re.compile(r"[A-Z](?<![0-9A-Za-z_].)(?=\Z|[A-Z0-9]{1,6}(?:[ -]?[0-9]|[ -]?\Z))", re.DOTALL)
_LETTERED_RUN = re.compile(r"[A-Z0-9 -]*+")
_BEHIND = 3


class _Form(NamedTuple):
    """How things of one kind are written, and what proves one."""

    kind: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]


def _form(kind: str, pattern: str, is_valid: Callable[[str], bool]) -> _Form:
    return _Form(kind, re.compile(pattern + _NOT_WITHIN), is_valid)


def _is_card(text: str) -> bool:
    return checksums.is_card(text.translate(_SEPARATORS))


def _is_ip(text: str) -> bool:
    if 0 < text.count(":") < 3:  # as in `Face::add`, which could be an address too
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


def _is_phone(text: str) -> bool:
    """International with a code in use; North American; or national, with a trunk 0 and separators."""
    digits = text.partition("x")[0].translate(_SEPARATORS)
    if digits.startswith("+"):
        return 9 <= len(digits) <= 16 and digits[1] != "0"
    if digits.startswith("00"):
        return 10 <= len(digits) <= 17 and digits[2] != "0"
    if digits.startswith("0"):
        return 9 <= len(digits) <= 12
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return len(national) == 10 and national[0] in "23456789" and len(set(national)) > 2


_CARD = r"(?:[0-9]{12,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{5})"
_PHONE = (
    r"(?:[+][0-9]{1,3}[ .-]?(?:[(][0-9]{1,4}[)][ .-]?)?[0-9]{1,14}(?:[ .-][0-9]{1,9}){0,5}"
    r"|001[ .-][0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}"
    r"|(?:1[ .-])?[(][0-9]{3}[)][ ]?[0-9]{3}[ .-][0-9]{4}"
    r"|(?:1[ .-])?[0-9]{3}([ .-])[0-9]{3}\1[0-9]{4}"
    r"|[(]0[0-9]{1,4}[)][ ]?[0-9]{2,8}(?:[ .-][0-9]{2,8}){0,3}"
    r"|0[0-9]{1,4}(?:[ ./-][0-9]{2,8}){1,4})(?:x[0-9]{1,6})?"
)
#: By the character they begin with: those of digits, those of capital letters. Earlier ones are tried first.
_OF_DIGITS = (
    _form("ip", r"[0-9]{1,3}(?:[.][0-9]{1,3}){3}", _is_ip),
    _form("national_id", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", lambda text: checksums.is_ssn(text.translate(_SEPARATORS))),
    _form("card", _CARD, _is_card),
    _form(
        "national_id",
        r"[0-9]{3}[.][0-9]{3}[.][0-9]{3}-[0-9]{2}",
        lambda text: checksums.is_cpf(text.translate(_SEPARATORS)),
    ),
    _form(
        "national_id",
        r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        lambda text: checksums.is_nir(text.translate(_SEPARATORS)),
    ),
    _form("national_id", r"[0-9]{8}-?[A-Z]", lambda text: checksums.is_dni(text.translate(_SEPARATORS))),
    _form("national_id", r"[0-9]{11}", checksums.is_pesel),
    _form("phone", _PHONE, _is_phone),
)
_OF_LETTERS = (
    _form("national_id", r"[XYZ]-?[0-9]{7}-?[A-Z]", lambda text: checksums.is_dni(text.translate(_SEPARATORS))),
    _form("national_id", r"[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]", checksums.is_codice_fiscale),
)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_IPV6 = _form("ip", r"(?<![0-9A-Za-z_:.])[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7}", _is_ip)


class Emails:
    """Finds addresses of e-mail, around each `@`."""

    reach = 256

    def search(self, text: str, at: int) -> Span | None:
        place = text.find("@", at)
        while place >= 0:
            start = place
            while start > at and place - start < 64 and text[start - 1] in _LOCAL:
                start -= 1
            match = _EMAIL.match(text, start)
            if match is not None:
                return Span("email", start, match.end())
            place = text.find("@", place + 1)
        return None

    def open_from(self, text: str, at: int) -> int:
        return run_from(text, at, _WORD)


class Numbers:
    """Finds what begins with a digit, a plus or a bracket: numbers of cards, telephones, identities, addresses."""

    reach = 64

    def __init__(self, kinds: Collection[str]) -> None:
        self._forms = tuple(form for form in _OF_DIGITS if form.kind in kinds)

    def search(self, text: str, at: int) -> Span | None:
        return _first(_NUMBER, self._forms, text, at)

    def open_from(self, text: str, at: int) -> int:
        return _begun(_NUMBER_BEGUN, _NUMBER_RUN, text, at)


class Lettered:
    """Finds what begins with a capital letter and has digits: accounts and identities."""

    reach = 72

    def __init__(self, kinds: Collection[str]) -> None:
        self._forms = tuple(form for form in _OF_LETTERS if form.kind in kinds)
        self._has_iban = "iban" in kinds

    def search(self, text: str, at: int) -> Span | None:
        start = _LETTERED.search(text, at)
        while start is not None:
            place = start.start()
            end = self._iban(text, place) if self._has_iban else 0
            if end:
                return Span("iban", place, end)
            span = _at(self._forms, text, place)
            if span is not None:
                return span
            start = _LETTERED.search(text, place + 1)
        return None

    def open_from(self, text: str, at: int) -> int:
        return _begun(_LETTERED_BEGUN, _LETTERED_RUN, text, at)

    @staticmethod
    def _iban(text: str, at: int) -> int:
        """Where the account at this place ends; 0 where there is none. What follows it may look like more of it."""
        match = _IBAN.match(text, at)
        length = checksums.IBAN_LENGTHS.get(text[at : at + 2])
        if match is None or length is None:
            return 0
        end, seen = at, 0
        while seen < length and end < match.end():
            seen += text[end] != " "
            end += 1
        is_alone = not text[end : end + 1].isalnum()
        return end if seen == length and is_alone and checksums.is_iban(text[at:end].replace(" ", "")) else 0


class Colons:
    """Finds addresses of IP version 6."""

    reach = 48

    def search(self, text: str, at: int) -> Span | None:
        colon = _COLON.search(text, at)
        while colon is not None:
            start = place = colon.start()
            while start > at and place - start < 4 and text[start - 1] in _HEX:
                start -= 1
            span = _at((_IPV6,), text, start)
            if span is not None:
                return span
            colon = _COLON.search(text, place + 1)
        return None

    def open_from(self, text: str, at: int) -> int:
        return run_from(text, at, _WORD)


def _first(begins: re.Pattern[str], forms: tuple[_Form, ...], text: str, at: int) -> Span | None:
    start = begins.search(text, at)
    while start is not None:
        span = _at(forms, text, start.start())
        if span is not None:
            return span
        start = begins.search(text, start.start() + 1)
    return None


def _begun(begins: re.Pattern[str], run: re.Pattern[str], text: str, at: int) -> int:
    """The first place where something may have begun that has not been followed by enough else."""
    start, end = begins.search(text, at), len(text)
    while start is not None:
        made = run.match(text, start.start())
        if made is None or end < made.end() + _BEHIND:
            return start.start()
        start = begins.search(text, start.start() + 1)
    return end


def _at(forms: tuple[_Form, ...], text: str, at: int) -> Span | None:
    for form in forms:
        match = form.pattern.match(text, at)
        if match is not None and form.is_valid(match[0]):
            return Span(form.kind, at, match.end())
    return None
