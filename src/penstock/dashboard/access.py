"""Who may see the pages, and who may change something: a key with the scope admin or view, or a trusted proxy's word.

A session is a signed cookie; the key behind it is looked up at each request, so that one that is revoked is out at
once. Forms carry a token that is bound to the session. Whoever starts the pages alone may read the data folder anyway,
and is given a link that logs in once, for a session that ends with the process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request

from ..config.schema import Config
from ..ports import Clock, Key

COOKIE = "penstock_session"
#: How long a session lasts, in seconds.
SESSION_S = 12 * 3600

_TOKEN_BYTES = 32

ADMIN, VIEWER = "admin", "viewer"


class Visitor(NamedTuple):
    """Who looks: a name to greet, and whether they may change something. `key_id` where it was a key that let them in;
    `has_session` where they can log out."""

    name: str
    role: str
    key_id: str | None = None
    has_session: bool = False

    @property
    def may_change(self) -> bool:
        return self.role == ADMIN


#: Finds a key by its SHA-256, and by its id.
FindKey = Callable[[bytes], Key | None]
FindKeyById = Callable[[str], Key | None]


class Access:
    """Lets visitors in. `secret` signs, `token` makes random text; `find` and `find_by_id` look keys up, and block."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Clock,
        secret: bytes,
        token: Callable[[int], str],
        find: FindKey,
        find_by_id: FindKeyById,
    ) -> None:
        self._config, self._clock, self._token = config, clock, token
        self._find, self._find_by_id = find, find_by_id
        signing = hashlib.sha256(b"penstock dashboard" + secret).digest()
        self._sessions = URLSafeSerializer(signing, salt="session")
        self._forms = URLSafeSerializer(signing, salt="form")
        self._links, self._owners = set[str](), set[str]()

    def login(self, key: str) -> str | None:
        """The cookie of a new session; None for a key that may not see the pages."""
        found = self._find(hashlib.sha256(key.strip().encode()).digest())
        role = None if found is None else self._role(found)
        return None if found is None or role is None else self._session(found.id)

    def link(self) -> str:
        """What a link brings along that logs its first follower in, as whom the data folder belongs to."""
        made = self._token(_TOKEN_BYTES)
        self._links.add(made)
        return made

    def follow(self, link: str) -> str | None:
        """The cookie of a new session; None for a link that is none, or was followed before."""
        if link not in self._links:
            return None
        self._links.remove(link)
        owner = self._token(_TOKEN_BYTES)
        self._owners.add(owner)
        return self._session(owner)

    def logout(self, request: Request) -> None:
        """End the session of a link. That of a key is over when its cookie is gone or its time is up."""
        self._owners.discard(self._whose(request) or "")

    def visitor(self, request: Request) -> Visitor | None:
        """Who makes a request; None for someone who has to log in."""
        own = self._config().dashboard
        host = request.client.host if request.client is not None else ""
        if own.user_header is not None and host in own.proxies:
            name = request.headers.get(own.user_header, "").strip()
            return Visitor(name, ADMIN if name in own.admins else VIEWER) if name else None
        whose = self._whose(request)
        if whose in self._owners:
            return Visitor("owner", ADMIN, has_session=True)
        found = None if whose is None else self._find_by_id(whose)
        role = None if found is None else self._role(found)
        if found is not None and role is not None:
            return Visitor(found.name, role, found.id, has_session=True)
        # whoever may call without a key may look without one
        return None if self._config().identity.keys_required else Visitor("everybody", VIEWER)

    def token(self, request: Request) -> str:
        """What a form of this session must bring along."""
        return str(self._forms.dumps(self._bound_to(request)))

    def is_own(self, request: Request, token: Any) -> bool:
        """Whether a form was sent by a page of ours, to this session."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        try:
            return site in ("same-origin", "none") and self._forms.loads(str(token)) == self._bound_to(request)
        except BadSignature:
            return False

    def _session(self, whose: str) -> str:
        return str(self._sessions.dumps([whose, self._clock.wall_us() // 1_000_000 + SESSION_S]))

    def _whose(self, request: Request) -> str | None:
        """The key or the link that a session began with; None where there is no session, or it is over."""
        try:
            whose, until_s = self._sessions.loads(request.cookies.get(COOKIE, ""))
        except BadSignature:
            return None
        return str(whose) if self._clock.wall_us() < until_s * 1_000_000 else None

    def _bound_to(self, request: Request) -> str:
        cookie = request.cookies.get(COOKIE, "")
        return hashlib.sha256(cookie.encode()).hexdigest()[:32]

    def _role(self, key: Key) -> str | None:
        now_us = self._clock.wall_us()
        if key.revoked_at_us is not None or (key.expires_at_us is not None and key.expires_at_us <= now_us):
            return None
        return ADMIN if "admin" in key.scopes else VIEWER if "view" in key.scopes else None
