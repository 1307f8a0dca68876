"""Numbers that prove themselves: cards, accounts, national identities. Each takes the number without separators."""

from __future__ import annotations

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
#: What a character at an odd place of a codice fiscale counts, digits and letters alike by their order.
_ODD_OF = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_ODD = {
    **dict(zip("0123456789", _ODD_OF, strict=False)),
    **dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _ODD_OF, strict=True)),
}
#: Characters of an IBAN by country, from the registry of SWIFT.
IBAN_LENGTHS = {
    "AD": 24,
    "AE": 23,
    "AL": 28,
    "AT": 20,
    "AZ": 28,
    "BA": 20,
    "BE": 16,
    "BG": 22,
    "BH": 22,
    "BI": 27,
    "BR": 29,
    "BY": 28,
    "CH": 21,
    "CR": 22,
    "CY": 28,
    "CZ": 24,
    "DE": 22,
    "DJ": 27,
    "DK": 18,
    "DO": 28,
    "EE": 20,
    "EG": 29,
    "ES": 24,
    "FI": 18,
    "FK": 18,
    "FO": 18,
    "FR": 27,
    "GB": 22,
    "GE": 22,
    "GI": 23,
    "GL": 18,
    "GR": 27,
    "GT": 28,
    "HN": 28,
    "HR": 21,
    "HU": 28,
    "IE": 22,
    "IL": 23,
    "IQ": 23,
    "IS": 26,
    "IT": 27,
    "JO": 30,
    "KW": 30,
    "KZ": 20,
    "LB": 28,
    "LC": 32,
    "LI": 21,
    "LT": 20,
    "LU": 20,
    "LV": 21,
    "LY": 25,
    "MC": 27,
    "MD": 24,
    "ME": 22,
    "MK": 19,
    "MN": 20,
    "MR": 27,
    "MT": 31,
    "MU": 30,
    "NI": 28,
    "NL": 18,
    "NO": 15,
    "OM": 23,
    "PK": 24,
    "PL": 28,
    "PS": 29,
    "PT": 25,
    "QA": 29,
    "RO": 24,
    "RS": 22,
    "RU": 33,
    "SA": 24,
    "SC": 31,
    "SD": 18,
    "SE": 24,
    "SI": 19,
    "SK": 24,
    "SM": 27,
    "SO": 23,
    "ST": 25,
    "SV": 28,
    "TL": 23,
    "TN": 24,
    "TR": 26,
    "UA": 29,
    "VA": 22,
    "VG": 24,
    "XK": 20,
    "YE": 30,
}


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812: cards."""
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


def is_card(digits: str) -> bool:
    """A number of a card: of the first digits and the length a network issues, and its check digit is right."""
    two, four = int(digits[:2]), digits[:4]
    is_issued = 30 <= two <= 69 or 22 <= two <= 27 or (len(digits) == 15 and four in ("1800", "2131"))
    return is_issued and 12 <= len(digits) <= 19 and len(set(digits)) > 1 and is_luhn(digits)


def is_iban(account: str) -> bool:
    """ISO 13616: the length is its country's, and it is 1 modulo 97."""
    if len(account) != IBAN_LENGTHS.get(account[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def is_ssn(digits: str) -> bool:
    """A US Social Security number. It has no check digit; these areas, groups and serials are never issued."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_dni(text: str) -> bool:
    """Spain: DNI, or NIE where it begins with a letter."""
    return _DNI[int(text[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]


def is_nir(digits: str) -> bool:
    """France: numéro de sécurité sociale."""
    return digits[0] in "12" and int(digits[:13]) % 97 == 97 - int(digits[13:])


def is_codice_fiscale(text: str) -> bool:
    """Italy."""
    total = sum(_ODD[char] for char in text[:15:2]) + sum(int(char, 36) - 10 * char.isalpha() for char in text[1:15:2])
    return chr(ord("A") + total % 26) == text[15]


def is_pesel(digits: str) -> bool:
    """Poland: a date of birth, then a check digit."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    is_date = 1 <= int(digits[2:4]) % 20 <= 12 and 1 <= int(digits[4:6]) <= 31
    return is_date and sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 10 == 0


def is_cpf(digits: str) -> bool:
    """Brazil."""
    numbers = [int(digit) for digit in digits]
    for place in (9, 10):
        total = sum(number * (place + 1 - at) for at, number in enumerate(numbers[:place]))
        if total * 10 % 11 % 10 != numbers[place]:
            return False
    return len(set(digits)) > 1
