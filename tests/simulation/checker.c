/*
 * What must hold of a purchase at every rest: reliability.md 2.9, written again from the
 * specification. Nothing here asks the machine, the books or the store's verbs; numbers of states
 * and books are those of the schema's page.
 */
#include "sim.h"

#include <sodium.h>

enum {
	READY = 1,
	SENDING,
	ACCEPTED,
	UNKNOWN,
	NOT_SENT,
	SUCCEEDED,
	FAILED,
	EXPIRED,
	REVIEW,
	CONTRADICTED,
	WRITTEN_OFF,
	ATTEMPT_END
};

enum {
	P_CONFIRMED = 1,
	P_COLLECTING,
	P_COLLECTED,
	P_DELIVERING,
	P_DELIVERED,
	P_CANCELLED,
	P_EXPIRED,
	P_REFUND_DUE,
	P_REVIEW,
	P_REFUNDING,
	P_REFUNDED,
	P_CONTRADICTED,
	P_WRITTEN_OFF
};

enum { CUSTOMER = 1, FLOAT, REVENUE, SUSPENSE, PAYABLE, AGENT, FEES, WRITE_OFF, BOOKS };

#define BIT(state) (1u << (state))

/* 2.2, 2.5 and 2.6: from each state to which; persons lead out of the last three. */
static const unsigned attempt_may[ATTEMPT_END] = {
	[READY] = BIT(SENDING) | BIT(EXPIRED) | BIT(REVIEW),
	[SENDING] = BIT(ACCEPTED) | BIT(UNKNOWN) | BIT(NOT_SENT) | BIT(SUCCEEDED) | BIT(FAILED),
	[ACCEPTED] = BIT(UNKNOWN) | BIT(SUCCEEDED) | BIT(FAILED),
	[UNKNOWN] = BIT(SENDING) | BIT(ACCEPTED) | BIT(NOT_SENT) | BIT(SUCCEEDED) | BIT(FAILED) |
		    BIT(REVIEW),
	[NOT_SENT] = BIT(CONTRADICTED),
	[SUCCEEDED] = BIT(CONTRADICTED),
	[FAILED] = BIT(CONTRADICTED),
	[EXPIRED] = 0,
	[REVIEW] = BIT(SUCCEEDED) | BIT(FAILED) | BIT(WRITTEN_OFF),
	[CONTRADICTED] = BIT(SUCCEEDED) | BIT(FAILED) | BIT(WRITTEN_OFF),
	[WRITTEN_OFF] = BIT(SUCCEEDED) | BIT(FAILED),
};

#define IN_DOUBT (BIT(SENDING) | BIT(ACCEPTED) | BIT(UNKNOWN) | BIT(REVIEW) | BIT(CONTRADICTED))
#define OPEN (BIT(READY) | BIT(SENDING) | BIT(ACCEPTED) | BIT(UNKNOWN))
#define PROVEN_NOT                                                                                 \
	(BIT(NOT_SENT) | BIT(FAILED) | BIT(EXPIRED) | BIT(CONTRADICTED) | BIT(WRITTEN_OFF))

#define ATTEMPTS_MAX 32
/* Each press is for as much (world.c); what it costs stands in the purchase, which never changes.
 */
#define FACE_VALUE 500

struct attempt {
	uint64_t id;
	int leg, n, state;
	int told; /* the state its events lead to */
	int64_t amount;
	bool has_row; /* something is due for it */
	bool is_decided; /* by persons */
};

struct purchase {
	uint64_t id;
	int press; /* the one that made it: what --tell takes */
	uint32_t partner;
	int state, told;
	bool has_collect, has_deliver;
	int64_t price, cost, collect_fee;
	char currency[4];
	struct attempt attempts[ATTEMPTS_MAX];
	size_t attempts_len;
	int leg[4]; /* the state of each leg's deciding attempt; 0: none */
	int final_sms;
	bool was_end; /* at some time there was news for the customer */
	unsigned done[4]; /* of each leg, by the provider's ledger */
	bool has_lied; /* the provider, about any of it */
};

static void broken(struct sim *s, const struct purchase *p, const char *what)
{
	sim_break(s, &s->report->unexplained, "%s (press %d, state %d, legs %d %d %d)", what,
		p->press, p->state, p->leg[1], p->leg[2], p->leg[3]);
}

static bool in(int state, unsigned set)
{
	return state > 0 && (BIT(state) & set) != 0;
}

/* Whether there is an outcome that the customer is owed. */
static bool is_end(const struct purchase *p, int state)
{
	return in(state, BIT(P_DELIVERED) | BIT(P_CANCELLED) | BIT(P_EXPIRED) | BIT(P_REFUND_DUE) |
				 BIT(P_REFUNDED)) ||
	       (state == P_COLLECTED && !p->has_deliver);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool read_purchase(struct sim *s, uint64_t id, struct purchase *p)
{
	sqlite3_stmt *row = sim_sql(s, SQL_PURCHASE, id);
	bool is_there = sqlite3_step(row) == SQLITE_ROW;

	*p = (struct purchase){.id = id};
	if (is_there) {
		p->partner = (uint32_t)sqlite3_column_int64(row, 0);
		p->state = sqlite3_column_int(row, 1);
		p->has_collect = sqlite3_column_int(row, 2) != 0;
		p->has_deliver = sqlite3_column_int(row, 3) != 0;
		p->price = sqlite3_column_int64(row, 4);
		p->cost = sqlite3_column_int64(row, 5);
		p->collect_fee = sqlite3_column_int64(row, 6);
		(void)snprintf(p->currency, sizeof(p->currency), "%s",
			(const char *)sqlite3_column_text(row, 7));
		p->press = sqlite3_column_int(row, 8);
	}
	(void)sqlite3_reset(row);
	return is_there;
}

/*
 * A leg is CONTRADICTED if any of its attempts is, else what the one is that may have run, else
 * what its last is.
 */
static void decide(struct purchase *p)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct attempt *a = &p->attempts[i];
		int *leg = &p->leg[a->leg];

		if (a->state == CONTRADICTED || *leg == 0 ||
			in(*leg, BIT(NOT_SENT) | BIT(FAILED) | BIT(EXPIRED)))
			*leg = a->state;
	}
}

static void read_attempts(struct sim *s, struct purchase *p)
{
	sqlite3_stmt *row = sim_sql(s, SQL_ATTEMPTS, p->id);

	while (sqlite3_step(row) == SQLITE_ROW && p->attempts_len < ATTEMPTS_MAX) {
		struct attempt *a = &p->attempts[p->attempts_len++];

		*a = (struct attempt){
			.id = (uint64_t)sqlite3_column_int64(row, 0),
			.leg = sqlite3_column_int(row, 1) & 3,
			.n = sqlite3_column_int(row, 2),
			.state = sqlite3_column_int(row, 3),
			.amount = sqlite3_column_int64(row, 4),
			.told = READY,
		};
		if ((uint32_t)sqlite3_column_int64(row, 5) != p->partner)
			broken(s, p, "I4: an attempt of another partner");
		if (a->amount != (a->leg == 2 ? FACE_VALUE : p->price))
			broken(s, p, "I4: an attempt of another amount");
	}
	(void)sqlite3_reset(row);
	decide(p);
}

static struct attempt *find(struct purchase *p, uint64_t attempt)
{
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].id == attempt)
			return &p->attempts[i];
	return NULL;
}

/* ---- I1: events --------------------------------------------------------------------------------
 */

static size_t put(unsigned char *out, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * i));
	return width;
}

/* BLAKE2b-128 of the hash before and the fields, as schema.sql's comment has it. */
static void chain(unsigned char hash[static 16], uint64_t purchase, sqlite3_stmt *row)
{
	unsigned char text[160];
	const char *cause = (const char *)sqlite3_column_text(row, 8);
	size_t n = 16;

	memcpy(text, hash, 16);
	n += put(text + n, purchase, 8);
	n += put(text + n, (uint64_t)sqlite3_column_int64(row, 0), 4);
	n += put(text + n, (uint64_t)sqlite3_column_int64(row, 1), 4);
	n += put(text + n, (uint64_t)sqlite3_column_int64(row, 2), 8);
	n += put(text + n, (uint64_t)sqlite3_column_int64(row, 3), 1);
	n += put(text + n, (uint64_t)sqlite3_column_int64(row, 4), 1);
	for (int i = 5; i <= 7; i++)
		n += put(text + n, (uint64_t)sqlite3_column_int64(row, i), 8);
	memcpy(text + n, cause, strlen(cause));
	crypto_generichash(hash, 16, text, n + strlen(cause), NULL, 0);
}

static void check_move(
	struct sim *s, struct purchase *p, struct attempt *a, bool is_of_attempt, int from, int to)
{
	if (!is_of_attempt) {
		if (from != p->told)
			broken(s, p, "I1: a purchase moved from where it was not");
		p->told = to;
		p->was_end = p->was_end || is_end(p, to);
		return;
	}
	/* What persons begin is told from its birth. */
	if (a != NULL && from == 0 && to == READY && a->leg == 3)
		return;
	if (a == NULL || from != a->told)
		broken(s, p, "I1: an attempt moved from where it was not");
	if (from < READY || from >= ATTEMPT_END || !in(to, attempt_may[from]))
		broken(s, p, "I1: an attempt moved as none may");
	if (a != NULL)
		a->told = to;
}

static bool is_by_persons(const char *cause)
{
	return strncmp(cause, "decided", 7) == 0 || strcmp(cause, "write_off") == 0;
}

static void check_events(struct sim *s, struct purchase *p)
{
	sqlite3_stmt *row = sim_sql(s, SQL_EVENTS, p->id);
	unsigned char hash[16] = {0};
	struct attempt *a;

	for (int64_t seq = 1; sqlite3_step(row) == SQLITE_ROW; seq++) {
		if (sqlite3_column_int64(row, 0) != seq)
			broken(s, p, "I1: a gap among the events");
		chain(hash, p->id, row);
		if (sqlite3_column_bytes(row, 9) != 16 ||
			memcmp(hash, sqlite3_column_blob(row, 9), 16) != 0)
			broken(s, p, "I1: the hash chain is broken");
		a = find(p, (uint64_t)sqlite3_column_int64(row, 2));
		check_move(s, p, a, sqlite3_column_int64(row, 2) != 0, sqlite3_column_int(row, 3),
			sqlite3_column_int(row, 4));
		if (a != NULL && is_by_persons((const char *)sqlite3_column_text(row, 8)))
			a->is_decided = true;
	}
	(void)sqlite3_reset(row);
	if (p->told != p->state)
		broken(s, p, "I1: the last event does not tell the purchase's state");
	for (size_t i = 0; i < p->attempts_len; i++)
		if (p->attempts[i].told != p->attempts[i].state)
			broken(s, p, "I1: the last event does not tell an attempt's state");
}

/* ---- I1: derive --------------------------------------------------------------------------------
 */

static int derive_deliver(const struct purchase *p)
{
	int deliver = p->leg[2];

	if (deliver == 0 || deliver == READY || deliver == NOT_SENT)
		return p->has_collect ? P_COLLECTED : P_CONFIRMED;
	if (in(deliver, BIT(SENDING) | BIT(ACCEPTED) | BIT(UNKNOWN)))
		return P_DELIVERING;
	if (deliver == SUCCEEDED)
		return P_DELIVERED;
	if (deliver == FAILED || deliver == EXPIRED)
		return p->has_collect ? P_REFUND_DUE : deliver == FAILED ? P_CANCELLED : P_EXPIRED;
	return deliver == WRITTEN_OFF ? P_WRITTEN_OFF : P_REVIEW;
}

static int derive_refund(const struct purchase *p)
{
	int refund = p->leg[3];

	if (refund == READY || refund == NOT_SENT)
		return P_REFUND_DUE;
	if (in(refund, BIT(SENDING) | BIT(ACCEPTED) | BIT(UNKNOWN)))
		return P_REFUNDING;
	if (refund == SUCCEEDED)
		return P_REFUNDED;
	return refund == WRITTEN_OFF ? P_WRITTEN_OFF : P_REVIEW;
}

static int derive(const struct purchase *p)
{
	int collect = p->leg[1];

	for (int leg = 1; leg <= 3; leg++)
		if (p->leg[leg] == CONTRADICTED)
			return P_CONTRADICTED;
	if (!p->has_collect)
		return derive_deliver(p);
	if (collect == 0 || collect == READY || collect == NOT_SENT)
		return P_CONFIRMED;
	if (in(collect, BIT(SENDING) | BIT(ACCEPTED) | BIT(UNKNOWN)))
		return P_COLLECTING;
	if (collect == FAILED || collect == EXPIRED)
		return collect == FAILED ? P_CANCELLED : P_EXPIRED;
	if (collect != SUCCEEDED)
		return collect == WRITTEN_OFF ? P_WRITTEN_OFF : P_REVIEW;
	if (p->leg[3] != 0 && !in(p->leg[2], BIT(SUCCEEDED) | BIT(WRITTEN_OFF)))
		return derive_refund(p);
	return p->has_deliver ? derive_deliver(p) : P_COLLECTED;
}

/* ---- I2 ----------------------------------------------------------------------------------------
 */

static void check_one_alive(struct sim *s, const struct purchase *p)
{
	int alive[4] = {0};

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct attempt *a = &p->attempts[i];

		alive[a->leg] += !in(a->state, PROVEN_NOT);
		/* A proof that nothing left may prove false later; persons then choose. */
		if (a->leg != 3 && !in(a->state, BIT(NOT_SENT) | BIT(CONTRADICTED)) &&
			!a->is_decided && i + 1 < p->attempts_len &&
			p->attempts[i + 1].leg == a->leg)
			broken(s, p, "I2: a leg goes on after what may have executed");
	}
	for (int leg = 1; leg <= 3; leg++)
		if (alive[leg] > 1)
			broken(s, p, "I2: two attempts of a leg may have executed");
	if (p->leg[2] != 0 && !in(p->leg[2], PROVEN_NOT) && p->has_collect &&
		!in(p->leg[1], BIT(SUCCEEDED) | BIT(CONTRADICTED) | BIT(WRITTEN_OFF)))
		broken(s, p, "I2: goods for money that is not in");
}

/* ---- I4, I5: the books -------------------------------------------------------------------------
 */

static void move(int64_t books[static BOOKS], int debit, int credit, int64_t amount)
{
	books[debit] += amount;
	books[credit] -= amount;
}

/* The money is to go back: proven undelivered, or a refund has left that may have run. */
static bool is_owed(const struct purchase *p)
{
	bool is_paid = p->leg[1] == SUCCEEDED || in(p->leg[1], IN_DOUBT);
	bool is_given = in(p->leg[3], IN_DOUBT | BIT(SUCCEEDED) | BIT(WRITTEN_OFF));

	return is_paid &&
	       (p->leg[2] == FAILED || p->leg[2] == EXPIRED || (p->leg[2] != 0 && is_given));
}

static void position_collect(const struct purchase *p, int64_t books[static BOOKS])
{
	int claim = CUSTOMER;

	if (p->leg[1] == SUCCEEDED && !p->has_deliver)
		claim = p->leg[3] != 0 ? PAYABLE : REVENUE;
	if (in(p->leg[1], IN_DOUBT))
		move(books, SUSPENSE, claim, p->price);
	if (p->leg[1] == SUCCEEDED) {
		move(books, FLOAT, claim, p->price - p->collect_fee);
		move(books, FEES, claim, p->collect_fee);
	}
	if (p->leg[1] == WRITTEN_OFF && p->leg[2] != 0)
		move(books, WRITE_OFF, claim, p->price);
}

static void position_deliver(const struct purchase *p, int64_t books[static BOOKS])
{
	int payer = p->has_collect ? CUSTOMER : AGENT;
	int gain = p->leg[2] == SUCCEEDED ? REVENUE : WRITE_OFF;
	bool is_closed = in(p->leg[2], BIT(SUCCEEDED) | BIT(WRITTEN_OFF));

	if (in(p->leg[2], IN_DOUBT))
		move(books, SUSPENSE, FLOAT, p->cost);
	if (is_closed)
		move(books, gain, FLOAT, p->cost);
	if (is_owed(p))
		move(books, payer, PAYABLE, p->price);
	else if (is_closed)
		move(books, payer, gain, p->price);
}

/* Where the money is, from the legs alone. */
static void position(const struct purchase *p, int64_t books[static BOOKS])
{
	position_collect(p, books);
	position_deliver(p, books);
	if (in(p->leg[3], IN_DOUBT))
		move(books, SUSPENSE, FLOAT, p->price);
	if (in(p->leg[3], BIT(SUCCEEDED) | BIT(WRITTEN_OFF)))
		move(books, PAYABLE, FLOAT, p->price);
}

static void check_books(struct sim *s, const struct purchase *p)
{
	sqlite3_stmt *row = sim_sql(s, SQL_LEDGER, p->id);
	int64_t have[BOOKS] = {0}, want[BOOKS] = {0}, sum = 0;
	int posting = 0;

	while (sqlite3_step(row) == SQLITE_ROW) {
		int book = sqlite3_column_int(row, 3);

		if (sqlite3_column_int(row, 0) != posting) {
			if (sum != 0)
				broken(s, p, "I4: a posting does not balance");
			posting = sqlite3_column_int(row, 0);
		}
		sum += sqlite3_column_int64(row, 4);
		if (book < CUSTOMER || book >= BOOKS ||
			strcmp((const char *)sqlite3_column_text(row, 5), p->currency) != 0)
			broken(s, p, "I4: a line of no book or another currency");
		else
			have[book] += sqlite3_column_int64(row, 4);
	}
	(void)sqlite3_reset(row);
	if (sum != 0)
		broken(s, p, "I4: a posting does not balance");
	position(p, want);
	for (int book = CUSTOMER; book < BOOKS; book++)
		if (have[book] != want[book])
			broken(s, p, "I5: the books are not where the money is");
}

/* ---- I7, I9 ------------------------------------------------------------------------------------
 */

static void read_outbox(struct sim *s, struct purchase *p)
{
	sqlite3_stmt *row = sim_sql(s, SQL_OUTBOX, p->id);

	while (sqlite3_step(row) == SQLITE_ROW) {
		struct attempt *a = find(p, (uint64_t)sqlite3_column_int64(row, 1));

		if (a != NULL && sqlite3_column_int(row, 3) == 0)
			a->has_row = true;
		p->final_sms += sqlite3_column_int(row, 0) == 3 && sqlite3_column_int(row, 2) == 1;
	}
	(void)sqlite3_reset(row);
}

static void check_due(struct sim *s, const struct purchase *p)
{
	bool is_open = false;

	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct attempt *a = &p->attempts[i];

		is_open = is_open || in(a->state, OPEN);
		if (in(a->state, OPEN) && !a->has_row)
			broken(s, p, "I9: what is open waits for nothing");
	}
	if (p->final_sms > 1 || (p->final_sms == 0 && is_end(p, p->state)) ||
		(p->final_sms == 1 && !p->was_end))
		broken(s, p, "I7: an end is told once, and only ends are");
	if (!is_open && !is_end(p, p->state) &&
		!in(p->state, BIT(P_REVIEW) | BIT(P_CONTRADICTED) | BIT(P_WRITTEN_OFF)))
		broken(s, p, "I9: a purchase waits on nobody");
}

/* ---- X1, X2: against the providers' ledgers ----------------------------------------------------
 */

static void check_truth(struct sim *s, struct purchase *p)
{
	for (size_t i = 0; i < p->attempts_len; i++) {
		const struct attempt *a = &p->attempts[i];
		const struct sent *sent = sim_sent_of(s, a->id);

		p->done[a->leg] += sent->done;
		p->has_lied = p->has_lied || sent->has_lied;
		if (sent->has_lied)
			continue;
		/* Persons take what was carried out for a wrong amount, too. */
		if (a->state == SUCCEEDED &&
			(sent->done != 1 || (sent->right != 1 && !a->is_decided)))
			broken(s, p, "X2: SUCCEEDED, and the provider carried it out not once");
		if (in(a->state, BIT(FAILED) | BIT(NOT_SENT) | BIT(EXPIRED)) && sent->done != 0)
			broken(s, p, "X2: proven undone, and the provider carried it out");
		if (a->state == READY && sent->left != 0)
			broken(s, p, "I3: READY, and its bytes have left");
	}
	if (p->done[2] > 0 && p->done[3] > 0 && p->state != P_CONTRADICTED && !p->has_lied)
		broken(s, p, "X4: delivered, and given back");
}

/* As the provider writes a number: abroad or at home. */
static bool is_number(const char *written, const char *whose)
{
	size_t n = strlen(written), whole = strlen(whose);

	return n >= 9 && n <= whole && strcmp(whose + whole - n, written) == 0;
}

/* EasyTransfert's services by what is done and for whose operator (world.lua). */
static bool is_service(const struct order *o, int leg, const char *whose)
{
	static const char *const services[3][3] = {
		{"123", "121", "125"}, {"223", "221", "225"}, {"124", "122", "126"}};
	int operator_ = whose[4] == '1' ? 0 : whose[4] == '5' ? 1 : 2;

	if (o->is_xente)
		return o->is_payout == (leg != 1);
	return strcmp(o->service, services[leg - 1][operator_]) == 0;
}

/*
 * I4, X2: what the bytes ask a provider for is what the customer has confirmed: the price from who
 * pays, the goods for whom they are meant, the price back to who paid.
 */
static void check_intent(struct sim *s, const struct order *o)
{
	const struct sent *sent = &s->sent[o->sent];
	const struct press *press = sim_press(s, sent->press);
	struct purchase p;
	const char *whose;

	if (press == NULL || sent->leg < 1 || sent->leg > 3 ||
		!read_purchase(s, sent->purchase, &p))
		return; /* of a life that a restored copy has forgotten */
	whose = sent->leg == 2 ? press->beneficiary : press->payer;
	if (!is_number(o->number, whose))
		broken(s, &p, "X2: carried out for another number");
	if (o->asked != (sent->leg == 2 ? FACE_VALUE : p.price))
		broken(s, &p, "I4: another amount than was confirmed");
	if (!is_service(o, sent->leg, whose))
		broken(s, &p, "X2: another service than was confirmed");
}

void check_execution(struct sim *s, const struct order *order)
{
	const struct sent *mine = &s->sent[order->sent];
	unsigned times = 0;

	for (size_t i = 0; i < s->sent_len; i++) {
		const struct sent *other = &s->sent[i];

		if (other->purchase == mine->purchase && other->leg == mine->leg &&
			!other->has_lied)
			times += other->done;
	}
	if (times > 1)
		sim_break(s, &s->report->doubled, "X1: leg %d carried out twice", mine->leg);
	if (s->is_up)
		check_intent(s, order);
}

/* I6: money goes back only for what is proven undelivered, or as two persons decided. */
static void check_refund(struct sim *s, const struct request *r)
{
	const struct sent *sent = &s->sent[r->sent];
	struct purchase p;

	if (sent->leg != 3 || !read_purchase(s, sent->purchase, &p))
		return;
	read_attempts(s, &p);
	if (p.has_deliver && !in(p.leg[2], BIT(FAILED) | BIT(EXPIRED)))
		broken(s, &p, "I6: a refund leaves for what may have been delivered");
}

void check_departure(struct sim *s, const struct request *r)
{
	sqlite3_stmt *row = sim_sql(s, SQL_CLAIMED, r->a.attempt);
	bool is_claimed = sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int(row, 0) > 0;

	(void)sqlite3_reset(row);
	if (!is_claimed)
		sim_break(s, &s->report->unexplained, "I3: bytes leave before D2 is durable");
	check_refund(s, r);
	if (s->sent[r->sent].left != 0 && !request_is_honoured(r))
		sim_break(s, &s->report->doubled, "I3: one attempt leaves twice");
	if (s->sent[r->sent].left != 0 && s->sent[r->sent].body != sim_digest(r->filled.body))
		sim_break(s, &s->report->doubled, "2.5: the same id leaves with other bytes");
}

void check_purchase(struct sim *s, uint64_t purchase)
{
	struct purchase p;

	if (!read_purchase(s, purchase, &p))
		return; /* rolled back */
	s->report->checks++;
	read_attempts(s, &p);
	read_outbox(s, &p);
	check_events(s, &p);
	if (derive(&p) != p.state)
		broken(s, &p, "I1: the stored state is not the derived one");
	check_one_alive(s, &p);
	check_books(s, &p);
	check_due(s, &p);
	check_truth(s, &p);
}
