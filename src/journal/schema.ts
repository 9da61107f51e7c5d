import type { Database } from 'better-sqlite3'
import { failpoint } from '#failpoint'
import { SEARCH_STEP } from './schema-search.js'

/** Marks a database file as a journal of this program: 'LurK' in ASCII. */
export const APPLICATION_ID = 0x4c75724b

/**
 * Step n takes a journal from version n to n + 1. A step that has been released never changes; a new shape is a new step.
 * `inbox.id` and `idempotency.event_id` are the part that the event's and the run's ids share.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
  ) WITHOUT ROWID, STRICT;
  INSERT INTO meta (name, value) VALUES ('epoch', lower(hex(randomblob(12)))), ('seq', 0), ('purged', 0);

  -- prev chains the messages of a session, newest to oldest; 0 ends the chain. NULL: no message of a session that was
  -- there; retention removes it by its age. The chain stands in for an index, whose pages every commit would touch.
  CREATE TABLE entries (
    seq         INTEGER PRIMARY KEY,
    prev        INTEGER,
    event       TEXT NOT NULL,
    session_key TEXT,
    at          INTEGER NOT NULL,
    payload     TEXT NOT NULL
  ) STRICT;
  CREATE INDEX entries_passing ON entries (at) WHERE prev IS NULL;

  -- status: 0 pending, 1 failed (a dead letter), 2 completed, 3 aborted, 4 discarded. prev chains a session's events.
  CREATE TABLE inbox (
    id              TEXT PRIMARY KEY,
    prev            TEXT,
    seq             INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    session_key     TEXT NOT NULL,
    type            TEXT NOT NULL,
    source          TEXT NOT NULL,
    at              INTEGER NOT NULL,
    priority        TEXT NOT NULL,
    idempotency_key TEXT,
    attempts        INTEGER NOT NULL,
    error           TEXT,
    reply_seq       INTEGER,
    done_at         INTEGER,
    payload         TEXT
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX inbox_pending ON inbox (seq) WHERE status = 0;
  CREATE INDEX inbox_failed ON inbox (seq) WHERE status = 1;
  CREATE INDEX inbox_ended ON inbox (done_at) WHERE status > 1;

  -- last_message and last_event are where the chains begin.
  CREATE TABLE sessions (
    key          TEXT PRIMARY KEY,
    channel      TEXT NOT NULL,
    title        TEXT,
    agent        TEXT,
    metadata     TEXT NOT NULL,
    paused       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    reset_seq    INTEGER NOT NULL,
    last_message INTEGER NOT NULL DEFAULT 0,
    last_event   TEXT
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX sessions_recent ON sessions (updated_at DESC, key);
  CREATE INDEX sessions_paused ON sessions (key) WHERE paused = 1;

  CREATE TABLE idempotency (
    session_key TEXT NOT NULL,
    key         TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    digest      TEXT,
    at          INTEGER NOT NULL,
    PRIMARY KEY (session_key, key)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX idempotency_age ON idempotency (at);

  -- Chains of messages that left their conversation at a time: retention removes them.
  CREATE TABLE expiry (
    at   INTEGER NOT NULL,
    head INTEGER NOT NULL,
    PRIMARY KEY (at, head)
  ) WITHOUT ROWID, STRICT;
  `,
  // merged_into: the part of the ids of the run that handled the event together with its own.
  `
  ALTER TABLE sessions ADD COLUMN queue_mode TEXT;
  ALTER TABLE inbox ADD COLUMN merged_into TEXT;
  CREATE INDEX inbox_died ON inbox (done_at) WHERE status = 1;
  `,
  // A delivery that was made is removed. status: 0 waiting, 1 dead. seq is from the same row of numbers as that of entries.
  `
  CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    status      INTEGER NOT NULL,
    channel     TEXT NOT NULL,
    peer        TEXT NOT NULL,
    thread      TEXT,
    session_key TEXT NOT NULL,
    at          INTEGER NOT NULL,
    parts_sent  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    error       TEXT,
    died_at     INTEGER,
    payload     TEXT NOT NULL
  ) STRICT;
  CREATE INDEX outbox_waiting ON outbox (seq) WHERE status = 0;
  CREATE INDEX outbox_dead ON outbox (seq) WHERE status = 1;
  CREATE INDEX outbox_died ON outbox (died_at) WHERE status = 1;

  CREATE TABLE peers (
    channel       TEXT NOT NULL,
    peer          TEXT NOT NULL,
    name          TEXT,
    target_peer   TEXT NOT NULL,
    target_thread TEXT,
    code          TEXT NOT NULL,
    requested_at  INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    approved_at   INTEGER,
    approved_by   TEXT,
    PRIMARY KEY (channel, peer)
  ) WITHOUT ROWID, STRICT;
  `,
  // What is neither event, session nor delivery: schedules, devices, the audit log and the like; body is JSON text.
  `
  CREATE TABLE documents (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    subject    TEXT,
    at         INTEGER NOT NULL,
    expires_at INTEGER,
    body       TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX documents_recent ON documents (kind, at, id);
  CREATE INDEX documents_of_subject ON documents (kind, subject, at, id) WHERE subject IS NOT NULL;
  CREATE INDEX documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
  `,
  SEARCH_STEP,
  // trace: the W3C context, traceparent and, after a blank, tracestate.
  `
  ALTER TABLE inbox ADD COLUMN trace TEXT;
  ALTER TABLE outbox ADD COLUMN trace TEXT;
  `,
]

export const SCHEMA_VERSION = MIGRATIONS.length

/** Takes the database from its version to the newest, each step in a transaction. Returns the version it had. */
export function migrate(db: Database, migrations: readonly string[] = MIGRATIONS): number {
  const from = db.pragma('user_version', { simple: true }) as number
  for (const [offset, step] of migrations.slice(from).entries()) {
    db.transaction(() => {
      db.exec(step)
      db.pragma(`application_id = ${APPLICATION_ID}`)
      db.pragma(`user_version = ${from + offset + 1}`)
      failpoint('open.migrating')
    }).immediate()
    failpoint('open.migrated')
  }
  return from
}
