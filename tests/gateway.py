"""A gateway under test: `tama serve` on free loopback ports, with a copy of the demo's configuration
and menus and a data directory of its own, and the aggregators' side of its callbacks.

No provider is there: a purchase is committed and its request never leaves, which is all that hops
and sessions need.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
TAMA = os.environ.get("TAMA", str(ROOT / "build" / "test" / "tama"))
CHECKS_END = os.environ.get("TAMA_MODE") in ("asan", "tsan")
PATIENCE_S = 60 if CHECKS_END else 20

TSAN_STATUS = 66

CALLER = "+2250501020304"  # MTN: pays by a push, without a code
OTP_CALLER = "+2250701020304"  # Orange: pays with a code fetched in between
CODE = "*384*22#"


class Reply:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields
        self.body = body
        self.text = body.decode("utf-8", "replace")

    def __repr__(self):
        return f"{self.status} {self.text!r}"


class Gateway:
    """with Gateway(edits=[(old, new)], settings={...}, env={...}) as g: ..."""

    def __init__(self, edits=(), settings=None, env=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tama-test-"))
        shutil.copytree(ROOT / "config", self.dir / "config")
        shutil.copytree(ROOT / "menus", self.dir / "menus")
        self.config = self.dir / "config" / "demo.lua"
        self.data = self.dir / "data"
        self.log_path = self.dir / "log"
        self.settings = dict(settings or {})
        self.env = dict(env or {})
        self.process = None
        for old, new in edits:
            self.edit(old, new)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---- life ----

    def edit(self, old, new, path=None):
        """Replaces text in the configuration (or another file); it must be there."""
        path = path or self.config
        text = path.read_text()
        if old not in text:
            raise AssertionError(f"{path.name} has no {old!r}")
        path.write_text(text.replace(old, new))

    def command(self):
        dead = "http://127.0.0.1:1"
        settings = {"data": self.data, "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "sandbox": dead}
        settings.update(self.settings)
        line = [TAMA, "serve", "-c", str(self.config)]
        for name, value in settings.items():
            line += ["--set", f"{name}={value}"]
        return line

    def start(self, env=None):
        """Starts, and waits for the line that tells the ports."""
        everything = dict(os.environ, **self.env, **(env or {}))
        everything.setdefault("TSAN_OPTIONS", f"halt_on_error=0:exitcode={TSAN_STATUS}")
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=self.log_file, env=everything)
        line = self.process.stdout.readline().decode()
        found = re.match(r"tama listening on [^ ]*:(\d+), metrics on [^ ]*:(\d+)", line)
        if not found:
            self.process.wait(PATIENCE_S)
            raise AssertionError(f"did not start: {line!r}\n{self.log()}")
        self.port, self.admin_port = int(found[1]), int(found[2])

    def wait(self, patience_s=PATIENCE_S):
        """The exit status once it has ended."""
        status = self.process.wait(patience_s)
        if status == TSAN_STATUS and self.races_of_the_library():
            status = 0
        self.process.stdout.close()
        self.log_file.close()
        self.process = None
        return status

    def races_of_the_library(self):
        """ThreadSanitizer cannot see how libmicrohttpd, when it stops, hands over connections that the
        door added and no worker has begun: whether that is all it has told."""
        told = [line for line in self.log().splitlines() if line.startswith("SUMMARY: ThreadSanitizer")]
        return told and all("libmicrohttpd.so" in line for line in told)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def restart(self, how="stop", env=None):
        getattr(self, how)()
        self.start(env)

    def reload(self, marker="reload"):
        """SIGHUP; waits until the log tells what became of it, and gives back that line."""
        before = self.log().count(f'"what":"{marker}"')
        self.signal(signal.SIGHUP)
        lines = self.until(lambda: self.events(marker)[before:])
        return lines[0]

    def close(self):
        """With a sanitizer it ends by itself, which is when leaks are told."""
        status = 0
        if self.process is not None:
            status = self.stop() if CHECKS_END and self.process.poll() is None else self.kill()
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        if CHECKS_END and status not in (0, -signal.SIGKILL):
            raise AssertionError(f"ended with {status}\n{log[-4000:]}")

    # ---- looking ----

    def until(self, look, patience_s=PATIENCE_S):
        """The first true thing that look() gives."""
        end = time.monotonic() + patience_s
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"it never came: {look}\n{self.log()[-2000:]}")
            time.sleep(0.01)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def events(self, what):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["what"] == what]

    def metrics(self):
        text = self.ask("GET", "/metrics", port=self.admin_port).text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: int(value) for name, value in pairs}

    def metric(self, name):
        return self.metrics()[name]

    def purchases(self):
        """How many were confirmed since the start."""
        return self.metric("tama_purchases_total")

    def expect_purchases(self, n):
        """The engine tells its counts behind its answers, so the last one may take a moment."""
        self.until(lambda: self.purchases() >= n)
        if self.purchases() != n:
            raise AssertionError(f"{self.purchases()} purchases, not {n}")

    def files(self):
        """Every byte that the gateway has written."""
        return {p: p.read_bytes() for p in self.data.rglob("*") if p.is_file()}

    # ---- callbacks ----

    def ask(self, method, path, body=b"", fields=None, port=None, patience_s=PATIENCE_S):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=patience_s)
        try:
            connection.request(method, path, body, fields or {})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def form(self, path, **fields):
        body = urllib.parse.urlencode(fields)
        return self.ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def at(self, session, text="", msisdn=CALLER, code=CODE, channel="at-ci", **more):
        """One hop as Africa's Talking sends it; the reply's text with its CON or END."""
        path = f"/ussd/{channel}/demo-secret-of-{channel}"
        return self.form(path, sessionId=session, phoneNumber=msisdn, serviceCode=code, text=text, **more).text

    def infobip(self, session, what, channel="infobip-ci", method="POST", **fields):
        """A hop of Infobip: what is "start", "response", "end" or "status"."""
        path = f"/ussd/{channel}/demo-secret-of-{channel}/session/{session}/{what}"
        reply = self.ask(method, path, json.dumps(fields), {"Content-Type": "application/json"})
        return json.loads(reply.text)

    def mo(self, identity, text, sender="0501020304", channel="sms-ci", to="36789"):
        """A message as Kannel posts it; the text of the reply."""
        fields = {"X-Kannel-From": sender, "X-Kannel-To": to, "Content-Type": "text/plain; charset=UTF-8"}
        path = f"/sms/{channel}/demo-secret-of-{channel}/mo?id={urllib.parse.quote(identity)}"
        return self.ask("POST", path, text.encode(), fields).text


class Later(threading.Thread):
    """Calls something in a thread of its own; result() waits for what came of it."""

    def __init__(self, call, *args, **kwargs):
        super().__init__(daemon=True)
        self.call, self.args, self.kwargs = call, args, kwargs
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.call(*self.args, **self.kwargs)
        except BaseException as error:  # told by result()
            self.error = error

    def result(self):
        self.join(PATIENCE_S)
        if self.is_alive():
            raise AssertionError("it did not end")
        if self.error is not None:
            raise self.error
        return self.value


class Slow:
    """A thread of the gateway, by name, that takes so long for each call of one kind."""

    def __init__(self, gateway, thread, call, delay_ms, when="enter"):
        tasks = pathlib.Path(f"/proc/{gateway.process.pid}/task").iterdir()
        self.task = next(t for t in tasks if (t / "comm").read_text().strip() == thread)
        self.line = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                     f"inject={call}:delay_{when}={delay_ms * 1000}", "-p", self.task.name]
        self.gateway = gateway

    def __enter__(self):
        self.tracer = subprocess.Popen(self.line, stderr=subprocess.DEVNULL)

        def is_traced():
            if self.tracer.poll() is not None:
                raise AssertionError("strace cannot attach")
            return "TracerPid:\t0\n" not in (self.task / "status").read_text()
        self.gateway.until(is_traced)
        return self

    def __exit__(self, *_):
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait(PATIENCE_S)


def SlowDisk(gateway, delay_ms):
    """A commit takes so long."""
    return Slow(gateway, "tama-engine", "fdatasync", delay_ms)


class SlowReader(Slow):
    """A look-up takes so long: the thread that has been told of it wakes late."""

    def __init__(self, gateway, delay_ms):
        super().__init__(gateway, "tama-reader", "poll", delay_ms, "exit")

    def __enter__(self):
        super().__enter__()
        # It slept already when the tracer came: the next sleep is the first to end late.
        self.gateway.at("waker", "3", "+2250599999999")
        self.gateway.until(lambda: (self.task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "S")
        return self


def can_trace():
    """Whether strace may attach here (containers often forbid it)."""
    if shutil.which("strace") is None:
        return False
    sleeper = subprocess.Popen(["sleep", "5"])
    try:
        tracer = subprocess.run(["timeout", "-s", "INT", "1", "strace", "-qq", "-o", "/dev/null", "-p", str(sleeper.pid)],
                                capture_output=True)
        return b"Operation not permitted" not in tracer.stderr
    finally:
        sleeper.kill()
        sleeper.wait()
