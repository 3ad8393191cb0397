"""What scenario tests share: programs that say when they are ready, HTTP, the sandbox.

Nothing here sleeps to wait: a program is ready when it says so on stdout, and whatever can be asked
of the sandbox is asked again until it is so, with a deadline.
"""
import collections
import http.client
import http.server
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
TAMA = os.environ.get("TAMA", str(ROOT / "build" / "test" / "tama"))
# Sanitizers and a shared machine are slow; a deadline only bounds what has gone wrong.
DEADLINE_S = 30

Reply = collections.namedtuple("Reply", "status headers body")


class Process:
    """A program whose output is read as it comes; it ends with the test, by its own id."""

    def __init__(self, *args, env=None, stdin=None):
        self.args = [str(a) for a in args]
        self.output = []
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            self.args, cwd=ROOT, env=dict(os.environ, **(env or {})), stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def pid(self):
        return self._process.pid

    def wait_for_line(self, words, timeout=DEADLINE_S):
        """The first line that has these words, among those not looked at before."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {words!r}; got: {self.output}") from None
            if line is None:
                raise AssertionError(f"{self.args[1:2]} ended before {words!r}; got: {self.output}")
            if words in line:
                return line

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout=DEADLINE_S):
        """Its exit status, once it has ended and all its output is read."""
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        self._process.stdout.close()
        return status

    def stop(self, number=signal.SIGTERM):
        """Ends it and returns its exit status; a program that does not obey is killed."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()
            raise AssertionError(f"{self.args[1:2]} did not end; got: {self.output}") from None

    def kill(self):
        return self.stop(signal.SIGKILL)


def run(*args, timeout=60, env=None, stdin=""):
    """Runs `tama ARGS` to its end: a CompletedProcess with text."""
    return subprocess.run([TAMA, *map(str, args)], cwd=ROOT, env=dict(os.environ, **(env or {})), input=stdin,
                          capture_output=True, text=True, errors="replace", timeout=timeout)


def free_port():
    """A port that nobody listens on now. Where a program can choose one itself, let it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request(url, method="GET", body=None, headers=None, timeout=DEADLINE_S):
    """One request on a connection of its own. A dict is sent as JSON. OSError or HTTPException when
    the answer does not come whole."""
    parts = urllib.parse.urlsplit(url)
    headers = dict(headers or {})
    if isinstance(body, dict):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()


def exchange(port, data, timeout=DEADLINE_S):
    """Sends bytes and returns every byte that comes until the peer closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        s.sendall(data)
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece


def eventually(ask, what, timeout=DEADLINE_S):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(0.01)


class Receiver:
    """A small HTTP server that records what it is sent: where IPNs and reports go.

    `answers` are for the first requests, each a status or (status, body); afterwards it answers 200.
    """

    def __init__(self, answers=()):
        self._answers = list(answers)
        self._arrived = threading.Condition()
        self.requests = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                answer = receiver._note(self.command, self.path, dict(self.headers), body)
                status, text = answer if isinstance(answer, tuple) else (answer, "")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = _take

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                """A peer that breaks off is not news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _note(self, method, path, headers, body):
        with self._arrived:
            self.requests.append({"method": method, "path": path, "headers": headers, "body": body,
                                  "at": time.monotonic()})
            answer = self._answers.pop(0) if self._answers else 200
            self._arrived.notify_all()
            return answer

    def wait(self, n=1, timeout=DEADLINE_S):
        """The first n requests, once they have come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= n, timeout):
                raise AssertionError(f"{len(self.requests)} requests came, not {n}")
            return self.requests[:n]

    def bodies(self, n=1):
        return [json.loads(r["body"]) for r in self.wait(n)]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Sandbox:
    """`tama sandbox` on a port of its own. Keyword arguments are its options: ipn_delay_ms=0."""

    ET_KEY = "demo-api-key"
    LOGIN = {"appKey": "demo-app-key", "appPassword": "demo-app-password", "userId": "demo-user",
             "includeRefereshToken": True}
    SMS_LOGIN = {"username": "demo", "password": "demo-sms-password"}

    def __init__(self, port=0, **options):
        args = [TAMA, "sandbox", "--listen", f"127.0.0.1:{port}"]
        for name, value in options.items():
            args += ["--" + name.replace("_", "-"), value]
        self.process = Process(*args)
        try:
            line = self.process.wait_for_line("listening on")
        except AssertionError:
            self.process.stop()
            raise
        self.port = int(line.rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        return self.process.stop()

    # The control plane.

    def get(self, path, **kw):
        reply = request(self.url + path, **kw)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def fault(self, spec):
        """Arms a behaviour: {"provider": "xente", "op": "submit", "do": "lost_reply"}."""
        reply = request(self.url + "/_sandbox/faults", "POST", spec)
        assert reply.status == 200, reply
        return self

    def clear_faults(self):
        request(self.url + "/_sandbox/faults", "DELETE")

    def settings(self, **values):
        reply = request(self.url + "/_sandbox/settings", "POST", values)
        assert reply.status == 200, reply

    def reset(self):
        self.get("/_sandbox/reset")

    def ledger(self):
        """Every execution, oldest first."""
        rows, after = [], 0
        while after is not None:
            page = self.get(f"/_sandbox/ledger?after={after}")
            rows += page["transactions"]
            after = page["next"]
        return rows

    def totals(self):
        return self.get("/_sandbox/ledger?after=999999999999")["totals"]

    def requests(self):
        return self.get("/_sandbox/requests")

    def sms(self, to="", after=0, wait_ms=0):
        """Messages to a number; waits so long for one when there is none."""
        query = urllib.parse.urlencode({"to": to, "after": after, "wait_ms": wait_ms})
        return self.get("/_sandbox/sms?" + query, timeout=DEADLINE_S + wait_ms / 1000)["messages"]

    def wait_for_sms(self, to, words, timeout=DEADLINE_S):
        """The first message to the number that has these words."""
        end, after = time.monotonic() + timeout, 0
        while time.monotonic() < end:
            for message in self.sms(to, after, wait_ms=int(1000 * max(0, end - time.monotonic()))):
                if words in message["text"]:
                    return message
                after = message["id"]
        raise AssertionError(f"no SMS with {words!r} came")

    # Its counterparts, as a client sees them.

    def airtime(self, ref="order_789", amount=500, number="0501020304", service=121, ipn="http://127.0.0.1:1/",
                **more):
        """EasyTransfert's one call; returns a Reply."""
        body = {"amount": amount, "api_key": self.ET_KEY, "destination": number, "service_id": service,
                "ipn_url": ipn, "custom_data": ref, **more}
        return request(self.url + "/api_v1/transaction/airtime", "POST", body)

    def login(self):
        reply = request(self.url + "/api/auth/login", "POST", self.LOGIN)
        assert reply.status == 200, reply
        return {"Authorization": "Bearer " + json.loads(reply.body)["Token"]}

    def payout(self, auth, ref="92399933543589", amount=1000, number="256772123456", path="payouts/airtime", **more):
        """A transaction of Xente; returns a Reply."""
        body = {"requestId": ref, "batchId": "batch5678", "amount": amount, "type": "DEBIT",
                "product": {"id": "MTNAIRTIMEUG", "productItemId": "MTNAIRTIMEUG_MTNAIRTIMEUG"},
                "beneficiary": {"phoneNumber": number, "data": {"phoneNumber": number}}, **more}
        return request(f"{self.url}/api/transactions/{path}", "POST", body, auth)
