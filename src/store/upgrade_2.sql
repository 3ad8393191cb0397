-- Version 2 to 3: the whole machine (refunds, contradictions, write-offs, decisions, holds), and books that
-- tell the provider's cost and fees apart.

-- SQLite changes no CHECK in place. These only become wider, so every row there stays right, and the text of
-- the schema is what says so (sqlite.org, lang_altertable: the second procedure).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state BETWEEN 1 AND 9)', 'CHECK (state BETWEEN 1 AND 13)')
	WHERE type = 'table' AND name = 'purchase';
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state BETWEEN 1 AND 9)', 'CHECK (state BETWEEN 1 AND 11)')
	WHERE type = 'table' AND name = 'attempt';
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (kind BETWEEN 1 AND 6)', 'CHECK (kind BETWEEN 1 AND 9)')
	WHERE type = 'table' AND name = 'outbox';
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (kind BETWEEN 1 AND 3)', 'CHECK (kind BETWEEN 1 AND 5)')
	WHERE type = 'table' AND name = 'inbox';
UPDATE sqlite_schema SET sql = replace(sql, '_state BETWEEN 0 AND 9)', '_state BETWEEN 0 AND 13)')
	WHERE type = 'table' AND name = 'event';
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (book BETWEEN 1 AND 6)', 'CHECK (book BETWEEN 1 AND 8)')
	WHERE type = 'table' AND name = 'ledger';
PRAGMA writable_schema = RESET;

DROP TRIGGER purchase_intent;
ALTER TABLE purchase ADD COLUMN collect_fee INTEGER NOT NULL DEFAULT 0
	CHECK (collect_fee BETWEEN 0 AND 1000000000000);
ALTER TABLE purchase ADD COLUMN paid_by TEXT NOT NULL DEFAULT '';
CREATE TRIGGER purchase_intent BEFORE UPDATE OF id, partner, uid, ordinal, ref, channel, offer, payer,
	beneficiary, payer_operator, operator, lang, face_value, fee, price, cost, currency,
	has_collect, has_deliver, menu_hash, texts, created_ms, collect_fee, paid_by ON purchase
BEGIN SELECT RAISE(ABORT, 'a purchase''s intent never changes'); END;
ALTER TABLE outbox ADD COLUMN over_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN dlr_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0 CHECK (dismissed BETWEEN 0 AND 1);

ALTER TABLE meta ADD COLUMN clock_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN boot_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN boot_id TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN frozen_id INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempt ADD COLUMN absent INTEGER NOT NULL DEFAULT 0 CHECK (absent >= 0);
ALTER TABLE attempt ADD COLUMN absent_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN first_sent_ms INTEGER NOT NULL DEFAULT 0;

ALTER TABLE spacing ADD COLUMN keeper INTEGER NOT NULL DEFAULT 0;

DROP INDEX attempt_live;
CREATE UNIQUE INDEX attempt_live ON attempt (purchase, leg)
	WHERE state <> 5 AND state <> 7 AND state <> 8 AND state <> 10;
DROP INDEX attempt_open;
CREATE INDEX attempt_open ON attempt (state) WHERE state < 5 OR state = 9 OR state = 10;
CREATE INDEX inbox_of_attempt ON inbox (attempt) WHERE attempt IS NOT NULL;
DROP INDEX inbox_parked;
CREATE INDEX inbox_parked ON inbox (partner)
	WHERE (verdict BETWEEN 4 AND 6 OR verdict > 8) AND dismissed = 0;

-- What persons decided about a case. Two agree, or one has looked (DISMISS); none agrees with himself.
CREATE TABLE decision (
	id          INTEGER PRIMARY KEY CHECK (id > 0),
	partner     INTEGER NOT NULL, -- 0: of the whole node (a hold on every account)
	kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6), -- enum decision_kind
	purchase    INTEGER,
	attempt     INTEGER,
	inbox       INTEGER,
	hold        INTEGER,
	proposed_by TEXT    NOT NULL CHECK (length(proposed_by) > 0),
	proposed_ms INTEGER NOT NULL,
	proof       BLOB    NOT NULL CHECK (length(proof) BETWEEN 41 AND 1040), -- sealed: 1 to 1000 bytes
	agreed_by   TEXT             CHECK (agreed_by <> proposed_by),
	agreed_ms   INTEGER,
	agreed_proof BLOB            CHECK (length(agreed_proof) BETWEEN 41 AND 1040), -- sealed
	state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), -- proposed, applied, overtaken
	CHECK (state <> 2 OR kind = 5 OR (agreed_by IS NOT NULL AND agreed_proof IS NOT NULL)),
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id),
	FOREIGN KEY (hold) REFERENCES hold (id)
) STRICT;

CREATE UNIQUE INDEX decision_open ON decision (partner, kind, coalesce(purchase, 0),
	coalesce(attempt, 0), coalesce(inbox, 0), coalesce(hold, 0)) WHERE state = 1;
CREATE INDEX decision_of_purchase ON decision (partner, purchase);
CREATE INDEX decision_of_attempt ON decision (partner, attempt);
CREATE INDEX decision_of_hold ON decision (hold);

-- Accounts that neither send nor sell until persons release them.
CREATE TABLE hold (
	id          INTEGER PRIMARY KEY CHECK (id > 0),
	partner     INTEGER NOT NULL, -- 0 with account '*': the whole node
	account     TEXT    NOT NULL CHECK (length(account) > 0),
	reason      TEXT    NOT NULL CHECK (length(reason) > 0),
	since_ms    INTEGER NOT NULL,
	released_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX hold_open ON hold (partner, account) WHERE released_ms IS NULL;

CREATE TRIGGER decision_as_it_was BEFORE UPDATE OF id, partner, kind, purchase, attempt, inbox, hold,
	proposed_by, proposed_ms, proof ON decision
BEGIN SELECT RAISE(ABORT, 'what was proposed stays as it was'); END;
CREATE TRIGGER decision_once BEFORE UPDATE ON decision WHEN OLD.state <> 1
BEGIN SELECT RAISE(ABORT, 'what was decided stays decided'); END;
CREATE TRIGGER decision_stays BEFORE DELETE ON decision
BEGIN SELECT RAISE(ABORT, 'decisions stay'); END;
CREATE TRIGGER hold_as_it_was BEFORE UPDATE OF id, partner, account, reason, since_ms ON hold
BEGIN SELECT RAISE(ABORT, 'a hold stays as it was'); END;
CREATE TRIGGER hold_once BEFORE UPDATE ON hold WHEN OLD.released_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a hold is released once'); END;
CREATE TRIGGER hold_stays BEFORE DELETE ON hold
BEGIN SELECT RAISE(ABORT, 'holds stay'); END;

-- A delivery was booked at face value; it is booked at what it takes from the float now. One posting for
-- each purchase whose delivery is in doubt or done brings its books to where they would be.
CREATE TEMP TABLE correction AS
	SELECT q.id AS purchase, q.partner, a.id AS attempt, q.currency, a.account, a.updated_ms AS at_ms,
		q.face_value - q.cost AS gain, CASE a.state WHEN 6 THEN 3 ELSE 4 END AS book,
		(SELECT max(posting) + 1 FROM ledger WHERE purchase = q.id) AS posting
	FROM purchase q JOIN attempt a ON a.purchase = q.id AND a.leg = 2
	WHERE a.state IN (2, 3, 4, 6, 9) AND q.cost <> q.face_value
		AND EXISTS (SELECT 1 FROM ledger WHERE purchase = q.id AND attempt = a.id);
INSERT INTO ledger (purchase, posting, line, partner, attempt, book, debit, currency, account, at_ms)
	SELECT purchase, posting, 1, partner, attempt, 2, gain, currency, account, at_ms FROM correction
	UNION ALL
	SELECT purchase, posting, 2, partner, attempt, book, -gain, currency, account, at_ms FROM correction;
DROP TABLE correction;

-- What all postings add up to, kept by a trigger of the ledger in the posting's own commit, so that a balance
-- costs one look. `account` is the provider account, or the agents' float in its own book.
CREATE TABLE balance (
	partner  INTEGER NOT NULL,
	account  TEXT    NOT NULL,
	book     INTEGER NOT NULL,
	currency TEXT    NOT NULL,
	sum      INTEGER NOT NULL, -- debit
	PRIMARY KEY (partner, account, book, currency)
) STRICT, WITHOUT ROWID;

-- What was earned and what providers kept, by the day of the posting: books 3 and 7, as in `balance`.
CREATE TABLE earned (
	partner  INTEGER NOT NULL,
	account  TEXT    NOT NULL,
	day      INTEGER NOT NULL, -- since 1970, UTC
	book     INTEGER NOT NULL,
	currency TEXT    NOT NULL,
	sum      INTEGER NOT NULL, -- debit
	PRIMARY KEY (partner, account, day, book, currency)
) STRICT, WITHOUT ROWID;

-- How fast a float runs, minute by minute; old minutes go.
CREATE TABLE flow (
	partner INTEGER NOT NULL,
	account TEXT    NOT NULL,
	minute  INTEGER NOT NULL, -- since 1970
	taken   INTEGER NOT NULL,
	added   INTEGER NOT NULL,
	PRIMARY KEY (partner, account, minute)
) STRICT, WITHOUT ROWID;

-- What a provider said of a float, beside what our books said at that time.
CREATE TABLE observation (
	id        INTEGER PRIMARY KEY CHECK (id > 0),
	partner   INTEGER NOT NULL CHECK (partner BETWEEN 1 AND 4294967295),
	account   TEXT    NOT NULL CHECK (length(account) > 0),
	at_ms     INTEGER NOT NULL,
	source    INTEGER NOT NULL CHECK (source BETWEEN 1 AND 2), -- asked, or a refusal for lack of it
	balance   INTEGER NOT NULL,
	books     INTEGER NOT NULL, -- book 2 of the account
	slack_low  INTEGER NOT NULL CHECK (slack_low >= 0), -- of the books, may not be in the balance yet
	slack_high INTEGER NOT NULL CHECK (slack_high >= 0) -- in the balance, may not be in the books yet
) STRICT;

CREATE INDEX observation_at ON observation (partner, account, at_ms);

-- One day of an account against its provider. Moves from listing to matching to closed, and begins anew
-- when it is asked for again.
CREATE TABLE reconciliation (
	partner    INTEGER NOT NULL,
	account    TEXT    NOT NULL,
	day        INTEGER NOT NULL, -- since 1970, UTC
	state      INTEGER NOT NULL CHECK (state BETWEEN 1 AND 6), -- enum reconciliation_state
	page       INTEGER NOT NULL, -- of the provider's list, to be asked for next
	page_mark  INTEGER NOT NULL, -- of the page before: a list that repeats it has ended
	cursor     INTEGER NOT NULL, -- attempt.id up to which ours were looked for in it
	begun_ms   INTEGER NOT NULL,
	closed_ms  INTEGER,
	has_list   INTEGER NOT NULL CHECK (has_list BETWEEN 0 AND 1),
	opening    INTEGER, -- observed balances; NULL: none was
	closing    INTEGER,
	booked     INTEGER, -- what our books moved between the two
	difference INTEGER, -- closing - opening - booked
	slack_low  INTEGER, -- what was in doubt at either end explains a difference from here
	slack_high INTEGER, -- to here
	matched    INTEGER NOT NULL,
	late       INTEGER NOT NULL, -- executed there, not SUCCEEDED here
	missing    INTEGER NOT NULL, -- SUCCEEDED here, absent there
	unknown    INTEGER NOT NULL, -- there, and nothing we know
	differing  INTEGER NOT NULL, -- another amount or number
	PRIMARY KEY (partner, account, day)
) STRICT, WITHOUT ROWID;

-- What a provider's list said, and what we made of it. Rows that match go when their day is closed.
CREATE TABLE listing (
	partner INTEGER NOT NULL,
	account TEXT    NOT NULL,
	item    TEXT    NOT NULL CHECK (length(item) > 0), -- the provider's id, or our reference without one
	day     INTEGER NOT NULL,
	attempt INTEGER, -- NULL: unknown here
	finding INTEGER NOT NULL CHECK (finding BETWEEN 1 AND 5), -- enum listing_finding
	amount  INTEGER NOT NULL,
	at_ms   INTEGER NOT NULL,
	PRIMARY KEY (partner, account, item),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX listing_by_attempt ON listing (partner, attempt) WHERE attempt IS NOT NULL;

CREATE TRIGGER ledger_sums AFTER INSERT ON ledger
BEGIN
	INSERT INTO balance (partner, account, book, currency, sum)
		VALUES (NEW.partner, NEW.account, NEW.book, NEW.currency, NEW.debit)
		ON CONFLICT DO UPDATE SET sum = sum + excluded.sum;
END;
CREATE TRIGGER ledger_earns AFTER INSERT ON ledger WHEN NEW.book = 3 OR NEW.book = 7
BEGIN
	INSERT INTO earned (partner, account, day, book, currency, sum)
		VALUES (NEW.partner, NEW.account, NEW.at_ms / 86400000, NEW.book, NEW.currency, NEW.debit)
		ON CONFLICT DO UPDATE SET sum = sum + excluded.sum;
END;
CREATE TRIGGER ledger_flows AFTER INSERT ON ledger WHEN NEW.book = 2
BEGIN
	INSERT INTO flow (partner, account, minute, taken, added)
		VALUES (NEW.partner, NEW.account, NEW.at_ms / 60000, max(-NEW.debit, 0), max(NEW.debit, 0))
		ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, added = added + excluded.added;
END;
CREATE TRIGGER ledger_flows_of_agents AFTER INSERT ON ledger
	WHEN NEW.book = 6 AND NEW.account GLOB 'float:*'
BEGIN
	INSERT INTO flow (partner, account, minute, taken, added)
		VALUES (NEW.partner, NEW.account, NEW.at_ms / 60000, max(NEW.debit, 0), max(-NEW.debit, 0))
		ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, added = added + excluded.added;
END;
CREATE TRIGGER observation_as_it_was BEFORE UPDATE ON observation
BEGIN SELECT RAISE(ABORT, 'observations are only added to'); END;
CREATE TRIGGER observation_stays BEFORE DELETE ON observation
BEGIN SELECT RAISE(ABORT, 'observations are only added to'); END;

INSERT INTO balance (partner, account, book, currency, sum)
	SELECT partner, account, book, currency, sum(debit) FROM ledger GROUP BY 1, 2, 3, 4;
INSERT INTO earned (partner, account, day, book, currency, sum)
	SELECT partner, account, at_ms / 86400000, book, currency, sum(debit) FROM ledger
	WHERE book = 3 OR book = 7 GROUP BY 1, 2, 3, 4, 5;

CREATE INDEX purchase_by_beneficiary ON purchase (beneficiary);

-- How much was bought and asked for, in spans that limits of velocity are walked by: minutes for two
-- hours, hours for three days, days for ever. of 3: purchases, by currency; of 4: requests, by account; of 5:
-- purchases, by channel.
-- What is not counted: purchases CANCELLED or EXPIRED, attempts NOT_SENT or EXPIRED. Whoever inserts counts;
-- a trigger counts what changes. (One on INSERT would have SQLite look for children of each new row.)
CREATE TABLE tally (
	partner  INTEGER NOT NULL,
	of       INTEGER NOT NULL CHECK (of BETWEEN 3 AND 5),
	key      TEXT    NOT NULL,
	span_ms  INTEGER NOT NULL,
	start_ms INTEGER NOT NULL,
	count    INTEGER NOT NULL,
	value    INTEGER NOT NULL,
	PRIMARY KEY (partner, of, key, span_ms, start_ms)
) STRICT, WITHOUT ROWID;

-- Spans that are gone are not made again.
CREATE TRIGGER purchase_recounted AFTER UPDATE OF state ON purchase
	WHEN (NEW.state = 6 OR NEW.state = 7) <> (OLD.state = 6 OR OLD.state = 7)
BEGIN
	UPDATE tally SET count = count + iif(NEW.state = 6 OR NEW.state = 7, -1, 1),
		value = value + iif(NEW.state = 6 OR NEW.state = 7, -NEW.price, NEW.price)
		WHERE partner = NEW.partner AND of = 3 AND key = NEW.currency AND span_ms IN (60000, 3600000, 86400000)
		AND start_ms = NEW.created_ms - NEW.created_ms % span_ms;
	UPDATE tally SET count = count + iif(NEW.state = 6 OR NEW.state = 7, -1, 1),
		value = value + iif(NEW.state = 6 OR NEW.state = 7, -NEW.price, NEW.price)
		WHERE partner = NEW.partner AND of = 5 AND key = NEW.channel AND span_ms IN (60000, 3600000, 86400000)
		AND start_ms = NEW.created_ms - NEW.created_ms % span_ms;
END;
CREATE TRIGGER attempt_recounted AFTER UPDATE OF state ON attempt
	WHEN (NEW.state = 5 OR NEW.state = 8) <> (OLD.state = 5 OR OLD.state = 8)
BEGIN
	UPDATE tally SET count = count + iif(NEW.state = 5 OR NEW.state = 8, -1, 1),
		value = value + iif(NEW.state = 5 OR NEW.state = 8, -NEW.amount, NEW.amount)
		WHERE partner = NEW.partner AND of = 4 AND key = NEW.account AND span_ms IN (60000, 3600000, 86400000)
		AND start_ms = NEW.created_ms - NEW.created_ms % span_ms;
END;

INSERT INTO tally SELECT partner, 3, currency, s.column1, created_ms - created_ms % s.column1, count(*), sum(price)
	FROM purchase JOIN (VALUES (60000), (3600000), (86400000)) s
	WHERE state <> 6 AND state <> 7 GROUP BY partner, currency, s.column1, created_ms - created_ms % s.column1;
INSERT INTO tally SELECT partner, 5, channel, s.column1, created_ms - created_ms % s.column1, count(*), sum(price)
	FROM purchase JOIN (VALUES (60000), (3600000), (86400000)) s
	WHERE state <> 6 AND state <> 7 GROUP BY partner, channel, s.column1, created_ms - created_ms % s.column1;
INSERT INTO tally SELECT partner, 4, account, s.column1, created_ms - created_ms % s.column1, count(*), sum(amount)
	FROM attempt JOIN (VALUES (60000), (3600000), (86400000)) s
	WHERE state <> 5 AND state <> 8 GROUP BY partner, account, s.column1, created_ms - created_ms % s.column1;
