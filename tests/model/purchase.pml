/*
 * The send path of a purchase: collect, deliver, refund, against everything that may go wrong around it. A
 * process stopped for any length of time is an actor whose next step comes late: all interleavings are tried,
 * so no clock proves anything here. How an attempt moves comes from the program's own table (attempt.pml, printed
 * by print_machine), and so cannot drift from it.
 *
 * What is assumed: a copy of a request does not stay in the network past the age at which persons look at the
 * provider's books and past the margin that is kept before its retention window ends (flight == 0 below).
 *
 * -DCLASS_I   the provider honours ids, until it forgets them; otherwise it executes every copy (class N)
 * -DLIES      the provider may once, of any leg, say the opposite of what it did
 * One -D of the tempting designs below gives a counter-example; none of them is ours, and gives none:
 *   NAIVE                  a doubt is sent again
 *   LEASE                  a claim that was not renewed is taken over and sent by another process
 *   CHECK_THEN_SEND        a doubt is sent again when the provider does not know it (class N)
 *   FENCED                 taken over as a doubt; the sender reads the row again, then writes; absent is failed
 *   NO_OWNER_DEAD          absent is failed while the process that claimed it may still write
 *   HASTY                  absent is failed while a copy may still be on its way
 *   REFUND_ON_UNKNOWN      the customer is given the money back when nobody could say in time
 *   RETENTION              a class I doubt is sent again after the provider forgot its ids
 *   NOT_SENT_AFTER_RESEND  that the second copy never left is taken for proof about the first
 *   RETRY_REGARDLESS       a refund that did not leave is tried again although the delivery is contradicted by now
 *   RESEND_REGARDLESS      a refund in doubt is sent once more although the delivery is contradicted by now
 *   NO_WITHDRAWAL          a refund that is due is sent although success came after failure
 *   NO_RECALL              a refund whose claim is durable leaves although its delivery was contradicted since
 *   WRITE_OFF_IS_PROOF     the customer is given the money back for what persons wrote off
 *   SECOND_REFUND          persons begin a refund once more while the first is in review
 */
#include "attempt.pml"

#define COLLECT 0
#define DELIVER 1
#define REFUND 2

/* The provider's memory of an id. */
#define UNSEEN 0
#define KNOWN 1
#define FORGOTTEN 2

/* A transfer of a node: [node * 3 + leg]. */
#define IDLE 0
#define CLAIMED 1 /* SENDING is committed, no byte is written */
#define CHECKED 2 /* FENCED: the row was read again, and was ours */
#define WRITTEN 3 /* waits for the reply */

#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2
#endif
#ifndef MAX_CRASHES
#define MAX_CRASHES 1
#endif
#define MAX_RESENDS 1

byte st[3]; /* each leg's attempt; in one place, as a store is */
byte attempts[3];
byte resends[3];
byte transfer[6];
byte owner = 0; /* the node that claims */
bool alive[2];
byte crashes;

byte flight[3]; /* copies on their way */
byte executed[3]; /* the provider's book */
bool refused[3];
byte memory[3];
bool lied;
bool again; /* persons have begun a refund once more */

#define ABSENT(l) (executed[l] == 0 && !refused[l])
/* What a query shows of it: nothing, also when it is forgotten. */
#define IS_UNHEARD_OF(l) (ABSENT(l) || memory[l] == FORGOTTEN)
/* The owner-dead rule: the process that claimed it is over, or recorded the transfer's end. */
#if defined(NO_OWNER_DEAD) || defined(FENCED)
#define IS_OVER(l) true
#else
#define IS_OVER(l) (transfer[l] == IDLE && transfer[3 + l] == IDLE)
#endif
#ifdef HASTY
#define IS_OLD(l) true
#else
#define IS_OLD(l) (flight[l] == 0)
#endif
#ifdef RETRY_REGARDLESS
#define IS_STILL_WANTED(l) true
#else
#define IS_STILL_WANTED(l) ((l != REFUND || IS_PROVEN_UNDELIVERED) && (l == COLLECT || st[COLLECT] == SUCCEEDED))
#endif
#ifdef RESEND_REGARDLESS
#define MAY_GO_AGAIN(l) true
#else
#define MAY_GO_AGAIN(l) IS_STILL_WANTED(l)
#endif
/* What was told to go is called back when it is contradicted before a byte of it has left. */
#if defined(NO_RECALL) || defined(REFUND_ON_UNKNOWN)
#define MAY_LEAVE(l) true
#else
#define MAY_LEAVE(l) IS_STILL_WANTED(l)
#endif
/* By the sender's own clock, the provider still remembers the id. */
#ifdef RETENTION
#define IN_TIME(l) true
#else
#define IN_TIME(l) (memory[l] != FORGOTTEN)
#endif
#define IS_OPEN(l) (st[l] == SENDING || st[l] == ACCEPTED || st[l] == UNKNOWN)
#define IS_DOUBTFUL(l) (IS_OPEN(l) || st[l] == REVIEW || st[l] == CONTRADICTED)
#define IS_CASE(l) (st[l] == REVIEW || st[l] == CONTRADICTED || st[l] == WRITTEN_OFF)
#define MAY_HAVE_RUN(l) (IS_DOUBTFUL(l) || st[l] == SUCCEEDED || st[l] == WRITTEN_OFF)
#define HONEST (!lied)
#define IS_CONTRADICTED (st[COLLECT] == CONTRADICTED || st[DELIVER] == CONTRADICTED)
#define IS_PROVEN_UNDELIVERED (st[DELIVER] == FAILED || st[DELIVER] == EXPIRED)
/* Persons begin a refund once more only where the last one is proven undone. */
#ifdef SECOND_REFUND
#define MAY_REFUND_AGAIN (st[REFUND] == REVIEW)
#else
#define MAY_REFUND_AGAIN ((st[REFUND] == FAILED || st[REFUND] == EXPIRED) && executed[REFUND] == 0)
#endif

/* What must hold of our own design step by step; of the tempting ones only the harm is shown. */
#ifdef TEMPTING
#define TRUST(claim) skip
#else
#define TRUST(claim) assert(claim)
#endif

/* What one commit holds besides the move itself: 2.6 and 2.8. */
inline follow(l) {
	if
	:: st[COLLECT] == SUCCEEDED && st[DELIVER] == NONE && st[REFUND] == NONE -> st[DELIVER] = READY
	:: st[COLLECT] == SUCCEEDED && IS_PROVEN_UNDELIVERED && st[REFUND] == NONE -> st[REFUND] = READY
#ifndef NO_WITHDRAWAL
	:: IS_CONTRADICTED && st[DELIVER] == READY -> st[DELIVER] = EXPIRED
	:: IS_CONTRADICTED && st[REFUND] == READY -> st[REFUND] = EXPIRED
#endif
	:: else -> skip
	fi
}

inline move(l, event) {
	TRUST(impossible[st[l] * PER_STATE + event] == 0);
	st[l] = after[st[l] * PER_STATE + event];
	follow(l)
}

/* Without a lie nothing contradicts: 2.9, X4. */
inline contradiction_is_real() {
	TRUST(!HONEST || (st[0] != CONTRADICTED && st[1] != CONTRADICTED && st[2] != CONTRADICTED))
}

/* What the provider says, as a reply, an IPN of any age and number, or the answer to a query. */
inline hear(l) {
	if
	:: executed[l] > 0 -> move(l, AEV_SUCCESS);
		/* Paid and given back is never hidden: it is contradicted, or a person has closed it. */
		TRUST(l != DELIVER || st[DELIVER] != FAILED)
	:: refused[l] && executed[l] == 0 -> move(l, AEV_FAILURE)
	:: IS_OPEN(l) && memory[l] == KNOWN && flight[l] > 0 -> move(l, AEV_ACCEPTED)
#ifdef LIES
	:: executed[l] > 0 && !lied -> lied = true; move(l, AEV_FAILURE)
	:: executed[l] == 0 && !lied -> lied = true; move(l, AEV_SUCCESS)
#endif
	fi;
	contradiction_is_real()
}

proctype Provider(byte l) {
end:
	do
	/* A copy arrives, however late. */
	:: atomic { flight[l] > 0 -> flight[l]--;
		if
		:: memory[l] == KNOWN -> skip /* class I: as it was answered before */
		:: memory[l] != KNOWN ->
			if
			:: executed[l]++;
				assert(executed[l] <= 1); /* no leg twice because of us */
				assert(executed[DELIVER] + executed[REFUND] <= 1 || !HONEST);
				/* FAILED is proof: nothing can be executed any more. */
				TRUST(st[l] != FAILED || !HONEST)
			:: refused[l] = true
			fi;
#ifdef CLASS_I
			memory[l] = KNOWN
#endif
		fi }
	:: atomic { flight[l] > 0 -> flight[l]-- } /* lost */
	:: atomic { memory[l] == KNOWN && flight[l] == 0 -> memory[l] = FORGOTTEN }
	:: atomic { attempts[l] > 0 && st[l] != READY && (!ABSENT(l) || memory[l] == KNOWN) -> hear(l) }
#ifdef LIES
	:: atomic { (IS_DOUBTFUL(l) || st[l] == FAILED) && ABSENT(l) && !lied -> lied = true;
		if
		:: move(l, AEV_SUCCESS)
		:: move(l, AEV_FAILURE)
		fi }
#endif
	od
}

/* One node's part in one leg: the engine commits, the wire writes. */
proctype Node(byte n; byte l) {
end:
	do
	:: atomic { alive[n] && owner == n && st[l] == READY && transfer[n * 3 + l] == IDLE && attempts[l] < MAX_ATTEMPTS ->
#ifndef REFUND_ON_UNKNOWN
		assert(l != REFUND || IS_PROVEN_UNDELIVERED); /* never for what may have been delivered */
#endif
		TRUST(l == COLLECT || st[COLLECT] == SUCCEEDED);
		attempts[l]++;
		memory[l] = UNSEEN; /* a new attempt, a new id */
		transfer[n * 3 + l] = CLAIMED;
		move(l, AEV_CLAIM) }
#ifdef FENCED
	:: atomic { alive[n] && transfer[n * 3 + l] == CLAIMED ->
		if
		:: st[l] == SENDING && owner == n -> transfer[n * 3 + l] = CHECKED
		:: else -> transfer[n * 3 + l] = IDLE
		fi }
	:: atomic { alive[n] && transfer[n * 3 + l] == CHECKED ->
#else
	/* Too old by its own clock: given up below. */
	:: atomic { alive[n] && transfer[n * 3 + l] == CLAIMED && IN_TIME(l) && MAY_LEAVE(l) ->
#ifndef REFUND_ON_UNKNOWN
		assert(l != REFUND || IS_PROVEN_UNDELIVERED); /* when it leaves, as when it was claimed */
#endif
		TRUST(l == COLLECT || st[COLLECT] == SUCCEEDED);
#endif
		transfer[n * 3 + l] = WRITTEN;
		flight[l]++ }
	/* No byte of it left: proof about the attempt, unless it is the second copy. */
	:: atomic { alive[n] && transfer[n * 3 + l] == CLAIMED -> transfer[n * 3 + l] = IDLE;
		if
#ifndef NOT_SENT_AFTER_RESEND
		:: resends[l] > 0 && IS_OPEN(l) -> move(l, AEV_DOUBT)
		:: resends[l] > 0 && !IS_OPEN(l) -> skip
		:: resends[l] == 0 -> move(l, AEV_NOT_SENT)
#else
		:: st[l] == SENDING -> move(l, AEV_NOT_SENT)
		:: else -> skip
#endif
		fi;
		contradiction_is_real() }
	/* The reply, whole. */
	:: atomic { alive[n] && transfer[n * 3 + l] == WRITTEN && !ABSENT(l) -> transfer[n * 3 + l] = IDLE; hear(l) }
	/* Reset, timeout, garbage. */
	:: atomic { alive[n] && transfer[n * 3 + l] == WRITTEN -> transfer[n * 3 + l] = IDLE;
		if
		:: IS_OPEN(l) -> move(l, AEV_DOUBT)
		:: else -> skip
		fi }
	/* Provably unsent: a new attempt of the leg, while what it is there for still holds. */
	:: atomic { alive[n] && owner == n && st[l] == NOT_SENT && IS_STILL_WANTED(l) -> st[l] = READY }
#ifdef CLASS_I
	/* Queried, absent, and within the time it remembers ids: the same id once more. */
	:: atomic { alive[n] && owner == n && st[l] == UNKNOWN && resends[l] < MAX_RESENDS && IN_TIME(l) &&
		IS_UNHEARD_OF(l) && transfer[n * 3 + l] == IDLE && MAY_GO_AGAIN(l) ->
		assert(l != REFUND || IS_PROVEN_UNDELIVERED);
		TRUST(l == COLLECT || st[COLLECT] == SUCCEEDED);
		resends[l]++;
		transfer[n * 3 + l] = CLAIMED;
		move(l, AEV_RESEND) }
#endif
#ifdef NAIVE
	:: atomic { alive[n] && st[l] == UNKNOWN && attempts[l] < MAX_ATTEMPTS -> st[l] = READY }
#endif
#ifdef CHECK_THEN_SEND
	:: atomic { alive[n] && st[l] == UNKNOWN && ABSENT(l) && attempts[l] < MAX_ATTEMPTS -> st[l] = READY }
#endif
	od
}

/* Timers: whenever they like, and to UNKNOWN and REVIEW only. */
proctype Timers(byte l) {
end:
	do
	:: atomic { alive[owner] && (st[l] == SENDING || st[l] == ACCEPTED || st[l] == UNKNOWN) -> move(l, AEV_DEADLINE)
#ifdef REFUND_ON_UNKNOWN
		; if
		:: l == DELIVER && st[l] == REVIEW && st[REFUND] == NONE -> st[REFUND] = READY
		:: else -> skip
		fi
#endif
		}
	:: atomic { alive[owner] && st[l] == READY -> move(l, AEV_EXPIRE) }
	od
}

/* Two persons with the provider's books before them, whenever they like; what they wrote off they may close better. */
proctype Persons(byte l) {
end:
	do
	:: atomic { IS_CASE(l) && executed[l] > 0 && (l != DELIVER || !MAY_HAVE_RUN(REFUND)) ->
		move(l, AEV_DECIDED_SUCCESS);
		TRUST(st[DELIVER] != SUCCEEDED || !MAY_HAVE_RUN(REFUND)) }
	:: atomic { IS_CASE(l) && executed[l] == 0 && IS_OVER(l) && IS_OLD(l) &&
		(l != COLLECT || (!MAY_HAVE_RUN(DELIVER) && !MAY_HAVE_RUN(REFUND))) ->
		move(l, AEV_DECIDED_FAILURE) }
	:: atomic { IS_CASE(l) -> move(l, AEV_WRITE_OFF)
#ifdef WRITE_OFF_IS_PROOF
		; if
		:: l == DELIVER && st[REFUND] == NONE -> st[REFUND] = READY
		:: else -> skip
		fi
#endif
		}
	/* Another attempt, begun by persons. Copies carry no ids here: the last one's are over first. */
	:: atomic { l == REFUND && MAY_REFUND_AGAIN && IS_OVER(REFUND) && IS_OLD(REFUND) && IS_STILL_WANTED(REFUND) &&
		attempts[l] < MAX_ATTEMPTS ->
		again = true;
		refused[l] = false;
		resends[l] = 0;
		st[l] = READY }
	od
}

/* kill -9 at any point, and the next life: one at a time, for it holds the data directory's lock. */
proctype Lives() {
	byte l;
end:
	do
	:: atomic { alive[owner] && crashes < MAX_CRASHES -> crashes++;
		alive[owner] = false;
		transfer[owner * 3] = IDLE; transfer[owner * 3 + 1] = IDLE; transfer[owner * 3 + 2] = IDLE }
#if defined(LEASE) || defined(FENCED)
	:: atomic { owner == 0 -> /* its lease ran out; it may only be asleep */
#else
	:: atomic { !alive[0] && !alive[1] ->
#endif
		owner = 1 - owner;
		alive[owner] = true;
		l = 0;
		do
		:: l < 3 && st[l] == SENDING ->
#ifdef LEASE
			st[l] = READY;
#else
			move(l, AEV_DOUBT);
#endif
			l++
		:: l < 3 && st[l] != SENDING -> l++
		:: l == 3 -> break
		od;
		l = 0 }
	od
}

/* Ends that must be reached, or all of this shows nothing. check_promela.py prints those that were not. */
#define SEEN(what) atomic { what -> hit = true; hit = false }

proctype Witness() {
	bool hit;
end:
	do
	:: SEEN(st[DELIVER] == SUCCEEDED && executed[DELIVER] == 1) /* delivered */
	:: SEEN(st[REFUND] == SUCCEEDED && executed[REFUND] == 1) /* refunded */
	:: SEEN(st[COLLECT] == FAILED && st[DELIVER] == NONE) /* cancelled */
	:: SEEN(st[DELIVER] == UNKNOWN && executed[DELIVER] == 1 && crashes == 1) /* executed in doubt after a crash */
	:: SEEN(st[DELIVER] == REVIEW && executed[DELIVER] == 1) /* executed in review */
	:: SEEN(st[REFUND] == REVIEW && executed[REFUND] == 1) /* refund in review */
	:: SEEN(st[DELIVER] == FAILED && !refused[DELIVER] && executed[REFUND] == 1) /* refunded by persons' proof of absence */
	:: SEEN(st[DELIVER] == WRITTEN_OFF) /* written off */
	:: SEEN(st[DELIVER] == WRITTEN_OFF && transfer[DELIVER] == CLAIMED) /* written off while its owner sleeps */
	:: SEEN(again && st[REFUND] == SUCCEEDED && executed[REFUND] == 1) /* refunded by persons, the second time */
#if MAX_ATTEMPTS > 1
	:: SEEN(st[DELIVER] == SUCCEEDED && attempts[DELIVER] == 2) /* delivered by the second attempt */
#endif
	:: SEEN(st[DELIVER] == REVIEW && transfer[DELIVER] == CLAIMED) /* in review while its owner sleeps */
#ifdef CLASS_I
	:: SEEN(st[DELIVER] == SUCCEEDED && resends[DELIVER] == 1 && executed[DELIVER] == 1) /* resent, executed once */
	:: SEEN(st[DELIVER] == REVIEW && memory[DELIVER] == FORGOTTEN && executed[DELIVER] == 1) /* forgotten, in review */
#endif
#ifdef LIES
	:: SEEN(st[DELIVER] == CONTRADICTED && executed[REFUND] == 1) /* contradicted after the refund */
	:: SEEN(st[DELIVER] == CONTRADICTED && st[REFUND] == EXPIRED) /* refund withdrawn */
	:: SEEN(st[COLLECT] == CONTRADICTED) /* collection contradicted */
#endif
	od
}

init {
	atomic {
		st[COLLECT] = READY;
		alive[0] = true;
		run Provider(COLLECT); run Provider(DELIVER); run Provider(REFUND);
		run Node(0, COLLECT); run Node(0, DELIVER); run Node(0, REFUND);
		run Node(1, COLLECT); run Node(1, DELIVER); run Node(1, REFUND);
		run Timers(COLLECT); run Timers(DELIVER); run Timers(REFUND);
		run Persons(COLLECT); run Persons(DELIVER); run Persons(REFUND);
		run Lives(); run Witness()
	}
}
