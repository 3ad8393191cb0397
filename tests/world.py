"""A whole world for one scenario: the sandbox as providers and SMS gateway, a gateway on data of its
own, phones. Everything listens on loopback, lives in a temporary folder and is ended by pid.

    with World({"push_delay": "0s"}) as world:
        world.gateway.start()
        call = world.call("2250501020304")
        call.dial()
        screen = call.keys("1 500 1")
"""
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import urllib.parse

from harness import ROOT, TAMA, Process, Sandbox, eventually, request
from kannel import free_ports

# The words of purchase.h and store.h.
PURCHASE = {
    1: "CONFIRMED", 2: "COLLECTING", 3: "COLLECTED", 4: "DELIVERING", 5: "DELIVERED",
    6: "CANCELLED", 7: "EXPIRED", 8: "REFUND_DUE", 9: "REVIEW",
    10: "REFUNDING", 11: "REFUNDED", 12: "CONTRADICTED", 13: "WRITTEN_OFF",
}
ATTEMPT = {
    1: "READY", 2: "SENDING", 3: "ACCEPTED", 4: "UNKNOWN", 5: "NOT_SENT", 6: "SUCCEEDED",
    7: "FAILED", 8: "EXPIRED", 9: "REVIEW", 10: "CONTRADICTED", 11: "WRITTEN_OFF",
}
LEG = {1: "collect", 2: "deliver", 3: "refund"}
VERDICT = {
    1: "APPLIED", 2: "DUPLICATE", 3: "IGNORED", 4: "MISMATCH", 5: "CONTRADICTION", 6: "ORPHAN",
    7: "HINT", 8: "MALFORMED", 9: "IMPOSSIBLE", 10: "PROPOSAL",
}
OUTBOX = {1: "SEND", 2: "POLL", 3: "SMS", 4: "DEADLINE", 5: "EXPIRE", 6: "PROGRESS"}
XENTE_IPN = "/ipn/xente-ug/demo-ipn-secret-xente-ug"
# A connection that breaks, at whatever point.
BROKEN = (OSError, http.client.HTTPException)


class Gateway:
    """`tama serve`, started as often as a scenario likes on the same data."""

    def __init__(self, folder, config, settings):
        self.port, self.admin = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.config, self.data = config, folder / "data"
        self.settings = {
            "public": self.url,
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "data": self.data,
            "menus": ROOT / "menus",
        } | settings
        self.process = None
        self.log = []

    def start(self, crash=None, wrap=(), ready=True, env=None):
        """crash: a point of crash.h ("K12", "K12:2"). wrap: a program to run it under (strace)."""
        sets = [word for k, v in self.settings.items() for word in ("--set", f"{k}={v}")]
        env = {"TAMA_CRASH": crash or ""} | (env or {})
        self.process = Process(*wrap, TAMA, "serve", "-c", self.config, *sets, env=env)
        self.log.append(self.process.output)
        if ready:
            self.process.wait_for_line("listening on")

    def is_alive(self):
        return self.process is not None and self.process._process.poll() is None

    def wait(self):
        """Until it has died of itself: the status, minus a signal's number."""
        return self.process.wait()

    def was_killed(self):
        return self.wait() in (-signal.SIGKILL, 128 + signal.SIGKILL)

    def kill(self):
        return self.process.kill()

    def stop(self):
        """Ends it in good order: what a sanitizer finds shows in the status."""
        status = self.process.stop()
        assert status == 0, f"ended with {status}: {mask(' '.join(self.process.output[-20:]))}"

    def metrics(self):
        text = request(f"http://127.0.0.1:{self.admin}/metrics").body
        return {name: int(value) for name, value in re.findall(r"^(tama_\S+) (\d+)$", text, re.M)}

    def rows(self, query, *values):
        """Reads the data of a gateway that is not running: nobody else may open it then."""
        assert not self.is_alive()
        with contextlib.closing(sqlite3.connect(self.data / "tama.db")) as db:
            return db.execute(query, values).fetchall()

    def purchases(self):
        return {ref: PURCHASE[s] for ref, s in self.rows("SELECT ref, state FROM purchase ORDER BY id")}

    def attempts(self):
        """[(reference of the purchase, leg, state)]"""
        query = """SELECT p.ref, a.leg, a.state FROM attempt a JOIN purchase p ON p.id = a.purchase
                   ORDER BY a.id"""
        return [(ref, LEG[leg], ATTEMPT[s]) for ref, leg, s in self.rows(query)]

    def verdicts(self):
        return [VERDICT[v] for (v,) in self.rows("SELECT verdict FROM inbox ORDER BY id")]


class Call:
    """A phone in a USSD session, in Africa's Talking's format: cumulative text, CON and END."""

    count = 0

    def __init__(self, gateway, number, channel, secret, code):
        Call.count += 1
        self.session = f"ATUid_{os.getpid()}_{Call.count}"
        self.url = f"{gateway.url}/ussd/{channel}/{secret}"
        self.number, self.code = number, code
        self.text = ""
        self.is_over = False

    def hop(self):
        """Sends the session's text as it stands, again too; the screen."""
        form = urllib.parse.urlencode({
            "sessionId": self.session, "phoneNumber": f"+{self.number}",
            "serviceCode": self.code, "networkCode": "", "text": self.text,
        })
        reply = request(self.url, "POST", form, {"Content-Type": "application/x-www-form-urlencoded"})
        assert reply.status == 200, reply.status
        self.is_over = reply.body.startswith("END ")
        return reply.body[4:]

    dial = hop

    def type(self, key):
        self.text = f"{self.text}*{key}" if self.text else key
        return self.hop()

    def keys(self, keys):
        """Several, a hop each; the last screen."""
        for key in keys.split():
            screen = self.type(key)
        return screen

    def buy(self, keys):
        """Dials and types; the reference that the last screen tells."""
        self.dial()
        return reference(self.keys(keys))


def reference(text):
    found = re.search(r"R[ée]f (\w{8})", text)
    assert found, f"no reference on the screen: {mask(text)}"
    return found[1]


def mask(text):
    """For the output of tests: no number in full."""
    return re.sub(r"\d(?: ?\d){5,}", "...", text)


def replay(store):
    """Whatever a scenario did, its store must be what the reference model makes of its events."""
    program = ROOT / "tests" / "model" / "replay.lua"
    done = subprocess.run(["lua5.4", program, store], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else f"the model differs: {done.stdout}{done.stderr}"


class World:
    """Keyword arguments are the sandbox's options; settings are the configuration's."""

    def __init__(self, settings=None, config="demo.lua", **sandbox):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tama-test-"))
        # A configuration includes only files beside it: tests/configs has more than the demo's.
        for source in ("config", "tests/configs"):
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, self.folder / "config", dirs_exist_ok=True)
        # Balances are for the tests that are about them: elsewhere they would be one more request on the wire.
        self.gateway = Gateway(self.folder, self.folder / "config" / config, {"floats": "off"} | (settings or {}))
        self.options = {
            "ipn_base": self.gateway.url + XENTE_IPN, "ipn_delay_ms": 50, "ipn_retry_ms": 100,
        } | sandbox
        self.sandbox = None
        self.is_damaged = False  # by the test: its store is no history to replay

    def __enter__(self):
        try:
            self.sandbox = Sandbox(**self.options)
        except BaseException:
            self.__exit__()
            raise
        self.gateway.settings.setdefault("sandbox", self.sandbox.url)
        return self

    def __exit__(self, error=None, *_):
        if self.gateway.is_alive():
            self.gateway.kill()
        if self.sandbox:
            self.sandbox.stop()
        store = self.gateway.data / "tama.db"
        difference = replay(store) if store.exists() and not error and not self.is_damaged else ""
        shutil.rmtree(self.folder)
        assert not difference, difference

    def call(self, number, channel="at-ci", code="*384*22#", secret=None):
        return Call(self.gateway, number, channel, secret or f"demo-secret-of-{channel}", code)

    def executed(self):
        """What the providers carried out: [(service, amount, number)]."""
        return [(s["service"], s["amount"], s["number"]) for s in self.sandbox.ledger()]

    def messages(self, to=""):
        return [m["text"] for m in self.sandbox.sms(to)]

    def metric(self, name, value):
        """Waits until the metric has that value."""
        eventually(lambda: self.gateway.metrics()[name] == value, f"{name} is {value}")
