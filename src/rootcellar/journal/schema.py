"""The index's tables; the tally of what the store holds is kept by triggers, so no transaction can forget it."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS change(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, tool TEXT NOT NULL,
  arguments TEXT NOT NULL, host TEXT NOT NULL, effect TEXT NOT NULL, summary TEXT NOT NULL, state TEXT NOT NULL,
  request_key TEXT UNIQUE, owner TEXT NOT NULL, undoes TEXT NOT NULL, undone_by TEXT NOT NULL DEFAULT '',
  interrupted INTEGER NOT NULL DEFAULT 0, held_by TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS change_begun ON change(owner) WHERE state = 'begun';
CREATE TABLE IF NOT EXISTS step(
  ord INTEGER PRIMARY KEY AUTOINCREMENT, change INTEGER NOT NULL REFERENCES change(seq) ON DELETE CASCADE,
  n INTEGER NOT NULL, kind TEXT NOT NULL, facts TEXT NOT NULL, state TEXT NOT NULL, undoes INTEGER,
  UNIQUE(change, n));
CREATE INDEX IF NOT EXISTS step_undoes ON step(undoes) WHERE undoes IS NOT NULL;
CREATE TABLE IF NOT EXISTS touched(
  ord INTEGER NOT NULL REFERENCES step(ord) ON DELETE CASCADE, path BLOB NOT NULL,
  PRIMARY KEY(ord, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS touched_path ON touched(path);
CREATE TABLE IF NOT EXISTS content(
  hash TEXT PRIMARY KEY, size INTEGER NOT NULL, stored INTEGER NOT NULL, form TEXT NOT NULL, file TEXT NOT NULL,
  data BLOB, tried INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS content_plain ON content(hash) WHERE form = 'plain' AND file != '' AND NOT tried;
CREATE TABLE IF NOT EXISTS kept(
  ord INTEGER NOT NULL REFERENCES step(ord) ON DELETE CASCADE, place INTEGER NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY(ord, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kept_hash ON kept(hash);
CREATE TABLE IF NOT EXISTS tally(one INTEGER PRIMARY KEY CHECK(one = 1), stored INTEGER NOT NULL);
INSERT OR IGNORE INTO tally VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS content_in AFTER INSERT ON content BEGIN
  UPDATE tally SET stored = stored + new.stored; END;
CREATE TRIGGER IF NOT EXISTS content_packed AFTER UPDATE OF stored ON content BEGIN
  UPDATE tally SET stored = stored - old.stored + new.stored; END;
CREATE TRIGGER IF NOT EXISTS content_out AFTER DELETE ON content BEGIN
  UPDATE tally SET stored = stored - old.stored; END;
CREATE TRIGGER IF NOT EXISTS step_in AFTER INSERT ON step BEGIN
  UPDATE tally SET stored = stored + 256 + length(new.facts); END;
CREATE TRIGGER IF NOT EXISTS step_out AFTER DELETE ON step BEGIN
  UPDATE tally SET stored = stored - 256 - length(old.facts); END;
CREATE TRIGGER IF NOT EXISTS step_facts AFTER UPDATE OF facts ON step BEGIN
  UPDATE tally SET stored = stored - length(old.facts) + length(new.facts); END;
"""
