"""The `anthropic-beta` header: an open list, of which some names are known and open fields."""

from __future__ import annotations

from ..problems import invalid

#: Names the official SDK 2.11 knows.
_OF_THE_SDK = """
    admin-user-sign-out-2026-10-08 advisor-tool-2026-03-01 agent-memory-2026-07-22 analytics-usage-cost-2026-08-24
    cache-diagnosis-2026-04-07 ce-claude-code-managed-settings-2026-10-06 ce-plugins-2026-09-01
    ce-user-management-2026-07-13 code-execution-2025-05-22 compact-2026-01-12 compact-2026-09-04
    computer-use-2024-10-22 computer-use-2025-01-24 computer-use-2025-11-24 context-1m-2025-08-07
    context-management-2025-06-27 dev-full-thinking-2025-05-14 dreaming-2026-04-21 experimental-claude-tag-2026-10-21
    extended-cache-ttl-2025-04-11 fallback-credit-2026-06-01 fallback-credit-2026-07-01 fast-mode-2026-02-01
    files-api-2025-04-14 inline-tools-2026-09-15 interleaved-thinking-2025-05-14 managed-agents-2026-04-01
    mcp-client-2025-04-04 mcp-client-2025-11-20 mcp-client-2026-09-15 mcp-tunnels-2026-06-22
    message-batches-2024-09-24 message-threads-2026-08-12 mid-conversation-output-config-2026-07-01
    mid-conversation-system-clear-at-2026-08-21 mid-conversation-tool-changes-2026-07-01
    model-context-window-exceeded-2025-08-26 output-128k-2025-02-19 output-300k-2026-03-24 pdfs-2024-09-25
    prompt-caching-2024-07-31 server-side-fallback-2026-06-01 server-side-fallback-2026-07-01 skills-2025-10-02
    spend-limit-reads-2026-09-26 structured-outputs-2025-11-13 task-budgets-2026-03-13
    telemetry-destinations-2026-08-11 thinking-binding-controls-2026-08-01 thinking-display-updates-2026-08-18
    thinking-token-count-2026-05-13 token-counting-2024-11-01 token-efficient-tools-2025-02-19
    user-profiles-2026-03-24 user-profiles-2026-08-18 user-profiles-2026-09-04 user-profiles-billing-2026-10-01
    webhooks-2026-10-07
"""
#: Names that are in answered recordings, or that Claude Code sends (`claude-api.md` §13), and in no SDK.
_SEEN = """
    advanced-tool-use-2025-11-20 claude-code-20250219 effort-2025-11-24 mid-conversation-system-2026-04-07
    prompt-caching-scope-2026-01-05 structured-outputs-2025-12-15 tools-2024-05-16 web-fetch-2025-09-10
"""
KNOWN = frozenset((_OF_THE_SDK + _SEEN).split())
#: Stands for every beta: for items of a batch, whose betas are those of the request that created it.
EVERY = "*"


class Betas:
    """The betas of one request. `is_open` where one of them is unknown: it may open any field that nobody knows."""

    __slots__ = ("_has_all", "is_open", "names")

    def __init__(self, header: str) -> None:
        self.names = frozenset(name for part in header.split(",") if (name := part.strip()))
        self._has_all = EVERY in self.names
        self.is_open = not self.names <= KNOWN

    def has(self, *names: str) -> bool:
        """Whether one of these betas was asked for."""
        return self._has_all or not self.names.isdisjoint(names)

    @property
    def unknown(self) -> list[str]:
        return sorted(self.names - KNOWN)


def check_betas(header: str) -> None:
    """Refuse unknown names, as the API does (§1.1). Raises Problem 400."""
    if unknown := Betas(header).unknown:
        named = ", ".join(f"`{name}`" for name in unknown)
        raise invalid(
            f"Unexpected value(s) {named} for the `anthropic-beta` header. Please consult our documentation at "
            "docs.anthropic.com or try again without the header."
        )
