"""Admission: is the call well-formed and within size, before anything is spent on it.

It judges only what every version of the API rejects: a body that is no JSON object, or names no model. All else
is the API's to judge, in its own words.
"""

from __future__ import annotations

from ...call import Call
from ...config.schema import AdmissionConfig
from ...errors import Refused
from ...layer import Next
from ...reply import Reply
from ...wire.messages import Malformed, read_request
from ...wire.prices import PriceBook


class Admission:
    """Refuses what cannot be a call, and with `refuses_unpriced` what no price is known for."""

    def __init__(self, config: AdmissionConfig, prices: PriceBook, *, refuses_unpriced: bool) -> None:
        self._config, self._prices, self._refuses_unpriced = config, prices, refuses_unpriced

    async def __call__(self, call: Call, onward: Next) -> Reply:
        name = call.endpoint.name
        if name in ("messages", "count_tokens"):
            if len(call.body) > self._config.body_bytes_max:
                raise Refused(
                    f"The body has {len(call.body):,} bytes; at most {self._config.body_bytes_max:,} are allowed.",
                    layer="admission",
                    code="body_too_large",
                    fix="Send less, or raise `body_bytes_max` under [admission].",
                    status=413,
                    type="request_too_large",
                )
            if call.request is None:
                try:
                    read_request(call.body)
                except Malformed as fault:
                    raise _malformed(f"The body is not a JSON object: {fault}.", "Send a JSON object.") from fault
            elif call.request.model is None:
                raise _malformed("model: Field required.", "Name a model as a string.")
            elif self._refuses_unpriced and name == "messages" and not self._prices.knows(call.request.model):
                raise Refused(
                    f"No price is known for model {call.request.model!r}, and calls that cannot be priced are refused.",
                    layer="admission",
                    code="unpriced_model",
                    fix=f"Give its price under [prices.models.{call.request.model}], or use another model.",
                    status=403,
                    type="permission_error",
                )
        return await onward(call)


def _malformed(message: str, fix: str) -> Refused:
    return Refused(message, layer="admission", code="malformed_body", fix=fix, status=400, type="invalid_request_error")
