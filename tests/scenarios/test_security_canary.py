"""I11: codes, keys and whole numbers, each a text that occurs nowhere else, are looked for after use in all
that the gateway writes or says, in its memory, and in what a core file would hold (reliability.md 5.4)."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest
import urllib.parse

import memory
from harness import DEADLINE_S, eventually, request, run
from world import World

IS_CHECKED_BUILD = os.environ.get("TAMA_MODE") in ("asan", "tsan")  # they keep what was freed

# What each key is in the demo's configuration, and what stands in its place here.
KEYS = {
    "demo-api-key": "Kq7vX2mPz9Wd4RtY",
    "demo-app-key": "Jb5nC8sLf3Ga6HuE",
    "demo-app-password": "Vx1zQ4wMk7Tp0ByN",
    "demo-sms-password": "Zr6cD9hSj2Fe5KaU",
    "demo-ipn-secret-xente-ug": "Mw3gL8xRb1Vn6CqT",
}
MASTER = hashlib.sha256(b"a canary of the master key").digest()
MASTER_HEX = "00112233445566778899aabbccddeeff" * 2
NUMBERS = ["2250709182736", "2250756473829", "256772918273"]


class Secrets(World):
    """The demo with every secret in a file of its own."""

    def __init__(self, settings=None, **sandbox):
        super().__init__({"push_delay": "0s"} | (settings or {}), **sandbox,
                         et_key=KEYS["demo-api-key"], xente_key=KEYS["demo-app-key"],
                         xente_password=KEYS["demo-app-password"], sms_password=KEYS["demo-sms-password"],
                         ipn_base="")
        self.options["ipn_base"] = f"{self.gateway.url}/ipn/xente-ug/{KEYS['demo-ipn-secret-xente-ug']}"
        self.gateway.settings.pop("push_delay", None)
        self.keys = self.folder / "keys"
        self.keys.mkdir(mode=0o700)
        config = self.gateway.config
        text = config.read_text()
        for name, value in KEYS.items():
            text = text.replace(f'demo_secret "{name}"', f'secret_file "../keys/{name}"')
            self.keep(name, value.encode())
        text = text.replace(f'demo_secret "{MASTER_HEX}"', 'secret_file "../keys/master"')
        self.keep("master", MASTER)
        assert "demo_secret \"" not in text
        config.write_text(text)

    def keep(self, name, value):
        path = self.keys / name
        path.write_bytes(value)
        path.chmod(0o600)


class Tls:
    """TLS in front of the sandbox, with a certificate that only who is told to does trust."""

    def __init__(self, folder, port):
        self.behind = port
        self.certificate = folder / "tls.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key",
                        "-out", self.certificate], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, folder / "tls.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.handshakes = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self.pass_on, args=(peer,), daemon=True).start()

    def pass_on(self, peer):
        with contextlib.suppress(OSError), self.context.wrap_socket(peer, server_side=True) as front, \
                socket.create_connection(("127.0.0.1", self.behind)) as back:
            self.handshakes += 1
            front.settimeout(0.02)
            back.settimeout(0.02)
            while True:
                for one, other in ((front, back), (back, front)):
                    with contextlib.suppress(TimeoutError):
                        piece = one.recv(65536)
                        if not piece:
                            return
                        other.sendall(piece)

    def wrap(self):
        """A program that sees this certificate where the system's are."""
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"',
                str(self.certificate)]

    def close(self):
        self.listener.close()


class Kept:
    """A connection to the gateway that stays open, as an aggregator keeps its own."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.http = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE_S)

    def ask(self, method, path, body, fields):
        self.http.request(method, path, body, fields)
        answer = self.http.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (answer.status, text)
        return text

    def at(self, session, number, text):
        form = urllib.parse.urlencode({"sessionId": session, "phoneNumber": f"+{number}",
                                       "serviceCode": "*384*22#", "networkCode": "", "text": text})
        return self.ask("POST", "/ussd/at-ci/demo-secret-of-at-ci", form,
                        {"Content-Type": "application/x-www-form-urlencoded"})

    def infobip(self, session, what, **fields):
        path = f"/ussd/infobip-ci/demo-secret-of-infobip-ci/session/{session}/{what}"
        return json.loads(self.ask("POST", path, json.dumps(fields), {"Content-Type": "application/json"}))["ussdMenu"]

    def mo(self, identity, number, text):
        return self.ask("POST", f"/sms/sms-ci/demo-secret-of-sms-ci/mo?id={identity}", text,
                        {"X-Kannel-From": number, "X-Kannel-To": "36789", "Content-Type": "text/plain; charset=UTF-8"})


class Canary(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(Secrets())
        self.gateway = self.world.gateway
        self.gateway.start()
        self.codes = []

    def code(self, text):
        self.codes.append(text)
        return text

    def told(self, number, words, n=1):
        eventually(lambda: len([m for m in self.world.messages() if words in m]) >= n, f"{n} messages with {words}")

    def purchases(self):
        """One with a code in each of the three formats, and one in the other country; all end well."""
        kept = Kept(self.gateway)
        kept.at("c1", NUMBERS[0], "1*500")
        self.assertIn("#144*82#", kept.at("c1", NUMBERS[0], "1*500*1"))
        kept.at("c2", NUMBERS[0], "")
        kept.at("c2", NUMBERS[0], "1")
        wrong, right = self.code("648201937"), self.code("73914682")
        self.assertIn("Code invalide", kept.at("c2", NUMBERS[0], f"1*{wrong}"))
        self.assertIn("Demande recue", kept.at("c2", NUMBERS[0], f"1*{wrong}*{right}"))
        # The aggregator brings the cumulative text again and again.
        kept.at("c2", NUMBERS[0], f"1*{wrong}*{right}")
        self.told(NUMBERS[0], "Recharge", 1)

        kept.infobip("i1", "start", msisdn=NUMBERS[1], shortCode="*384*23#")
        for key in ("1", "600", "1"):
            kept.infobip("i1", "response", msisdn=NUMBERS[1], text=key)
        kept.infobip("i2", "start", msisdn=NUMBERS[1], shortCode="*384*23#")
        kept.infobip("i2", "response", msisdn=NUMBERS[1], text="1")
        said = kept.infobip("i2", "response", msisdn=NUMBERS[1], text=self.code("91827364"))
        self.assertIn("Demande recue", said)
        self.told(NUMBERS[1], "Recharge", 2)

        reply = kept.mo("m1", "0709182736", "CREDIT 700")
        nonce = re.search(r"OUI (\d{4})", reply)[1]
        self.assertIn("avec le code", kept.mo("m2", "0709182736", f"OUI {nonce}"))
        self.assertIn("Demande recue", kept.mo("m3", "0709182736", self.code("50617283")))
        self.told(NUMBERS[0], "Recharge", 3)

        call = self.world.call(NUMBERS[2], "at-ug")
        call.dial()
        call.keys("1 1000 1")
        self.told(NUMBERS[2], "Done", 1)
        return kept

    def stray(self):
        """Codes on paths that lead nowhere: no session, a broken body, a wrong secret, a cut connection."""
        url = self.gateway.url
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        at = "/ussd/at-ci/demo-secret-of-at-ci"
        for path, body in ((at, f"sessionId=x&phoneNumber=%2B225070918273&text={self.code('27384956')}"),
                           (at, f"sessionId=x&sessionId=y&text={self.code('38495061')}"),
                           ("/ussd/at-ci/wrong", f"sessionId=x&text={self.code('49506172')}")):
            request(url + path, "POST", body, form)
        request(url + f"/ussd/at-ci/wrong?text={self.code('84950617')}", "GET")
        cut = socket.create_connection(("127.0.0.1", self.gateway.port))
        cut.sendall(f"POST {at} HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\ntext={self.code('61728394')}".encode())
        before = self.gateway.metrics()["tama_http_connections_open"]
        cut.close()
        eventually(lambda: self.gateway.metrics()["tama_http_connections_open"] < before, "the connection is gone")

    def lost(self, kept):
        """The provider takes the request and breaks off: what is logged and kept of it is about the request."""
        self.world.sandbox.fault({"provider": "easytransfert", "op": "submit", "do": "lost_reply"})
        kept.at("f1", NUMBERS[1], "1*800")
        kept.at("f1", NUMBERS[1], "1*800*1")
        kept.at("f2", NUMBERS[1], "")
        kept.at("f2", NUMBERS[1], "1")
        kept.at("f2", NUMBERS[1], "1*" + self.code("95061728"))
        self.world.metric("tama_attempts_unknown_total", 1)

    def secrets(self):
        return [c.encode() for c in self.codes]

    def keys(self):
        return [k.encode() for k in KEYS.values()] + [MASTER, MASTER.hex().encode()]

    @unittest.skipIf(IS_CHECKED_BUILD, "a sanitizer keeps what was freed")
    def test_memory(self):
        kept = self.purchases()
        self.stray()
        self.lost(kept)
        self.look(kept)

    def look(self, kept):
        pid = self.gateway.process.pid
        if not memory.can_read(pid):
            self.skipTest("the memory of another process cannot be read here")
        where = memory.find(pid, self.secrets())
        self.assertEqual({c.decode(): r for c, r in where.items() if r}, {})
        where = memory.find(pid, self.keys())
        for key, places in where.items():
            for region in places:
                self.assertTrue(region.is_left_out_of_cores and region.is_locked, (key, region))
        # The search finds what is there: each key lies in its locked page.
        for key in (KEYS["demo-api-key"].encode(), MASTER):
            self.assertTrue(where[key], key)
        kept.http.close()

    @unittest.skipIf(IS_CHECKED_BUILD, "a sanitizer keeps what was freed")
    def test_memory_with_tls(self):
        """As in earnest: every request to a provider or SMS gateway is encrypted."""
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            self.skipTest("no mount namespace can be made here")
        tls = Tls(self.world.folder, self.world.sandbox.port)
        self.addCleanup(tls.close)
        self.gateway.stop()
        self.gateway.settings["sandbox"] = tls.url
        self.gateway.start(wrap=tls.wrap())
        kept = self.purchases()
        self.assertGreater(tls.handshakes, 6)
        self.look(kept)

    def test_core(self):
        """A process that dies of a signal leaves no core; one that root takes has none of it."""
        self.purchases()
        pid = self.gateway.process.pid
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0 ")
        if shutil.which("gcore") and not IS_CHECKED_BUILD:
            path = self.world.folder / "taken"
            done = subprocess.run(["gcore", "-o", path, str(pid)], capture_output=True, text=True)
            taken = pathlib.Path(f"{path}.{pid}")
            self.assertTrue(taken.exists(), done.stderr)
            content = taken.read_bytes()
            for secret in self.secrets() + self.keys():
                self.assertNotIn(secret, content)
        before = set(pathlib.Path.cwd().glob("core*")) | set(pathlib.Path(f"/proc/{pid}/cwd").glob("core*"))
        self.gateway.process.send_signal(signal.SIGABRT)
        self.assertEqual(self.gateway.process.wait(), -signal.SIGABRT)
        self.assertEqual(set(pathlib.Path.cwd().glob("core*")), before)

    def test_nobody_else_may_look(self):
        """Not dumpable: another process of the same user is refused (PR_SET_DUMPABLE, 0)."""
        pid = self.gateway.process.pid
        owner = os.stat(f"/proc/{pid}/mem").st_uid
        self.assertEqual(owner, 0)
        if os.getuid() == 0 and shutil.which("setpriv"):
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
            done = subprocess.run([*nobody, "cat", f"/proc/{pid}/environ"], capture_output=True)
            self.assertNotEqual(done.returncode, 0)

    def commands(self):
        """What an operator reads and takes away: lists, histories, an export as JSON, a backup."""
        backup = self.world.folder / "backup"
        backup.mkdir(mode=0o700)
        said, (ref, *_) = {}, self.references()
        for words in (["purchases"], ["purchases", "--json"], ["purchases", "show", ref], ["review"], ["verify"],
                      ["backup", backup]):
            done = run(*words, "--data", self.gateway.data)
            self.assertEqual(done.returncode, 0, (words, done.stderr))
            self.assertTrue(done.stdout or words == ["review"], words)
            said[" ".join(map(str, words))] = (done.stdout + done.stderr).encode()
        copies = {f"backup {p}": p.read_bytes() for p in backup.rglob("*") if p.is_file()}
        self.assertTrue(copies)
        return said | copies

    def references(self):
        return re.findall(r"R[eé]f (\w{8})", " ".join(self.world.messages()))

    def assertAddressesUnreadable(self, said):
        """EasyTransfert echoes the address that was told for its IPNs. What makes it secret is taken out
        ("***") before the answer is kept, and not only hidden from who reads ("****")."""
        (shown,) = [text.decode() for words, text in said.items() if words.startswith("purchases show")]
        self.assertRegex(shown, r'"ipn_url":"[^"]*/ipn/et-ci/\w+\.\*\*\*"')
        self.assertNotIn("****\"", shown)

    def test_written_and_said(self):
        kept = self.purchases()
        self.stray()
        self.lost(kept)
        said = {"metrics": request(f"http://127.0.0.1:{self.gateway.admin}/metrics").body.encode()}
        for path in ("/healthz", "/readyz", "/none"):
            said[path] = request(f"http://127.0.0.1:{self.gateway.admin}{path}").body.encode()
        pid = self.gateway.process.pid
        said["argv"] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        said["environment"] = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        said.update(self.commands())
        self.assertAddressesUnreadable(said)
        while self.gateway.is_alive():
            self.gateway.kill()
        data = {str(p): p.read_bytes() for p in self.gateway.data.rglob("*") if p.is_file()}
        self.assertTrue(any(name.endswith("tama.db-wal") and content for name, content in data.items()))
        self.assertTrue(any(".log" in name and content for name, content in data.items()))
        said.update(data)
        said["log"] = "\n".join(line for output in self.gateway.log for line in output).encode()
        numbers = [n.encode() for n in NUMBERS] + [n[3:].encode() for n in NUMBERS]
        for name, content in said.items():
            for secret in self.secrets() + self.keys() + numbers + [b"demo-secret-of"]:
                self.assertNotIn(secret, content, name)


if __name__ == "__main__":
    unittest.main()
