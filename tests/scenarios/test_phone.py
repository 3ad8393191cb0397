"""The phone in the terminal, against a gateway that says what the test tells it."""
import os
import pty
import subprocess
import unittest
import urllib.parse

import harness
from harness import Receiver, Sandbox, request, run

UTF8 = {"LC_ALL": "C.UTF-8"}
ASCII = {"LC_ALL": "C"}


class Case(unittest.TestCase):
    def gateway(self, *answers):
        gateway = Receiver(answers)
        self.addCleanup(gateway.stop)
        return gateway

    def sandbox(self):
        sandbox = Sandbox()
        self.addCleanup(sandbox.stop)
        return sandbox

    def sms(self, sandbox, text, to="2250701020304"):
        query = urllib.parse.urlencode({**Sandbox.SMS_LOGIN, "from": "36789", "to": to, "text": text})
        self.assertEqual(request(sandbox.url + "/cgi-bin/sendsms?" + query).status, 202)


class Dial(Case):
    def dial(self, gateway, *args, code="*384*22#", env=None):
        return run("dial", code, "--url", gateway.url, *args, env=env or ASCII)

    def test_conversation(self):
        gateway = self.gateway((200, "CON Airtime\n1. Me\n2. Another number with many words behind it"),
                               (200, "CON Amount?"), (200, "END Done {ok}"))
        done = self.dial(gateway, "--keys", "1  500", "--channel", "at", "--secret", "s3", "--from", "+256772123456")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, """\
> *384*22#
+----------------------------------+
| Airtime                          |
| 1. Me                            |
| 2. Another number with many      |
| words behind it                  |
+- 57/160 -------------------------+
> 1
+----------------------------------+
| Amount?                          |
+- 7/160 --------------------------+
> 500
+----------------------------------+
| Done {ok}                        |
+- 11/160 -------------------------+
""")
        hops = [urllib.parse.parse_qs(r["body"], keep_blank_values=True) for r in gateway.requests]
        self.assertEqual([h["text"] for h in hops], [[""], ["1"], ["1*500"]])
        self.assertEqual(len({h["sessionId"][0] for h in hops}), 1)
        self.assertRegex(hops[0]["sessionId"][0], "^ATUid_[0-9a-f]{32}$")
        self.assertEqual((hops[0]["phoneNumber"], hops[0]["serviceCode"], hops[0]["networkCode"]),
                         (["+256772123456"], ["*384*22#"], ["64110"]))
        self.assertEqual({(r["method"], r["path"]) for r in gateway.requests}, {("POST", "/ussd/at/s3")})

    def test_redial_and_wallet_code(self):
        gateway = self.gateway((200, "END Dial #144*82#"), (200, "CON Code?"), (200, "END ok"))
        done = self.dial(gateway, "--keys", "#144*82# *384*22# 4821")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| Votre code de paiement : 4821    |", done.stdout)
        hops = [urllib.parse.parse_qs(r["body"], keep_blank_values=True) for r in gateway.requests]
        self.assertEqual([h["text"] for h in hops], [[""], [""], ["4821"]])
        self.assertEqual(len({h["sessionId"][0] for h in hops}), 2)

    def test_drawn_and_hostile(self):
        gateway = self.gateway((200, "END é\x1b[31m\u4e2d"))
        done = self.dial(gateway, "--keys", "", env=UTF8)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("│ é?[31m中", done.stdout)
        self.assertIn("╰─ not GSM 03.38, 7 characters/70 ─", done.stdout)

    def test_fails(self):
        for answers, keys in (([(500, "END x")], ""), ([(200, "HELLO")], ""), ([(200, "END x")], "1"),
                              ([(200, "CON x"), (404, "")], "1")):
            with self.subTest(answers=answers):
                self.assertEqual(self.dial(self.gateway(*answers), "--keys", keys).returncode, 1)
        gateway = self.gateway()
        self.assertEqual(self.dial(gateway, "--from", "07x").returncode, 1)
        self.assertEqual(self.dial(gateway, "--expect-sms", "x").returncode, 1)
        self.assertEqual(self.dial(gateway, "--sms-from", "http://127.0.0.1:1").returncode, 1)
        self.assertEqual(run("dial").returncode, 2)
        self.assertEqual(run("dial", "*1#", "--url", "http://127.0.0.1:1", "--keys", "").returncode, 1)

    def test_expects_an_sms(self):
        sandbox = self.sandbox()
        self.sms(sandbox, "Recharge 500 F of yesterday")
        gateway = self.gateway((200, "END Done"), (200, "END Done"))
        args = ["--keys", "", "--sms-from", sandbox.url, "--expect-sms", "Recharge 500 F"]
        done = self.dial(gateway, *args, "--wait-ms", "100")
        self.assertEqual((done.returncode, "SMS from" in done.stdout), (1, False))
        phone = harness.Process(harness.TAMA, "dial", "*384*22#", "--url", gateway.url, *args, env=ASCII)
        phone.wait_for_line("Done")
        self.sms(sandbox, "Another")
        self.sms(sandbox, "Recharge 500 F, ref K7QF2M")
        self.assertEqual(phone.wait(), 0, phone.output)
        self.assertEqual(phone.output[-6:], [
            "+- SMS from 36789 -----------------+",
            "| Another                          |",
            "+- 7 septets, 1 SMS ---------------+",
            "+- SMS from 36789 -----------------+",
            "| Recharge 500 F, ref K7QF2M       |",
            "+- 26 septets, 1 SMS --------------+"])

    def test_terminal(self):
        """Typed answers, and an SMS that arrives while nothing is typed."""
        sandbox = self.sandbox()
        gateway = self.gateway((200, "CON Amount?"), (200, "END Done"))
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        phone = harness.Process(harness.TAMA, "dial", "*384*22#", "--url", gateway.url, "--sms-from", sandbox.url,
                                env=ASCII, stdin=theirs)
        os.close(theirs)
        phone.wait_for_line("Amount?")
        os.write(ours, b"500\n")
        phone.wait_for_line("Done")
        self.sms(sandbox, "Recharge 500 F")
        phone.wait_for_line("Recharge 500 F")
        os.write(ours, b"what\n")
        phone.wait_for_line("no code")
        os.write(ours, b"\n")
        self.assertEqual(phone.wait(), 0, phone.output)
        self.assertIn("text=500", gateway.requests[1]["body"])


class Text(Case):
    def text(self, gateway, *args, env=None):
        return run("text", "36789", "CREDIT 500 é", "--url", gateway.url, *args, env=env or ASCII)

    def test_post(self):
        gateway = self.gateway((200, "Recharge 500 F"))
        done = self.text(gateway, "--id", "m-1", "--channel", "k", "--secret", "s3", "--from", "2250501020304")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, """\
> SMS to 36789: CREDIT 500 é
+- SMS from 36789 -----------------+
| Recharge 500 F                   |
+- 14 septets, 1 SMS --------------+
""")
        sent = gateway.requests[0]
        self.assertEqual((sent["method"], sent["path"], sent["body"]), ("POST", "/sms/k/s3/mo?id=m-1", "CREDIT 500 é"))
        self.assertEqual((sent["headers"]["X-Kannel-From"], sent["headers"]["X-Kannel-To"],
                          sent["headers"]["Content-Type"]),
                         ("2250501020304", "36789", 'text/plain; charset="UTF-8"'))

    def test_get_without_reply(self):
        gateway = self.gateway()
        done = self.text(gateway, "--get")
        self.assertEqual((done.returncode, "SMS from" in done.stdout), (0, False))
        path, _, query = gateway.requests[0]["path"].partition("?")
        sent = urllib.parse.parse_qs(query)
        self.assertEqual((path, sent["text"], sent["to"]), ("/sms/sms-ci/demo-secret-of-sms-ci/mo", ["CREDIT 500 é"],
                                                            ["36789"]))
        self.assertRegex(sent["id"][0], "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_fails(self):
        self.assertEqual(self.text(self.gateway(500)).returncode, 1)
        self.assertEqual(run("text", "36789").returncode, 2)
        self.assertEqual(run("text", "36789", "a", "b").returncode, 2)


class CommandLine(unittest.TestCase):
    def test_usage(self):
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("nothing").returncode, 2)
        done = run("help")
        self.assertEqual(done.returncode, 0)
        for name in ("sandbox", "dial", "text"):
            self.assertIn(f"  {name} ", done.stdout)
            self.assertEqual(run(name, "--help").returncode, 0)

    def test_closed_descriptors(self):
        """F-C12: with no stdout the first socket must not become it."""
        gateway = Receiver([(200, "END Done")])
        self.addCleanup(gateway.stop)
        done = subprocess.run(["sh", "-c", 'exec "$0" dial "*1#" --keys "" --url "$1" <&- >&- 2>&-', harness.TAMA,
                               gateway.url], timeout=30, env=dict(os.environ))
        self.assertEqual(done.returncode, 0)
        self.assertTrue(gateway.requests[0]["body"].startswith("phoneNumber="))


if __name__ == "__main__":
    unittest.main()
