"""One hop after another, and the same one again: what was typed, what a repeat gets, what a deadline
does (design.md idea 1; reliability.md F-G1 to F-G9)."""
import concurrent.futures
import re
import unittest

from gateway import CALLER, OTP_CALLER, Gateway, Later, SlowDisk, SlowReader, can_trace

FIRST = "CON Recharge pour qui ?\n1. Moi\n2. Autre numéro\n3. Mon dernier achat"
CONFIRM = "CON Recharge 500 F MTN\n05 01 02 03 04\nFrais 100 F, total 600 F par MTN\n1. Confirmer\n2. Annuler"


class Hops(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway()
        cls.g.start()

    @classmethod
    def tearDownClass(cls):
        cls.g.close()

    def test_a_walk_to_a_purchase(self):
        who = "+2250501000001"
        before = self.g.purchases()
        self.assertEqual(self.g.at("w1", "", who), FIRST)
        self.assertIn("Montant ?", self.g.at("w1", "1", who))
        self.assertIn("total 600 F par MTN\n1. Confirmer", self.g.at("w1", "1*500", who))
        end = self.g.at("w1", "1*500*1", who)
        self.assertRegex(end, r"^END Demande recue. Réf [0-9A-Z]{8}\. ")
        self.g.expect_purchases(before + 1)

    def test_the_same_text_again_gets_the_same_reply(self):
        who = "+2250501000002"
        before = self.g.purchases()
        for text in ("", "1", "1*", "1**9", "1**9*500", "1**9*500*1"):
            first = self.g.at("r1", text, who)
            self.assertEqual(self.g.at("r1", text, who), first)
            self.assertEqual(self.g.at("r1", text, who), first)
        self.g.expect_purchases(before + 1)

    def test_the_same_end_is_not_resumed(self):
        who = "+2250501000003"
        end = self.g.at("r2", "1*500", who) and self.g.at("r2", "1*500*1", who)
        self.assertTrue(end.startswith("END Demande"), end)
        self.assertEqual(self.g.at("r2", "1*500*1*1", who), end)
        self.assertEqual(self.g.at("r3", "", who), FIRST)

    def test_infobip_start_again(self):
        g = self.g
        start = dict(msisdn="2250501000004", shortCode="*384*23#")
        first = g.infobip("i1", "start", **start)
        self.assertEqual(first["ussdMenu"], FIRST[4:])
        self.assertEqual(g.infobip("i1", "start", **start), first)
        second = g.infobip("i1", "response", text="1", **start)
        self.assertIn("Montant", second["ussdMenu"])

    def test_infobip_end_again(self):
        g = self.g
        start = dict(msisdn="2250501000005", shortCode="*384*23*1*500#")
        before = g.purchases()
        self.assertIn("total 600 F", g.infobip("i2", "start", **start)["ussdMenu"])
        end = g.infobip("i2", "response", text="1", msisdn="2250501000005")
        self.assertTrue(end["shouldClose"])
        self.assertEqual(g.infobip("i2", "response", text="1", msisdn="2250501000005"), end)
        g.expect_purchases(before + 1)

    def test_infobip_the_same_digit_may_be_two_answers(self):
        g = self.g
        who = dict(msisdn="2250501000006", shortCode="*384*23#")
        g.infobip("i3", "start", **who)
        amounts = g.infobip("i3", "response", text="1", **who)
        confirm = g.infobip("i3", "response", text="1", **who)
        self.assertIn("Montant", amounts["ussdMenu"])
        self.assertIn("1. Confirmer", confirm["ussdMenu"])

    def test_infobip_without_a_session_of_ours(self):
        reply = self.g.infobip("i4", "response", text="1", msisdn="2250501000007")
        self.assertTrue(reply["shouldClose"])
        self.assertIn("Session perdue", reply["ussdMenu"])

    def test_infobip_status_and_end(self):
        g = self.g
        g.infobip("i5", "start", msisdn="2250501000008", shortCode="*384*23#")
        self.assertTrue(g.infobip("i5", "status", method="GET")["sessionActive"])
        self.assertFalse(g.infobip("i6", "status", method="GET")["sessionActive"])
        g.infobip("i5", "end", method="PUT", exitCode=0, reason="")
        self.assertIn("Montant", g.infobip("i5", "response", text="1")["ussdMenu"])

    def test_pretyped_inputs_stop_at_the_confirmation(self):
        before = self.g.purchases()
        for text in ("1*500*1", "1*500*1*1*1", "1*500*1*4821"):
            self.assertIn("1. Confirmer", self.g.at(f"p{text}", text, "+2250501000009"))
        self.assertIn("1. Confirmer", self.g.at("p9", "1*500*1*4821", OTP_CALLER))
        self.g.expect_purchases(before)

    def test_dialled_in_the_code(self):
        for code in ("*384*22*1*500#", "384*22*1*500", "*384*22*1*500", "*384*22*1*500*1#"):
            self.assertIn("1. Confirmer", self.g.at(f"d{code}", "", "+2250501000010", code=code))
        for code in ("384*22", "*384*22*#", "*384*22", "384*22#"):
            self.assertEqual(self.g.at(f"d{code}", "", "+2250501000011", code=code), FIRST)

    def test_unknown_code(self):
        before = self.g.metric("tama_hops_unknown_code_total")
        for code in ("*384*2#", "*384*222#", "*384#", "*999#", "*"):
            self.assertEqual(self.g.at(f"u{code}", "", "+2250501000012", code=code), "END Service inconnu.")
        self.assertEqual(self.g.metric("tama_hops_unknown_code_total"), before + 5)

    def test_stars_typed_by_the_person(self):
        who = "+2250501000013"
        self.g.at("s1", "", who)
        self.assertIn("Choix invalide", self.g.at("s1", "1*1", who))
        self.assertIn("Choix invalide", self.g.at("s1", "1*1**", who))
        self.assertIn("Montant", self.g.at("s1", "1*1***1", who))

    def test_a_wrong_answer_asks_again_with_the_reason(self):
        who = "+2250501000014"
        self.g.at("e1", "", who)
        self.assertEqual(self.g.at("e1", "7", who), FIRST.replace("CON ", "CON Choix invalide.\n"))
        self.assertIn("Numéro à recharger", self.g.at("e1", "7*2", who))
        self.assertIn("Numéro invalide", self.g.at("e1", "7*2*0701", who))
        self.assertIn("Montant", self.g.at("e1", "7*2*0701*0701020304", who))
        self.assertRegex(self.g.at("e1", "7*2*0701*0701020304*1503", who), r"^CON De .* par ")

    def test_text_that_is_no_continuation(self):
        who = "+2250501000015"
        self.g.at("t1", "", who)
        self.g.at("t1", "1", who)
        confirm = self.g.at("t1", "1*500", who)
        for broken in ("2*500*1", "1*501*1", "1*500.1", "1*50", "2", "9" * 7):
            reply = self.g.at("t1", broken, who)
            self.assertTrue(reply.startswith("END Session perdue"), f"{broken}: {reply}")
        # Nothing of that has touched the session.
        self.assertEqual(self.g.at("t1", "1*500", who), confirm)

    def test_text_begins_anew(self):
        who = "+2250501000016"
        self.g.at("t2", "", who)
        self.g.at("t2", "1", who)
        self.assertEqual(self.g.at("t2", "", who), FIRST)
        self.assertIn("Montant", self.g.at("t2", "1", who))

    def test_back_home_and_more(self):
        who = "+2250501000017"
        g = self.g
        g.at("b1", "", who)
        amounts = g.at("b1", "1", who)
        self.assertIn("1. Confirmer", g.at("b1", "1*500", who))
        self.assertEqual(g.at("b1", "1*500*0", who), amounts)
        self.assertEqual(g.at("b1", "1*500*0", who), amounts)
        self.assertEqual(g.at("b1", "1*500*0*0", who), FIRST)
        self.assertIn("Choix invalide", g.at("b1", "1*500*0*0*0", who))
        g.at("b1", "1*500*0*0*0*2", who)
        g.at("b1", "1*500*0*0*0*2*0701020304", who)
        self.assertEqual(g.at("b1", "1*500*0*0*0*2*0701020304*00", who), FIRST)

    def test_nothing_goes_back_across_a_purchase(self):
        who = "+2250501000018"
        g = self.g
        before = g.purchases()
        g.at("x1", "1*500", who)
        end = g.at("x1", "1*500*1", who)
        for more in ("*0", "*00", "*0*1", "*1"):
            self.assertEqual(g.at("x1", "1*500*1" + more, who), end)
        g.expect_purchases(before + 1)

    def test_long_and_odd_inputs(self):
        who = "+2250501000019"
        g = self.g
        g.at("l1", "", who)
        text = ""
        for odd in ("9" * 182, "é" * 100, "x" * 480, "#", "+", "'; DROP TABLE purchase;--", "${price}", "{{otp}}", "%00", "\U0001f600"):
            text = f"{text}*{odd}" if text else odd
            self.assertTrue(g.at("l1", text, who).startswith("CON Choix invalide.\nRecharge pour qui"), odd)
        self.assertIn("Montant", g.at("l1", text + "*1", who))

    def test_an_input_longer_than_we_take(self):
        who = "+2250501000020"
        g = self.g
        g.at("l2", "", who)
        self.assertIn("Choix invalide", g.at("l2", "9" * 481, who))
        self.assertIn("Montant", g.at("l2", "9" * 481 + "*1", who))

    def test_a_session_that_never_ends_ends(self):
        who = "+2250501000021"
        g = self.g
        g.at("l3", "", who)
        text = reply = ""
        for i in range(100):
            text += ("*" if text else "") + f"{i:03d}" + "x" * 60
            if len(text) > 4000:
                break
            reply = g.at("l3", text, who)
        self.assertIn(reply[:4], ("CON ", "END "))
        self.assertEqual(g.at("l3b", "", who), FIRST)

    def test_two_hops_at_once(self):
        g = self.g
        who = "+2250501000022"
        g.at("c1", "", who)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            replies = set(pool.map(lambda _: g.at("c1", "1", who), range(32)))
        self.assertEqual(len(replies), 1, replies)
        self.assertIn("Montant", replies.pop())

    def test_the_same_purchase_at_once(self):
        g = self.g
        before = g.purchases()
        for i in range(10):
            who = f"+225050101{i:04d}"
            g.at(f"k{i}", "1*500", who)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                replies = set(pool.map(lambda _: g.at(f"k{i}", "1*500*1", who), range(8)))
            self.assertEqual(len(replies), 1, replies)
            self.assertIn("END Demande", replies.pop())
        g.expect_purchases(before + 10)

    def test_infobip_the_same_purchase_at_once(self):
        g = self.g
        before = g.purchases()
        for i in range(10):
            who = f"225050102{i:04d}"
            g.infobip(f"ik{i}", "start", msisdn=who, shortCode="*384*23*1*500#")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                replies = list(pool.map(lambda _: g.infobip(f"ik{i}", "response", text="1", msisdn=who), range(8)))
            for reply in replies:
                self.assertEqual(reply, replies[0])
            self.assertIn("Demande recue", replies[0]["ussdMenu"])
        g.expect_purchases(before + 10)

    def test_a_look_up(self):
        g = self.g
        who = "+2250501000023"
        none = g.at("q1", "3", who)
        self.assertIn("END Aucun achat", none)
        self.assertEqual(g.at("q1", "3", who), none)
        g.at("q2", "1*500", who)
        ref = g.at("q2", "1*500*1", who).split("Réf ")[1][:8]
        g.at("q3", "", who)
        last = g.at("q3", "3", who)
        self.assertIn(f"Réf {ref} : 500 F MTN", last)
        self.assertEqual(g.at("q3", "3", who), last)

    def test_the_same_look_up_at_once(self):
        g = self.g
        who = "2250501000024"
        for i in range(10):
            g.infobip(f"lk{i}", "start", msisdn=who, shortCode="*384*23#")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                replies = list(pool.map(lambda _: g.infobip(f"lk{i}", "response", text="3", msisdn=who), range(8)))
            for reply in replies:
                self.assertEqual(reply, replies[0])


@unittest.skipUnless(can_trace(), "strace cannot attach here")
class Deadline(unittest.TestCase):
    """Both sides of a hop's deadline."""

    HOP = [('hop = "5s"', 'hop = "900ms"')]

    def test_a_commit_under_way_is_in_progress(self):
        with Gateway(self.HOP) as g:
            g.at("a", "1*500")
            with SlowDisk(g, 2700):
                self.assertEqual(g.at("a", "1*500*1"), "END Demande en cours. Ne recomposez pas : un SMS suivra.")
                # The repeat waits for nothing: it is told the same while the commit lasts.
                self.assertEqual(g.at("a", "1*500*1"), "END Demande en cours. Ne recomposez pas : un SMS suivra.")
                self.assertIn("END Demande en cours", g.at("a", "1*500*1*1"))
                real = g.until(lambda: "Réf" in g.at("a", "1*500*1") and g.at("a", "1*500*1"))
            self.assertIn("END Demande recue. Réf", real)
            self.assertEqual(g.at("b", ""), FIRST)
            g.expect_purchases(1)
            self.assertEqual(g.metric("tama_hops_late_in_progress_total"), 1)

    def test_nothing_begun_is_cancelled(self):
        with Gateway(self.HOP) as g:
            g.at("a", "1*500", "+2250501000001")
            g.at("b", "1*500", "+2250501000002")
            with SlowDisk(g, 2700):
                first = Later(g.at, "a", "1*500*1", "+2250501000001")
                g.until(lambda: g.metric("tama_http_suspended") == 1)
                second = g.at("b", "1*500*1", "+2250501000002")
                self.assertTrue(second.startswith("END Service occupé, rien n'a été débité."), second)
                self.assertEqual(g.at("b", "1*500*1", "+2250501000002"), second)
                self.assertIn("en cours", first.result())
            g.until(lambda: g.metric("tama_purchases_total") == 1)
            # Settled: still the same answer, and a redial goes on before the confirmation.
            self.assertEqual(g.at("b", "1*500*1", "+2250501000002"), second)
            self.assertIn("Reprendre : 500 F MTN ?", g.at("b2", "", "+2250501000002"))
            self.assertIn("1. Confirmer", g.at("b2", "1", "+2250501000002"))
            self.assertIn("END Demande recue", g.at("b2", "1*1", "+2250501000002"))
            self.assertEqual(g.metric("tama_hops_late_total"), 1)
            g.expect_purchases(2)

    def test_repeats_wait_for_the_same_answer(self):
        with Gateway() as g:
            g.at("a", "1*500")
            g.infobip("i", "start", msisdn="2250501000009", shortCode="*384*23*1*500#")
            with SlowDisk(g, 700):
                at = [Later(g.at, "a", "1*500*1") for _ in range(4)]
                infobip = [Later(g.infobip, "i", "response", text="1", msisdn="2250501000009") for _ in range(4)]
                g.until(lambda: g.metric("tama_http_suspended") == 8)
                self.assertIn("en cours", g.at("a", "1*500*1*1"))
                self.assertEqual(len({later.result() for later in at}), 1)
                self.assertIn("END Demande recue", at[0].result())
                replies = [later.result() for later in infobip]
            for reply in replies:
                self.assertEqual(reply, replies[0])
            self.assertIn("Demande recue", replies[0]["ussdMenu"])
            g.expect_purchases(2)

    def test_in_flight_of_a_channel(self):
        with Gateway([("in_flight = 256", "in_flight = 2")]) as g:
            callers = [f"+225050100000{i}" for i in range(4)]
            for i, who in enumerate(callers):
                g.at(f"f{i}", "1*500", who)
            with SlowDisk(g, 700):
                first = [Later(g.at, f"f{i}", "1*500*1", callers[i]) for i in range(2)]
                g.until(lambda: g.metric("tama_http_suspended") == 2)
                third = g.at("f2", "1*500*1", callers[2])
                self.assertIn("END Service occupé", third)
                # Other hops of the channel go on, and so do other channels.
                self.assertEqual(g.at("f9", "", "+2250501000009"), FIRST)
                for later in first:
                    self.assertIn("END Demande recue", later.result())
            self.assertEqual(g.at("f2", "1*500*1", callers[2]), third)
            for i in range(2, 4):
                g.at(f"g{i}", "1*500", callers[i])
                self.assertIn("END Demande recue", g.at(f"g{i}", "1*500*1", callers[i]))
            g.expect_purchases(4)

    def test_a_peer_that_leaves(self):
        with Gateway() as g:
            g.at("a", "1*500")
            with SlowDisk(g, 700):
                with self.assertRaises(OSError):
                    g.ask("POST", "/ussd/at-ci/demo-secret-of-at-ci",
                          "sessionId=a&phoneNumber=%2B2250501020304&serviceCode=*384*22%23&text=1*500*1",
                          {"Content-Type": "application/x-www-form-urlencoded"}, patience_s=0.3)
                g.until(lambda: g.metric("tama_purchases_total") == 1)
            g.until(lambda: g.metric("tama_http_suspended") == 0)
            self.assertIn("END Demande recue. Réf", g.at("a", "1*500*1"))
            g.expect_purchases(1)
            self.assertEqual(g.stop(), 0)

    def test_draining(self):
        with Gateway() as g:
            g.at("a", "1*500")
            with SlowDisk(g, 700):
                buying = Later(g.at, "a", "1*500*1")
                g.until(lambda: g.metric("tama_http_suspended") == 1)
                g.signal(15)
                g.until(lambda: g.ask("GET", "/readyz", port=g.admin_port).status == 503)
                self.assertEqual(g.ask("GET", "/healthz", port=g.admin_port).status, 200)
                end = buying.result()
                self.assertIn("END Demande recue", end)
            self.assertEqual(g.wait(), 0)
            g.start()
            self.assertEqual(g.at("a", "1*500*1"), end)


@unittest.skipUnless(can_trace(), "strace cannot attach here")
class LookUp(unittest.TestCase):
    """Hops that wait for a look-up."""

    NONE = "END Aucun achat avec ce numéro."

    def test_too_late(self):
        with Gateway([('hop = "5s"', 'hop = "300ms"')]) as g:
            g.at("a", "")
            with SlowReader(g, 1000):
                late = g.at("a", "3")
                self.assertTrue(late.startswith("END Service occupé"), late)
                self.assertEqual(g.at("a", "3"), late)
                self.assertIn("en cours", g.at("a", "3*1"))
            g.until(lambda: g.at("a", "3*1") == late)
            self.assertEqual(g.at("b", "3"), self.NONE)
            self.assertEqual(g.metric("tama_hops_late_total"), 1)

    def test_repeats_wait_for_the_same_answer(self):
        with Gateway() as g:
            g.at("a", "")
            g.infobip("i", "start", msisdn="2250501000009", shortCode="*384*23#")
            with SlowReader(g, 500):
                at = [Later(g.at, "a", "3") for _ in range(4)]
                infobip = [Later(g.infobip, "i", "response", text="3", msisdn="2250501000009") for _ in range(4)]
                g.until(lambda: g.metric("tama_http_suspended") == 8)
                for later in at:
                    self.assertEqual(later.result(), self.NONE)
                for later in infobip:
                    self.assertEqual(later.result()["ussdMenu"], self.NONE[4:])

    def test_in_flight(self):
        with Gateway([("in_flight = 256", "in_flight = 1")]) as g:
            with SlowReader(g, 500):
                first = Later(g.at, "a", "3", "+2250501000001")
                g.until(lambda: g.metric("tama_http_suspended") == 1)
                self.assertIn("END Service occupé", g.at("b", "3", "+2250501000002"))
                self.assertEqual(first.result(), self.NONE)
            self.assertEqual(g.at("c", "3", "+2250501000003"), self.NONE)
            self.assertEqual(g.at("d", "3", "+2250501000003"), self.NONE)

    def reload_across(self, change, want):
        with Gateway() as g:
            g.at("a", "")
            with SlowReader(g, 1500):
                later = Later(g.at, "a", "3")
                g.until(lambda: g.metric("tama_http_suspended") == 1)
                change(g)
                self.assertEqual(g.reload()["detail"], "in force")
                self.assertRegex(later.result(), want)
            self.assertRegex(g.at("a", "3") if "at-ci" in g.config.read_text() else "", want)

    def test_across_a_reload(self):
        self.reload_across(lambda g: None, "^" + self.NONE)

    def test_across_another_version(self):
        texts = lambda g: g.edit("Recharge pour qui ?", "Pour qui ?", g.dir / "menus/airtime/texts.fr.lua")
        self.reload_across(texts, "^END Le service a changé")

    def test_across_the_end_of_its_channel(self):
        def change(g):
            text = g.config.read_text()
            g.config.write_text(re.sub(r'channel "at-ci" \{.*?\n\}\n', "", text, flags=re.S))
        self.reload_across(change, "^(END Le service a changé|$)")

    def test_a_peer_that_leaves(self):
        with Gateway() as g:
            g.at("a", "")
            with SlowReader(g, 500):
                with self.assertRaises(OSError):
                    g.ask("POST", "/ussd/at-ci/demo-secret-of-at-ci",
                          "sessionId=a&phoneNumber=%2B2250501020304&serviceCode=*384*22%23&text=3",
                          {"Content-Type": "application/x-www-form-urlencoded"}, patience_s=0.2)
                g.until(lambda: g.metric("tama_http_suspended") == 0)
            self.assertTrue(g.at("a", "3").startswith("END "))
            self.assertEqual(g.at("b", "3"), self.NONE)

    def test_draining(self):
        with Gateway() as g:
            with SlowReader(g, 500):
                later = Later(g.at, "a", "3")
                g.until(lambda: g.metric("tama_http_suspended") == 1)
                g.signal(15)
                self.assertEqual(later.result(), self.NONE)
            self.assertEqual(g.wait(), 0)


if __name__ == "__main__":
    unittest.main()
