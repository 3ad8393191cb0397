"""Floats and days: the real gateway against the providers' own ledgers, which the sandbox keeps."""
import contextlib
import json
import sqlite3
import unittest

from harness import eventually, run
from world import World

MTN, UGANDA = "2250501020304", "256772123456"
SETTINGS = {"push_delay": "0s", "spacing": "0s", "floats": "on", "float_every": "1s", "queries": 6000}
BUY = "2 0701020304 500 1"  # 500 F for an Orange number, paid by MTN
NO_FLOAT = "Stock insuffisant pour ce montant. Rien n'a été débité. Essayez un plus petit montant, ou plus tard."


class Floats(unittest.TestCase):
    def start(self, settings=None, wallets=None):
        self.world = self.enterContext(World(SETTINGS | (settings or {})))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        if wallets:
            self.sandbox.settings(**wallets)
        self.gateway.start()
        self.observed()

    def tama(self, *words, expect=0):
        sets = [word for k, v in self.gateway.settings.items() for word in ("--set", f"{k}={v}")]
        done = run(*words, "-c", self.gateway.config, *sets)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout

    def books(self, kind=None):
        rows = [json.loads(line) for line in self.tama("books", "--json").splitlines()]
        return [row for row in rows if kind in (None, row["row"])]

    def float_of(self, account):
        return next(row for row in self.books("float") if row["name"] == account)

    def observed(self):
        """Both accounts' balances were told once more, after now."""
        before = {row["account"]: row["at_ms"] for row in self.books("observation")}

        def look():
            rows = self.books("observation")
            return len(rows) == 2 and all(row["at_ms"] > before.get(row["account"], 0) for row in rows)

        eventually(look, "both balances are told")

    def sold(self, number=MTN, keys=BUY, **channel):
        ref = self.world.call(number, **channel).buy(keys)
        self.sandbox.wait_for_sms(number, ref)
        return ref

    def day(self, account, day="today"):
        """Runs the day and returns its row, once it is closed anew."""
        before = {row["begun_ms"] for row in self.books("reconciliation") if row["account"] == account}
        self.tama("reconcile", "--account", account, "--day", day)

        def closed():
            rows = [row for row in self.books("reconciliation") if row["account"] == account]
            return [row for row in rows if row["begun_ms"] not in before and row["closed_ms"]]

        return eventually(closed, f"{account} is reconciled")[0]

    def findings(self, account):
        return [row["finding"] for row in self.books("finding") if row["account"] == account]


class Days(Floats):
    def test_three_purchases_agree_to_the_franc(self):
        self.start()
        before = self.sandbox.get("/_sandbox/ledger")["totals"]
        self.sold()
        self.sold(MTN, "2 0101020304 1000 1")
        self.sold(UGANDA, "1 2000 1", channel="at-ug")
        after = self.sandbox.get("/_sandbox/ledger")["totals"]
        # 600 - 12 - 490, and 1100 - 22 - 980: fees and costs as the contract has them.
        self.assertEqual(after["easytransfert"]["balance"] - before["easytransfert"]["balance"], 196)
        self.assertEqual(after["xente"]["balance"] - before["xente"]["balance"], 0)
        self.observed()
        ci, ug = self.day("et-ci"), self.day("xente-ug")
        self.assertEqual((ci["difference"], ci["state"], ci["has_list"]), (0, "balanced", 0), ci)
        self.assertEqual((ug["difference"], ug["state"], ug["matched"]), (0, "balanced", 2), ug)
        self.assertEqual(ci["closing"] - ci["opening"], 196)
        # What was earned is what is left of it: prices less costs, and what the provider kept of them.
        self.assertEqual((ci["margin"], ci["fees"]), (230, 34), ci)
        self.assertEqual((ug["margin"], ug["fees"]), (0, 0), ug)
        # Once more says the same, in the same row.
        again = self.day("xente-ug")
        self.assertEqual((again["difference"], again["matched"]), (0, 2))
        self.assertEqual(len(self.books("reconciliation")), 2)
        self.assertEqual(self.books("finding"), [])
        books = self.tama("books")
        self.assertRegex(books, r"provider_fees +34 XOF\n")
        self.assertRegex(books, r"et-ci .* balanced +0 XOF +230 XOF +34 XOF ")
        self.assertRegex(books, r"xente-ug .* balanced +0 UGX ")
        self.assertNotRegex(books, r"[0-9] F\b")
        self.gateway.stop()
        # The store at rest says the same of all but what only a running engine knows.
        self.assertEqual(len(self.books("reconciliation")), 2)
        self.assertEqual(self.books("float"), [])

    def test_a_balance_that_disagrees(self):
        self.start()
        self.sold()
        self.observed()
        self.sandbox.fault({"op": "balance", "provider": "easytransfert", "do": "wrong_amount", "always": True})
        row = self.day("et-ci")
        self.assertEqual((row["difference"], row["state"]), (100, "DIFFERS"), row)
        self.assertTrue(any("reconcile_differs" in line for line in self.gateway.log[-1]))

    def test_a_balance_that_is_refused_is_not_asked_for_again_at_once(self):
        """F-D24: 429 is heard whatever was asked: nothing more goes out for a minute."""
        self.start()
        self.sandbox.fault({"op": "balance", "provider": "easytransfert", "do": "status_429", "always": True})
        eventually(lambda: self.gateway.metrics().get('tama_events_total{what="queries_refused"}'), "it is heard")
        asked = self.sandbox.requests()["paths"]["POST /api_v1/admin/partner/wallet/single"]

        def told():
            return next(row["at_ms"] for row in self.books("observation") if row["account"] == "xente-ug")

        since = told()
        eventually(lambda: told() > since + 2000, "the other account's is told meanwhile")
        self.assertEqual(self.sandbox.requests()["paths"]["POST /api_v1/admin/partner/wallet/single"], asked)

    def test_tariffs_that_are_not_the_contract(self):
        self.start(wallets={"easytransfert": {"collect_fee": 30}})
        self.sold()
        self.observed()
        self.assertEqual(self.day("et-ci")["difference"], -6)

    def test_a_list_that_lacks_one(self):
        self.start()
        self.sold(UGANDA, "1 2000 1", channel="at-ug")
        self.sandbox.fault({"op": "list", "do": "list_missing"})
        row = self.day("xente-ug")
        self.assertEqual((row["missing"], row["matched"], row["state"]), (1, 1, "DIFFERS"), row)
        self.assertEqual(self.findings("xente-ug"), ["carried out here, absent there"])
        # The next run finds it: nothing is left to look at but what was parked.
        self.assertEqual(self.day("xente-ug")["state"], "balanced")

    def test_a_list_with_one_too_many(self):
        self.start()
        self.sold(UGANDA, "1 2000 1", channel="at-ug")
        self.sandbox.fault({"op": "list", "do": "list_extra"})
        row = self.day("xente-ug")
        self.assertEqual((row["unknown"], row["matched"], row["state"]), (1, 2, "DIFFERS"), row)
        self.assertEqual(self.findings("xente-ug"), ["there, and nothing we know"])
        self.assertIn("ORPHAN", self.verdicts())

    def test_a_list_with_another_amount(self):
        self.start()
        self.sold(UGANDA, "1 2000 1", channel="at-ug")
        self.sandbox.fault({"op": "list", "do": "wrong_amount"})
        row = self.day("xente-ug")
        self.assertEqual((row["differing"], row["state"]), (2, "DIFFERS"), row)
        self.assertIn("MISMATCH", self.verdicts())

    def verdicts(self):
        self.gateway.stop()
        return self.gateway.verdicts()

    def test_what_no_ipn_told_us(self):
        """The reply is lost and no IPN comes: the list finds the collection, a query proves it, and the
        goods go out."""
        self.start()
        self.sandbox.fault({"provider": "xente", "op": "submit", "do": "lost_reply"})
        self.sandbox.fault({"provider": "xente", "do": "no_ipn"})
        ref = self.world.call(UGANDA, channel="at-ug").buy("1 2000 1")
        eventually(lambda: self.gateway.metrics()["tama_attempts_unknown_total"], "a doubt")
        eventually(lambda: all(s["state"] != "PROCESSING" for s in self.sandbox.ledger()), "it is carried out")
        row = self.day("xente-ug")
        self.assertEqual(row["late"], 1, row)
        self.sandbox.wait_for_sms(UGANDA, ref)
        self.observed()
        again = self.day("xente-ug")
        self.assertEqual((again["late"], again["matched"], again["difference"]), (0, 2, 0), again)

    def test_a_restart_in_the_middle(self):
        self.start()
        self.sold(UGANDA, "1 2000 1", channel="at-ug")
        self.sandbox.fault({"op": "list", "do": "hang"})
        self.tama("reconcile", "--account", "xente-ug", "--day", "today")
        eventually(lambda: self.sandbox.requests()["paths"]["GET /api/transactions"], "the list is asked for")
        self.gateway.kill()
        self.gateway.start()
        row = eventually(
            lambda: [r for r in self.books("reconciliation") if r["account"] == "xente-ug" and r["closed_ms"]],
            "it goes on")[0]
        self.assertEqual((row["difference"], row["matched"], row["state"]), (0, 2, "balanced"), row)


class Balances(Floats):
    def test_verify_adds_them_up(self):
        self.start()
        self.sold()
        self.gateway.stop()
        self.assertEqual(run("verify", "--copy", self.gateway.data).returncode, 0)
        with contextlib.closing(sqlite3.connect(self.gateway.data / "tama.db", isolation_level=None)) as db:
            db.execute("UPDATE balance SET sum = sum + 1 WHERE book = 2")
        done = run("verify", "--copy", self.gateway.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("I4", done.stdout)
        self.assertIn("et-ci, book 2", done.stdout)


class Selling(Floats):
    def test_it_closes_before_collecting_and_reopens(self):
        self.start(wallets={"easytransfert": {"balance": 900}})
        self.assertEqual(self.float_of("et-ci")["available"], 900)
        # 490 of it are taken: at the confirmation of the second there is not enough.
        self.sandbox.settings(easytransfert={"balance": 400})
        self.observed()
        call = self.world.call(MTN)
        call.dial()
        self.assertEqual(call.keys("2 0701020304 500"), NO_FLOAT)
        self.assertTrue(call.is_over)
        self.assertEqual(self.world.executed(), [])
        self.sandbox.settings(easytransfert={"balance": 5000})
        eventually(lambda: self.float_of("et-ci")["available"] == 5000, "the top-up is seen")
        self.sold()
        self.assertEqual(len(self.world.executed()), 2)

    def test_what_is_promised_cannot_be_sold_again(self):
        self.start(wallets={"easytransfert": {"balance": 700}})
        self.sandbox.fault({"op": "submit", "do": "pending_forever", "always": True})
        self.world.call(MTN).buy(BUY)
        eventually(lambda: self.float_of("et-ci")["reserved"] == 490, "490 are promised")
        call = self.world.call("2250501020305")
        call.dial()
        self.assertEqual(call.keys("2 0701020305 500"), NO_FLOAT)

    def test_stop(self):
        self.start({"float_stop": 1000}, {"easytransfert": {"balance": 1400}})
        call = self.world.call(MTN)
        call.dial()
        self.assertEqual(call.keys("2 0701020304 500"), NO_FLOAT)
        self.assertEqual(self.gateway.metrics()['tama_float{account="et-ci"}'], 1400)

    def test_a_refusal_empties_it(self):
        """F-D26: between two balances the money went elsewhere; the provider refuses the delivery."""
        self.start({"float_every": "1h"}, {"easytransfert": {"balance": 5000}})
        self.sandbox.settings(easytransfert={"balance": 0})
        ref = self.world.call(MTN).buy(BUY)
        self.sandbox.fault({"op": "submit", "amount": 500, "do": "fail", "always": True})
        eventually(lambda: not self.float_of("et-ci")["sells"], "it sells nothing")
        call = self.world.call("2250501020305")
        call.dial()
        self.assertEqual(call.keys("2 0701020305 500"), NO_FLOAT)
        self.assertEqual([s["amount"] for s in self.sandbox.ledger()], [600])
        self.assertTrue(ref)

    def observed(self):
        if self.gateway.settings["float_every"] == "1s":
            super().observed()
        else:
            eventually(lambda: len(self.books("observation")) == 2, "both balances are told")


if __name__ == "__main__":
    unittest.main()
