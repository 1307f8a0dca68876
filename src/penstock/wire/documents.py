"""How many pages a document has, by what can be seen of its file without reading it as one."""

from __future__ import annotations

import binascii
import re

_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})")
#: A page of text is some 20 KB with its fonts; in less than 1.5 KB, compressed, little is said; a scan has 180 KB.
_USUAL_BYTES, _LEAST_BYTES, _SCAN_BYTES = 20_000, 1_500, 180_000


def pages_of(data: str, pages_max: int) -> tuple[int, int]:
    """Pages of a PDF in base64 that are likely, and as many as there can be; the API takes no more than `pages_max`.

    A file that hides its pages in compressed objects is judged by its length.
    """
    try:
        file = binascii.a2b_base64(data)
    except (binascii.Error, ValueError):
        file = b""
    size = max(len(file), len(data) * 3 // 4)
    seen = max(len(_PAGE.findall(file)), *(int(count) for count in _COUNT.findall(file)), 0, 0)
    is_open = seen > 0 and b"/ObjStm" not in file
    likely = seen or 1 + size // _USUAL_BYTES
    most = max(likely, 1 + size // (_SCAN_BYTES if is_open else _LEAST_BYTES))
    return min(likely, pages_max), min(most, pages_max)
