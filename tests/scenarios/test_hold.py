"""A store that is older than what was sent because of it: restored, copied without its log, moved."""
import shutil
import unittest

from harness import eventually
from world import World

MTN = "2250501020304"
FAST = {"push_delay": "0s", "spacing": "0s"}
BUY = "2 0701020304 500 1"


class Restored(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(World(FAST))
        self.gateway, self.sandbox = self.world.gateway, self.world.sandbox
        self.copy = self.world.folder / "copy"

    def sell(self):
        """To another number by another payer each time: no repeat, and within everybody's limits."""
        self.sold = getattr(self, "sold", 0) + 1
        payer = f"22505010203{self.sold:02}"
        ref = self.world.call(payer).buy(f"2 07010203{self.sold:02} 500 1")
        self.sandbox.wait_for_sms(payer, ref)
        return ref

    def take_copy(self, *ignored):
        """Of a gateway that stands still: what a backup by `cp` makes of it."""
        self.gateway.kill()
        shutil.copytree(self.gateway.data, self.copy, ignore=shutil.ignore_patterns("*.sock", *ignored))
        self.gateway.start()

    def put_back(self):
        self.gateway.kill()
        shutil.rmtree(self.gateway.data)
        shutil.copytree(self.copy, self.gateway.data)
        self.gateway.start()

    def expect_held(self, before):
        eventually(lambda: self.gateway.metrics()["tama_accounts_held"] == 1, "held")
        call = self.world.call(MTN)
        screen = call.dial()
        for key in BUY.split()[:-1]:
            screen = screen if call.is_over else call.type(key)
        self.assertTrue(call.is_over, "closed before anything is confirmed")
        self.assertIn("indisponible", screen)
        self.assertEqual(self.world.executed(), before)
        self.gateway.stop()
        for count in self.sandbox.requests()["refs"].values():
            self.assertLessEqual((count["requested"], count["executed"]), (1, 1))

    def test_an_older_copy_sends_nothing(self):
        # The payment still waits in the copy; the life that the copy forgets carries it out.
        self.gateway.settings["push_delay"] = "2s"
        self.gateway.start()
        ref = self.world.call(MTN).buy(BUY)
        self.take_copy()
        self.sandbox.wait_for_sms(MTN, ref)
        before = self.world.executed()
        self.put_back()
        self.expect_held(before)
        self.assertEqual(self.gateway.purchases()[ref], "REVIEW")

    def test_a_copy_without_its_wal(self):
        self.gateway.start()
        self.sell()
        self.take_copy("*-wal", "*-shm")
        self.sell()
        before = self.world.executed()
        self.put_back()
        self.expect_held(before)

    def test_a_store_without_its_mark(self):
        self.gateway.start()
        self.sell()
        self.gateway.stop()
        (self.world.folder / "data.mark").unlink()
        self.gateway.start()
        self.expect_held(self.world.executed())

    def test_a_kill_alone_holds_nothing(self):
        self.gateway.start()
        for _ in range(3):
            self.sell()
            self.gateway.kill()
            self.gateway.start()
        self.sell()
        self.assertEqual(self.gateway.metrics()["tama_accounts_held"], 0)
        self.gateway.stop()


if __name__ == "__main__":
    unittest.main()
