PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE calls (
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
    );
INSERT INTO "calls" VALUES('call_00000000000000000000000001',1795132800000000,'gateway','POST','/v1/messages','messages','anthropic',NULL,NULL,NULL,NULL,'summarise',NULL,NULL,NULL,'claude-sonnet-4-6','claude-sonnet-4-6',0,200,'complete',NULL,NULL,NULL,NULL,10,0,0,0,5,0,0,NULL,NULL,NULL,105000,'exact',1,0,NULL,NULL,1500,0,0,NULL,0,X'5B315D');
CREATE TABLE keys (
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
    );
CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('keys_version',0);
CREATE INDEX calls_by_time ON calls (began_at_us);
COMMIT;
