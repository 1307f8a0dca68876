"""Who is told, through Apprise: Slack, mail, PagerDuty and a hundred more by URL, or a webhook that takes JSON.

A sink is known by its reference; its URL is a secret, and neither it nor a part of it is in an error or a log line.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import ConfigError
from ...secret import Secret

#: These open an incident for each message and cannot close it, so they are not told that something is over.
PAGERS = frozenset({"Pager Duty"})

_ERROR_CHARACTERS_MAX = 200
#: Shorter parts of a URL are words such as "services", which say nothing.
_TELLING_CHARACTERS_MIN = 6


class Sinks:
    """The sinks of a config. Raises ConfigError for one that no service knows, and where Apprise is not installed."""

    def __init__(self, urls: Mapping[str, Secret]) -> None:
        self._urls = dict(urls)
        self._lock = threading.Lock()
        self._services: dict[str, str] = {}
        if not urls:
            return
        self._apprise = _apprise()
        self._heard = _Heard()
        self._logger = logging.getLogger("apprise")
        self._logger.propagate = False  # its lines may quote what it was sent
        self._logger.addHandler(self._heard)
        self._logger.setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it writes paths, and a webhook's is its secret
        for reference, url in urls.items():
            self._services[reference] = str(self._plugin(reference, url, {}).service_name)

    @property
    def services(self) -> Mapping[str, str]:
        """What each sink is, such as "Slack", by its reference."""
        return self._services

    def hearing(self, event: str) -> list[str]:
        """The sinks that are told of an event."""
        return [name for name, service in self._services.items() if event != "cleared" or service not in PAGERS]

    def send(self, reference: str, title: str, body: str, *, severity: str, extras: Mapping[str, Any]) -> str | None:
        """Tell one sink; why it could not be told, or None. Blocks for some seconds at most.

        `severity`: warning | critical | over | test. A webhook gets `extras` beside the text.
        """
        url = self._urls[reference]
        kinds = self._apprise.NotifyType
        kind = {"critical": kinds.FAILURE, "warning": kinds.WARNING, "over": kinds.SUCCESS}.get(severity, kinds.INFO)
        with self._lock:
            self._heard.lines.clear()
            sender = self._apprise.Apprise()
            sender.add(self._plugin(reference, url, {"severity": severity, **extras}))
            is_told = sender.notify(body=body, title=title, notify_type=kind, body_format="text")
            said = self._heard.lines[-1] if self._heard.lines else "not delivered"
        return None if is_told else _safe(said, url)

    def _plugin(self, reference: str, url: Secret, extras: Mapping[str, Any]) -> Any:
        plugin = self._apprise.Apprise.instantiate(url.reveal()) or self._webhook(url.reveal(), extras)
        if plugin is None:
            raise ConfigError(
                f"What {reference} holds is no URL that a service of Apprise has.",
                code="bad_secret",
                fix="Give such as slack://…, mailto://… or the https:// address of a webhook; see docs/alerts.md.",
            )
        return plugin

    def _webhook(self, url: str, extras: Mapping[str, Any]) -> Any:
        """A plain address, which Apprise would take for none of its services, as one that takes JSON."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        is_secure = parts.scheme == "https"
        known = {
            "schema": "jsons" if is_secure else "json",
            "secure": is_secure,
            "host": f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
            "port": port,
            "user": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "fullpath": parts.path or "/",
            "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
            "payload": dict(extras),
        }
        return self._apprise.Apprise.instantiate(known)


class _Heard(logging.Handler):
    """What Apprise says, instead of an exception."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _apprise() -> Any:
    try:
        return importlib.import_module("apprise")
    except ImportError:
        raise ConfigError(
            "Alerts are sent through Apprise, which is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[alerts]'`, or leave `alerts.sinks` out: `penstock alerts` works without.",
        ) from None


def _safe(said: str, url: Secret) -> str:
    """What Apprise said, without any part of the URL that could be a credential."""
    host = urlsplit(url.reveal()).hostname or ""
    for part in sorted(re.split(r"[/:@?&=#,]+", unquote(url.reveal()) + "/" + url.reveal()), key=len, reverse=True):
        if len(part) >= _TELLING_CHARACTERS_MIN and part != host:
            said = said.replace(part, "…")
    return " ".join(said.split())[:_ERROR_CHARACTERS_MAX]
