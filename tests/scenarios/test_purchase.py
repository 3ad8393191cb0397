"""Purchases end to end: the real gateway, both providers and the SMS gateway played by the sandbox."""
import json
import os
import re
import subprocess
import unittest

from harness import ROOT, Receiver, eventually, request
from world import VERDICT, XENTE_IPN, World, reference

MTN, ORANGE, UGANDA = "2250501020304", "2250701020304", "256772123456"
FAST = {"push_delay": "0s", "spacing": "0s"}
COLLECT, DELIVER = ("121", 600, "0501020304"), ("225", 500, "0701020304")
BUY = "2 0701020304 500 1"  # 500 F for an Orange number, paid by MTN


class Purchases(unittest.TestCase):
    config = "demo.lua"

    def start(self, settings=None, **sandbox):
        self.world = self.enterContext(World(FAST | (settings or {}), self.config, **sandbox))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        self.gateway.start()

    def fault(self, **spec):
        self.sandbox.fault({"op": "submit"} | spec)

    def buy(self, number=MTN, keys=BUY, **channel):
        return self.world.call(number, **channel).buy(keys)

    def sms(self, ref, number=MTN):
        return self.sandbox.wait_for_sms(number, ref)["text"]

    def stop(self):
        """Lets the gateway end, and sees that no reference was used twice."""
        self.gateway.stop()
        for count in self.sandbox.requests()["refs"].values():
            self.assertLessEqual((count["requested"], count["executed"]), (1, 1))

    def states(self, ref):
        """(purchase, collect, deliver) of a stopped gateway."""
        legs = {leg: state for r, leg, state in self.gateway.attempts() if r == ref}
        return self.gateway.purchases()[ref], legs.get("collect"), legs.get("deliver")

    def assertSold(self, ref, number=MTN):
        self.assertIn("Payé 600 F", self.sms(ref, number))
        self.stop()
        self.assertEqual(self.states(ref), ("DELIVERED", "SUCCEEDED", "SUCCEEDED"))
        self.assertEqual(self.world.executed(), [COLLECT, DELIVER])
        self.assertEqual(len(self.world.messages(number)), 1)


class TheThree(Purchases):
    """What `make run` plays, screen by screen."""

    def walk(self, call, *steps):
        """(what is typed, the screen after it); the reference of the last."""
        self.assertEqual(call.dial(), steps[0])
        for key, screen in zip(steps[1::2], steps[2::2]):
            found = call.type(key)
            ref = re.search(r"R[ée]f (\w{8})", found)
            self.assertEqual(found, screen.replace("REF", ref[1]) if ref else screen)
        return ref and ref[1]

    def test_orange_money_with_a_code(self):
        self.start()
        self.walk(
            self.world.call(ORANGE),
            "Recharge pour qui ?\n1. Moi\n2. Autre numéro\n3. Mon dernier achat",
            "1",
            "Montant ? Choisissez ou tapez (500 F à 500 000 F)\n"
            "1. 500 F\n2. 1 000 F\n3. 2 000 F\n4. 5 000 F\n5. Autre montant\n0. Retour",
            "2",
            "Recharge 1 000 F Orange\n07 01 02 03 04\nFrais 100 F, total 1 100 F par Orange\n"
            "1. Confirmer\n2. Annuler\n3. Autre opérateur\n0. Retour",
            "1",
            "Composez #144*82# pour obtenir votre code, puis recomposez *384*22# dans les 10 min. "
            "Rien n'est encore débité.",
        )
        self.assertEqual(self.world.executed(), [])
        call = self.world.call(ORANGE)
        self.assertIn("1 000 F", call.dial())
        self.assertIn("Code", call.type("1"))
        said = call.type("4821")
        ref = reference(said)
        self.assertEqual(said, f"Demande recue. Réf {ref}. Paiement en cours. Un SMS confirmera.")
        self.assertEqual(
            self.sms(ref, ORANGE),
            f"Réussi : Recharge 1 000 F Orange pour 07 01 02 03 04. Payé 1 100 F. Réf {ref}",
        )
        self.stop()
        self.assertEqual(self.states(ref), ("DELIVERED", "SUCCEEDED", "SUCCEEDED"))
        self.assertEqual(self.world.executed(), [("125", 1100, "0701020304"), ("225", 1000, "0701020304")])

    def test_uganda(self):
        self.start()
        ref = self.walk(
            self.world.call(UGANDA, "at-ug"),
            "Airtime for whom?\n1. Me\n2. Another number\n3. My last purchase",
            "1",
            "Amount? Choose or type (500 UGX to 500 000 UGX)\n"
            "1. 1 000 UGX\n2. 2 000 UGX\n3. 5 000 UGX\n4. 10 000 UGX\n5. Other amount\n0. Back",
            "2",
            "Airtime 2 000 UGX MTN\n0772 123 456\nTotal 2 000 UGX from MTN\n"
            "1. Confirm\n2. Cancel\n3. Other operator\n0. Back",
            "1",
            "Request received. Ref REF. Type your secret code when MTN asks for it. An SMS will confirm.",
        )
        self.assertEqual(
            self.sms(ref, UGANDA),
            f"Done: Airtime 2 000 UGX MTN for 0772 123 456. Paid 2 000 UGX. Ref {ref}",
        )
        self.stop()
        self.assertEqual(self.states(ref), ("DELIVERED", "SUCCEEDED", "SUCCEEDED"))
        self.assertEqual(self.world.executed(), [
            ("MTNMOBILEMONEYUG_MTNMOBILEMONEYUG", 2000, UGANDA),
            ("MTNAIRTIMEUG/MTNAIRTIMEUG_MTNAIRTIMEUG", 2000, UGANDA),
        ])

    def test_by_sms(self):
        self.start()
        asked = self.mo("m1", "CREDIT 500 0701020304")
        word = re.search(r"OUI \d{4}", asked)[0]
        self.assertEqual(
            asked,
            "Recharge 500 F Orange\n07 01 02 03 04\nFrais 100 F, total 600 F par MTN\n"
            f"{word} = payer, NON = annuler, OPERATEUR = changer",
        )
        said = self.mo("m2", word)
        ref = reference(said)
        self.assertEqual(
            said,
            f"Demande recue. Réf {ref}. Tapez votre code secret quand MTN le demande, ou composez "
            "*133#. Un SMS confirmera.",
        )
        self.assertEqual(self.mo("m2", word), said)
        self.assertEqual(
            self.sms(ref), f"Réussi : Recharge 500 F Orange pour 07 01 02 03 04. Payé 600 F. Réf {ref}"
        )
        self.assertSold(ref)

    def mo(self, message, text):
        kind = {"X-Kannel-From": MTN, "X-Kannel-To": "36789", "Content-Type": "text/plain; charset=UTF-8"}
        url = f"{self.gateway.url}/sms/sms-ci/demo-secret-of-sms-ci/mo?id={message}"
        return request(url, "POST", text, kind).body

    def test_make_run(self):
        """The script itself, on the binary under test: it exits 0 only when each SMS has come."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(
            ["make", "run", "MODE=" + os.environ.get("TAMA_MODE", "test")], cwd=ROOT, env=env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("== all three confirmed by SMS\n"))


class Refusals(Purchases):
    def test_collect_refused(self):
        self.start()
        self.fault(do="refuse")
        ref = self.buy()
        self.assertIn("Paiement refusé, rien n'a été débité", self.sms(ref))
        self.stop()
        self.assertEqual(self.states(ref), ("CANCELLED", "FAILED", None))
        self.assertEqual(self.world.executed(), [])

    def test_collect_failed_later(self):
        """The payer said no on the phone: the IPN tells."""
        self.start()
        self.fault(do="ipn_failed")
        ref = self.buy()
        self.assertIn("Paiement refusé, rien n'a été débité", self.sms(ref))
        self.stop()
        self.assertEqual(self.states(ref), ("CANCELLED", "FAILED", None))

    def deliver_fails(self, **how):
        self.start()
        self.fault(amount=500, **how)
        ref = self.buy()
        told = self.sms(ref)
        self.assertIn("Payé 600 F mais pas encore livré", told)
        eventually(lambda: self.gateway.metrics()["tama_refund_due"] == 1, "parked")
        self.stop()
        self.assertEqual(self.states(ref), ("REFUND_DUE", "SUCCEEDED", "FAILED"))
        self.assertEqual(self.world.messages(MTN), [told])

    def test_deliver_refused(self):
        self.deliver_fails(do="fail")
        self.assertEqual(self.world.executed(), [COLLECT])

    def test_deliver_failed_later(self):
        self.deliver_fails(do="ipn_failed")
        self.assertEqual(self.world.executed(), [COLLECT, DELIVER])

    def test_too_many_requests(self):
        """429 comes before anything runs: a new attempt, later."""
        self.start()
        self.fault(do="status", status=429)
        ref = self.buy()
        self.assertSold(ref)
        self.assertEqual([s for r, _, s in self.gateway.attempts()], ["NOT_SENT", "SUCCEEDED", "SUCCEEDED"])

    def test_token_is_refreshed_once(self):
        self.start()
        self.fault(provider="xente", do="status", status=401)
        ref = self.buy(UGANDA, "1 2 1", channel="at-ug")
        self.sms(ref, UGANDA)
        self.assertEqual(self.sandbox.requests()["paths"]["POST /api/auth/login"], 2)
        self.stop()
        self.assertEqual(self.states(ref)[0], "DELIVERED")
        self.assertEqual(len(self.world.executed()), 2)

    def test_redirect_is_not_followed(self):
        """Nobody knows what is behind it: UNKNOWN, and asked once."""
        self.start()
        there = self.sandbox.url + "/api_v1/transaction/airtime"
        self.fault(do="redirect", status=307, text=there)
        ref = self.buy()
        self.world.metric("tama_attempts_unknown_total", 1)
        self.stop()
        self.assertEqual(self.states(ref), ("COLLECTING", "UNKNOWN", None))
        self.assertEqual(self.sandbox.totals()["requested"], 1)
        self.assertEqual(self.world.executed(), [])
        self.assertEqual(self.world.messages(), [])

    def test_pause_for_the_same_number_and_amount(self):
        """Told the time from which it works again; another amount works now."""
        self.start({"spacing": "15m"})
        ref = self.buy()
        self.sms(ref)
        call = self.world.call(MTN)
        call.dial()
        said = call.keys(BUY)
        self.assertRegex(
            said,
            r"^L'opérateur demande une pause pour ce numéro et ce montant\. Réessayez à \d\d:\d\d\.$",
        )
        self.assertTrue(call.is_over)
        # The next call offers to go on with that order; "2" begins another.
        self.sms(self.buy(keys="2 2 0701020304 700 1"))
        self.stop()
        self.assertEqual([amount for _, amount, _ in self.world.executed()], [600, 500, 800, 700])


class News(Purchases):
    """IPNs: in doubt, twice, early, late, wrong."""

    def test_lost_reply_is_resolved_by_the_ipn(self):
        self.start()
        self.fault(do="lost_reply")
        self.fault(do="ipn_late_ms", ms=700)
        ref = self.buy()
        self.world.metric("tama_attempts_unknown_total", 1)
        self.assertEqual(self.world.messages(), [])
        self.assertSold(ref)

    def test_lost_replies_of_xente(self):
        self.start()
        self.fault(do="lost_reply", always=True)
        self.fault(do="ipn_late_ms", ms=300, always=True)
        ref = self.buy(UGANDA, "1 2 1", channel="at-ug")
        self.sms(ref, UGANDA)
        self.stop()
        self.assertEqual(self.states(ref), ("DELIVERED", "SUCCEEDED", "SUCCEEDED"))
        self.assertEqual(len(self.world.executed()), 2)

    def test_every_ipn_three_times(self):
        self.start()
        self.fault(do="ipn_times", n=3, always=True)
        ref = self.buy()
        self.sms(ref)
        self.world.metric("tama_ipn_total", 6)
        self.assertSold(ref)
        # A repetition that tells another time is stored as news that moves nothing.
        rows = self.gateway.rows("SELECT verdict, repeats FROM inbox WHERE kind = 1")
        self.assertEqual([VERDICT[v] for v, _ in rows].count("APPLIED"), 2)
        self.assertTrue({VERDICT[v] for v, _ in rows} <= {"APPLIED", "IGNORED"})
        self.assertEqual(len(rows) + sum(repeats for _, repeats in rows), 6)

    def test_ipn_before_the_reply(self):
        self.start()
        self.fault(do="ipn_first", always=True)
        self.assertSold(self.buy())

    def test_ipn_with_another_amount(self):
        """Parked: nothing moves, nothing is told."""
        self.start()
        self.fault(do="ipn_wrong_amount")
        ref = self.buy()
        self.world.metric("tama_mismatches_total", 1)
        self.stop()
        self.assertEqual(self.states(ref), ("COLLECTING", "ACCEPTED", None))
        self.assertIn("MISMATCH", self.gateway.verdicts())
        self.assertEqual(self.world.executed(), [COLLECT])
        self.assertEqual(self.world.messages(), [])

    def test_ipn_that_takes_it_back(self):
        """SUCCESSFUL, then FAILED: frozen for a person; what was told stays told."""
        self.start()
        self.fault(do="ipn_contradicts", amount=500)
        ref = self.buy()
        self.sms(ref)
        self.world.metric("tama_contradictions_total", 1)
        self.stop()
        self.assertEqual(self.states(ref)[0], "CONTRADICTED")
        self.assertEqual(len(self.world.messages(MTN)), 1)
        self.assertIn("CONTRADICTION", self.gateway.verdicts())

    def test_nothing_we_know(self):
        """Xente takes 200 for our commit: it is asked to come again."""
        self.start()
        body = json.dumps({
            "transactionId": "0f595604-0000-0000-0000-000000000009", "client_referenceId": "NOSUCHREFERENCE0",
            "amount": 2000, "status": "SUCCESSFULL",
        })
        reply = request(self.gateway.url + XENTE_IPN, "POST", body, {"Content-Type": "application/json"})
        self.assertEqual(reply.status, 503)
        self.assertIn("Retry-After", reply.headers)
        self.world.metric("tama_ipn_orphans_total", 1)


class Forgery(Purchases):
    """The provider's IPNs come to the test, which brings them to the gateway, or something else."""

    config = "two.lua"

    def start(self, settings=None, **sandbox):
        self.provider = Receiver()
        self.addCleanup(self.provider.stop)
        super().start({"public": self.provider.url} | (settings or {}), **sandbox)

    def bring(self, ipn, path=None, **changes):
        body = json.loads(ipn["body"])
        inner = body["data"] if isinstance(body.get("data"), dict) else body
        inner.update(changes)
        return request(self.gateway.url + (path or ipn["path"]), "POST", body).status

    def ipns(self, n):
        """The first n IPNs; reports of messages come here, too."""
        def found():
            return [r for r in list(self.provider.requests) if "/ipn/" in r["path"]]

        return eventually(lambda: found() if len(found()) >= n else None, "IPNs")[:n]

    def test_forged(self):
        self.start()
        first = self.buy()
        (a,) = self.ipns(1)
        second = self.buy(keys="2 0701020304 700 1")
        _, b = self.ipns(2)
        token = a["path"].rpartition("/")[2]
        wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
        for path in ("/ipn/et-ci/" + wrong, "/ipn/et-ci/", "/ipn/et-ci", "/ipn/nobody/" + token,
                     "/ipn/et-ci/demo-ipn-secret-xente-ug", "/ipn/xente-ug/" + token, "/ipn/xente-ug/guess"):
            self.assertEqual(self.bring(a, path), 404, path.rpartition("/")[0])
        self.assertEqual(self.gateway.metrics()["tama_ipn_total"], 0)
        # A provider's token opens no other door.
        self.assertEqual(request(self.gateway.url + "/dlr/sms-ci/" + token + "?type=1").status, 404)
        # The other purchase's address is genuine, but says nothing of this one.
        self.assertEqual(self.bring(a, b["path"]), 200)
        self.assertEqual(self.bring(b, a["path"]), 200)
        self.world.metric("tama_mismatches_total", 2)
        self.assertEqual(self.world.messages(), [])
        # The genuine ones are still believed.
        self.assertEqual(self.bring(b), 200)
        self.assertEqual(self.bring(a), 200)
        for ipn in self.ipns(4)[2:]:
            self.assertEqual(self.bring(ipn), 200)
        self.sms(first)
        self.sms(second)
        self.stop()
        self.assertEqual(self.states(first)[0], "DELIVERED")
        self.assertEqual(self.states(second)[0], "DELIVERED")
        self.assertEqual(len(self.world.executed()), 4)

    def test_a_fact_changed(self):
        self.start()
        ref = self.buy()
        (ipn,) = self.ipns(1)
        lies = ({"amount": 6000}, {"amount": "600.5"}, {"destination": "0501020305"}, {"service_id": 125},
                {"transaction_id": "EFB.999999"})
        for n, lie in enumerate(lies, 1):
            self.assertEqual(self.bring(ipn, **lie), 200)
            self.world.metric("tama_mismatches_total", n)
        self.assertEqual(self.bring(ipn), 200)
        eventually(lambda: len(self.world.executed()) == 2, "delivered")
        self.stop()
        self.assertEqual(self.states(ref)[1], "SUCCEEDED")

    def test_of_the_other_partner(self):
        """A genuine token at the other's address moves nothing of either."""
        self.start()
        ref = self.buy()
        (ipn,) = self.ipns(1)
        token = ipn["path"].rpartition("/")[2]
        self.assertEqual(self.bring(ipn, "/ipn/et-other/" + token), 200)
        self.world.metric("tama_ipn_orphans_total", 1)
        self.gateway.stop()
        self.assertEqual(self.states(ref), ("COLLECTING", "ACCEPTED", None))
        query = "SELECT partner, attempt FROM inbox WHERE kind = 1"
        self.assertEqual(self.gateway.rows(query), [(2, None)])

    def test_report_of_the_other_partner(self):
        self.start()
        ref = self.buy()
        for n in (1, 2):
            self.assertEqual(self.bring(self.ipns(n)[-1]), 200)
        self.sms(ref)

        def reports():
            return [r for r in list(self.provider.requests) if "/dlr/" in r["path"]]

        report = eventually(lambda: reports() and reports()[-1], "a report")
        theirs = report["path"].replace("/dlr/sms-ci/", "/dlr/sms-other/")
        self.assertNotEqual(theirs, report["path"])
        self.assertEqual(request(self.gateway.url + theirs).status, 200)
        self.stop()
        self.assertEqual(self.gateway.rows("SELECT dlr FROM outbox WHERE kind = 3"), [("",)])
        self.gateway.start()
        self.assertEqual(request(self.gateway.url + report["path"]).status, 200)
        self.stop()
        self.assertNotEqual(self.gateway.rows("SELECT dlr FROM outbox WHERE kind = 3"), [("",)])


class Signed(Purchases):
    """A shared secret in the configuration: an IPN counts only with its signature (easytransfert.md 1.12)."""

    SECRET = "demo-secret-of-signatures"
    HEADER = "X-EASYTRANSFERT-SIGNATURE"

    def start(self):
        self.provider = Receiver()
        self.addCleanup(self.provider.stop)
        settings = FAST | {"public": self.provider.url}
        self.world = self.enterContext(World(settings, et_signature=self.SECRET))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        key = 'fields = { api_key = demo_secret "demo-api-key" },'
        text = self.gateway.config.read_text()
        self.assertEqual(text.count(key), 1)
        self.gateway.config.write_text(
            text.replace(key, f'{key}\n  signature_secret = demo_secret "{self.SECRET}",'))
        self.gateway.start()

    def bring(self, ipn, signature, body=None):
        fields = {"Content-Type": "application/json"}
        if signature is not None:
            fields[self.HEADER] = signature
        return request(self.gateway.url + ipn["path"], "POST", body or ipn["body"], fields).status

    def test_signature(self):
        self.start()
        ref = self.buy()
        ipn = eventually(lambda: list(self.provider.requests), "an IPN")[0]
        right = ipn["headers"][self.HEADER]
        wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
        for signature in (None, "", wrong, right[:-1], right + "0", "0" * 64):
            self.assertEqual(self.bring(ipn, signature), 404, signature is not None and len(signature))
        self.assertEqual(self.bring(ipn, right, ipn["body"] + " "), 404)
        self.assertEqual(self.gateway.metrics()["tama_ipn_total"], 0)
        self.assertEqual(self.bring(ipn, right), 200)
        eventually(lambda: len(self.world.executed()) == 2, "delivered")
        self.stop()
        self.assertEqual(self.states(ref)[1], "SUCCEEDED")


class TwoPartners(Purchases):
    config = "two.lua"

    def statut(self, channel, code):
        kind = {"X-Kannel-From": MTN, "X-Kannel-To": code, "Content-Type": "text/plain; charset=UTF-8"}
        url = f"{self.gateway.url}/sms/{channel}/demo-secret-of-{channel}/mo?id=statut-{channel}"
        return request(url, "POST", "STATUT", kind).body

    def test_neither_sees_the_other(self):
        self.start()
        ref = self.buy()
        self.sms(ref)
        none = "Aucun achat avec ce numéro."
        theirs = self.world.call(MTN, "at-other", "*384*77#")
        theirs.dial()
        self.assertEqual(theirs.type("3"), none)
        self.assertEqual(self.statut("sms-other", "36700"), none)
        ours = self.world.call(MTN)
        ours.dial()
        self.assertIn(ref, ours.type("3"))
        self.assertIn(ref, self.statut("sms-ci", "36789"))
        for channel, secret in (("at-other", "demo-secret-of-at-ci"), ("at-ci", "demo-secret-of-at-other")):
            path = f"{self.gateway.url}/ussd/{channel}/{secret}"
            self.assertEqual(request(path, "POST", "sessionId=1&phoneNumber=%2B2250501020304&text=").status, 404)

    def test_an_open_session_is_not_the_others(self):
        """The same session id, number and all, at the other's channel begins anew."""
        self.start()
        ours = self.world.call(MTN)
        ours.dial()
        self.assertIn("Montant", ours.type("1"))
        theirs = self.world.call(MTN, "at-other", "*384*77#")
        theirs.session = ours.session
        self.assertIn("pour qui", theirs.dial())

    def test_each_pays_with_its_own_account(self):
        """The sandbox knows the second partner's key alone: what the first sends is refused."""
        self.start({"spacing": "15m"}, et_key="other-api-key")
        refused = self.buy()
        self.world.metric("tama_attempts_not_sent_total", 1)
        # The pause that the first partner's account now keeps is not the second's.
        sold = self.buy(channel="at-other", code="*384*77#")
        self.assertIn("Payé 600 F", self.sms(sold))
        self.stop()
        self.assertEqual(self.world.executed(), [COLLECT, DELIVER])
        self.assertEqual(self.states(sold)[0], "DELIVERED")
        self.assertNotIn("SUCCEEDED", self.states(refused))
        query = "SELECT DISTINCT partner, account FROM attempt ORDER BY partner"
        self.assertEqual(self.gateway.rows(query), [(1, "et-ci"), (2, "et-other")])


if __name__ == "__main__":
    unittest.main()
