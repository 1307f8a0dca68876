"""Prices worked out by hand from the published table, apart from the code that is tested against them.

Dollars per million tokens, input and output, from the pricing page as of November 2026 and its earlier states; what
caching costs follows from them, but where it is written here.
"""

from __future__ import annotations

from fractions import Fraction

from penstock.wire.messages import Usage

#: By the longest beginning of a model's id.
DOLLARS = {
    "claude-3-haiku": ("0.25", "1.25"),
    "claude-3-5-haiku": ("0.80", "4"),
    "claude-3-5-sonnet": ("3", "15"),
    "claude-3-7-sonnet": ("3", "15"),
    "claude-3-opus": ("15", "75"),
    "claude-3-sonnet": ("3", "15"),
    "claude-opus-4": ("15", "75"),
    "claude-opus-4-5": ("5", "25"),
    "claude-opus-4-6": ("5", "25"),
    "claude-opus-4-7": ("5", "25"),
    "claude-opus-4-8": ("5", "25"),
    "claude-opus-5": ("5", "25"),
    "claude-opus-5-5": ("4", "20"),
    "claude-sonnet-4": ("3", "15"),
    "claude-sonnet-5": ("2", "10"),
    "claude-haiku-4-5": ("1", "5"),
    "claude-fable-5": ("10", "50"),
    "claude-mythos-5": ("10", "50"),
}
#: Cache reads are a tenth of input, writes 5/4 for five minutes, double for an hour. Where not: read, write.
CACHING = {"claude-3-haiku": ("0.03", "0.30"), "claude-opus-5-5": ("0.20", "5")}


def by_hand(usage: Usage, model: str) -> Fraction | None:
    """What an answer of one model costs, in nano-dollars, unrounded; None for what is not in the table above.

    Nor are prompts of more than 200,000 tokens, which were dearer once; tests with their arithmetic are elsewhere.
    """
    known = [name for name in DOLLARS if model.startswith(name)]
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    if not known or usage.iterations or usage.speed == "fast" or prompt > 200_000:
        return None
    name = max(known, key=len)
    new, out = map(Fraction, DOLLARS[name])
    read, short = map(Fraction, CACHING[name]) if name in CACHING else (new / 10, new * 5 / 4)
    dollars = (
        usage.input_tokens * new
        + usage.cache_read_tokens * read
        + usage.cache_write_5m_tokens * short
        + usage.cache_write_1h_tokens * new * 2
        + usage.output_tokens * out
    ) / 1_000_000
    if usage.service_tier == "batch":
        dollars /= 2
    if usage.inference_geo == "us" and not model.startswith(("claude-3", "claude-sonnet-4-5", "claude-haiku-4-5")):
        dollars *= Fraction(11, 10)
    return (dollars + Fraction(usage.web_searches, 100)) * 10**9
