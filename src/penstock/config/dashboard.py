"""Who may see the web pages: `[dashboard]`."""

from __future__ import annotations

from dataclasses import dataclass

from .keys import BadValue, Section, check, key


@dataclass(frozen=True, slots=True)
class DashboardConfig(Section):
    """The web pages under `/penstock/`: `[dashboard]`."""

    enabled: bool = key(True, "whether there are any; needs `penstock[dashboard]`")
    user_header: str | None = key(None, "a header field with the user's name, which a proxy of `proxies` sets")
    proxies: tuple[str, ...] = key(("127.0.0.1", "::1"), "addresses whose word is taken for that")
    admins: tuple[str, ...] = key((), "names of that header that may change something; others may look")

    def __post_init__(self) -> None:
        check(self)
        if self.admins and self.user_header is None:
            fix = "Name the `user_header` that they are in, or leave them out."
            raise BadValue("DashboardConfig", "admins", "has names, and no header tells any", fix)
