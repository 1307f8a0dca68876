"""What the caller relies on, and what must not be left out: where the target does not have it, the request stays.

docs.claude.com: errors, the migration guides, vision, and what `models.toml` names for each capability.
"""

from __future__ import annotations

from typing import Any

from ..models import Model
from .edit import Edit, Unadaptable, tables

#: Images in one request to a model whose window is smaller than a million tokens (docs, vision).
_IMAGES_MAX_SMALL, _WINDOW_TOKENS_LARGE = 100, 1_000_000


def check_place(edit: Edit) -> None:
    """What the upstream keeps for one account, or for one conversation. Raises Unadaptable."""
    if "thread" in edit.fields:
        raise Unadaptable("its conversation is kept by the upstream as a thread")
    if edit.is_same_account:
        return
    container = edit.table("container")
    if isinstance(edit.value("container"), str) or container.get("id"):
        raise Unadaptable("its container is of another account")
    if any(skill.get("type") == "custom" for skill in tables(container.get("skills"))):
        raise Unadaptable("it uses a skill of another account")
    if any(_is_file(block) for block in edit.blocks()):
        raise Unadaptable("it refers to a file of another account")


def check_reliance(edit: Edit, target: Model) -> None:
    """Raises Unadaptable."""
    _check_turns(edit, target)
    _check_tools(edit, target)
    if edit.value("inference_geo") is not None and not target.has_geo:
        raise Unadaptable("the model cannot be kept to a region")
    if not target.capabilities.may_compact and _compacts(edit):
        raise Unadaptable("the model does not summarise its own context")
    images = sum(block.get("type") == "image" for block in edit.blocks())
    if images > _IMAGES_MAX_SMALL and target.context_tokens < _WINDOW_TOKENS_LARGE:
        raise Unadaptable(f"{images} images are more than the model takes")


def _check_turns(edit: Edit, target: Model) -> None:
    turns = edit.turns()
    if not target.capabilities.hears_system_turns and any(turn.get("role") == "system" for turn in turns):
        raise Unadaptable("the model does not take turns of the system within a conversation")
    if not turns or turns[-1].get("role") != "assistant" or target.capabilities.may_be_prefilled:
        return
    # A turn that was paused in a server's tool is sent back as it is, which is no prefill.
    last = str((tables(turns[-1].get("content")) or [{}])[-1].get("type"))
    if last != "server_tool_use" and not last.endswith("_tool_result"):
        raise Unadaptable("the model does not go on with a beginning given to it")


def _check_tools(edit: Edit, target: Model) -> None:
    if edit.forces_tools and not target.capabilities.may_force_tools:
        raise Unadaptable("the model cannot be made to use a tool")
    for tool in tables(edit.value("tools")):
        if tool.get("type") in target.capabilities.refused_tools:
            raise Unadaptable(f"the model does not have the tool {tool['type']}")


def _compacts(edit: Edit) -> bool:
    """Whether context is to be summarised, or has been: then the summary is all that is left of it."""
    edits = tables(edit.table("context_management").get("edits"))
    return (
        edit.value("compaction") is not None
        or any(str(one.get("type")).startswith("compact_") for one in edits)
        or any(block.get("type") == "compaction" for block in edit.blocks())
    )


def _is_file(block: dict[str, Any]) -> bool:
    source = block.get("source")
    return block.get("type") == "container_upload" or (isinstance(source, dict) and source.get("type") == "file")
