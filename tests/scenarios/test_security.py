"""The surface: limits of velocity on the phone, secrets changed under load, source addresses, one answer to
whoever may not call (reliability.md 5.1, 5.5, F-G11, F-G12, F-K7)."""
import contextlib
import hashlib
import hmac
import http.client
import itertools
import os
import re
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
import unittest

from gateway import CALLER, ROOT, TAMA, Gateway, Later
from harness import Receiver, eventually, request
from world import World

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IS_SLOW_BUILD = os.environ.get("TAMA_MODE") in ("asan", "tsan")


class Velocity(unittest.TestCase):
    """limits "demo-xof" with five purchases of a payer in ten minutes."""

    def setUp(self):
        self.g = self.enterContext(Gateway(settings={"payer_count": 5}))
        self.sessions = itertools.count()

    def buy(self, amount, msisdn=CALLER, **more):
        """The last screen of a whole purchase; each amount once, because the provider keeps a pause."""
        session = f"v{next(self.sessions)}"
        self.g.at(session, f"1*{amount}", msisdn, **more)
        return self.g.at(session, f"1*{amount}*1", msisdn, **more)

    def test_a_person_is_told_when_it_works_again(self):
        for i in range(5):
            self.assertIn("Demande recue", self.buy(500 + 100 * i))
        said = self.buy(2000)
        found = re.fullmatch(r"END Limite d'achats atteinte\. Rien n'a été débité\. Réessayez à partir de (?:\d\d/\d\d )?(\d\d):(\d\d)\.", said)
        self.assertTrue(found, said)
        wait_min = (int(found[1]) * 60 + int(found[2]) - time.localtime().tm_hour * 60 - time.localtime().tm_min) % 1440
        self.assertIn(wait_min, range(8, 12))
        self.g.expect_purchases(5)
        self.assertEqual(self.g.metric("tama_purchases_limited_total"), 1)
        # Somebody else is not held up, and who was stays so across a kill.
        self.assertIn("Demande recue", self.buy(500, "+2250501999999"))
        self.g.restart("kill")
        self.assertIn("Limite d'achats atteinte", self.buy(3000))

    def test_by_message(self):
        for i in range(5):
            self.assertIn("Demande recue", self.buy(500 + 100 * i))
        reply = self.g.mo("m1", "CREDIT 4000", CALLER[4:])
        nonce = re.search(r"OUI (\d{4})", reply)[1]
        self.assertIn("Limite d'achats atteinte. Rien n'a été débité.", self.g.mo("m2", f"OUI {nonce}", CALLER[4:]))
        self.g.expect_purchases(5)

    def test_english(self):
        self.g.edit('currency = "XOF",\n  payer', 'currency = "UGX",\n  payer')
        self.g.reload()
        who = "+256772000001"
        for i in range(5):
            self.assertIn("Request received", self.buy(1000 + 100 * i, who, channel="at-ug"))
        self.assertRegex(self.buy(3000, who, channel="at-ug"),
                         r"END Purchase limit reached\. Nothing was taken\. Try again from (\d\d/\d\d )?\d\d:\d\d\.")

    def test_no_time_is_told_where_there_is_none(self):
        self.g.edit("value = 2000000 }", "value = 1000 }")
        self.g.reload()
        self.assertEqual(self.buy(5000), "END Limite d'achats atteinte. Rien n'a été débité. "
                                         "Réessayez plus tard ou avec un montant plus petit.")
        self.assertIn("Demande recue", self.buy(600))

    def test_a_cap_stops_selling_and_rings(self):
        self.g.edit("cap = { ten_minutes = { value = 500000000 } }", "cap = { ten_minutes = { count = 3 } }")
        self.g.reload()
        for i in range(2):
            self.assertIn("Demande recue", self.buy(500, f"+22505011111{i:02d}"))
        self.assertIn("Limite d'achats atteinte", self.buy(500, "+2250501222222"))
        (alarm,) = self.g.until(lambda: self.g.events("limit"))
        self.assertEqual((alarm["level"], alarm["ref"]), ("alarm", "et-ci"))

    def test_a_storm_of_redials(self):
        """F-G12: one number, 50 a second, each dialling all at once and confirming."""
        stop = time.monotonic() + 4

        def dial(thread):
            ends = []
            for i in itertools.count():
                if time.monotonic() > stop:
                    return ends
                amount = 500 + 100 * (thread * 1000 + i)
                session = f"storm-{thread}-{i}"
                self.g.at(session, f"1*{amount}", "+2250501777777")
                ends.append(self.g.at(session, f"1*{amount}*1", "+2250501777777"))
                time.sleep(0.05)

        storm = [Later(dial, n) for n in range(4)]
        while time.monotonic() < stop - 1:
            self.assertIn("Recharge", self.g.at(f"calm{next(self.sessions)}", "", f"+22505019{next(self.sessions):05d}"))
        ends = [end for later in storm for end in later.result()]
        bought = [end for end in ends if "Demande recue" in end]
        self.assertEqual(len(bought), 5)
        self.assertTrue(any("Limite d'achats atteinte" in end for end in ends))
        self.g.expect_purchases(5)


class Upgrade(unittest.TestCase):
    def test_older_purchases_count(self):
        """A store of before is counted when it is upgraded."""
        with contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.executescript((ROOT / "tests/fixtures/store/v1.sql").read_text())
            for version in (1, 2):
                db.executescript((ROOT / f"src/store/upgrade_{version}.sql").read_text())
            for of, table, value, dead in ((3, "purchase", "price", "6, 7"), (4, "attempt", "amount", "5, 8"),
                                           (5, "purchase", "price", "6, 7")):
                rows = db.execute(f"SELECT count(*), sum({value}) FROM {table} WHERE state NOT IN ({dead})").fetchone()
                self.assertGreater(rows[0], 0)
                for span in (60000, 3600000, 86400000):
                    counted = db.execute("SELECT sum(count), sum(value) FROM tally WHERE of = ? AND span_ms = ?",
                                         (of, span)).fetchone()
                    self.assertEqual(counted, rows, (table, span))


class Rotation(unittest.TestCase):
    """F-K7: the new secret and the one before it are both accepted while both stand; nobody is refused who
    changes within the window, whatever is under way."""

    NEW = "the-new-secret-of-at-ci"
    OLD = "demo-secret-of-at-ci"
    IPN_NEW, IPN_OLD = "the-new-ipn-secret-xente-ug", "demo-ipn-secret-xente-ug"

    def test_under_load(self):
        with Gateway() as g:
            stop, secret = threading.Event(), {"path": self.OLD, "ipn": self.IPN_OLD}

            def hops(thread):
                done = 0
                while not stop.is_set():
                    form = f"sessionId=r{thread}-{done}&phoneNumber=%2B22505{thread}{done:07d}&serviceCode=*384*22%23&text="
                    reply = g.ask("POST", f"/ussd/at-ci/{secret['path']}", form, FORM)
                    self.assertEqual(reply.status, 200)
                    done += 1
                return done

            def ipns(thread):
                done = 0
                while not stop.is_set():
                    body = '{"transactionId":"r%d-%d","statusCode":1,"amount":"5"}' % (thread, done)
                    reply = g.ask("POST", f"/ipn/xente-ug/{secret['ipn']}", body, JSON)
                    self.assertIn(reply.status, (200, 400, 503))
                    done += 1
                return done

            load = [Later(hops, n) for n in range(3)] + [Later(ipns, n) for n in range(2)]
            for _ in range(3):
                # 1. both are configured, the new one first; 2. the other side changes; 3. the old one goes.
                g.edit(f'secret = "{self.OLD}"', f'secret = {{ "{self.NEW}", "{self.OLD}" }}')
                g.edit(f'ipn_secret = demo_secret "{self.IPN_OLD}"',
                       f'ipn_secret = {{ demo_secret "{self.IPN_NEW}", demo_secret "{self.IPN_OLD}" }}')
                self.assertEqual(g.reload()["detail"], "in force")
                for path in (self.OLD, self.NEW):
                    self.assertEqual(g.ask("POST", f"/ussd/at-ci/{path}", "", FORM).status, 200)
                secret.update(path=self.NEW, ipn=self.IPN_NEW)
                self.answered(g)
                g.edit(f'{{ "{self.NEW}", "{self.OLD}" }}', f'"{self.NEW}"')
                g.edit(f'{{ demo_secret "{self.IPN_NEW}", demo_secret "{self.IPN_OLD}" }}',
                       f'demo_secret "{self.IPN_NEW}"')
                self.assertEqual(g.reload()["detail"], "in force")
                self.assertEqual(g.ask("POST", f"/ussd/at-ci/{self.OLD}", "", FORM).status, 404)
                self.assertEqual(g.ask("POST", f"/ipn/xente-ug/{self.IPN_OLD}", "{}", JSON).status, 404)
                # And around again, the other way.
                self.NEW, self.OLD = self.OLD, self.NEW
                self.IPN_NEW, self.IPN_OLD = self.IPN_OLD, self.IPN_NEW
            stop.set()
            self.assertGreater(min(later.result() for later in load), 10)

    def answered(self, g):
        """What was asked with the secret of before has been answered."""
        before = g.metric("tama_http_requests_total")
        g.until(lambda: g.metric("tama_http_requests_total") > before + 30)

    def test_signatures(self):
        """Signed with the new key, the one before it, and neither."""
        new, old = "the-new-key-of-signatures", "the-old-key-of-signatures"
        provider = Receiver()
        self.addCleanup(provider.stop)
        world = self.enterContext(World({"public": provider.url, "spacing": "0s"}, et_signature="another"))
        text = world.gateway.config.read_text()
        key = 'fields = { api_key = demo_secret "demo-api-key" },'
        world.gateway.config.write_text(text.replace(
            key, f'{key}\n  signature_secret = {{ demo_secret "{new}", demo_secret "{old}" }},'))
        world.gateway.start()
        call = world.call("2250101020304")
        call.dial()
        call.keys("1 500 1")
        ipn = eventually(lambda: [r for r in list(provider.requests) if "/ipn/" in r["path"]], "an IPN")[0]

        def bring(secret):
            signature = hmac.new(secret.encode(), ipn["body"].encode(), hashlib.sha256).hexdigest()
            fields = JSON | {"X-EASYTRANSFERT-SIGNATURE": signature}
            return request(world.gateway.url + ipn["path"], "POST", ipn["body"], fields).status

        self.assertEqual(bring("another"), 404)
        self.assertEqual(bring(""), 404)
        self.assertEqual(bring(old), 200)
        self.assertEqual(bring(new), 200)


class Callers(unittest.TestCase):
    """Who may not call learns nothing: neither what exists nor how near a guess was."""

    PROXY = ("connections = 1024,", 'connections = 1024,\n  proxies = { "127.0.0.1" },')
    SOURCES = [(f'secret = "demo-secret-of-{c}",', f'secret = "demo-secret-of-{c}",\n  sources = {{ "192.0.2.7", "198.51.100.128/25", "2001:db8:7::/48" }},')
               for c in ("at-ci", "sms-ci")]

    def test_sources_of_channels(self):
        """F-G11: an aggregator's callbacks come from its own addresses only."""
        with Gateway([self.PROXY, *self.SOURCES]) as g:
            def status(path, peer):
                fields = FORM | ({"X-Forwarded-For": peer} if peer else {})
                reply = g.ask("POST", path, "sessionId=a&phoneNumber=%2B2250501020304&text=", fields)
                return reply.status
            ussd, sms = "/ussd/at-ci/demo-secret-of-at-ci", "/sms/sms-ci/demo-secret-of-sms-ci/mo?id=1"
            self.assertEqual(status(ussd, "192.0.2.7"), 200)
            self.assertEqual(status(sms, "192.0.2.7"), 400)  # let in, and no message
            for peer in ("198.51.100.128", "198.51.100.255", "2001:db8:7:1::5"):
                self.assertEqual((status(ussd, peer), status(sms, peer)), (200, 400), peer)
            for peer in ("192.0.2.8", None, "192.0.2.7, 203.0.113.1", "198.51.100.127", "198.51.101.128", "2001:db8:8::1",
                         "192.0.2.7/32", "::ffff:192.0.2.7"):
                self.assertEqual((status(ussd, peer), status(sms, peer)), (404, 404), peer)
            self.assertEqual(status("/ussd/at-ci/wrong", "192.0.2.7"), 404)
            # Those without a list take anybody who knows their secret.
            self.assertEqual(status("/ussd/at-ug/demo-secret-of-at-ug", "203.0.113.1"), 200)

    @unittest.skipIf(IS_SLOW_BUILD, "it measures time")
    def test_time_tells_nothing(self):
        """Medians of interleaved requests, over kept connections: an unknown name, a wrong secret of each length,
        and one that is right but for its last letter take the same time."""
        guesses = {
            "unknown": "/ussd/nobody/demo-secret-of-at-ci",
            "wrong": "/ussd/at-ci/xxxx-secret-of-at-ci",
            "nearly": "/ussd/at-ci/demo-secret-of-at-cj",
            "short": "/ussd/at-ci/d",
            "unknown account": "/ipn/nobody/demo-ipn-secret-xente-ug",
            "wrong account": "/ipn/xente-ug/xxxx-ipn-secret-xente-ug",
            "nearly account": "/ipn/xente-ug/demo-ipn-secret-xente-uh",
        }
        with Gateway() as g:
            link = http.client.HTTPConnection("127.0.0.1", g.port)
            taken = {name: [] for name in guesses}
            for _ in range(400):
                for name, path in guesses.items():
                    begin = time.perf_counter_ns()
                    link.request("POST", path, b"", FORM)
                    answer = link.getresponse()
                    answer.read()
                    taken[name].append(time.perf_counter_ns() - begin)
                    self.assertEqual(answer.status, 404)
            link.close()
        medians = {name: statistics.median(times) for name, times in taken.items()}
        for kind in ("", " account"):
            same = [v for k, v in medians.items() if k.endswith(" account") == bool(kind)]
            self.assertLess(max(same), 1.5 * min(same), medians)


class Configuration(unittest.TestCase):
    """What a configuration may not say, and where secrets may lie (5.1, 5.4, F-I11)."""

    def check(self, text, env=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in text.items():
                path = os.path.join(folder, name)
                with open(path, "w") as f:
                    f.write(content)
                os.chmod(path, 0o600)
            everything = {k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"}
            if env:
                everything["CREDENTIALS_DIRECTORY"] = folder
            done = subprocess.run([TAMA, "check", "-c", os.path.join(folder, "c.lua")], capture_output=True, text=True,
                                  env=everything, cwd=ROOT)
            return (done.stdout + done.stderr).replace(folder + "/", "")

    GATEWAY = 'gateway { data = "d", master_key = credential "master", admin = "%s" }\n'

    def test_credentials(self):
        text = {"c.lua": self.GATEWAY % "127.0.0.1:8081", "master": "00" * 32}
        self.assertIn("CREDENTIALS_DIRECTORY is not set", self.check(text))
        self.assertNotIn("credential", self.check(text, True))
        self.assertIn("No such file", self.check({"c.lua": text["c.lua"]}, True))
        self.assertIn("must be 32 random bytes", self.check({"c.lua": text["c.lua"], "master": "short"}, True))

    def test_admin_listener_is_never_public(self):
        for address in ("0.0.0.0:8081", "[::]:8081", "203.0.113.4:8081", "[2001:db8::1]:8081"):
            said = self.check({"c.lua": self.GATEWAY % address, "master": "00" * 32}, True)
            self.assertIn("c.lua:1: gateway: the admin listener", said, address)
        for address in ("127.0.0.1:8081", "[::1]:8081", "10.1.2.3:8081", "[fd00::1]:8081"):
            said = self.check({"c.lua": self.GATEWAY % address, "master": "00" * 32}, True)
            self.assertNotIn("admin listener", said, address)


if __name__ == "__main__":
    unittest.main()
