"""How the database came to look as it does, step by step.

Step n takes a database from version n-1 to n. A step that has been released is never edited: the next change of
the schema is a new step at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

Migration = Callable[[Connection], None]


def m001_calls_keys(connection: Connection) -> None:
    """The first schema: one row per call, its trail last, and the virtual keys."""
    for statement in _M001:
        connection.execute(statement)


_M001 = (
    """CREATE TABLE calls (
        call_id TEXT PRIMARY KEY NOT NULL,
        began_at_us INTEGER NOT NULL,
        face TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        upstream TEXT,
        upstream_request_id TEXT,
        key_id TEXT,
        environment TEXT,
        tier TEXT,
        feature TEXT,
        user TEXT,
        session TEXT,
        segment TEXT,
        model_asked TEXT,
        model_served TEXT,
        is_stream INTEGER NOT NULL,
        status INTEGER,
        ending TEXT NOT NULL,
        error_type TEXT,
        error_code TEXT,
        error_layer TEXT,
        stop_reason TEXT,
        input_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL,
        cache_write_5m_tokens INTEGER NOT NULL,
        cache_write_1h_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        thinking_tokens INTEGER NOT NULL,
        web_searches INTEGER NOT NULL,
        service_tier TEXT,
        inference_geo TEXT,
        speed TEXT,
        cost_nano INTEGER,
        cost_basis TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        wait_us INTEGER NOT NULL,
        first_token_us INTEGER,
        upstream_us INTEGER,
        total_us INTEGER NOT NULL,
        request_bytes INTEGER NOT NULL,
        response_bytes INTEGER NOT NULL,
        prompt_hash TEXT,
        client_retry INTEGER NOT NULL,
        trail BLOB NOT NULL
    )""",
    "CREATE INDEX calls_by_time ON calls (began_at_us)",
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        shown TEXT NOT NULL,
        environment TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_at_us INTEGER NOT NULL,
        tier TEXT,
        models TEXT,
        features TEXT,
        expires_at_us INTEGER,
        revoked_at_us INTEGER
    )""",
    "CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta (name, value) VALUES ('keys_version', 0)",
)


def m002_held(connection: Connection) -> None:
    """What budgets held for a call, which is what they count where its cost is not known."""
    connection.execute("ALTER TABLE calls ADD COLUMN held_nano INTEGER")


def m003_limits_of_keys(connection: Connection) -> None:
    """What a key may spend, and in what period."""
    connection.execute("ALTER TABLE keys ADD COLUMN limit_nano INTEGER")
    connection.execute("ALTER TABLE keys ADD COLUMN period TEXT NOT NULL DEFAULT 'month'")


def m004_lineage_audit(connection: Connection) -> None:
    """Which key a key came from by rotation, and who changed what."""
    for statement in _M004:
        connection.execute(statement)


_M004 = (
    # The id of the first of those that came from one another; NULL for the first itself.
    "ALTER TABLE keys ADD COLUMN lineage TEXT",
    """CREATE TABLE audit (
        number INTEGER PRIMARY KEY NOT NULL,
        at_us INTEGER NOT NULL,
        who TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        before TEXT,
        after TEXT
    )""",
    """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    # INSERT OR REPLACE deletes without the trigger for that.
    """CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
        WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)


def m005_alerts(connection: Connection) -> None:
    """What fires and what fired, who is to be told of it, and since when an upstream's key is known."""
    for statement in _M005:
        connection.execute(statement)


_M005 = (
    """CREATE TABLE alerts (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        identity TEXT NOT NULL,
        kind TEXT NOT NULL,
        level INTEGER NOT NULL,
        severity TEXT NOT NULL,
        said TEXT NOT NULL,
        fix TEXT NOT NULL,
        hold_us INTEGER NOT NULL,
        since_us INTEGER NOT NULL,
        told_us INTEGER NOT NULL,
        below_since_us INTEGER,
        acked_at_us INTEGER,
        cleared_at_us INTEGER
    )""",
    # What makes one alert of those that several processes see.
    "CREATE UNIQUE INDEX alerts_firing ON alerts (identity) WHERE cleared_at_us IS NULL",
    "CREATE INDEX alerts_by_identity ON alerts (identity, cleared_at_us)",
    """CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        alert_id INTEGER NOT NULL,
        event TEXT NOT NULL,
        sink TEXT NOT NULL,
        severity TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        made_at_us INTEGER NOT NULL,
        due_us INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        ended_at_us INTEGER,
        is_delivered INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX deliveries_due ON deliveries (due_us) WHERE ended_at_us IS NULL",
    "CREATE INDEX deliveries_by_alert ON deliveries (alert_id)",
    """CREATE TABLE upstream_keys (
        reference TEXT PRIMARY KEY NOT NULL,
        digest BLOB NOT NULL,
        since_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
)


def m006_batches(connection: Connection) -> None:
    """The batch that a call has made, whose results say what it came to."""
    connection.execute("ALTER TABLE calls ADD COLUMN batch_id TEXT")
    connection.execute("CREATE INDEX calls_by_batch ON calls (batch_id) WHERE batch_id IS NOT NULL")


def m007_prompts(connection: Connection) -> None:
    """The prompt that a call was made of."""
    connection.execute("ALTER TABLE calls ADD COLUMN prompt TEXT")


def m008_arms_outcomes(connection: Connection) -> None:
    """The arm of a split that a call fell to, and what became of a form that was wanted."""
    connection.execute("ALTER TABLE calls ADD COLUMN arm TEXT")
    connection.execute("ALTER TABLE calls ADD COLUMN outcome TEXT")


def m009_sums(connection: Connection) -> None:
    """Sums of calls by the hour: see `sums`. What a summed row was that changes is noted by a trigger."""
    connection.execute("CREATE TABLE summed (rowid_summed INTEGER NOT NULL)")
    connection.execute("INSERT INTO summed VALUES (0)")
    for table, keys, measures in _M009_SUMS:
        names = [f"{key} {'INTEGER' if key in _M009_NUMBERS else 'TEXT'} NOT NULL" for key in keys]
        names += [f"{measure} INTEGER NOT NULL" for measure in measures]
        connection.execute(f"CREATE TABLE {table} ({', '.join(names)}, PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID")
    columns = ", ".join(_M009_COLUMNS)
    connection.execute(f"CREATE TABLE sums_changed (row INTEGER PRIMARY KEY, {columns})")
    old = ", ".join(f"old.{column}" for column in _M009_COLUMNS)
    connection.execute(
        "CREATE TRIGGER calls_changed AFTER UPDATE ON calls BEGIN "
        f"INSERT OR IGNORE INTO sums_changed VALUES (old.rowid, {old}); END"
    )


_M009_NUMBERS = ("hour_us", "day_us", "step")
_M009_TOKENS = (
    *("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"),
    "thinking_tokens",
)
_M009_SUMS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "sums",
        ("hour_us", "environment", "feature", "segment", "key", "model", "upstream", "prompt", "arm"),
        (
            *("calls", "errors", "refused", "cost_nano", "unpriced", *_M009_TOKENS),
            *("web_searches", "capped", "attempts", "wait_us"),
        ),
    ),
    (
        "sums_of_users",
        ("day_us", "user", "feature"),
        ("calls", "errors", "cost_nano", "input_tokens", "cache_read_tokens", "output_tokens"),
    ),
    ("sums_of_errors", ("hour_us", "feature", "model", "layer", "code"), ("calls",)),
    ("sums_of_durations", ("hour_us", "feature", "model", "what", "step"), ("calls",)),
)
_M009_COLUMNS = (
    *("began_at_us", "environment", "feature", "segment", "key_id", "model_served", "model_asked", "upstream"),
    *("prompt", "arm", "ending", "endpoint", "cost_nano", *_M009_TOKENS, "web_searches", "stop_reason", "attempts"),
    *("wait_us", "user", "error_layer", "error_code", "error_type", "total_us", "first_token_us"),
)


MIGRATIONS: tuple[Migration, ...] = (
    m001_calls_keys,
    m002_held,
    m003_limits_of_keys,
    m004_lineage_audit,
    m005_alerts,
    m006_batches,
    m007_prompts,
    m008_arms_outcomes,
    m009_sums,
)
