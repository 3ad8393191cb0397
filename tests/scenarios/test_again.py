"""The same once more within minutes: asked about, never dropped, never bought unasked."""
import unittest

from harness import eventually
from world import World, reference

MTN, ORANGE = "2250501020304", "2250701020304"
FAST = {"push_delay": "0s", "spacing": "0s"}
BUY = "2 0701020304 500 1"


class Again(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(World(FAST))
        self.gateway, self.sandbox = self.world.gateway, self.world.sandbox
        self.gateway.start()

    def asked(self, first, keys=BUY):
        call = self.world.call(MTN)
        call.dial()
        screen = call.keys(keys)
        self.assertIn("encore ?", screen)
        self.assertIn(f"Réf {first}", screen)
        self.assertFalse(call.is_over)
        return call

    def expect(self, *states):
        eventually(lambda: len(self.world.executed()) == 2 * len(states), "all carried out")
        self.gateway.stop()
        self.assertEqual(tuple(self.gateway.purchases().values()), states)

    def test_yes_buys_a_second(self):
        first = self.world.call(MTN).buy(BUY)
        call = self.asked(first)
        screen = call.type("1")
        second = reference(screen)
        self.assertNotEqual(first, second)
        # The last hop once more: the same screen, and no third.
        self.assertEqual(call.hop(), screen)
        self.sandbox.wait_for_sms(MTN, first)
        self.sandbox.wait_for_sms(MTN, second)
        self.expect("DELIVERED", "DELIVERED")

    def test_no_buys_nothing(self):
        first = self.world.call(MTN).buy(BUY)
        call = self.asked(first)
        self.assertNotIn("Réf", call.type("2"))
        self.assertTrue(call.is_over)
        self.sandbox.wait_for_sms(MTN, first)
        self.expect("DELIVERED")

    def test_a_question_that_was_left_open_buys_nothing(self):
        first = self.world.call(MTN).buy(BUY)
        self.asked(first)
        self.sandbox.wait_for_sms(MTN, first)
        self.expect("DELIVERED")

    def test_the_question_outlives_the_process(self):
        first = self.world.call(MTN).buy(BUY)
        self.sandbox.wait_for_sms(MTN, first)
        call = self.asked(first)
        self.gateway.kill()
        self.gateway.start()
        second = reference(call.type("1"))
        self.sandbox.wait_for_sms(MTN, second)
        self.expect("DELIVERED", "DELIVERED")

    def test_another_amount_or_number_is_not_asked_about(self):
        self.world.call(MTN).buy(BUY)
        self.world.call(MTN).buy("2 0701020305 500 1")
        self.world.call(MTN).buy("2 0701020304 1000 1")
        self.assertEqual(self.gateway.metrics()["tama_purchases_again_total"], 0)


if __name__ == "__main__":
    unittest.main()
