"""`tama verify`: each invariant broken by hand on a copy, and named (F-K4)."""
import contextlib
import hashlib
import json
import shutil
import sqlite3
import struct
import unittest

from harness import eventually, run
from world import World

MTN = "2250501020304"
FAST = {"push_delay": "0s", "spacing": "0s"}
BUY = "2 0701020304 {} 1"
OUTBOX = "id, partner, kind, purchase, attempt, seq, due_ms, tries, is_done, channel, person, body, dlr"


def digest(before, row):
    """The chain as schema.sql tells it."""
    purchase, seq, partner, attempt, start, end, cause, evidence, incarnation, at_ms = row
    text = before + struct.pack("<QIIQBBQQQ", purchase, seq, partner, attempt or 0, start, end, evidence or 0,
                                incarnation, at_ms) + cause.encode()
    return hashlib.blake2b(text, digest_size=16).digest()


class Verify(unittest.TestCase):
    """One store for all: a sale, a refund that is due, one that was being sent when the process died."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(FAST)
        cls.enterClassContext(cls.world)
        gateway, sandbox = cls.world.gateway, cls.world.sandbox
        gateway.start()
        cls.sold = cls.world.call(MTN).buy(BUY.format(500))
        sandbox.wait_for_sms(MTN, cls.sold)
        sandbox.fault({"op": "submit", "do": "fail", "text": "Numero de destination invalide", "amount": 600})
        cls.due = cls.world.call(MTN).buy(BUY.format(600))
        sandbox.wait_for_sms(MTN, cls.due)
        gateway.stop()
        gateway.start(crash="K12")
        with contextlib.suppress(OSError, AssertionError):
            cls.world.call(MTN).buy(BUY.format(700))
        gateway.wait()
        gateway.start()
        eventually(lambda: gateway.metrics()["tama_attempts_unknown_total"] >= 1
                   or gateway.metrics()['tama_attempts{state="UNKNOWN"}'] == 1, "the doubt is noted")
        cls.copy = cls.world.folder / "copy"
        done = run("backup", cls.copy, "--data", gateway.data)
        assert done.returncode == 0, done.stderr
        gateway.stop()
        with contextlib.closing(sqlite3.connect(cls.copy / "tama.db")) as db:
            refs = db.execute("SELECT ref FROM purchase ORDER BY id").fetchall()
        cls.doubt = refs[-1][0]

    def setUp(self):
        self.dir = self.world.folder / "broken"
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.copytree(self.copy, self.dir)

    def verify(self):
        done = run("verify", "--copy", self.dir)
        return done.returncode, done.stdout + done.stderr

    @contextlib.contextmanager
    def db(self, checks=True):
        """The copy, without the triggers that would refuse."""
        with contextlib.closing(sqlite3.connect(self.dir / "tama.db", isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            if not checks:
                db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    def rehash(self, db, ref):
        """What somebody would do who knows of the chain."""
        (purchase,) = db.execute("SELECT id FROM purchase WHERE ref = ?", (ref,)).fetchone()
        before = bytes(16)
        for row in db.execute("SELECT purchase, seq, partner, attempt, from_state, to_state, cause, evidence,"
                              " incarnation, at_ms FROM event WHERE purchase = ? ORDER BY seq", (purchase,)).fetchall():
            before = digest(before, row)
            db.execute("UPDATE event SET hash = ? WHERE purchase = ? AND seq = ?", (before, purchase, row[1]))

    def broken(self, rule, ref, *statements, rehash=False, words="", checks=True):
        of = {"sold": self.sold, "due": self.due, "doubt": self.doubt}[ref]
        with self.db(checks) as db:
            for sql in statements:
                changed = db.execute(sql.replace("$P", f"(SELECT id FROM purchase WHERE ref = '{of}')")).rowcount
                self.assertNotEqual(changed, 0, sql)
            if rehash:
                self.rehash(db, of)
        status, said = self.verify()
        self.assertEqual(status, 1, said)
        self.assertTrue(said.startswith(f"{of} {rule}: "), said)
        self.assertIn(words, said)

    def test_whole(self):
        self.assertEqual(self.verify(), (0, "verified 3 purchases\n"))
        rows = run("verify", "--copy", self.dir, "--json").stdout
        self.assertEqual(json.loads(rows), {"row": "verified", "purchases": 3, "violations": 0})

    # ---- I1

    def test_i1_a_state_changed_by_hand(self):
        self.broken("I1", "due", "UPDATE purchase SET state = 11 WHERE id = $P", words="its events end in REFUND_DUE")

    def test_i1_an_attempt_changed_by_hand(self):
        self.broken("I1", "due", "UPDATE attempt SET state = 6 WHERE purchase = $P AND leg = 2",
                    words="its events end in FAILED")

    def test_i1_an_event_changed(self):
        self.broken("I1", "sold", "UPDATE event SET at_ms = at_ms - 1 WHERE purchase = $P AND seq = 2",
                    words="hash chain breaks at event 2")

    def test_i1_an_event_gone(self):
        self.broken("I1", "sold", "DELETE FROM event WHERE purchase = $P AND seq = 3", words="event 3 is missing")

    def test_i1_a_move_that_is_none(self):
        """With the chain made anew, too."""
        self.broken("I1", "doubt", "UPDATE event SET to_state = 7, cause = 'deadline' WHERE purchase = $P"
                    " AND to_state = 4 AND attempt IS NOT NULL",
                    "UPDATE attempt SET state = 7 WHERE purchase = $P", rehash=True, words="no way from SENDING to FAILED")

    def test_i1_a_purchase_that_is_not_what_its_legs_say(self):
        self.broken("I1", "due", "UPDATE event SET to_state = 9 WHERE purchase = $P AND to_state = 8 AND attempt IS NULL",
                    "UPDATE purchase SET state = 9 WHERE id = $P", rehash=True, words="its legs say REFUND_DUE")

    # ---- I2, I3

    def another_attempt(self, state, n=2):
        names = ("leg, account, verb, service, person, amount, currency, needs_secret, secret, incarnation_made,"
                 " version, owner_incarnation, epoch, body_hash, provider_id, polls, created_ms, sent_ms, updated_ms")
        return (f"INSERT INTO attempt (id, partner, purchase, n, our_ref, state, {names}) SELECT id + 7, partner,"
                f" purchase, {n}, our_ref || 'X', {state}, {names} FROM attempt WHERE purchase = $P AND leg = 2")

    def test_i2_two_that_may_have_executed(self):
        self.broken("I1", "sold", "DROP INDEX attempt_live", self.another_attempt(4))
        self.setUp()
        events = ("INSERT INTO event SELECT purchase, (SELECT max(seq) FROM event WHERE purchase = $P) + row_number()"
                  " OVER (ORDER BY seq), partner, attempt + 7, from_state, to_state, cause, evidence, incarnation, at_ms,"
                  " hash FROM event WHERE attempt = (SELECT id FROM attempt WHERE purchase = $P AND leg = 2 AND n = 1)")
        self.broken("I2", "sold", "DROP INDEX attempt_live", self.another_attempt(6), events, rehash=True,
                    words="two attempts of the deliver leg")

    def test_i2_a_number_left_out(self):
        self.broken("I2", "sold", "UPDATE attempt SET n = 2 WHERE purchase = $P AND leg = 2")

    def test_i3_sent_without_a_claim(self):
        self.broken("I3", "sold", "UPDATE attempt SET sent_ms = 0 WHERE purchase = $P AND leg = 1")
        self.setUp()
        self.broken("I3", "doubt", "UPDATE attempt SET owner_incarnation = 99 WHERE purchase = $P", words="life 99")

    # ---- I4, I5

    def test_i4_an_unbalanced_posting(self):
        self.broken("I4", "sold", "UPDATE ledger SET debit = debit + 1 WHERE purchase = $P AND posting = 1 AND line = 1",
                    words="does not balance")

    def test_i4_books_that_are_not_what_the_legs_are_worth(self):
        self.broken("I4", "sold", "UPDATE ledger SET book = 8 WHERE purchase = $P AND book = 3", words="its legs are worth")

    def test_i4_a_posting_twice(self):
        self.broken("I4", "sold", "INSERT INTO ledger SELECT purchase, (SELECT max(posting) + 1 FROM ledger WHERE"
                    " purchase = $P), line, partner, attempt, book, debit, currency, account, at_ms FROM ledger"
                    " WHERE purchase = $P AND posting = 1", words="its legs are worth")

    def test_i4_a_posting_gone(self):
        self.broken("I4", "sold", "DELETE FROM ledger WHERE purchase = $P AND posting = 2", words="posting 2 is missing")

    def test_i4_another_amount_than_the_intent(self):
        self.broken("I4", "sold", "UPDATE attempt SET amount = 501 WHERE purchase = $P AND leg = 2",
                    words="deliver.1 is of another amount")
        self.setUp()
        self.broken("I4", "sold", "UPDATE attempt SET person = (SELECT payer FROM purchase WHERE id = $P)"
                    " WHERE purchase = $P AND leg = 2", words="another number")

    def test_i5_goods_for_nothing(self):
        """The payment's rows taken away, chain and books made to fit."""
        self.broken("I5", "due",
                    "DELETE FROM event WHERE purchase = $P AND attempt = (SELECT id FROM attempt WHERE purchase = $P"
                    " AND leg = 1)",
                    "UPDATE event SET seq = seq + 1000 WHERE purchase = $P",
                    "UPDATE event SET seq = (SELECT count(*) FROM event e WHERE e.purchase = event.purchase"
                    " AND e.seq <= event.seq) WHERE purchase = $P",
                    "DELETE FROM event WHERE purchase = $P AND attempt IS NULL AND seq > 1",
                    "UPDATE event SET seq = (SELECT count(*) FROM event e WHERE e.purchase = event.purchase"
                    " AND e.seq <= event.seq) WHERE purchase = $P",
                    "UPDATE attempt SET state = 1, sent_ms = 0, owner_incarnation = 0, body_hash = zeroblob(16)"
                    " WHERE purchase = $P AND leg = 1",
                    "UPDATE purchase SET state = 1 WHERE id = $P",
                    "DELETE FROM ledger WHERE purchase = $P", rehash=True, words="without having collected")

    # ---- I6 to I11, P2

    def test_i6_a_refund_of_what_was_delivered(self):
        with self.db() as db:
            (purchase,) = db.execute("SELECT id FROM purchase WHERE ref = ?", (self.sold,)).fetchone()
            columns = [c[1] for c in db.execute("PRAGMA table_info(attempt)")]
            row = dict(zip(columns, db.execute("SELECT * FROM attempt WHERE purchase = ? AND leg = 1", (purchase,)).fetchone()))
            row |= {"id": row["id"] + 9, "leg": 3, "our_ref": "REFUND", "state": 1, "sent_ms": 0, "owner_incarnation": 0,
                    "body_hash": bytes(16), "provider_id": "", "epoch": 0}
            db.execute(f"INSERT INTO attempt VALUES ({','.join('?' * len(columns))})", [row[c] for c in columns])
        status, said = self.verify()
        self.assertTrue(said.startswith(f"{self.sold} I6: "), said)
        self.assertEqual(status, 1)

    def test_i7_a_final_message_too_early(self):
        self.broken("I7", "doubt", f"INSERT INTO outbox ({OUTBOX}) SELECT o.id + 3, o.partner, 3, $P, NULL, 1, o.due_ms,"
                    " 0, 1, o.channel,"
                    f" o.person, o.body, '' FROM outbox o JOIN purchase p ON p.id = o.purchase WHERE p.ref = '{self.sold}'"
                    " AND o.kind = 3")

    def test_i7_twice(self):
        self.broken("I7", "sold", "DROP INDEX outbox_once", f"INSERT INTO outbox ({OUTBOX}) SELECT id + 3, partner, kind, purchase,"
                    " attempt, seq, due_ms, tries, is_done, channel, person, body, dlr FROM outbox WHERE purchase = $P"
                    " AND kind = 3", words="2 final messages")

    def test_i8_evidence_gone(self):
        self.broken("I8", "sold", "DELETE FROM inbox WHERE id = (SELECT evidence FROM event WHERE purchase = $P"
                    " AND evidence IS NOT NULL LIMIT 1)", words="not in the inbox")

    def test_i8_a_success_out_of_nothing(self):
        self.broken("I8", "sold", "UPDATE event SET evidence = NULL WHERE purchase = $P AND cause = 'success'",
                    rehash=True, words="without evidence")

    def test_i9_waits_for_nothing(self):
        self.broken("I9", "doubt", "DELETE FROM outbox WHERE purchase = $P AND attempt IS NOT NULL",
                    words="is UNKNOWN and waits for nothing")

    def test_i10_the_reply_is_gone(self):
        self.broken("I10", "sold", "DELETE FROM hop WHERE purchase = $P")

    def test_i11_plain(self):
        self.broken("I11", "sold", "UPDATE outbox SET body = CAST('Recharge de 500 F pour 07 01 02 03 04, réussie.' AS BLOB)"
                    " WHERE purchase = $P AND kind = 3")
        self.setUp()
        self.broken("I11", "sold", "UPDATE person SET number = CAST('2250501020304' AS BLOB)")

    def test_p2_decided_by_nobody(self):
        self.broken("P2", "doubt",
                    "INSERT INTO event SELECT purchase, seq + 1, partner, attempt, 4, 9, 'deadline', NULL, incarnation,"
                    " at_ms, hash FROM event WHERE purchase = $P AND attempt IS NOT NULL ORDER BY seq DESC LIMIT 1",
                    "INSERT INTO event SELECT purchase, seq + 1, partner, NULL, 2, 9, 'deadline', NULL, incarnation,"
                    " at_ms, hash FROM event WHERE purchase = $P ORDER BY seq DESC LIMIT 1",
                    "INSERT INTO event SELECT purchase, seq + 1, partner, (SELECT id FROM attempt WHERE purchase = $P), 9,"
                    " 7, 'decided_failure', NULL, incarnation, at_ms, hash FROM event WHERE purchase = $P"
                    " ORDER BY seq DESC LIMIT 1",
                    "INSERT INTO event SELECT purchase, seq + 1, partner, NULL, 9, 6, 'decided_failure', NULL, incarnation,"
                    " at_ms, hash FROM event WHERE purchase = $P ORDER BY seq DESC LIMIT 1",
                    "UPDATE attempt SET state = 7 WHERE purchase = $P", "UPDATE purchase SET state = 6 WHERE id = $P",
                    "INSERT INTO ledger SELECT purchase, 2, line, partner, attempt, book, -debit, currency, account, at_ms"
                    " FROM ledger WHERE purchase = $P", rehash=True, words="nobody decided it")

    def test_the_file_itself(self):
        with self.db() as db:
            db.execute("DELETE FROM purchase WHERE ref = ?", (self.doubt,))
        status, said = self.verify()
        self.assertEqual(status, 1)
        self.assertTrue(said.startswith("the store SQL: "), said)

    def test_another_schema(self):
        with contextlib.closing(sqlite3.connect(self.dir / "tama.db")) as db:
            db.execute("PRAGMA user_version = 2")
        self.assertIn("this checker knows 3", self.verify()[1])


class Hourly(unittest.TestCase):
    def test_it_looks_by_itself_and_rings(self):
        with World(FAST) as world:
            text = world.gateway.config.read_text()
            world.gateway.config.write_text(text.replace("gateway {", 'gateway { verify = "1s",', 1))
            world.gateway.start()
            ref = world.call(MTN).buy(BUY.format(500))
            world.sandbox.wait_for_sms(MTN, ref)
            world.metric("tama_verified_purchases", 1)
            self.assertEqual(world.gateway.metrics()["tama_violations"], 0)
            world.gateway.stop()
            with contextlib.closing(sqlite3.connect(world.gateway.data / "tama.db")) as db:
                db.execute("DROP TRIGGER event_as_it_was")
                db.execute("UPDATE event SET at_ms = at_ms + 1 WHERE seq = 2")
                db.commit()
            world.gateway.start()
            world.metric("tama_violations", 1)
            line = next(l for l in world.gateway.process.output if '"violation"' in l)
            self.assertIn(ref, line)
            self.assertIn("I1: the hash chain breaks at event 2", line)
            done = run("verify", "--data", world.gateway.data)
            self.assertEqual((done.returncode, done.stdout.splitlines()[0]),
                             (1, f"{ref} I1: the hash chain breaks at event 2"))


if __name__ == "__main__":
    unittest.main()
