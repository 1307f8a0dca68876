"""The key a gateway makes for its first start, so that there is something to paste."""

from __future__ import annotations

import os

from ...config.schema import Config
from ...errors import StoreFailed
from ...ports.blocking import BlockingClock, SystemChance
from ...stores.keys import SCOPES, KeyStore, digest

FILE = "first.key"


def first_key(config: Config) -> tuple[str | None, bool]:
    """The key of the first start, and whether it was made just now; None once it is revoked or its file is gone.

    It is made where there are no keys yet, may do all but `admin`, and is kept in the data folder in a file that only
    its owner can read: hashes alone could not show it again. Raises StoreFailed.
    """
    if not config.identity.keys_required:
        return None, False
    clock, chance = BlockingClock(), SystemChance()
    store = KeyStore(config.data, clock)
    place = config.data / FILE
    known = store.list()
    if not known:
        _, secret = store.create(
            "first",
            chance=chance,
            token=chance.token,
            environment=config.environment,
            scopes=SCOPES - {"admin"},
        )
        try:
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secret.reveal() + "\n")
        except OSError as error:
            raise StoreFailed(
                f"The first key cannot be kept in {place}: {error.strerror}.", fix="Make the data folder writable."
            ) from error
        return secret.reveal(), True
    try:
        value = place.read_text().strip()
    except OSError:
        return None, False
    live = {key.digest for key in known if key.revoked_at_us is None and key.environment == config.environment}
    return (value, False) if digest(value) in live else (None, False)
