-- The store, as a new one is made. Upgrades (upgrade_N.sql) lead every older store to exactly this.
--
-- Rules that hold throughout:
--   * every row carries its partner, and rows refer to one another by (partner, id), so that the
--     database itself refuses a row of one partner that leans on another's;
--   * amounts are minor units of the currency beside them; times are milliseconds since 1970, UTC;
--   * ids are given by the caller and grow with time: rows land at the end of their tables;
--   * "sealed" columns hold XChaCha20-Poly1305 of the vault, bound to their row;
--   * states and kinds are the numbers of purchase.h and store.h;
--   * what happened is only ever added to: triggers refuse to change or drop it;
--   * conditions of indices are comparisons: IN with three values builds a table at every write.

-- One row about the store itself. It belongs to no partner.
CREATE TABLE meta (
	id          INTEGER PRIMARY KEY CHECK (id = 1),
	store_id    BLOB    NOT NULL CHECK (length(store_id) = 16), -- random, made with the store
	generation  INTEGER NOT NULL CHECK (generation >= 0),       -- high-water mark against restored copies
	incarnation INTEGER NOT NULL CHECK (incarnation >= 0),      -- of the last process that opened it
	key_check   BLOB    NOT NULL,                               -- sealed known text: is the key ours?
	clock_ms    INTEGER NOT NULL DEFAULT 0,                     -- the engine's clock when last kept,
	boot_ms     INTEGER NOT NULL DEFAULT 0,                     -- CLOCK_BOOTTIME then,
	boot_id     TEXT    NOT NULL DEFAULT '',                    -- and of which boot
	frozen_id   INTEGER NOT NULL DEFAULT 0 -- purchases up to it may have gone further than this store knows
) STRICT;

-- Everybody whose number we hold. All else refers here, so one row is all there is to erase.
CREATE TABLE person (
	id      INTEGER PRIMARY KEY,
	partner INTEGER NOT NULL CHECK (partner BETWEEN 1 AND 4294967295),
	hash    BLOB    NOT NULL CHECK (length(hash) = 16), -- keyed, to find the row by number
	number  BLOB    NOT NULL,                           -- sealed E.164 digits
	UNIQUE (partner, hash),
	UNIQUE (partner, id)
) STRICT;

-- What a person confirmed. Only state, version and updated_ms ever change.
CREATE TABLE purchase (
	id             INTEGER PRIMARY KEY CHECK (id > 0),
	partner        INTEGER NOT NULL CHECK (partner BETWEEN 1 AND 4294967295),
	uid            BLOB    NOT NULL CHECK (length(uid) = 16), -- the session's
	ordinal        INTEGER NOT NULL CHECK (ordinal BETWEEN 1 AND 255), -- of the buy in the session
	ref            TEXT    NOT NULL CHECK (length(ref) BETWEEN 1 AND 32),
	channel        TEXT    NOT NULL,
	offer          TEXT    NOT NULL,
	payer          INTEGER NOT NULL,
	beneficiary    INTEGER NOT NULL,
	payer_operator TEXT    NOT NULL,
	operator       TEXT    NOT NULL, -- the beneficiary's
	lang           TEXT    NOT NULL,
	face_value     INTEGER NOT NULL CHECK (face_value BETWEEN 1 AND 1000000000000),
	fee            INTEGER NOT NULL CHECK (fee BETWEEN 0 AND 1000000000000),
	price          INTEGER NOT NULL CHECK (price BETWEEN 0 AND 1000000000000),
	cost           INTEGER NOT NULL CHECK (cost BETWEEN 0 AND 1000000000000),
	currency       TEXT    NOT NULL CHECK (length(currency) = 3),
	has_collect    INTEGER NOT NULL CHECK (has_collect BETWEEN 0 AND 1),
	has_deliver    INTEGER NOT NULL CHECK (has_deliver BETWEEN 0 AND 1),
	menu_hash      BLOB    NOT NULL CHECK (length(menu_hash) = 16),
	texts          BLOB    NOT NULL, -- sealed: the messages for each outcome
	state          INTEGER NOT NULL CHECK (state BETWEEN 1 AND 13),
	version        INTEGER NOT NULL CHECK (version >= 0), -- compare-and-set
	created_ms     INTEGER NOT NULL,
	updated_ms     INTEGER NOT NULL,
	collect_fee    INTEGER NOT NULL DEFAULT 0 CHECK (collect_fee BETWEEN 0 AND 1000000000000),
	paid_by        TEXT    NOT NULL DEFAULT '', -- whose float pays where there is no collect leg
	CHECK (has_collect + has_deliver > 0),
	UNIQUE (partner, uid, ordinal), -- one confirmed press is one purchase
	UNIQUE (partner, ref),
	UNIQUE (partner, id),
	FOREIGN KEY (partner, payer) REFERENCES person (partner, id),
	FOREIGN KEY (partner, beneficiary) REFERENCES person (partner, id)
) STRICT;

CREATE INDEX purchase_by_payer ON purchase (payer);
CREATE INDEX purchase_by_beneficiary ON purchase (beneficiary);
CREATE INDEX purchase_refund_due ON purchase (partner) WHERE state = 8;

-- One request of a leg that may have reached a provider. The intent never changes; the rest moves by
-- compare-and-set on version.
CREATE TABLE attempt (
	id                INTEGER PRIMARY KEY CHECK (id > 0),
	partner           INTEGER NOT NULL,
	purchase          INTEGER NOT NULL,
	leg               INTEGER NOT NULL CHECK (leg BETWEEN 1 AND 3),
	n                 INTEGER NOT NULL CHECK (n BETWEEN 1 AND 255),
	account           TEXT    NOT NULL CHECK (length(account) > 0),
	our_ref           TEXT    NOT NULL CHECK (length(our_ref) > 0),
	verb              TEXT    NOT NULL,
	service           TEXT    NOT NULL,
	person            INTEGER NOT NULL,
	amount            INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000),
	currency          TEXT    NOT NULL CHECK (length(currency) = 3),
	needs_secret      INTEGER NOT NULL CHECK (needs_secret BETWEEN 0 AND 1),
	secret            INTEGER NOT NULL, -- a handle into locked memory, never the secret
	incarnation_made  INTEGER NOT NULL,
	state             INTEGER NOT NULL CHECK (state BETWEEN 1 AND 11),
	version           INTEGER NOT NULL CHECK (version >= 0),
	owner_incarnation INTEGER NOT NULL, -- which life of the process sent it
	epoch             INTEGER NOT NULL CHECK (epoch >= 0),
	body_hash         BLOB    NOT NULL CHECK (length(body_hash) = 16),
	provider_id       TEXT    NOT NULL, -- empty until known
	polls             INTEGER NOT NULL CHECK (polls >= 0),
	created_ms        INTEGER NOT NULL,
	sent_ms           INTEGER NOT NULL, -- of the last send
	updated_ms        INTEGER NOT NULL,
	absent            INTEGER NOT NULL DEFAULT 0 CHECK (absent >= 0), -- answers that it is not there
	absent_ms         INTEGER NOT NULL DEFAULT 0, -- the first of them
	first_sent_ms     INTEGER NOT NULL DEFAULT 0,
	UNIQUE (our_ref),
	UNIQUE (purchase, leg, n),
	UNIQUE (partner, id),
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id),
	FOREIGN KEY (partner, person) REFERENCES person (partner, id)
) STRICT;

-- At most one attempt of a leg that may have executed: all but NOT_SENT, FAILED, EXPIRED, and those
-- CONTRADICTED. (A trigger that kept those from getting another would make each insert search all
-- tables that refer here: sqlite_attempt_insert looks instead.)
CREATE UNIQUE INDEX attempt_live ON attempt (purchase, leg)
	WHERE state <> 5 AND state <> 7 AND state <> 8 AND state <> 10;
-- READY, SENDING, ACCEPTED, UNKNOWN, REVIEW, CONTRADICTED: what is under way or waits for a person.
CREATE INDEX attempt_open ON attempt (state) WHERE state < 5 OR state = 9 OR state = 10;
CREATE INDEX attempt_by_provider_id ON attempt (partner, account, provider_id) WHERE provider_id <> '';

-- What we still owe the outside. Rows go when done; messages stay, so that one is never owed twice.
CREATE TABLE outbox (
	id       INTEGER PRIMARY KEY CHECK (id > 0),
	partner  INTEGER NOT NULL CHECK (partner BETWEEN 1 AND 4294967295),
	kind     INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 9),
	purchase INTEGER, -- NULL: a message that belongs to none
	attempt  INTEGER, -- NULL for messages and progress
	seq      INTEGER NOT NULL,
	due_ms   INTEGER NOT NULL,
	tries    INTEGER NOT NULL CHECK (tries >= 0),
	is_done  INTEGER NOT NULL DEFAULT 0 CHECK (is_done BETWEEN 0 AND 1),
	channel  TEXT    NOT NULL,
	person   INTEGER, -- whom a message goes to
	body     BLOB,    -- sealed text of a message
	dlr      TEXT    NOT NULL DEFAULT '', -- delivery state last told by the gateway
	over_ms  INTEGER NOT NULL DEFAULT 0, -- when the gateway took a message, or it was given up
	dlr_ms   INTEGER NOT NULL DEFAULT 0, -- when the gateway told its state
	CHECK (kind <> 3 OR (person IS NOT NULL AND body IS NOT NULL)),
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id),
	FOREIGN KEY (partner, person) REFERENCES person (partner, id)
) STRICT;

CREATE UNIQUE INDEX outbox_once ON outbox (purchase, kind, seq) WHERE purchase IS NOT NULL;
CREATE INDEX outbox_due ON outbox (due_ms) WHERE is_done = 0;

-- Every IPN, reply and status as it came, once; what it did; how often it came again.
CREATE TABLE inbox (
	id          INTEGER PRIMARY KEY CHECK (id > 0),
	partner     INTEGER NOT NULL CHECK (partner BETWEEN 1 AND 4294967295),
	kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
	account     TEXT    NOT NULL CHECK (length(account) > 0),
	attempt     INTEGER, -- NULL: none matched
	digest      BLOB    NOT NULL CHECK (length(digest) = 16), -- of provider id, word and body
	raw         BLOB    NOT NULL, -- sealed
	verdict     INTEGER NOT NULL CHECK (verdict BETWEEN 1 AND 10),
	detail      TEXT    NOT NULL,
	received_ms INTEGER NOT NULL,
	repeats     INTEGER NOT NULL DEFAULT 0,
	dismissed   INTEGER NOT NULL DEFAULT 0 CHECK (dismissed BETWEEN 0 AND 1), -- a person has looked
	UNIQUE (partner, account, digest),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id)
) STRICT;

CREATE INDEX inbox_of_attempt ON inbox (attempt) WHERE attempt IS NOT NULL;
-- MISMATCH, CONTRADICTION, ORPHAN, IMPOSSIBLE, PROPOSAL: a person has to look.
CREATE INDEX inbox_parked ON inbox (partner)
	WHERE (verdict BETWEEN 4 AND 6 OR verdict > 8) AND dismissed = 0;

-- What moved, why and on what evidence. hash chains a purchase's events: BLAKE2b-128 of the hash before
-- (16 zero bytes for the first), then little-endian purchase u64, seq u32, partner u32, attempt u64
-- (0 for NULL), from u8, to u8, evidence u64 (0 for NULL), incarnation u64, at_ms u64, then the cause.
CREATE TABLE event (
	purchase    INTEGER NOT NULL,
	seq         INTEGER NOT NULL CHECK (seq > 0), -- from 1, without gaps
	partner     INTEGER NOT NULL,
	attempt     INTEGER, -- NULL: of the purchase itself
	from_state  INTEGER NOT NULL CHECK (from_state BETWEEN 0 AND 13),
	to_state    INTEGER NOT NULL CHECK (to_state BETWEEN 0 AND 13),
	cause       TEXT    NOT NULL CHECK (length(cause) BETWEEN 1 AND 64),
	evidence    INTEGER, -- inbox.id
	incarnation INTEGER NOT NULL,
	at_ms       INTEGER NOT NULL,
	hash        BLOB    NOT NULL CHECK (length(hash) = 16),
	PRIMARY KEY (purchase, seq),
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id)
) STRICT, WITHOUT ROWID;

-- The books, in double entry: the lines of one posting sum to zero.
CREATE TABLE ledger (
	purchase INTEGER NOT NULL,
	posting  INTEGER NOT NULL CHECK (posting > 0), -- of the purchase, from 1
	line     INTEGER NOT NULL CHECK (line > 0),    -- of the posting, from 1
	partner  INTEGER NOT NULL,
	attempt  INTEGER,
	book     INTEGER NOT NULL CHECK (book BETWEEN 1 AND 8), -- enum ledger_book
	debit    INTEGER NOT NULL CHECK (debit BETWEEN -1000000000000 AND 1000000000000 AND debit <> 0),
	currency TEXT    NOT NULL CHECK (length(currency) = 3),
	account  TEXT    NOT NULL, -- the provider account
	at_ms    INTEGER NOT NULL,
	PRIMARY KEY (purchase, posting, line),
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id),
	FOREIGN KEY (partner, attempt) REFERENCES attempt (partner, id)
) STRICT, WITHOUT ROWID;

-- The reply given to the hop that bought, to be repeated byte for byte.
CREATE TABLE hop (
	purchase INTEGER PRIMARY KEY,
	partner  INTEGER NOT NULL,
	reply    BLOB    NOT NULL, -- sealed
	FOREIGN KEY (partner, purchase) REFERENCES purchase (partner, id)
) STRICT;

-- When a provider account may next be called for a number and an amount.
CREATE TABLE spacing (
	partner INTEGER NOT NULL,
	account TEXT    NOT NULL,
	person  INTEGER NOT NULL,
	amount  INTEGER NOT NULL,
	free_ms INTEGER NOT NULL,
	keeper  INTEGER NOT NULL DEFAULT 0, -- attempt that keeps it and has not called yet; 0: a call was made
	PRIMARY KEY (partner, account, person, amount),
	FOREIGN KEY (partner, person) REFERENCES person (partner, id)
) STRICT, WITHOUT ROWID;

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

CREATE TRIGGER purchase_intent BEFORE UPDATE OF id, partner, uid, ordinal, ref, channel, offer, payer,
	beneficiary, payer_operator, operator, lang, face_value, fee, price, cost, currency,
	has_collect, has_deliver, menu_hash, texts, created_ms, collect_fee, paid_by ON purchase
BEGIN SELECT RAISE(ABORT, 'a purchase''s intent never changes'); END;
CREATE TRIGGER purchase_version BEFORE UPDATE ON purchase WHEN NEW.version <> OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'a purchase moves by compare-and-set'); END;
CREATE TRIGGER purchase_stays BEFORE DELETE ON purchase
BEGIN SELECT RAISE(ABORT, 'purchases stay'); END;

CREATE TRIGGER attempt_intent BEFORE UPDATE OF id, partner, purchase, leg, n, account, our_ref, verb,
	service, person, amount, currency, needs_secret, secret, incarnation_made, created_ms ON attempt
BEGIN SELECT RAISE(ABORT, 'an attempt''s intent never changes'); END;
CREATE TRIGGER attempt_version BEFORE UPDATE ON attempt
	WHEN NEW.version <> OLD.version + 1 OR NEW.epoch < OLD.epoch
BEGIN SELECT RAISE(ABORT, 'an attempt moves by compare-and-set'); END;
CREATE TRIGGER attempt_stays BEFORE DELETE ON attempt
BEGIN SELECT RAISE(ABORT, 'attempts stay'); END;

CREATE TRIGGER inbox_as_it_came BEFORE UPDATE OF id, partner, kind, account, attempt, digest, raw,
	verdict, detail, received_ms ON inbox
BEGIN SELECT RAISE(ABORT, 'the inbox is only added to'); END;
CREATE TRIGGER inbox_counts_up BEFORE UPDATE OF repeats ON inbox WHEN NEW.repeats <= OLD.repeats
BEGIN SELECT RAISE(ABORT, 'repeats only grow'); END;
CREATE TRIGGER inbox_stays BEFORE DELETE ON inbox
BEGIN SELECT RAISE(ABORT, 'the inbox is only added to'); END;

CREATE TRIGGER event_as_it_was BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are only added to'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are only added to'); END;

CREATE TRIGGER ledger_as_it_was BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
CREATE TRIGGER ledger_stays BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;

CREATE TRIGGER hop_as_it_was BEFORE UPDATE ON hop
BEGIN SELECT RAISE(ABORT, 'a reply given stays as it was'); END;

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
