"""Tokens that the API adds to a prompt of its own accord: instructions for tools, by model, and its own tools.

Those of tools are known for models that were recorded (`recordings.md`, annex), else from `claude-api.md` §7.2.
"""

from __future__ import annotations

import re

#: Before the definitions of tools, with tool_choice auto or none, and with any or tool. The longest prefix of the
#: model's id counts.
TOOL_PROMPTS = {
    "claude-3-haiku": (260, 354),
    "claude-3-opus": (527, 295),
    "claude-3-5-haiku": (259, 365),
    "claude-3-5-sonnet": (306, 312),
    "claude-3-7-sonnet": (309, 318),
    "claude-sonnet-4": (307, 313),
    "claude-opus-4": (457, 314),
    "claude-opus-4-1": (457, 314),
    "claude-haiku-4-5": (492, 582),
    "claude-sonnet-4-5": (489, 580),
    "claude-opus-4-5": (496, 588),
    "claude-sonnet-4-6": (495, 578),
    "claude-opus-4-6": (497, 589),
    "claude-opus-4-7": (671, 804),
    "claude-opus-4-8": (290, 410),
    "claude-opus-5": (286, 406),
    "claude-sonnet-5": (354, 483),
    "claude-haiku-5": (354, 483),
    "claude-fable-5": (286, 406),
    "claude-mythos-5": (286, 406),
}
#: Of models that no prefix fits.
_USUAL_PROMPT = (354, 483)

#: Definitions of the API's own tools, by the beginning of their type: up to Claude 4.6, and from 4.7 on. Tool search
#: as recorded (median of 29 prompts).
VENDOR_TOOLS = {"bash": (244, 325), "text_editor": (700, 700), "tool_search_tool": (191, 344)}


_DATE = re.compile(r"-\d{8}$")


def tool_prompt(model_id: str) -> tuple[int, int]:
    """What tools add before their definitions: with tool_choice auto or none, and with any or tool."""
    known = [prefix for prefix in TOOL_PROMPTS if model_id.startswith(prefix)]
    return TOOL_PROMPTS[max(known, key=len)] if known else _USUAL_PROMPT


def tool_prompt_most(model_id: str) -> int:
    """The longest that can be; of models whose own is not known, as long as that of any other."""
    own = TOOL_PROMPTS.get(_DATE.sub("", model_id))
    return max(own) if own is not None else max(max(both) for both in TOOL_PROMPTS.values())


#: What further tools of the API add in all, by recorded calls: computer use and memory as such; the rest, which the
#: API itself runs and whose results the model then reads, at the median.
MORE_VENDOR_TOOLS = {
    "computer_": (1_330, 1_730),
    "memory_": (1_070, 1_400),
    "web_search_": (12_000, 12_000),
    "web_fetch_": (5_000, 5_000),
    "code_execution": (4_100, 4_100),
    "mcp_toolset": (3_000, 3_000),
    "advisor_": (2_000, 2_000),
}
#: The most that a tool adds which is not known here, and is not run by the API.
VENDOR_TOOL_MOST = 4_000
#: Tools that the API runs within a call: the model reads the whole prompt again after each of their results.
SERVER_TOOLS = ("web_search_", "web_fetch_", "code_execution", "mcp_toolset", "advisor_")
#: The most that one call was recorded to read so, rounded up: 494,549 tokens, on a model with a window of 200,000.
SERVER_TOOLS_MOST = 600_000
#: Samplings of a call that searches for tools; recorded are three.
TOOL_SEARCHES = 4
