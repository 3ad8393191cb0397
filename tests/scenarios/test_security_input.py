"""Table F-J of reliability.md 3.10, a test for each row, against the running gateway. What each row names in detail is
in the unit tests (docs/security.md has the list); here the whole way in is asked."""
import contextlib
import hashlib
import itertools
import json
import re
import resource
import socket
import sqlite3
import subprocess
import sys
import time
import unittest
import urllib.parse

from gateway import PATIENCE_S, ROOT, TAMA, Gateway
from kannel import free_ports

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
AT = "/ussd/at-ci/demo-secret-of-at-ci"
INFOBIP = "/ussd/infobip-ci/demo-secret-of-infobip-ci"
SMS = "/sms/sms-ci/demo-secret-of-sms-ci"
XENTE = "/ipn/xente-ug/demo-ipn-secret-xente-ug"
FIRST = "CON Recharge pour qui ?"


def raw(port, data, source=None, patience_s=PATIENCE_S):
    """Everything that is answered to these bytes until the peer closes."""
    with socket.create_connection(("127.0.0.1", port), patience_s, source and (source, 0)) as s:
        got = b""
        with contextlib.suppress(ConnectionError):
            s.sendall(data)
        with contextlib.suppress(ConnectionError):
            while piece := s.recv(65536):
                got += piece
        return got


def file_of(keys, value):
    path = keys / hashlib.sha256(value.encode()).hexdigest()[:16]
    path.write_text(value)
    path.chmod(0o600)
    return f'secret_file "keys/{path.name}"'


def strict():
    """A gateway as for real money: the demo's switches are off, so loopback has no privileges and keys are files."""
    port, admin = free_ports(2)
    settings = {"listen": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}", "sandbox": "https://192.0.2.1",
                "public": "https://tama.example"}
    g = Gateway([("allow_loopback = true", "allow_loopback = false"), ("allow_http = true", "allow_http = false")], settings)
    text, keys = g.config.read_text(), g.config.parent / "keys"
    keys.mkdir()
    text = re.sub(r'demo_secret "([^"]*)"', lambda m: file_of(keys, m[1]), text)
    text = re.sub(r'secret = "([^"]*)"', lambda m: f'secret = {file_of(keys, m[1])}', text)
    g.config.write_text(text)
    return g


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway()
        cls.g.start()
        cls.numbers = itertools.count(1000000)

    @classmethod
    def tearDownClass(cls):
        cls.g.close()

    def number(self):
        return f"+225050{next(self.numbers)}"

    def alive(self):
        self.assertTrue(self.g.at(f"alive{next(self.numbers)}", "", self.number()).startswith(FIRST))

    def test_F_J1_request_smuggling(self):
        before = self.g.metric("tama_hops_total")
        hop = b"sessionId=smuggled&phoneNumber=%2B2250501020304&serviceCode=*384*22%23&text="
        inner = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (AT.encode(), len(hop), hop)
        for fields in (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(inner),
                       b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(inner),
                       b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                       b"Content-Length : 0\r\n", b"Transfer-Encoding: xchunked\r\n"):
            body = b"0\r\n\r\n" if b"chunked" in fields else b""
            got = raw(self.g.port, b"POST /none HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + body + inner)
            self.assertEqual(got.count(b"HTTP/1.1 "), 1, (fields, got))
            self.assertIn(b" 400 ", got.split(b"\r\n")[0])
            self.assertIn(b"Connection: close", got)
        self.assertEqual(self.g.metric("tama_hops_total"), before)

    def test_F_J2_paths(self):
        for target in (AT + "%00", AT.replace("/ussd", "/ussd/../ussd"), "/%2e%2e" + AT, AT.replace("at-ci/", "at-ci%252f"),
                       "http://127.0.0.1" + AT, "//x" + AT, AT[1:], AT + "%zz", AT + "%0d%0aX:%201", "*"):
            got = raw(self.g.port, f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            self.assertIn(got.split(b" ")[1], (b"400", b"404"), target)
        for hosts in (b"", b"Host: a\r\nHost: b\r\n"):
            got = raw(self.g.port, b"POST %s HTTP/1.1\r\n%sContent-Length: 0\r\n\r\n" % (AT.encode(), hosts))
            self.assertIn(b" 400 ", got.split(b"\r\n")[0])

    ODD = [b"\0", b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\xe2\x80\x8b", b"\x1b[2J",
           b"\x85", "\u2028".encode(), "\U000e0041".encode(), b"a" * 479 + b"\xc3"]

    def test_F_J3_text_that_is_none(self):
        """Refused at the edge: what is stored, said or logged is UTF-8 that shows what it is."""
        for i, odd in enumerate(self.ODD):
            who = self.number()
            quoted = urllib.parse.quote_from_bytes(odd)
            for body in (f"sessionId=o{i}&phoneNumber={urllib.parse.quote(who)}&serviceCode=*384*22%23&text=1*{quoted}",
                         f"sessionId=o{i}{quoted}&phoneNumber={urllib.parse.quote(who)}&serviceCode=*384*22%23&text=",
                         f"sessionId=p{i}&phoneNumber={urllib.parse.quote(who)}{quoted}&serviceCode=*384*22%23&text="):
                reply = self.g.ask("POST", AT, body, FORM)
                self.assertEqual(reply.status, 200, odd)
                reply.body.decode("utf-8")
                for bad in self.ODD[:10]:
                    self.assertNotIn(bad, reply.body, odd)
            reply = self.g.ask("POST", SMS + f"/mo?id=odd{i}", b"CREDIT 500 " + odd,
                               {"X-Kannel-From": who[4:], "X-Kannel-To": "36789"})
            self.assertIn(reply.status, (200, 400), odd)
            reply.body.decode("utf-8")
        for escaped in ("\\ud800", "\\u0000", "\\udfff\\ud800", "\\u202e"):
            reply = self.g.ask("POST", INFOBIP + "/session/o/start",
                               '{"msisdn":"2250501020304","shortCode":"*384*23#","text":"%s"}' % escaped, JSON)
            self.assertEqual(reply.status, 200)
            json.loads(reply.text)
        for line in self.g.log().splitlines():
            self.assertTrue(line.isprintable(), line)
        self.alive()

    def test_F_J4_sql(self):
        """Everything that a caller sends is a bound value; scripts/check_source.py forbids SQL made with printf."""
        poison = ["'; DROP TABLE purchase; --", "' OR '1'='1", "\"; ATTACH 'x' AS y; --", "1); DELETE FROM ledger; --", "%27%3B"]
        for i, text in enumerate(poison):
            who = self.number()
            self.g.at(text + str(i), "1*500", who)
            self.g.at(text + str(i), f"1*500*{text}", who)
            self.g.at(f"q{i}", f"2*{text}", who)
            self.g.mo(f"{text}{i}", f"CREDIT {text}", who[4:])
            self.g.ask("POST", XENTE, json.dumps({"transactionId": text, "requestId": text, "statusCode": 1, "amount": text}), JSON)
        with Gateway() as g:
            self.assertIn("Demande recue", [g.at("' OR 1=1 --", t) for t in ("1*500", "1*500*1")][1])
            g.stop()
            with contextlib.closing(sqlite3.connect(g.data / "tama.db")) as db:
                self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
                self.assertEqual(db.execute("SELECT count(*) FROM purchase").fetchone(), (1,))
            g.start()
        done = subprocess.run([sys.executable, "scripts/check_source.py"], cwd=ROOT, capture_output=True, text=True)
        self.assertNotIn("SQL", done.stdout + done.stderr)
        self.alive()

    def test_F_J5_log_injection(self):
        before = len(self.g.log().splitlines())
        for text in ('%0a{"what":"forged"}', "%0d%0aforged", "%1b[31mforged", "%22,%22what%22:%22forged"):
            self.g.ask("POST", AT, f"sessionId={text}&phoneNumber=x&text={text}", FORM)
            self.g.ask("POST", "/ussd/" + text.replace("%0a", "").replace("%0d", "").replace("%1b", ""), "", FORM)
            self.g.ask("POST", XENTE, '{"transactionId":"\\n{\\"what\\":\\"forged\\"}"', JSON)
        lines = self.g.log().splitlines()
        self.assertGreater(len(lines), before)
        for line in lines:
            self.assertNotEqual(json.loads(line)["what"], "forged")
            self.assertNotIn("\x1b", line)

    def test_F_J6_formulas_in_exports(self):
        """Commands that export tables, if this build has any: no cell begins as a formula does."""
        usage = subprocess.run([TAMA, "purchases", "--help"], capture_output=True, text=True)
        if "csv" not in (usage.stdout + usage.stderr).lower():
            return  # nothing exports, and nothing may: the next line keeps it so
        self.fail("a command writes CSV: test its cells here")

    def test_F_J7_no_page_speaks_html(self):
        """There is no console yet. What the admin listener answers is plain text that repeats nothing of the request."""
        for path in ("/", "/metrics", "/healthz", "/readyz", "/<script>alert(1)</script>", "/%3Cscript%3E"):
            reply = self.g.ask("GET", path, port=self.g.admin_port)
            self.assertTrue(reply.fields["Content-Type"].startswith("text/plain"), path)
            self.assertNotIn("script>", reply.text)
        for path in ("/<b>", AT.replace("secret", "%3Cb%3E")):
            self.assertTrue(self.g.ask("GET", path).fields.get("Content-Type", "text/plain").startswith("text/plain"))

    def test_F_J8_floods_of_fields(self):
        head = b"POST %s HTTP/1.1\r\nHost: a\r\n" % AT.encode()
        for fields, wanted in ((b"X: " + b"y" * 9000 + b"\r\n", (b"431",)),
                               (b"".join(b"X%d: y\r\n" % i for i in range(65)), (b"400", b"431")),
                               (b"X: " + b"y" * 10_000_000 + b"\r\n", (b"431", b"400", b"413", b"")),
                               (b"".join(b"X%d:\r\n" % i for i in range(1_000_000)), (b"431", b"400", b""))):
            got = raw(self.g.port, head + fields + b"\r\n")
            self.assertIn(got[9:12], wanted, got[:60])
        self.assertEqual(self.g.ask("POST", AT, b"x" * 65537, FORM).status, 413)
        self.alive()

    def test_F_J8_a_byte_at_a_time(self):
        """A head that drips is shut after ten seconds, however lively its connection looks; hops go on beside it."""
        drips = [socket.create_connection(("127.0.0.1", self.g.port)) for _ in range(20)]
        for s in drips:
            s.sendall(b"POST / HTTP/1.1\r\nX: ")
            s.setblocking(False)
        begin, open_ones = time.monotonic(), set(drips)
        while open_ones and time.monotonic() - begin < 25:
            for s in list(open_ones):
                try:
                    s.send(b"y")
                    if s.recv(1000) == b"":
                        open_ones.discard(s)
                except BlockingIOError:
                    pass
                except OSError:
                    open_ones.discard(s)
            self.alive()
            time.sleep(0.25)
        taken = time.monotonic() - begin
        self.assertFalse(open_ones)
        self.assertTrue(8 < taken < 20, taken)
        for s in drips:
            s.close()

    def test_F_J9_ten_thousand_idle_connections(self):
        """One address gets its share and no more; everybody else is answered."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        g = self.enterContext(strict())
        kept = []
        try:
            for i in range(10_000):
                s = socket.create_connection(("127.0.0.1", g.port), PATIENCE_S, ("127.0.0.9", 0))
                if i < 300:
                    kept.append(s)
                    continue
                # Beyond the share it is shut at once.
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(s.recv(1), b"")
                s.close()
                if i % 2000 == 0:
                    self.assertTrue(g.at(f"alive{i}", "", self.number()).startswith(FIRST))
            metrics = g.metrics()
            self.assertGreaterEqual(metrics["tama_http_peer_full_total"], 10_000 - 2 * 256)
            self.assertLessEqual(metrics["tama_http_connections_open"], 256 + 4)
        finally:
            for s in kept:
                s.close()

    def test_F_J10_forms_of_a_number(self):
        """One person, however the number is written; what could be two is refused."""
        for form in ("0701020304", "07 01 02 03 04", "+2250701020304", "002250701020304", "225 07 01 02 03 04", "07-01-02-03-04"):
            screen = self.g.at(f"n{next(self.numbers)}", f"2*{form}*500", self.number())
            self.assertIn("07 01 02 03 04", screen, form)
        for form in ("01020304", "+256772123456", "０７０１０２０３０４", "٠٧٠١٠٢٠٣٠٤", "07010203045", "070102030", "+07", "0x701020304", "1e9"):
            screen = self.g.at(f"n{next(self.numbers)}", f"2*{form}", self.number())
            self.assertNotIn("Montant", screen, form)

    def test_F_J11_amounts(self):
        for amount in ("9223372036854775808", "-500", "0", "1e20", "1e3", "0x1F4", "500.5", "٥٠٠", "５００", "500501", "499", "550", "+",
                       "99999999999999999999999999999999", "NaN", "inf", " "):
            screen = self.g.at(f"a{next(self.numbers)}", f"1*{amount}", self.number())
            self.assertNotIn("Confirmer", screen, amount)
        for amount in ("500", "1 000", "1,000", "1.000", "1000F", "FCFA 1000"):
            self.assertIn("Confirmer", self.g.at(f"a{next(self.numbers)}", f"1*{amount}", self.number()), amount)

    def test_F_J12_many_keys(self):
        """JSON with more than 256 keys is refused; a form of 64 KiB full of names costs no more than its bytes."""
        def took(path, body, fields):
            begin = time.monotonic()
            reply = self.g.ask("POST", path, body, fields)
            return reply, time.monotonic() - begin
        keys = ",".join(f'"k{i}":1' for i in range(4000))
        reply, taken = took(INFOBIP + "/session/j/start", '{"msisdn":"2250501020304",' + keys + "}", JSON)
        self.assertEqual(json.loads(reply.text)["responseExitCode"], 400)
        self.assertLess(taken, 2)
        reply, _ = took(XENTE, "{" + keys + "}", JSON)
        self.assertEqual(reply.status, 400)
        body = "&".join(f"k{i}=1" for i in range(8000))[:65000]
        reply, taken = took(AT, body, FORM)
        self.assertTrue(reply.text.startswith("END "))
        self.assertLess(taken, 2)


if __name__ == "__main__":
    unittest.main()
