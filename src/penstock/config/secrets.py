"""From a reference to the secret it names. Values are never in an error, a log line or a Config.

The environment is handed in; nothing here reads it. Secret managers are optional extras, imported when first needed and
configured the way their own clients are.
"""

from __future__ import annotations

import importlib
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import ConfigError
from ..secret import Secret
from .references import fault_of_reference, split

SECRET_BYTES_MAX = 65_536
ANSWER_S = 10

#: Where container platforms mount secrets; they set modes that suit the container, not the machine.
_MOUNTS = (PurePosixPath("/run/secrets"), PurePosixPath("/var/run/secrets"))
_EXTRAS = {
    "keyring": ("keyring", "keyring"),
    "aws": ("boto3", "aws"),
    "google": ("google.cloud.secretmanager", "google"),
    "vault": ("hvac", "vault"),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Follows references. `environ` wins over `dotenv`, what a `.env` file said; `folder` is where paths begin.

    `dotenv_fault` says why that file may not be trusted; it is raised once a secret would come from there.
    """

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    dotenv: Mapping[str, str] = field(default_factory=dict, repr=False)
    dotenv_fault: ConfigError | None = None

    def resolve(self, reference: str) -> Secret:
        """The secret a reference names. May block on a secret manager for some 10 seconds. Raises ConfigError."""
        fault = fault_of_reference(reference)
        if fault is not None:
            raise ConfigError(f"A secret's reference {fault[0]}.", code="bad_reference", fix=fault[1])
        scheme, rest = split(reference)
        follow: dict[str, Callable[[str], object]] = {
            "env": self._from_environment,
            "file": self._from_file,
            "keyring": _from_keyring,
            "aws": _from_aws,
            "google": _from_google,
            "vault": self._from_vault,
        }
        return Secret(_sound(follow[scheme](rest), reference))

    def _from_environment(self, name: str) -> str:
        value = self.environ.get(name)
        if value:
            return value
        value = self.dotenv.get(name)
        if not value:
            raise ConfigError(
                f"The environment variable {name} is {'not set' if value is None else 'empty'}.",
                code="secret_missing",
                fix=f"Export it, or write {name}=… into {self.folder / '.env'} and `chmod 600` that.",
            )
        if self.dotenv_fault is not None:
            raise self.dotenv_fault
        return value

    def _from_file(self, name: str) -> bytes:
        path = self.folder / Path(name).expanduser()
        try:
            with path.open("rb") as file:
                mode = path.stat().st_mode
                value = file.read(SECRET_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else None
            raise ConfigError(
                f"The secret file {path} cannot be read: {said or 'no such path'}.",
                code="secret_missing",
                fix="Write the secret there, or correct the path.",
            ) from None
        is_mounted = any(path.is_relative_to(mount) for mount in _MOUNTS)
        if mode & (stat.S_IWGRP | stat.S_IRWXO) and not is_mounted:
            raise ConfigError(
                f"The secret file {path} has mode {stat.S_IMODE(mode):o}: others may read or change it.",
                code="secret_exposed",
                fix=f"Run `chmod 600 {path}`.",
            )
        if len(value) > SECRET_BYTES_MAX:
            raise ConfigError(
                f"The secret file {path} is larger than {SECRET_BYTES_MAX:,} bytes.",
                code="bad_secret",
                fix="Name a file that holds the secret and nothing else.",
            )
        return value

    def _from_vault(self, rest: str) -> object:
        place, _, name = rest.rpartition("#")
        mount, _, path = place.partition("/")
        address = self.environ.get("VAULT_ADDR") or self.dotenv.get("VAULT_ADDR")
        if not address:
            raise ConfigError(
                f"vault:{rest} needs VAULT_ADDR, which is not set.",
                code="secret_missing",
                fix="Export VAULT_ADDR and VAULT_TOKEN.",
            )
        hvac = _extra("vault")

        def ask() -> object:
            token = self._from_environment("VAULT_TOKEN")
            client = hvac.Client(
                url=address, token=token, namespace=self.environ.get("VAULT_NAMESPACE"), timeout=ANSWER_S
            )
            answer = client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=mount, raise_on_deleted_version=True
            )
            return answer["data"]["data"]

        return _field(_asked(f"vault:{rest}", ask), name, f"vault:{rest}")


def _from_keyring(rest: str) -> object:
    service, _, name = rest.partition("/")
    keyring = _extra("keyring")
    value = _asked(f"keyring:{rest}", lambda: keyring.get_password(service, name))
    if value is None:
        raise ConfigError(
            f"The keyring holds nothing for {name} of {service}.",
            code="secret_missing",
            fix=f"Run `keyring set {service} {name}`.",
        )
    return value


def _from_aws(rest: str) -> object:
    secret_id, _, name = rest.partition("#")
    boto3, config = _extra("aws"), importlib.import_module("botocore.config")

    def ask() -> object:
        limits = config.Config(connect_timeout=ANSWER_S, read_timeout=ANSWER_S, retries={"total_max_attempts": 2})
        answer = boto3.client("secretsmanager", config=limits).get_secret_value(SecretId=secret_id)
        return answer["SecretString"] if "SecretString" in answer else answer["SecretBinary"]

    value = _asked(f"aws:{rest}", ask)
    if not name:
        return value
    try:
        fields = json.loads(value if isinstance(value, str | bytes) else "")
    except ValueError:
        fields = None
    return _field(fields, name, f"aws:{rest}")


def _from_google(rest: str) -> object:
    manager = _extra("google")
    version = rest if "/versions/" in rest else f"{rest}/versions/latest"

    def ask() -> object:
        client = manager.SecretManagerServiceClient()
        return client.access_secret_version(name=version, timeout=ANSWER_S).payload.data

    return _asked(f"google:{rest}", ask)


def _extra(scheme: str) -> Any:
    """The client of a secret manager. Raises ConfigError naming the extra where it is not installed."""
    module, extra = _EXTRAS[scheme]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"References that begin with {scheme}: need the package {module}, which is not installed.",
            code="extra_missing",
            fix=f"Run `pip install 'penstock[{extra}]'`.",
        ) from None


def _asked(reference: str, ask: Callable[[], object]) -> object:
    """What a secret manager answers. Its own errors may quote what it was sent, so only their kind is told."""
    try:
        return ask()
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  (raised again, in words that are safe)
        kind = type(error).__name__
        answer = getattr(error, "response", None)
        if isinstance(answer, Mapping):  # botocore says what went wrong in a code
            kind = str(answer.get("Error", {}).get("Code", kind))
        raise ConfigError(
            f"{reference} could not be read: {kind}.",
            code="secret_unreadable",
            fix="Check that it exists, that this machine may read it, and that the secret manager can be reached.",
        ) from None


def _field(fields: object, name: str, reference: str) -> object:
    value = fields.get(name) if isinstance(fields, Mapping) else None
    if not isinstance(value, str):
        raise ConfigError(
            f"{reference} has no text field of that name.",
            code="secret_missing",
            fix="Correct what follows the #.",
        )
    return value


def _sound(value: object, reference: str) -> str:
    """A secret that an HTTP header can carry: one line of visible ASCII, space around it removed."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ConfigError(f"{reference} is empty.", code="secret_missing", fix="Write the key there.")
    if not all("!" <= character <= "~" for character in text):
        raise ConfigError(
            f"{reference} holds spaces, line ends or signs that no key has.",
            code="bad_secret",
            fix="Let it hold the key and nothing else.",
        )
    return text
