"""The SMS side against a real Kannel: messages out, messages in, reports, restarts."""
import re
import unittest

from harness import eventually
from kannel import Kannel
from world import World, reference

MTN = "2250501020304"
MO = "/sms/sms-ci/demo-secret-of-sms-ci"
ACCENTS = "éèàçùô"


class KannelTest(unittest.TestCase):
    method = "post"

    def setUp(self):
        self.world = World({"push_delay": "0s", "spacing": "0s"})
        self.enterContext(self.world)
        self.kannel = Kannel(self.world.folder / "kannel", self.world.gateway.url + MO, self.method)
        self.world.gateway.settings["sendsms"] = self.kannel.url
        self.addCleanup(self.kannel.stop)

    def start(self):
        self.kannel.start()
        self.world.gateway.start()
        self.phone = self.kannel.phone(MTN)

    def reports(self):
        """Both reports have come in; the delivery states of the messages that the store keeps."""
        for bits in ("type=8", "type=1"):
            eventually(lambda: re.search(rf"/dlr/sms-ci/\S*{bits}\b", self.kannel.log()), bits)
        self.world.metric("tama_sms_total", 1)
        self.world.gateway.stop()
        return [d for (d,) in self.world.gateway.rows("SELECT dlr FROM outbox WHERE kind = 3")]

    def buy_by_sms(self, text="CREDIT 500 0701020304"):
        """The dialogue up to "accepted"; the reference."""
        self.phone.send("36789", text)
        asked = self.phone.receive("OUI")
        self.assertIn("Recharge 500 F Orange", asked.text)
        self.assertIn("07 01 02 03 04", asked.text)
        self.phone.send("36789", re.search(r"OUI \d{4}", asked.text)[0])
        accepted = self.phone.receive("Demande recue")
        self.assertEqual(accepted.form, "text")
        return reference(accepted.text)

    def executed(self):
        return [(service, amount) for service, amount, _ in self.world.executed()]


class Messages(KannelTest):
    def test_receipt_of_a_ussd_purchase(self):
        """One message, in the GSM alphabet, and both reports of its delivery."""
        self.start()
        ref = self.world.call(MTN).buy("2 0701020304 500 1")
        receipt = self.phone.receive(ref)
        self.assertEqual((receipt.sender, receipt.receiver, receipt.form), ("36789", MTN, "text"))
        self.assertIn("500 F Orange", receipt.text)
        self.assertNotIn("?", receipt.text)
        self.assertIn("é", receipt.text)
        self.assertEqual(self.reports(), ["delivered"])
        self.assertEqual(self.phone.unread(), 0)
        self.assertEqual(self.executed(), [("121", 600), ("225", 500)])

    def test_waits_while_the_gateway_is_down(self):
        """Kannel stopped, the purchase goes on; the receipt comes when Kannel is back."""
        self.start()
        self.kannel.stop()
        ref = self.world.call(MTN).buy("1 500 1")
        eventually(lambda: len(self.executed()) == 2, "both legs")
        eventually(lambda: self.world.gateway.metrics()["tama_wire_sms_total"] >= 1, "a message waits")
        self.kannel.start()
        self.phone.receive(ref, seconds=20)
        self.assertEqual(self.reports(), ["delivered"])
        self.assertEqual(self.phone.unread(), 0)

    def test_a_phone_that_is_off(self):
        """Kannel says "Queued for later delivery" with 202: taken, not to be sent again."""
        self.start()
        self.phone.close()
        eventually(lambda: not re.search(r"FAKE.*online", self.kannel.status()), "the SMSC notices")
        ref = self.world.call(MTN).buy("1 500 1")
        self.world.metric("tama_sms_total", 1)
        self.phone.connect()
        self.phone.receive(ref)
        self.assertEqual(self.world.gateway.metrics()["tama_wire_sms_total"], 1)


class ByPost(KannelTest):
    def test_purchase_by_sms(self):
        self.start()
        ref = self.buy_by_sms()
        receipt = self.phone.receive(ref)
        self.assertIn("500 F Orange", receipt.text)
        self.assertEqual(self.executed(), [("121", 600), ("225", 500)])
        self.phone.send("36789", "STATUT")
        self.assertIn("Livré", self.phone.receive(ref).text)
        self.world.gateway.stop()
        self.assertEqual(self.world.gateway.purchases(), {ref: "DELIVERED"})

    def test_accents_in_both_directions(self):
        """A keyword with an accent is understood; no answer turns one into a question mark."""
        self.start()
        self.phone.send("36789", "crédit 500 0701020304")
        asked = self.phone.receive("OUI")
        self.assertEqual(asked.form, "text")
        self.phone.send("36789", "NON")
        said = self.phone.receive("annul")
        self.assertIn("Achat annulé", said.text)
        self.assertNotIn("?", said.text)
        self.phone.send("36789", "AIDE")
        self.assertNotIn("?", self.phone.receive("CREDIT").text)

    def test_same_message_again_has_one_effect(self):
        """The gateway dies after the commit, before its answer: Kannel brings the same %I again."""
        self.kannel.start()
        self.world.gateway.start(crash="K8")
        self.phone = self.kannel.phone(MTN)
        self.phone.send("36789", "CREDIT 500 0701020304")
        asked = self.phone.receive("OUI")
        self.phone.send("36789", re.search(r"OUI \d{4}", asked.text)[0])
        self.world.gateway.wait()
        self.world.gateway.start()
        # The receipt may overtake the answer that Kannel has to fetch again.
        texts = [self.phone.receive().text for _ in range(2)]
        self.assertTrue(any("Demande recue" in t for t in texts), "accepted")
        self.assertEqual(len({reference(t) for t in texts}), 1)
        self.assertEqual(self.executed(), [("121", 600), ("225", 500)])
        self.world.metric("tama_sms_total", 1)
        self.assertEqual(self.phone.unread(), 0)


class ByGet(ByPost):
    method = "get"


if __name__ == "__main__":
    unittest.main()
