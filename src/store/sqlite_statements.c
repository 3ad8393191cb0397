/* Every SQL text of the driver, and the binding of values to it. */
#include "sqlite_priv.h"

/* In the order that purchase_read reads. */
#define PURCHASE                                                                                   \
	"SELECT q.id, q.partner, q.uid, q.ordinal, q.ref, q.channel, q.offer,"                     \
	" payer.hash, payer.number, beneficiary.hash, beneficiary.number,"                         \
	" q.payer_operator, q.operator, q.lang, q.face_value, q.fee, q.price, q.cost, q.currency," \
	" q.has_collect, q.has_deliver, q.menu_hash, q.texts, q.state, q.version,"                 \
	" q.created_ms, q.updated_ms, q.collect_fee, q.paid_by FROM purchase q"                    \
	" JOIN person payer ON payer.id = q.payer"                                                 \
	" JOIN person beneficiary ON beneficiary.id = q.beneficiary"                               \
	" WHERE q.partner = :partner "

/* In the order that attempt_read reads. */
/* Of a provider account, by what was ever posted to its float; NULL where nothing was. */
#define CURRENCY_OF(row)                                                                           \
	"(SELECT currency FROM balance WHERE partner = " row ".partner AND account = " row         \
	".account AND book = 2) AS currency"
/* By the account of r, on its day. */
#define EARNED(book)                                                                               \
	"(SELECT coalesce(sum(sum), 0) FROM earned WHERE partner = r.partner"                      \
	" AND account = r.account AND day = r.day AND book = " #book ")"
#define ATTEMPT                                                                                    \
	"SELECT a.id, a.partner, a.purchase, a.leg, a.n, a.account, a.our_ref, a.verb, a.service," \
	" person.hash, person.number, a.amount, a.currency, a.needs_secret, a.secret,"             \
	" a.incarnation_made, a.state, a.version, a.owner_incarnation, a.epoch, a.body_hash,"      \
	" a.provider_id, a.polls, a.created_ms, a.sent_ms, a.updated_ms, a.absent, a.absent_ms,"   \
	" a.first_sent_ms FROM attempt a"                                                          \
	" JOIN person ON person.id = a.person "

/* In the order that outbox_read reads. */
#define OUTBOX                                                                                     \
	"SELECT o.id, o.partner, o.kind, o.purchase, o.attempt, o.seq, o.due_ms, o.tries,"         \
	" o.channel, person.hash, person.number, o.body, o.dlr FROM outbox o"                      \
	" LEFT JOIN person ON person.id = o.person "

#define OBSERVATION                                                                                \
	"SELECT id, at_ms, source, balance, books, slack_low, slack_high FROM observation"         \
	" WHERE partner = :partner AND account = :account"

/*
 * Every statement that touches a partner's rows names the partner. Three do not: the engine asks
 * for the due rows and the orphans of all, and counts are of the whole node.
 */
static const char *const texts[STATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_SAVEPOINT] = "SAVEPOINT one",
	[ST_RELEASE] = "RELEASE one",
	[ST_ROLLBACK_TO] = "ROLLBACK TO one",
	[ST_META_RAISE] = "UPDATE meta SET generation = :generation, clock_ms = :clock_ms,"
			  " boot_ms = :boot_ms, boot_id = :boot_id,"
			  " frozen_id = max(frozen_id, :frozen_id)",

	[ST_PERSON_FIND] = "SELECT id FROM person WHERE partner = :partner AND hash = :hash",
	[ST_PERSON_INSERT] = "INSERT INTO person (partner, hash, number)"
			     " VALUES (:partner, :hash, :number)",

	[ST_PURCHASE_INSERT] =
		"INSERT INTO purchase (id, partner, uid, ordinal, ref, channel, offer, payer,"
		" beneficiary, payer_operator, operator, lang, face_value, fee, price, cost,"
		" currency, has_collect, has_deliver, menu_hash, texts, state, version, created_ms,"
		" updated_ms, collect_fee, paid_by) VALUES (:id, :partner, :uid, :ordinal, :ref, "
		":channel,"
		" :offer, "
		":payer,"
		" :beneficiary, :payer_operator, :operator, :lang, :face_value, :fee, :price, "
		":cost,"
		" :currency, :has_collect, :has_deliver, :menu_hash, :texts, :state, :version,"
		" :created_ms, :updated_ms, :collect_fee, :paid_by)",
	[ST_PURCHASE_GET] = PURCHASE "AND q.id = :id",
	[ST_PURCHASE_BY_KEY] = PURCHASE "AND q.uid = :uid AND q.ordinal = :ordinal",
	[ST_PURCHASE_BY_REF] = PURCHASE "AND q.ref = :ref",
	[ST_PURCHASE_LAST] = PURCHASE "AND q.payer = :payer ORDER BY q.id DESC LIMIT 1",
	/* An id begins with the milliseconds at which it was made; the payer's index has it behind.
	 */
	[ST_PURCHASE_REPEATED] = "SELECT ref FROM purchase WHERE payer = :payer"
				 " AND id > (:since << 20) AND +partner = :partner"
				 " AND +beneficiary = :beneficiary AND offer = :offer"
				 " AND face_value = :face_value AND state NOT IN (6, 7, 11)"
				 " ORDER BY id DESC LIMIT 1",
	[ST_PURCHASE_ID] = "SELECT id FROM purchase"
			   " WHERE partner = :partner AND uid = :uid AND ordinal = :ordinal",
	[ST_PURCHASE_EXISTS] = "SELECT 1 FROM purchase WHERE partner = :partner AND id = :id",
	[ST_PURCHASE_LEGS] = "SELECT leg, state FROM attempt"
			     " WHERE purchase = :id AND +partner = :partner ORDER BY leg, n",
	[ST_PURCHASE_ASKED] = "SELECT 1 FROM outbox o JOIN attempt a ON a.id = o.attempt"
			      " WHERE o.purchase = :id AND o.partner = :partner AND o.kind = 2"
			      " AND a.id <> :attempt AND a.state BETWEEN 5 AND 7",
	[ST_PURCHASE_SET_STATE] =
		"UPDATE purchase SET state = :state, version = version + 1, updated_ms = :now"
		" WHERE id = :id AND partner = :partner AND version = :version",

	[ST_ATTEMPT_INSERT] =
		"INSERT INTO attempt (id, partner, purchase, leg, n, account, our_ref, verb, "
		"service,"
		" person, amount, currency, needs_secret, secret, incarnation_made, state, version,"
		" owner_incarnation, epoch, body_hash, provider_id, polls, created_ms, sent_ms,"
		" updated_ms, absent, absent_ms, first_sent_ms) VALUES (:id, :partner, :purchase, "
		":leg, :n, :account, :our_ref, "
		":verb,"
		" :service, :person, :amount, :currency, :needs_secret, :secret, :incarnation_made,"
		" :state, :version, :owner_incarnation, :epoch, :body_hash, :provider_id, :polls,"
		" :created_ms, :sent_ms, :updated_ms, :absent, :absent_ms, :first_sent_ms)",
	[ST_ATTEMPT_GET] = ATTEMPT "WHERE a.partner = :partner AND a.id = :id",
	[ST_ATTEMPT_BY_REF] = ATTEMPT "WHERE a.partner = :partner AND a.our_ref = :our_ref",
	[ST_ATTEMPT_BY_PROVIDER_ID] =
		ATTEMPT "WHERE a.partner = :partner AND a.account = :account"
			" AND a.provider_id = :provider_id AND a.provider_id <> ''"
			" ORDER BY a.id DESC LIMIT 1",
	/* The pluses keep the planner from walking all attempts of the partner in order of id. */
	[ST_ATTEMPT_LIST] = ATTEMPT "WHERE +a.partner = :partner AND a.purchase = :purchase"
				    " ORDER BY +a.id LIMIT :max",
	[ST_ATTEMPT_ORPHANS] =
		ATTEMPT "WHERE a.state = 2 AND (a.state < 5 OR a.state = 9 OR a.state = 10)"
			" AND a.owner_incarnation < :incarnation"
			" ORDER BY a.id LIMIT :max",
	[ST_ATTEMPT_UNSENT] =
		ATTEMPT "WHERE a.state = 1 AND (a.state < 5 OR a.state = 9 OR a.state = 10)"
			" ORDER BY a.id LIMIT :max",
	[ST_ATTEMPT_RECENT] = ATTEMPT "WHERE a.id > :since AND +a.partner = :partner"
				      " AND +a.account = :account AND a.epoch > 0"
				      " ORDER BY a.id DESC LIMIT :max",
	[ST_ATTEMPT_LIVE] =
		"SELECT 1 FROM attempt WHERE partner = :partner AND purchase = :purchase"
		" AND leg = :leg AND state <> 5 AND state <> 7"
		" AND state <> 8 AND state <> 10",
	[ST_ATTEMPT_CONTRADICTED] =
		"SELECT 1 FROM attempt WHERE partner = :partner AND purchase = :purchase"
		" AND leg = :leg AND state = 10",
	[ST_ATTEMPT_EXISTS] = "SELECT 1 FROM attempt WHERE partner = :partner AND id = :id",
	[ST_ATTEMPT_UPDATE] =
		"UPDATE attempt SET state = :state, version = version + 1,"
		" owner_incarnation = :owner_incarnation, epoch = :epoch, body_hash = :body_hash,"
		" provider_id = :provider_id, polls = :polls, sent_ms = :sent_ms,"
		" updated_ms = :updated_ms, absent = :absent, absent_ms = :absent_ms,"
		" first_sent_ms = :first_sent_ms"
		" WHERE id = :id AND partner = :partner AND version = :version",

	[ST_OUTBOX_INSERT] =
		"INSERT INTO outbox (id, partner, kind, purchase, attempt, seq, due_ms, tries,"
		" channel, person, body, dlr) VALUES (:id, :partner, :kind, :purchase, :attempt, "
		":seq,"
		" :due_ms, :tries, :channel, :person, :body, :dlr)",
	[ST_OUTBOX_MESSAGE] = OUTBOX "WHERE +o.partner = :partner AND o.purchase = :purchase"
				     " AND o.kind = 3 AND o.seq = :seq",
	[ST_OUTBOX_DUE] = OUTBOX "WHERE o.is_done = 0 AND o.due_ms <= :now"
				 " ORDER BY o.due_ms, o.id LIMIT :max",
	[ST_OUTBOX_NEXT_DUE] =
		"SELECT min(due_ms) FROM outbox WHERE is_done = 0 AND due_ms > :after",
	[ST_OUTBOX_GET] = OUTBOX "WHERE o.partner = :partner AND o.id = :id",
	[ST_OUTBOX_SET_DUE] = "UPDATE outbox SET due_ms = :due_ms, tries = :tries"
			      " WHERE id = :id AND partner = :partner AND is_done = 0",
	/* An id begins with the milliseconds at which it was made. */
	[ST_OUTBOX_RELEASE] = "UPDATE outbox SET due_ms = :now WHERE is_done = 0 AND due_ms > :now"
			      " AND kind <= :last AND (tries > 0 OR due_ms = (id >> 20) + :lease)",
	[ST_OUTBOX_REMOVE] = "DELETE FROM outbox"
			     " WHERE id = :id AND partner = :partner AND kind <> 3",
	/* What the gateway has reported says more than why we gave up. */
	[ST_OUTBOX_OVER] = "UPDATE outbox SET is_done = 1, dlr = CASE dlr WHEN '' THEN :dlr ELSE"
			   " dlr END, over_ms = :now"
			   " WHERE id = :id AND partner = :partner AND kind = 3 AND is_done = 0",
	[ST_OUTBOX_CANCEL] =
		"DELETE FROM outbox WHERE partner = :partner AND purchase IS NOT NULL AND purchase "
		"="
		" (SELECT purchase FROM attempt WHERE id = :attempt AND partner = :partner)"
		" AND :kind IN (0, kind) AND attempt = :attempt",
	/* Reports come in any order: one on the way does not undo how it ended. */
	[ST_OUTBOX_SET_DLR] =
		"UPDATE outbox SET"
		" (dlr, dlr_ms) = (SELECT dlr, dlr_ms WHERE :dlr = 'buffered'"
		" AND dlr NOT IN ('', 'in_doubt') UNION ALL SELECT :dlr, :now LIMIT 1)"
		" WHERE id = :id AND partner = :partner AND kind = 3",
	[ST_INBOX_INSERT] =
		"INSERT INTO inbox (id, partner, kind, account, attempt, digest, raw, verdict, "
		"detail,"
		" received_ms) VALUES (:id, :partner, :kind, :account, :attempt, :digest, :raw,"
		" :verdict, :detail, :received_ms)",
	[ST_INBOX_REPEAT] = "UPDATE inbox SET repeats = repeats + 1"
			    " WHERE partner = :partner AND account = :account AND digest = :digest"
			    " RETURNING received_ms, verdict",

	[ST_INBOX_REPLIES] = "SELECT count(*) FROM inbox WHERE attempt = :attempt"
			     " AND +partner = :partner AND kind = 2",
	[ST_INBOX_DISMISS] = "UPDATE inbox SET dismissed = 1"
			     " WHERE id = :id AND partner = :partner AND dismissed = 0",

	[ST_DECISION_INSERT] = "INSERT INTO decision (id, partner, kind, purchase, attempt, inbox, "
			       "hold, proposed_by,"
			       " proposed_ms, proof, state) VALUES (:id, :partner, :kind, "
			       ":purchase, :attempt, :inbox,"
			       " :hold, :proposed_by, :proposed_ms, :proof, 1)",
	/* As the index says it. */
	[ST_DECISION_OPEN] =
		"SELECT id, proposed_by, proposed_ms, proof FROM decision WHERE partner = :partner"
		" AND kind = :kind AND coalesce(purchase, 0) = coalesce(:purchase, 0)"
		" AND coalesce(attempt, 0) = coalesce(:attempt, 0)"
		" AND coalesce(inbox, 0) = coalesce(:inbox, 0)"
		" AND coalesce(hold, 0) = coalesce(:hold, 0) AND state = 1",
	/* Persons decide a few times a day: the table is short. */
	[ST_DECISION_REFUNDS] =
		"SELECT count(*), ifnull(sum(p.price) FILTER (WHERE p.currency = :currency), 0)"
		" FROM decision d JOIN purchase p ON p.partner = d.partner AND p.id = d.purchase"
		" WHERE d.kind = 4 AND d.state <> 3"
		" AND ((d.proposed_by = :user AND d.proposed_ms > :since)"
		" OR (d.agreed_by = :user AND d.agreed_ms > :since))"
		" AND NOT (d.state = 1 AND d.partner = :partner AND d.purchase = :purchase)",
	[ST_DECISION_CLOSE] = "UPDATE decision SET agreed_by = :agreed_by, agreed_ms = :agreed_ms,"
			      " agreed_proof = :agreed_proof, state = :state"
			      " WHERE id = :id AND partner = :partner AND state = 1",
	[ST_HOLD_INSERT] = "INSERT INTO hold (id, partner, account, reason, since_ms)"
			   " VALUES (:id, :partner, :account, :reason, :since_ms)",
	[ST_HOLD_RELEASE] = "UPDATE hold SET released_ms = :now"
			    " WHERE id = :id AND partner = :partner AND released_ms IS NULL",

	[ST_EVENT_LAST] = "SELECT seq, hash FROM event"
			  " WHERE purchase = :purchase AND partner = :partner"
			  " ORDER BY seq DESC LIMIT 1",
	[ST_EVENT_INSERT] =
		"INSERT INTO event (purchase, seq, partner, attempt, from_state, to_state, cause,"
		" evidence, incarnation, at_ms, hash) VALUES (:purchase, :seq, :partner, :attempt,"
		" :from, :to, :cause, :evidence, :incarnation, :at_ms, :hash)",
	[ST_LEDGER_LAST] = "SELECT posting FROM ledger"
			   " WHERE purchase = :purchase AND partner = :partner"
			   " ORDER BY posting DESC LIMIT 1",
	[ST_LEDGER_INSERT] =
		"INSERT INTO ledger (purchase, posting, line, partner, attempt, book, debit, "
		"currency,"
		" account, at_ms) VALUES (:purchase, :posting, :line, :partner, :attempt, :book,"
		" :debit, :currency, :account, :at_ms)",

	[ST_HOP_INSERT] = "INSERT INTO hop (purchase, partner, reply)"
			  " VALUES (:purchase, :partner, :reply)",
	[ST_HOP_GET] = "SELECT q.id, h.reply FROM purchase q JOIN hop h ON h.purchase = q.id"
		       " WHERE q.partner = :partner AND q.uid = :uid AND q.ordinal = :ordinal"
		       " AND h.partner = :partner",
	[ST_SPACING_GET] = "SELECT free_ms, keeper FROM spacing WHERE partner = :partner"
			   " AND account = :account AND person = :person AND amount = :amount",
	[ST_SPACING_SET] = "INSERT INTO spacing (partner, account, person, amount, free_ms, keeper)"
			   " VALUES (:partner, :account, :person, :amount, :free_ms, :keeper)"
			   " ON CONFLICT DO UPDATE SET free_ms = excluded.free_ms,"
			   " keeper = excluded.keeper",
	/* An id begins with its milliseconds, and every index ends with it: no other is needed. */
	[ST_VELOCITY_PAYER] = "SELECT created_ms, 1, price FROM purchase"
			      " WHERE payer = :person AND id > (:since << 20)"
			      " AND created_ms > :since AND +partner = :partner"
			      " AND currency = :currency AND state <> 6 AND state <> 7"
			      " ORDER BY id DESC",
	[ST_VELOCITY_BENEFICIARY] = "SELECT created_ms, 1, face_value FROM purchase"
				    " WHERE beneficiary = :person AND id > (:since << 20)"
				    " AND created_ms > :since AND +partner = :partner"
				    " AND currency = :currency AND state <> 6 AND state <> 7"
				    " ORDER BY id DESC",
	[ST_TALLY_ADD] = "INSERT INTO tally VALUES"
			 " (:partner, :of, :key, :span, :at - :at % :span, 1, :value)"
			 " ON CONFLICT DO UPDATE SET count = count + 1, value = value + :value"
			 " RETURNING count",
	[ST_TALLY_DROP] = "DELETE FROM tally WHERE partner = :partner AND of = :of"
			  " AND key = :key AND span_ms = :span AND start_ms < :before",
	[ST_VELOCITY_TALLY] = "SELECT start_ms, count, value FROM tally"
			      " WHERE partner = :partner AND of = :of AND key = :key"
			      " AND span_ms = :span AND start_ms > :since"
			      " ORDER BY start_ms DESC",

	[ST_COUNT_ATTEMPTS] = "SELECT state, count(*) FROM attempt"
			      " WHERE state < 5 OR state = 9 OR state = 10 GROUP BY state",
	[ST_COUNT_PARKED] = "SELECT count(*) FROM inbox"
			    " WHERE (verdict BETWEEN 4 AND 6 OR verdict > 8) AND dismissed = 0",
	[ST_COUNT_OUTBOX] = "SELECT count(*) FROM outbox WHERE is_done = 0",
	[ST_COUNT_REFUND_DUE] = "SELECT count(*) FROM purchase WHERE state = 8",
	/* The index's own words, so that it is used. */
	[ST_COUNT_DOUBT] = "SELECT currency, sum(amount), min(created_ms) FROM attempt"
			   " WHERE (state < 5 OR state = 9 OR state = 10) AND state IN (4, 9, 10)"
			   " GROUP BY currency",
	[ST_HOLD_LIST] = "SELECT id, partner, account, reason, since_ms FROM hold"
			 " WHERE released_ms IS NULL ORDER BY id LIMIT :max",

	[ST_BALANCE_GET] = "SELECT sum FROM balance WHERE partner = :partner AND account = :account"
			   " AND book = :book AND currency = :currency",
	[ST_FLOW_GET] =
		"SELECT coalesce(sum(taken), 0), coalesce(sum(added), 0) FROM flow"
		" WHERE partner = :partner AND account = :account AND minute >= :since / 60000",
	[ST_FLOW_TRIM] = "DELETE FROM flow WHERE minute < :before / 60000",
	/* Sent, and nobody can say: the books of ledger.c hold a collection's price in suspense. */
	[ST_DOUBT_GET] =
		"SELECT coalesce(sum(CASE a.leg WHEN 1 THEN q.price - q.collect_fee ELSE 0 END), "
		"0),"
		" coalesce(sum(CASE a.leg WHEN 1 THEN 0 WHEN 2 THEN q.cost ELSE q.price END), 0)"
		" FROM attempt a JOIN purchase q ON q.id = a.purchase"
		" WHERE (a.state < 5 OR a.state = 9 OR a.state = 10) AND a.state <> 1"
		" AND +a.partner = :partner AND a.account = :account",
	[ST_PROMISES] =
		"SELECT a.partner, a.leg = 1, CASE a.leg WHEN 1 THEN q.offer ELSE a.account END,"
		" sum(CASE a.leg WHEN 3 THEN q.price ELSE q.cost END)"
		" FROM attempt a JOIN purchase q ON q.id = a.purchase"
		" WHERE (a.state < 5 OR a.state = 9 OR a.state = 10)"
		" AND (a.leg > 1 AND a.state = 1 OR a.leg = 1 AND a.state <> 10 AND q.has_deliver)"
		" GROUP BY 1, 2, 3 UNION ALL"
		" SELECT a.partner, 2, q.paid_by, sum(q.price)"
		" FROM attempt a JOIN purchase q ON q.id = a.purchase"
		" WHERE (a.state < 5 OR a.state = 9 OR a.state = 10)"
		" AND a.leg = 2 AND q.paid_by <> '' GROUP BY 1, 3 LIMIT :max",
	[ST_OBSERVATION_INSERT] =
		"INSERT INTO observation (id, partner, account, at_ms, source, balance, books,"
		" slack_low, slack_high) VALUES (:id, :partner, :account, :at_ms, :source, "
		":balance,"
		" :books, :slack_low, :slack_high)",
	[ST_OBSERVATION_LAST] = OBSERVATION " ORDER BY at_ms DESC, id DESC LIMIT 1",
	[ST_OBSERVATION_NEWEST] =
		OBSERVATION " AND source = 1 AND at_ms >= :from AND at_ms < :until"
			    " ORDER BY at_ms DESC, id DESC LIMIT 1",
	[ST_OBSERVATION_OLDEST] =
		OBSERVATION " AND source = 1 AND at_ms >= :from AND at_ms < :until"
			    " ORDER BY at_ms, id LIMIT 1",
	[ST_CHORE_FIND] = "SELECT id FROM outbox WHERE is_done = 0 AND kind = :kind"
			  " AND partner = :partner AND channel = :account LIMIT 1",
	[ST_CHORES_WAKE] = "UPDATE outbox SET due_ms = :now WHERE is_done = 0 AND due_ms > :now"
			   " AND kind BETWEEN 7 AND 8 AND tries > 0",
	[ST_RECONCILIATION_GET] =
		"SELECT state, page, page_mark, cursor, begun_ms, closed_ms, has_list, opening IS "
		"NOT NULL,"
		" opening, closing, booked, difference, slack_low, slack_high, matched, late,"
		" missing, unknown, differing FROM reconciliation"
		" WHERE partner = :partner AND account = :account AND day = :day",
	[ST_RECONCILIATION_PUT] =
		"INSERT OR REPLACE INTO reconciliation (partner, account, day, state, page, "
		"page_mark, cursor,"
		" begun_ms, closed_ms, has_list, opening, closing, booked, difference, slack_low,"
		" slack_high, matched, late, missing, unknown, differing) VALUES (:partner,"
		" :account, :day, :state, :page, :page_mark, :cursor, :begun_ms, :closed_ms, "
		":has_list,"
		" :opening, :closing, :booked, :difference, :slack_low, :slack_high, :matched,"
		" :late, :missing, :unknown, :differing)",
	[ST_LISTING_GET] = "SELECT finding, day, at_ms FROM listing"
			   " WHERE partner = :partner AND account = :account AND item = :item",
	[ST_LISTING_PUT] =
		"INSERT INTO listing (partner, account, item, day, attempt, finding, amount, at_ms)"
		" VALUES (:partner, :account, :item, :day, :attempt, :finding, :amount, :at_ms)"
		" ON CONFLICT DO UPDATE SET day = excluded.day, attempt = excluded.attempt,"
		" finding = excluded.finding, amount = excluded.amount, at_ms = excluded.at_ms",
	[ST_LISTING_OF] = "SELECT finding FROM listing"
			  " WHERE partner = :partner AND attempt = :attempt"
			  " AND at_ms >= :since ORDER BY at_ms DESC LIMIT 1",
	[ST_LISTING_TRIM] = "DELETE FROM listing WHERE partner = :partner AND account = :account"
			    " AND day = :day AND finding = 1",
	[ST_ATTEMPTS_SUCCEEDED] =
		ATTEMPT "WHERE +a.partner = :partner AND a.id > :after AND a.id < :until"
			" AND a.account = :account AND a.state = 6 ORDER BY a.id LIMIT :max",
	[ST_BOOKS_BALANCES] = "SELECT partner, account, book, currency, sum FROM balance"
			      " WHERE :partner IN (0, partner)"
			      " ORDER BY partner, account, book, currency LIMIT :max",
	[ST_BOOKS_FLOATS] =
		"SELECT o.partner, o.account, o.at_ms, o.source, o.balance, o.books, o.slack_low,"
		" o.slack_high, " CURRENCY_OF(
			"o") " FROM observation o WHERE :partner IN (0, o.partner)"
			     " AND o.id = (SELECT id FROM observation WHERE partner = o.partner"
			     " AND account = o.account ORDER BY at_ms DESC, id DESC LIMIT 1)"
			     " ORDER BY o.partner, o.account LIMIT :max",
	[ST_BOOKS_RECONCILIATIONS] =
		"SELECT r.partner, r.account, r.day, state, begun_ms, closed_ms, has_list,"
		" opening, closing, booked, difference, slack_low, slack_high, matched, late,"
		" missing, unknown, differing, " CURRENCY_OF("r") ", -" EARNED(
			3) " AS margin, " EARNED(7) " AS fees"
						    " FROM reconciliation r WHERE :partner IN (0, "
						    "r.partner)"
						    " ORDER BY r.day DESC, r.partner, r.account "
						    "LIMIT :max",
	[ST_BOOKS_FINDINGS] =
		"SELECT l.partner, l.account, l.day, l.item, l.finding, l.amount, q.ref, a.our_ref,"
		" l.at_ms, " CURRENCY_OF(
			"l") " FROM listing l LEFT JOIN attempt a ON a.id = l.attempt"
			     " LEFT JOIN purchase q ON q.id = a.purchase WHERE :partner IN (0, "
			     "l.partner)"
			     " AND l.finding > 1 ORDER BY l.at_ms DESC, l.item LIMIT :max",
};

/* The numbers above that schema.sql repeats in its partial indices. */
_Static_assert(ATTEMPT_READY == 1 && ATTEMPT_SENDING == 2 && ATTEMPT_ACCEPTED == 3 &&
		       ATTEMPT_UNKNOWN == 4 && ATTEMPT_NOT_SENT == 5 && ATTEMPT_FAILED == 7 &&
		       ATTEMPT_EXPIRED == 8 && ATTEMPT_REVIEW == 9 && ATTEMPT_CONTRADICTED == 10 &&
		       ATTEMPT_STATES == 12 && PURCHASE_REFUND_DUE == 8 && PURCHASE_STATES == 14 &&
		       LEDGER_BOOKS == 9 && DECIDE_DISMISS == 5 && DECISION_APPLIED == 2,
	"states are stored as these numbers");
_Static_assert(VERDICT_MISMATCH == 4 && VERDICT_CONTRADICTION == 5 && VERDICT_ORPHAN == 6 &&
		       VERDICT_IMPOSSIBLE == 9 && VERDICT_PROPOSAL == 10 && OUTBOX_SMS == 3 &&
		       INBOX_REPLY == 2,
	"verdicts and kinds are stored as these numbers");

int db_prepare(struct db *db, struct err *err)
{
	for (int i = 0; i < STATEMENTS; i++) {
		tama_assert(texts[i] != NULL);
		if (sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &db->statements[i], NULL) != SQLITE_OK)
			return err_set(err, TAMA_EIO, "the store does not take \"%s\": %s",
				texts[i], sqlite3_errmsg(db->handle));
	}
	return 0;
}

void db_close(struct db *db)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
	int rc = sqlite3_close(db->handle);
	tama_assert(rc == SQLITE_OK);
	db->handle = NULL;
}

/*
 * A broken constraint undoes its statement and spoils nothing else. Anything else (disk, memory,
 * corruption) may have rolled the whole transaction back already, and a statement run after that
 * would commit by itself: so it ends the transaction for us too.
 */
int db_result(struct db *db, int rc)
{
	switch (rc) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return TAMA_EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return TAMA_ENOTFOUND;
	default:
		break;
	}
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return TAMA_EINVAL;
	db->is_failed = true;
	return err_set(&db->error, TAMA_EIO, "SQLite %d (%s): %s", rc, sqlite3_errstr(rc),
		sqlite3_errmsg(db->handle));
}

struct seal seal_of(enum vault_purpose purpose, char table, uint32_t partner, uint64_t id)
{
	struct seal seal = {
		.purpose = purpose, .context = {(unsigned char)table}, .context_len = 1 + 4 + 8};

	for (int i = 0; i < 4; i++)
		seal.context[1 + i] = (unsigned char)(partner >> (8 * i));
	for (int i = 0; i < 8; i++)
		seal.context[5 + i] = (unsigned char)(id >> (8 * i));
	return seal;
}

struct seal seal_of_person(const unsigned char hash[static VAULT_HASH_LEN])
{
	struct seal seal = {.purpose = VAULT_MSISDN, .context_len = VAULT_HASH_LEN};

	memcpy(seal.context, hash, VAULT_HASH_LEN);
	return seal;
}

static struct str seal_context(const struct seal *seal)
{
	return (struct str){(const char *)seal->context, seal->context_len};
}

struct query query_begin(struct db *db, enum statement statement)
{
	struct query query = {.db = db, .stmt = db->statements[statement], .rc = SQLITE_OK};

	/* Outside a transaction a write would be a commit of its own. */
	tama_assert(db->in_transaction || sqlite3_stmt_readonly(query.stmt));
	tama_assert(!sqlite3_stmt_busy(query.stmt));
	return query;
}

static int parameter(const struct query *query, const char *name)
{
	int index = sqlite3_bind_parameter_index(query->stmt, name);

	tama_assert(index > 0);
	return index;
}

static void bound(struct query *query, int rc)
{
	if (query->rc == SQLITE_OK)
		query->rc = rc;
}

void query_i64(struct query *query, const char *name, int64_t value)
{
	bound(query, sqlite3_bind_int64(query->stmt, parameter(query, name), value));
}

void query_id(struct query *query, const char *name, uint64_t id)
{
	if (id == 0)
		bound(query, sqlite3_bind_null(query->stmt, parameter(query, name)));
	else
		query_i64(query, name, (int64_t)id);
}

void query_str(struct query *query, const char *name, struct str value)
{
	const char *p = value.p != NULL ? value.p : "";

	bound(query, sqlite3_bind_text64(query->stmt, parameter(query, name), p, value.n,
			     SQLITE_STATIC, SQLITE_UTF8));
}

void query_blob(struct query *query, const char *name, const void *bytes, size_t n)
{
	bound(query,
		sqlite3_bind_blob64(query->stmt, parameter(query, name), bytes, n, SQLITE_STATIC));
}

void query_sealed(struct query *query, const char *name, const struct seal *seal, struct str plain)
{
	size_t n = plain.n + VAULT_OVERHEAD;
	unsigned char *sealed = malloc(n);

	tama_assert(sealed != NULL);
	vault_seal(query->db->vault, seal->purpose, seal_context(seal), plain, sealed);
	bound(query, sqlite3_bind_blob64(query->stmt, parameter(query, name), sealed, n, free));
}

int query_step(struct query *query)
{
	if (query->db->in_transaction && query->db->is_failed)
		return TAMA_EIO;
	if (query->rc == SQLITE_OK)
		query->rc = sqlite3_step(query->stmt);
	query->column = 0;
	if (query->rc == SQLITE_ROW) {
		query->rc = SQLITE_OK;
		return 1;
	}
	return db_result(query->db, query->rc);
}

int64_t query_get_i64(struct query *query)
{
	return sqlite3_column_int64(query->stmt, query->column++);
}

struct str query_get_str(struct query *query, struct arena *arena)
{
	int column = query->column++;
	const unsigned char *text = sqlite3_column_text(query->stmt, column);
	int n = sqlite3_column_bytes(query->stmt, column);

	return arena_str(arena, (struct str){(const char *)text, (size_t)n});
}

void query_get_blob(struct query *query, void *out, size_t n)
{
	int column = query->column++;
	const void *blob = sqlite3_column_blob(query->stmt, column);

	if ((size_t)sqlite3_column_bytes(query->stmt, column) == n)
		memcpy(out, blob, n);
	else
		query->error = TAMA_EIO;
}

struct str query_get_sealed(struct query *query, const struct seal *seal, struct arena *arena)
{
	int column = query->column++;
	struct str sealed = {sqlite3_column_blob(query->stmt, column),
		(size_t)sqlite3_column_bytes(query->stmt, column)};

	if (sealed.p == NULL)
		return arena_str(arena, STR(""));
	if (sealed.n < VAULT_OVERHEAD) {
		query->error = TAMA_EAUTH;
		return STR("");
	}
	size_t n = sealed.n - VAULT_OVERHEAD;
	unsigned char *plain = arena_alloc(arena, n + 1);
	if (plain == NULL)
		return STR("");
	if (vault_open(query->db->vault, seal->purpose, seal_context(seal), sealed, plain) != 0)
		query->error = TAMA_EAUTH;
	return (struct str){(const char *)plain, n};
}

struct str query_get_number(struct query *query, struct arena *arena)
{
	unsigned char hash[VAULT_HASH_LEN] = {0};

	/* Both columns are NULL where no person is named. */
	if (sqlite3_column_type(query->stmt, query->column) == SQLITE_NULL) {
		query->column += 2;
		return arena_str(arena, STR(""));
	}
	query_get_blob(query, hash, sizeof(hash));
	struct seal seal = seal_of_person(hash);
	return query_get_sealed(query, &seal, arena);
}

int query_end(struct query *query)
{
	/* The step has told its result already; reset only repeats it. */
	(void)sqlite3_reset(query->stmt);
	(void)sqlite3_clear_bindings(query->stmt);
	return query->error;
}

int query_run(struct query *query, int *changes_out)
{
	int result = query_step(query);

	if (result == 0 && changes_out != NULL)
		*changes_out = sqlite3_changes(query->db->handle);
	int ended = query_end(query);
	return result < 0 ? result : ended;
}
