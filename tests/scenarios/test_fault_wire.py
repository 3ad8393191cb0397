"""A bad network between the gateway and its providers (reliability.md 3.4), by the chaos proxy.

Whatever the wire does, the provider's ledger has each request at most once, and our store says no more
than is known: SUCCEEDED by the IPN, UNKNOWN without it, NOT_SENT only where nothing left.
"""
import contextlib
import json
import os
import random
import sqlite3
import threading
import time
import unittest

from chain import FAST, SUCCEEDED, UNKNOWN, broken, copied
from chaos import Chaos
from harness import Receiver, eventually, request
from world import World, reference

MODE = os.environ.get("TAMA_MODE", "test")
# Of a reply's length in bytes: every one where it is quick, some where a sanitizer makes it slow.
CUT_STEP = 1 if MODE == "test" else 23
NUMBER = "22505010{:05}"


class Wire(unittest.TestCase):
    def start(self, seed=1, settings=None, **sandbox):
        self.world = self.enterContext(World(FAST | (settings or {}), **({"ipn_delay_ms": 30} | sandbox)))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        self.chaos = Chaos(self.sandbox.port, seed)
        self.addCleanup(self.chaos.close)
        self.gateway.settings["easytransfert"] = self.chaos.url + "/api_v1/transaction"
        self.gateway.settings["xente"] = self.chaos.url + "/api"
        self.gateway.start()
        self.refs = {}

    def buy(self, n, what=""):
        """False when the account has been stopped: five doubts that nobody settles (2.7)."""
        number = NUMBER.format(n)
        call = self.world.call(number)
        call.dial()
        if "1. Confirm" not in call.keys("1 500"):
            return False
        self.refs[reference(call.type("1"))] = (number, what)
        return True

    def told(self, number):
        return any(ref in text for text in self.world.messages(number) for ref in self.refs)

    def gauge(self, state):
        return self.gateway.metrics()[f'tama_attempts{{state="{state}"}}']

    def check(self, want=None):
        """Both ledgers, by reference. want: {what: set of allowed (state of collect, times executed)}."""
        self.gateway.stop()
        self.assertEqual(broken(self.gateway.data), [])
        executed = {}
        for sale in self.sandbox.ledger():
            executed[sale["our_ref"]] = executed.get(sale["our_ref"], 0) + 1
        found = {}
        with copied(self.gateway.data) as db:
            query = """SELECT p.ref, a.our_ref, a.leg, a.state FROM attempt a
                       JOIN purchase p ON p.id = a.purchase ORDER BY a.id"""
            for ref, our_ref, leg, state in db.execute(query):
                times = executed.pop(our_ref, 0)
                self.assertLessEqual(times, 1, self.refs[ref][1])
                self.assertLessEqual(times, 0 if state in (5, 7, 8) else 1, f"{state} {self.refs[ref][1]}")
                self.assertGreaterEqual(times, 1 if state == 6 else 0, f"{state} {self.refs[ref][1]}")
                if leg == 1:
                    found.setdefault(self.refs[ref][1], []).append((state, times))
        self.assertEqual(executed, {}, "carried out and not known")
        for count in self.sandbox.requests()["refs"].values():
            self.assertLessEqual(count["requested"], 1)
        for what, pair in (want or {}).items():
            self.assertEqual(set(found[what]), {pair}, what)
        return found

    def settle(self, told, unknown=0):
        eventually(lambda: sum(self.told(n) for n, _ in self.refs.values()) >= told, f"{told} told")
        eventually(lambda: self.gauge("UNKNOWN") >= unknown, f"{unknown} UNKNOWN")

    # ---- one fate each ----

    def test_each_fate(self):
        """What the IPN can settle is settled by it; what nobody can say stays UNKNOWN."""
        self.start()
        fates = [("delay", 40, 6), ("reset", 0, 4), ("cut_up", 20, 4), ("cut_down", 0, 6), ("cut_down", 40, 6),
                 ("rst_down", 0, 6), ("rst_down", 40, 6), ("drip", 1, 6), ("half_open", 0, 6)]
        want = {}
        for n, (fate, arg, state) in enumerate(fates):
            what = f"{fate} {arg}"
            self.chaos.plan(fate, arg)
            self.buy(n, what)
            # The fate is the next connection's: one purchase after the other.
            number = NUMBER.format(n)
            if state == 6:
                eventually(lambda: self.told(number), what)
            else:
                self.world.metric("tama_attempts_unknown_total", 1 + sum(s == 4 for s, _ in want.values()))
            want[what] = (state, 1 if state == 6 else 0)
        # What still hangs in the half-open connection dies with the process.
        self.gateway.process.send_signal(9)
        self.gateway.wait()
        self.gateway.start()
        self.check(want)

    def test_each_fate_without_news(self):
        """No IPN either: every one of them is a doubt, and nothing is ever sent again."""
        self.start()
        self.sandbox.fault({"op": "submit", "do": "no_ipn", "always": True})
        fates = [("reset", 0, 0), ("cut_up", 20, 0), ("cut_down", 0, 1), ("rst_down", 0, 1), ("cut_down", 30, 1)]
        for n, (fate, arg, _) in enumerate(fates):
            self.chaos.plan(fate, arg)
            self.buy(n, f"{fate} {arg}")
            self.world.metric("tama_attempts_unknown_total", n + 1)
        self.assertEqual(self.world.messages(), [])
        self.check({f"{fate} {arg}": (UNKNOWN, times) for fate, arg, times in fates})

    # ---- F-D7 ----

    def test_reply_cut_at_each_byte(self):
        """UNKNOWN for every byte at which a reply can end, never a guess; then the IPN tells."""
        self.start(ipn_delay_ms=30, shape="flat")
        before = len(self.chaos.fates())
        self.buy(0, "whole")
        eventually(lambda: self.told(NUMBER.format(0)), "the first")
        eventually(lambda: len(self.chaos.fates()) > before, "the first reply")
        length = self.chaos.fates()[before][2]
        self.assertGreater(length, 100)
        cuts = list(range(0, length, CUT_STEP))
        for at in range(0, len(cuts), 4):
            now = cuts[at:at + 4]
            for k in now:
                self.chaos.plan("cut_down" if k % 2 else "rst_down", k)
            for k in now:
                self.assertTrue(self.buy(k + 1, k))
            eventually(lambda: all(self.told(NUMBER.format(k + 1)) for k in now), f"told: {now}")
        self.assertEqual(self.gateway.metrics()["tama_attempts_unknown_total"], len(cuts))
        found = self.check()
        self.assertEqual({s for pairs in found.values() for s in pairs}, {(SUCCEEDED, 1)})

    # ---- IPNs ----

    def test_a_storm_of_ipns(self):
        """F-E2, F-E11: after an outage a provider brings what it has a thousand times over, at once."""
        provider = Receiver()
        self.addCleanup(provider.stop)
        self.start(settings={"public": provider.url})
        for n in range(20):
            self.buy(n, n)
        ipns = [(r["path"], r["body"]) for r in provider.wait(20) if "/ipn/" in r["path"]]
        statuses, waits = [], []

        def bring(k):
            for n in range(50):
                path, body = ipns[(7 * k + n) % len(ipns)]
                reply = request(self.gateway.url + path, "POST", body, {"Content-Type": "application/json"})
                statuses.append(reply.status)

        threads = [threading.Thread(target=bring, args=(k,)) for k in range(20)]
        for thread in threads:
            thread.start()
        for n in range(20):
            begin = time.monotonic()
            self.world.call(NUMBER.format(1000 + n)).dial()
            waits.append(time.monotonic() - begin)
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 1000)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertLess(sorted(waits)[-2], 2, "hops wait for IPNs")
        eventually(lambda: len(self.world.executed()) == 40, "delivered")
        self.check()

    def first_ipn(self):
        """A purchase's first IPN, kept by its provider: a function that brings it, changed as wanted."""
        provider = Receiver()
        self.addCleanup(provider.stop)
        self.start(settings={"public": provider.url})
        self.buy(0, "ipn")
        ipn = eventually(lambda: [r for r in list(provider.requests) if "/ipn/" in r["path"]], "an IPN")[0]

        def bring(method="POST", kind="application/json", **changes):
            body = json.dumps(json.loads(ipn["body"]) | changes)
            return request(self.gateway.url + ipn["path"], method, body, {"Content-Type": kind}).status

        return bring

    def test_dates_in_ipns(self):
        """F-C3: days that are none, leap seconds, beyond 2038: whatever an IPN calls a date is not read."""
        bring = self.first_ipn()
        dates = ("2038-01-19T03:14:08Z", "2026-03-29T02:30:00+01:00", "2016-12-31T23:59:60Z", "31/02/2026 25:61:61",
                 "", None, -1, 2 ** 63, 1e300, "1969-12-31")
        for n, date in enumerate(dates):
            self.assertEqual(bring(date=date, created_at=date, timestamp=date, n=n), 200, date)
        eventually(lambda: len(self.world.executed()) == 2, "delivered, once")
        self.check({"ipn": (SUCCEEDED, 1)})

    def test_an_ipn_nine_days_late(self):
        """F-E5: the request left nine days ago; a person has been called, and the IPN still settles it."""
        bring = self.first_ipn()
        self.gateway.stop()
        with contextlib.closing(sqlite3.connect(self.gateway.data / "tama.db")) as db:
            days = 9 * 24 * 3600 * 1000
            db.execute("UPDATE attempt SET version = version + 1, sent_ms = sent_ms - ?, first_sent_ms = first_sent_ms - ?",
                       (days, days))
            db.execute("UPDATE outbox SET due_ms = due_ms - ? WHERE kind <> 3", (days,))
            db.commit()
        self.gateway.start()
        self.world.metric('tama_attempts{state="REVIEW"}', 1)
        self.assertGreater(self.gateway.metrics()['tama_in_doubt{currency="XOF"}'], 0)
        self.assertIn("tama_in_doubt_oldest_seconds", self.gateway.metrics())
        self.assertEqual(bring(), 200)
        eventually(lambda: len(self.world.executed()) == 2, "delivered, once")
        self.check({"ipn": (SUCCEEDED, 1)})

    def test_ipns_of_other_methods(self):
        """F-E12: only a POST is one. What its type says does not matter: its bytes must be as documented."""
        bring = self.first_ipn()
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "GET"):
            self.assertIn(bring(method), (400, 404, 405), method)
        metrics = self.gateway.metrics()
        self.assertEqual((metrics["tama_attempts_succeeded_total"], metrics["tama_ipn_total"]), (0, 0))
        self.assertEqual(bring(kind="text/html"), 200)
        eventually(lambda: len(self.world.executed()) == 2, "delivered, once")
        self.check({"ipn": (SUCCEEDED, 1)})

    # ---- what is between us, and who lets us in ----

    def test_no_proxy_of_the_environment(self):
        """F-D28: a proxy might repeat a POST. One that the environment names is not spoken to."""
        proxy = Receiver()
        self.addCleanup(proxy.stop)
        self.start()
        self.gateway.stop()
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        self.gateway.start(env={name: proxy.url for name in names} | {"no_proxy": "", "NO_PROXY": ""})
        self.buy(0, "sold")
        eventually(lambda: self.told(NUMBER.format(0)), "told")
        self.assertEqual(proxy.requests, [])
        self.check({"sold": (SUCCEEDED, 1)})

    def test_401_for_ever(self):
        """F-D25: never let in. A fresh login a try and no storm of them, nothing carried out, nothing in doubt."""
        self.start()
        self.sandbox.fault({"provider": "xente", "op": "submit", "do": "status", "status": 401, "always": True})
        call = self.world.call("256772123456", "at-ug")
        call.dial()
        self.refs[reference(call.keys("1 2 1"))] = ("256772123456", "ug")
        eventually(lambda: self.gateway.metrics()["tama_attempts_not_sent_total"] >= 2, "tried again", 30)
        paths = self.sandbox.requests()["paths"]
        submits = sum(n for path, n in paths.items() if path.startswith("POST /api/transactions/"))
        self.assertGreaterEqual(submits, 2)
        self.assertLessEqual(paths["POST /api/auth/login"], 1 + submits)
        self.assertEqual((self.world.executed(), self.gauge("UNKNOWN")), ([], 0))
        self.check()

    # ---- by chance ----

    def test_a_bad_hour(self):
        """Three in ten connections meet something; what is told has happened, once."""
        seed = int(os.environ.get("TAMA_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed} ", end="", flush=True)
        met = 0
        for hour in range(5):
            with self.subTest(seed=seed + hour):
                self.start(seed + hour)
                self.chaos.random(300)
                for n in range(15):
                    self.buy(n, n)
                self.chaos.calm()
                eventually(lambda: not self.sandbox.totals()["parcels"], "all IPNs brought")
                self.gateway.process.send_signal(9)
                self.gateway.wait()
                self.gateway.start()
                eventually(lambda: self.gauge("SENDING") == 0, "recovered")
                self.check()
                met += sum(fate != "pass" for fate, _, _ in self.chaos.fates())
        self.assertGreater(met, 10)


if __name__ == "__main__":
    unittest.main()
