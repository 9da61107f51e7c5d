/**
 * The step of lists with filters, and of search. Released: it never changes.
 *
 * `search` holds the words of messages under their positions, and nothing else of them; `content` has the words of the text as
 * `words.ts` makes them, which is why the tokenizer has nothing to do but to split, `place` says where it was said. It is filled
 * in the background, up to `indexed`; what is removed from the entries after that waits in `search_removed` to leave it.
 * `after_seq`: what was said before under the same key, in a session that is gone, is not this one's.
 */
export const SEARCH_STEP = `
  CREATE INDEX sessions_of_channel ON sessions (channel, updated_at DESC, key);
  CREATE INDEX sessions_of_agent ON sessions (agent, updated_at DESC, key) WHERE agent IS NOT NULL;
  ALTER TABLE sessions ADD COLUMN after_seq INTEGER NOT NULL DEFAULT 0;

  INSERT INTO meta (name, value) VALUES ('indexed', 0);
  CREATE VIRTUAL TABLE search USING fts5 (content, place, content = '', contentless_delete = 1, tokenize = 'ascii');
  CREATE TABLE search_removed (seq INTEGER PRIMARY KEY) STRICT;
  CREATE TRIGGER search_removal AFTER DELETE ON entries
    WHEN old.prev IS NOT NULL AND old.seq <= (SELECT value FROM meta WHERE name = 'indexed')
  BEGIN
    INSERT OR IGNORE INTO search_removed (seq) VALUES (old.seq);
  END;
  `
