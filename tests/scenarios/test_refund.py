"""Money that goes back, end to end: the real gateway, its providers played by the sandbox."""
import unittest

from world import World

MTN, UGANDA = "2250501020304", "256772123456"
FAST = {"push_delay": "0s", "spacing": "0s", "refund_delay": "0s"}
COLLECT, REFUND = ("121", 600, "0501020304"), ("122", 600, "0501020304")
BUY = "2 0701020304 500 1"  # 500 F for an Orange number, paid 600 F by MTN


class Refunds(unittest.TestCase):
    def start(self, settings=None):
        self.world = self.enterContext(World(FAST | (settings or {})))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        self.gateway.start()

    def fault(self, **spec):
        self.sandbox.fault({"op": "submit"} | spec)

    def stop(self):
        """Lets the gateway end, and sees that no reference was used twice."""
        self.gateway.stop()
        for count in self.sandbox.requests()["refs"].values():
            self.assertLessEqual((count["requested"], count["executed"]), (1, 1))

    def assertEnd(self, ref, purchase, *legs):
        self.assertEqual(self.gateway.purchases()[ref], purchase)
        self.assertEqual([(leg, state) for r, leg, state in self.gateway.attempts() if r == ref], list(legs))

    def assertBooks(self, **books):
        """What each book holds of all purchases (ledger.h)."""
        names = {1: "customer", 2: "float", 3: "revenue", 4: "suspense", 5: "payable", 7: "fees"}
        held = dict(self.gateway.rows("SELECT book, sum(debit) FROM ledger GROUP BY book"))
        self.assertEqual({name: held.get(book, 0) for book, name in names.items()},
                         dict.fromkeys(names.values(), 0) | books)

    def test_what_is_not_delivered_goes_back(self):
        self.start()
        self.fault(do="fail", amount=500, text="Numero de destination invalide")
        ref = self.world.call(MTN).buy(BUY)
        self.assertIn("Remboursé : 600 F par MTN", self.sandbox.wait_for_sms(MTN, "Remboursé")["text"])
        self.stop()
        self.assertEnd(ref, "REFUNDED", ("collect", "SUCCEEDED"), ("deliver", "FAILED"), ("refund", "SUCCEEDED"))
        self.assertEqual(self.world.executed(), [COLLECT, REFUND])
        owed, back = sorted(self.world.messages(MTN))
        self.assertIn("Payé 600 F mais pas encore livré", owed)
        self.assertIn(ref, back)
        # What the provider kept of the collection is lost.
        self.assertBooks(float=-12, fees=12)

    def test_uganda(self):
        """Both legs are of one number and amount: the second of them fails. IPNs are hints here."""
        self.start()
        self.fault(do="ipn_times", n=1, provider="xente")
        self.fault(do="ipn_failed", provider="xente")
        call = self.world.call(UGANDA, "at-ug")
        ref = call.buy("1 2 1")
        self.sandbox.wait_for_sms(UGANDA, "Refunded: 2 000 UGX to your MTN account")
        self.stop()
        self.assertEnd(ref, "REFUNDED", ("collect", "SUCCEEDED"), ("deliver", "FAILED"), ("refund", "SUCCEEDED"))
        self.assertEqual(self.world.executed()[-1], ("MTNMOBILEMONEYPAYOUTUG_MTNMOBILEMONEYPAYOUTUG", 2000, UGANDA))
        self.assertBooks()

    def bring_to_refund(self, **settings):
        self.start(settings)
        self.fault(do="fail", amount=500, text="Numero de destination invalide")
        ref = self.world.call(MTN).buy(BUY)
        self.sandbox.wait_for_sms(MTN, "pas encore livré")
        return ref

    def test_a_refund_in_doubt_is_not_made_again(self):
        """Reply and IPN are lost: carried out once, known to nobody, and still owed."""
        ref = self.bring_to_refund(refund_delay="2s")
        self.fault(do="lost_reply", amount=600)
        self.fault(do="no_ipn", amount=600)
        self.world.metric("tama_attempts_unknown_total", 1)
        self.gateway.stop()
        self.gateway.start()
        self.stop()
        self.assertEnd(ref, "REFUNDING", ("collect", "SUCCEEDED"), ("deliver", "FAILED"), ("refund", "UNKNOWN"))
        self.assertEqual(self.world.executed(), [COLLECT, REFUND])
        self.assertEqual(len(self.world.messages(MTN)), 1)
        self.assertBooks(suspense=600, payable=-600, float=-12, fees=12)

    def test_a_gateway_killed_at_the_claim_sends_no_refund(self):
        """K12 of the third request: its claim is durable, nothing was sent, and nobody can know that."""
        self.world = self.enterContext(World(FAST))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        self.gateway.start(crash="K12:3")
        self.fault(do="fail", amount=500, text="Numero de destination invalide")
        ref = self.world.call(MTN).buy(BUY)
        self.assertTrue(self.gateway.was_killed())
        self.gateway.start()
        self.world.metric("tama_attempts_unknown_total", 1)
        self.stop()
        self.assertEnd(ref, "REFUNDING", ("collect", "SUCCEEDED"), ("deliver", "FAILED"), ("refund", "UNKNOWN"))
        self.assertEqual(self.world.executed(), [COLLECT])


if __name__ == "__main__":
    unittest.main()
