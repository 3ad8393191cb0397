"""Sessions across drops, days, restarts and kill -9 (design.md idea 1; reliability.md K1 to K10,
F-G3 to F-G6)."""
import concurrent.futures
import contextlib
import http.client
import os
import random
import re
import signal
import sqlite3
import threading
import time
import unittest

from gateway import CALLER, OTP_CALLER, Gateway, Later

FIRST = "CON Recharge pour qui ?\n1. Moi\n2. Autre numéro\n3. Mon dernier achat"
RESUME = "CON Reprendre : 500 F MTN ?\n1. Reprendre\n2. Recommencer"
# The times of the first channel, shortened.
SHORT = [('timeout = "180s"', 'timeout = "1s"'), ('resume = "10m"', 'resume = "1s"')]


class Resume(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway(settings={"spacing": "1s"})
        cls.g.start()

    @classmethod
    def tearDownClass(cls):
        cls.g.close()

    def test_after_a_drop(self):
        g, who = self.g, "+2250501000001"
        g.at("a1", "", who)
        g.at("a1", "1", who)
        confirm = g.at("a1", "1*500", who)
        self.assertEqual(g.at("a2", "", who), RESUME)
        self.assertEqual(g.at("a2", "", who), RESUME)
        self.assertEqual(g.at("a2", "7", who), RESUME)
        self.assertEqual(g.at("a2", "7*1", who), confirm)
        self.assertEqual(g.at("a2", "7*1", who), confirm)
        self.assertIn("END Demande recue", g.at("a2", "7*1*1", who))

    def test_begun_again(self):
        g, who = self.g, "+2250501000002"
        g.at("b1", "1*500", who)
        self.assertEqual(g.at("b2", "", who), RESUME)
        self.assertEqual(g.at("b2", "2", who), FIRST)
        self.assertIn("Montant", g.at("b2", "2*1", who))

    def test_not_when_a_whole_order_is_dialled(self):
        g, who = self.g, "+2250501000003"
        g.at("c1", "1*500", who)
        self.assertIn("1. Confirmer", g.at("c2", "1*1000", who))
        self.assertIn("1 000 F", g.at("c2", "1*1000", who))

    def test_only_what_was_answered_is_offered(self):
        g, who = self.g, "+2250501000004"
        g.at("d1", "", who)
        self.assertEqual(g.at("d2", "", who), FIRST)
        g.at("d2", "9", who)
        self.assertEqual(g.at("d3", "", who), FIRST)
        amount = g.at("d3", "1", who)
        self.assertIn("Reprendre : ", g.at("d4", "", who))
        self.assertEqual(g.at("d4", "1", who), amount)
        self.assertEqual(g.at("d4", "1*0", who), FIRST)
        self.assertEqual(g.at("d5", "", who), FIRST)

    def test_a_confirmation_given_is_asked_for_again(self):
        """Whoever drops before the purchase is made confirms it after resuming."""
        g, who = self.g, "+2250501000005"
        before = g.purchases()
        g.at("e1", "1*500", who)
        g.at("e2", "", who)
        self.assertIn("1. Confirmer", g.at("e2", "1", who))
        g.expect_purchases(before)

    def test_a_purchase_made_is_not_offered(self):
        g, who = self.g, "+2250501000006"
        before = g.purchases()
        g.at("f1", "1*500", who)
        g.at("f1", "1*500*1", who)
        self.assertEqual(g.at("f2", "", who), FIRST)
        g.expect_purchases(before + 1)

    def test_the_newest_of_several(self):
        g, who = self.g, "+2250501000007"
        g.at("g1", "1*500", who)
        g.at("g2", "1*1000", who)
        g.at("g3", "1*2000", who)
        self.assertIn("Reprendre : 2 000 F MTN ?", g.at("g4", "", who))
        self.assertIn("2 000 F", g.at("g4", "1", who))
        self.assertIn("Reprendre : 2 000 F MTN ?", g.at("g5", "", who))

    def test_another_number_is_offered_nothing(self):
        g = self.g
        g.at("h1", "1*500", "+2250501000008")
        self.assertEqual(g.at("h2", "", "+2250501000009"), FIRST)
        # Nor is the same number on another channel.
        first = g.infobip("h3", "start", msisdn="2250501000008", shortCode="*384*23#")
        self.assertEqual(first["ussdMenu"], FIRST[4:])

    def test_parked_for_a_code(self):
        g, who = self.g, "+2250701000001"
        g.at("p1", "1*500", who)
        park = g.at("p1", "1*500*1", who)
        self.assertIn("END Composez #144*82#", park)
        self.assertEqual(g.at("p1", "1*500*1", who), park)
        self.assertIn("Reprendre : 500 F Orange ?", g.at("p2", "", who))
        otp = g.at("p2", "1", who)
        self.assertIn("CON Code recu pour payer 600 F ?", otp)
        self.assertIn("Code invalide", g.at("p2", "1*12", who))
        self.assertIn("Code invalide", g.at("p2", "1*12", who))
        end = g.at("p2", "1*12*4821", who)
        self.assertIn("END Demande recue", end)
        self.assertEqual(g.at("p2", "1*12*4821", who), end)
        self.assertEqual(g.at("p3", "", who), FIRST)

    def test_a_number_never_sees_the_session_of_another(self):
        g = self.g
        g.at("same", "", "+2250501000010")
        g.at("same", "2", "+2250501000010")
        self.assertEqual(g.at("same", "", "+2250501000011"), FIRST)
        self.assertIn("Montant", g.at("same", "1", "+2250501000011"))
        # Infobip names the number on the first hop only; who names another one finds nothing.
        g.infobip("same", "start", msisdn="2250501000010", shortCode="*384*23#")
        reply = g.infobip("same", "response", text="1", msisdn="2250501000012")
        self.assertIn("Session perdue", reply["ussdMenu"])

    def test_an_id_of_one_channel_is_none_of_another(self):
        g = self.g
        g.at("cross", "", "+2250501000013")
        reply = g.infobip("cross", "response", text="1")
        self.assertIn("Session perdue", reply["ussdMenu"])

    def test_a_storm_of_redials(self):
        g, who = self.g, "+2250501000014"
        before = g.metric("tama_sessions")
        for i in range(60):
            g.at(f"storm{i}", "1*500", who)
        self.assertLessEqual(g.metric("tama_sessions"), before + 16)
        self.assertIn("1. Confirmer", g.at("storm59", "1*500", who))


class Expiry(unittest.TestCase):
    def test_an_id_used_again_later(self):
        with Gateway(SHORT) as g:
            g.at("a", "", CALLER)
            self.assertIn("Montant", g.at("a", "1", CALLER))
            time.sleep(1.1)
            # The same id next day: another dialogue, whatever was typed in the first.
            self.assertIn("1. Confirmer", g.at("a", "1*500", CALLER))

    def test_what_is_too_old_is_not_offered_and_forgotten(self):
        with Gateway(SHORT) as g:
            g.at("a", "1*500", CALLER)
            time.sleep(2.1)
            self.assertEqual(g.at("b", "", CALLER), FIRST)

    def test_between_time_out_and_resume(self):
        with Gateway([('timeout = "180s"', 'timeout = "1s"')]) as g:
            g.at("a", "1*500", CALLER)
            time.sleep(1.1)
            self.assertEqual(g.at("b", "", CALLER), RESUME)
            self.assertIn("1. Confirmer", g.at("b", "1", CALLER))


class Restart(unittest.TestCase):
    def walk_across(self, how):
        with Gateway() as g:
            steps = ["", "9", "9*2", "9*2*07", "9*2*07*0701020304", "9*2*07*0701020304*500"]
            said = []
            for text in steps:
                said.append(g.at("a", text))
                g.restart(how)
                self.assertEqual(g.at("a", text), said[-1])
            end = g.at("a", steps[-1] + "*1")
            self.assertIn("END Demande recue", end)
            g.restart(how)
            self.assertEqual(g.at("a", steps[-1] + "*1"), end)
            self.assertEqual(g.at("a", steps[-1] + "*1*1"), end)
            with Gateway() as fresh:
                self.assertEqual([fresh.at("a", text) for text in steps], said)

    def test_a_walk_across_restarts(self):
        self.walk_across("stop")

    def test_a_walk_across_kills(self):
        self.walk_across("kill")

    def test_a_question_to_resume_survives(self):
        with Gateway() as g:
            confirm = g.at("a", "1*500")
            g.restart("kill")
            self.assertEqual(g.at("b", ""), RESUME)
            g.restart("kill")
            self.assertEqual(g.at("b", ""), RESUME)
            self.assertEqual(g.at("b", "1"), confirm)
            g.restart("kill")
            # Adopted once: the old one does not come back.
            self.assertEqual(g.at("b", "1"), confirm)
            self.assertIn("END Demande", g.at("b", "1*1"))
            g.restart("kill")
            self.assertEqual(g.at("c", ""), FIRST)

    def test_what_was_forgotten_stays_forgotten(self):
        with Gateway() as g:
            g.at("a", "2")
            self.assertEqual(g.at("a", ""), FIRST)
            g.restart("kill")
            self.assertEqual(g.at("a", ""), FIRST)
            self.assertIn("Montant", g.at("a", "1"))

    def test_a_torn_log(self):
        """A power cut tears the last record: what was whole before it stands."""
        for damage in ("cut", "zeros", "noise"):
            with self.subTest(damage), Gateway() as g:
                first = g.at("a", "1*500")
                g.at("b", "2", "+2250501000099")
                g.kill()
                path = max(p for p in g.data.glob("sessions.*.log") if p.stat().st_size)
                whole = path.read_bytes()
                if damage == "cut":
                    path.write_bytes(whole[:-7])
                elif damage == "zeros":
                    path.write_bytes(whole[:-50] + bytes(50))
                else:
                    path.write_bytes(whole[:-50] + os.urandom(50))
                g.start()
                self.assertEqual(g.at("a", "1*500"), first)
                g.restart("kill")
                self.assertEqual(g.at("a", "1*500"), first)


def count_purchases(g):
    """Of the store, while nobody has it open."""
    g.stop()
    with contextlib.closing(sqlite3.connect(g.data / "tama.db")) as db:
        n = db.execute("SELECT count(*) FROM purchase").fetchone()[0]
    g.start()
    return n


@contextlib.contextmanager
def doomed(point):
    """A gateway that will die at that point, or None when it has done so at its start."""
    g = Gateway(env={"TAMA_CRASH": point})
    try:
        g.start()
        g.until(lambda: g.process.poll() is not None or g.metric("tama_commits_total") > 0)
        alive = g.process.poll() is None
    except (AssertionError, OSError, http.client.HTTPException):
        alive = False
    try:
        yield g if alive else None
    finally:
        g.close()


class Crash(unittest.TestCase):
    """Killed at each named step of a hop that buys; the aggregator sends it again."""

    def die(self, g, call):
        with self.assertRaises((OSError, http.client.HTTPException)):
            call()
        self.assertEqual(g.wait(), -signal.SIGKILL)

    def buy_across(self, point, channel):
        """False when the process died before it could be asked for anything."""
        with doomed(point) as g:
            if g is None:
                return False
            send = getattr(self, channel)(g)
            for i in range(send.last):
                send(i)
            self.die(g, lambda: send(send.last))
            g.env = {}
            g.start()
            end = send(send.last)
            self.assertIn("Demande recue. Réf", end)
            self.assertEqual(send(send.last), end)
            g.restart("kill")
            self.assertEqual(send(send.last), end)
            ref = end.split("Réf ")[1][:8]
            self.assertIn(f"Réf {ref} : 500 F MTN", g.at("look", "3"))
            self.assertEqual(count_purchases(g), 1)
        return True

    def at(self, g):
        texts = ["", "1", "1*500", "1*500*1"]

        def send(i):
            return g.at("a", texts[i])
        send.last = 3
        return send

    def infobip(self, g):
        who = dict(msisdn="2250501020304", shortCode="*384*23#")
        hops = [("start", {}), ("response", {"text": "1"}), ("response", {"text": "500"}), ("response", {"text": "1"})]

        def send(i):
            return g.infobip("i", hops[i][0], **hops[i][1], **who)["ussdMenu"]
        send.last = 3
        return send

    def sms(self, g):
        nonce = []

        def send(i):
            if i == 0:
                nonce.append(re.search(r"OUI (\d+)", g.mo("m1", "CREDIT 500"))[1])
                return ""
            return g.mo("m2", f"OUI {nonce[0]}")
        send.last = 1
        return send

    def test_in_the_hop(self):
        """K1 to K4, K8 and K9 are met once a hop, or once a hop that waits."""
        for channel, hops in (("at", 4), ("infobip", 4)):
            for point in ("K1", "K2", "K3"):
                with self.subTest(channel + point):
                    self.assertTrue(self.buy_across(f"{point}:{hops}", channel))
        for channel in ("at", "infobip", "sms"):
            for point in ("K4", "K8", "K9"):
                with self.subTest(channel + point):
                    self.assertTrue(self.buy_across(point, channel))

    def test_in_the_commit(self):
        """K5 to K7 are met at the start too: the first count that lets it start is the purchase."""
        for channel in ("at", "infobip", "sms"):
            for point in ("K5", "K6", "K7"):
                with self.subTest(channel + point):
                    self.assertTrue(any(self.buy_across(f"{point}:{n}", channel) for n in range(1, 6)))

    def test_after_the_reply(self):
        with Gateway(env={"TAMA_CRASH": "K10:4"}) as g:
            g.at("a", "")
            g.at("a", "1")
            g.at("a", "1*500")
            end = g.at("a", "1*500*1")
            self.assertEqual(g.wait(), -signal.SIGKILL)
            g.env = {}
            g.start()
            self.assertEqual(g.at("a", "1*500*1"), end)
            self.assertEqual(count_purchases(g), 1)

    def test_a_code_lost_with_the_process(self):
        """The OTP is gone with the process; the purchase exists and is told the same again."""
        with Gateway(env={"TAMA_CRASH": "K8"}) as g:
            g.at("a", "1*500", OTP_CALLER)
            g.at("a", "1*500*1", OTP_CALLER)
            g.at("b", "", OTP_CALLER)
            g.at("b", "1", OTP_CALLER)
            self.die(g, lambda: g.at("b", "1*4821", OTP_CALLER))
            g.env = {}
            g.start()
            end = g.at("b", "1*4821", OTP_CALLER)
            self.assertIn("END Demande recue. Réf", end)
            self.assertEqual(g.at("b", "1*4821", OTP_CALLER), end)
            self.assertEqual(count_purchases(g), 1)

    def test_kills_at_any_time(self):
        """Killed and started again in the middle of whatever it does, with every hop sent until it
        is answered: each number has bought once, and what it was told stays so."""
        with Gateway() as g:
            told = {}
            chance = random.Random(7)
            stop = threading.Event()

            def person(i):
                who = f"+2250501{i:06d}"
                for text in ("1*500", "1*500*1"):
                    while True:
                        try:
                            told[i] = g.at(f"s{i}", text, who)
                            break
                        except (OSError, http.client.HTTPException):
                            time.sleep(0.01)

            def killer():
                for _ in range(6):
                    time.sleep(chance.uniform(0.05, 0.25))
                    g.restart("kill")
                stop.set()

            killing = Later(killer)
            i = 0
            while not stop.is_set():
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    list(pool.map(person, range(i, i + 4)))
                i += 4
            killing.result()
            self.assertGreater(i, 8)
            for j, end in told.items():
                self.assertIn("END Demande recue", end)
                self.assertEqual(g.at(f"s{j}", "1*500*1", f"+2250501{j:06d}"), end)
            self.assertEqual(count_purchases(g), i)


if __name__ == "__main__":
    unittest.main()
