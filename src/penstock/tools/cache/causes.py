"""Why tokens were not read from the cache: each cause in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Cause(msgspec.Struct, frozen=True):
    """What happened, and the fix, one sentence each. An `is_waste` is no miss: what was written was not needed."""

    said: str
    fix: str
    is_waste: bool = False


_TOGETHER = "Keep it the same for all calls that share a prompt, or give those that differ a prompt of their own."

CAUSES: Mapping[str, Cause] = {
    "unmarked": Cause(
        "The prompt begins like an earlier one, and nothing asks for it to be cached.",
        'Leave `marks = "auto"` in [features.NAME.cache], or put "cache_control": {"type": "ephemeral"} on the last '
        "block that stays the same.",
    ),
    "below_minimum": Cause(
        "It is marked, and shorter up to its marks than what the model caches.",
        "Take the marks away, or put more of what is constant (examples, documents) before them until it is enough.",
    ),
    "not_cached": Cause(
        "It is marked and long enough, and was neither written nor read: the upstream does not cache it.",
        "Ask whether this upstream and model cache at all, and from how many tokens on.",
    ),
    "volatile": Cause(
        "Tools or system prompt differ in every call.",
        "Move what changes (dates, ids, names, search results) out of there and into the last message.",
    ),
    "tools_reordered": Cause(
        "The same tools came in another order.",
        "Send tools in one fixed order: sort them by name where they are put together.",
    ),
    "tools_changed": Cause(
        "The tools have changed.",
        "Send all tools in every call and change them only with a release; tool_choice says which may be used.",
    ),
    "system_changed": Cause(
        "The system prompt has changed.",
        "Once is the price of a release; where it comes again, put what changes behind what does not, each in a block.",
    ),
    "messages_changed": Cause(
        "Earlier messages of the conversation were edited or left out.",
        "Only append to a conversation; where it must be cut, cut seldom and much, not a little in each turn.",
    ),
    "model_switched": Cause(
        "The same prompt was cached by another model.",
        "Stay with one model for a conversation: each has a cache of its own.",
    ),
    "upstream_switched": Cause(
        "The same prompt was cached at another upstream.",
        "Send a conversation to one upstream: none reads another's cache.",
    ),
    "key_switched": Cause(
        "The same prompt was cached under another credential.",
        "Use keys of one workspace, or the same key for a conversation: workspaces do not share a cache.",
    ),
    "speed": Cause("`speed` was switched between calls.", _TOGETHER),
    "web_search": Cause("Web search was switched on or off, or changed.", _TOGETHER),
    "citations": Cause("Citations were switched on or off.", _TOGETHER),
    "tool_choice": Cause(
        "`tool_choice` has changed, which loses all messages.",
        "Keep tool_choice for a whole conversation, and say in words which tool is wanted.",
    ),
    "images": Cause(
        "The first image came in, or the last one went, which loses all messages.",
        "Keep images in, or out, for a whole conversation; or read them in a call of their own.",
    ),
    "thinking": Cause(
        "`thinking` has changed, which loses all messages.", "Keep thinking and its budget for a whole conversation."
    ),
    "effort": Cause("The effort has changed, which loses all messages.", "Keep one effort for a whole conversation."),
    "format": Cause(
        "The form wanted of the answer has changed, which loses all messages.",
        "Keep one schema for a whole conversation, or ask for the form in a last call of its own.",
    ),
    "lookback": Cause(
        "The last entry lies more than 20 blocks before the mark, and no further back is looked.",
        "Set a second mark at most 20 blocks after the last one, before a turn that adds many blocks.",
    ),
    "expired": Cause(
        "What was cached was not used again within its lifetime.",
        'Mark it for an hour ("ttl": "1h") where calls come further apart than five minutes.',
    ),
    "parallel": Cause(
        "Calls with the same prompt began before the first of them had begun to be answered.",
        "Let one call begin to answer before the others are sent, or send one ahead with max_tokens 0.",
    ),
    "misplaced": Cause(
        "The mark stands behind blocks that differ in every call, and not where the calls still agree.",
        "Move the mark to the last block that all calls share.",
    ),
    "mark_missing": Cause(
        "The marks stand early: behind them more of the prompt is the same as before.",
        "Set one more mark on the last block that stays the same, in a conversation on the last message.",
    ),
    "lost_early": Cause(
        "It was cached, and nothing in the prompt differs: the entry was gone before its time.",
        "Nothing to change: the API keeps entries as well as it can.",
    ),
    "never_read": Cause(
        "It was written to the cache and no call read it while it lived.",
        "Take the mark away where a prompt comes once: writing costs 1.25 times the input, or twice for an hour.",
        is_waste=True,
    ),
}

#: The API's own word, as one of the causes.
SAID: Mapping[str, str] = {
    "model_changed": "model_switched",
    "tools_changed": "tools_changed",
    "system_changed": "system_changed",
    "messages_changed": "messages_changed",
}
