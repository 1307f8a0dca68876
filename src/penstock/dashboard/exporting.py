"""What a page shows as a file: `?format=csv` or `?format=json` of its address."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from .desk import Desk
from .view import View
from .wording import moment

FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
#: What a spreadsheet would take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table(NamedTuple):
    """Rows of a page: `name` is what the file is called, `rows` are dicts with the same keys in the same order."""

    name: str
    rows: Sequence[dict[str, Any]]


#: Makes the rows that a page shows. Runs in a thread.
Export = Callable[[Desk, View], Table]


def exported(table: Table, view: View, form: str) -> Response:
    """The file. Dollars are exact decimal strings in both; a CSV's texts that look like formulas begin with `'`."""
    if form == "json":
        span = {"from": moment(view.span.from_us), "until": moment(view.span.until_us)}
        told = {**span, "by": view.by, "where": dict(view.where), "rows": list(table.rows)}
        content = json.dumps(told, indent=1, ensure_ascii=False)
    else:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if table.rows:
            writer.writerow(table.rows[0])
        writer.writerows([_plain(value) for value in row.values()] for row in table.rows)
        content = out.getvalue()
    headers = {"content-disposition": f'attachment; filename="penstock-{table.name}.{form}"'}
    return Response(content.encode("utf-8", "replace"), media_type=FORMATS[form], headers=headers)


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
