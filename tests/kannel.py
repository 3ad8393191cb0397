"""A real SMS gateway (Kannel 1.4.5: bearerbox and smsbox) on loopback, and a phone behind it.

Everything Kannel writes goes into a folder of the test's. The package's own service is not used; a
process here is ended by its pid.

    kannel = Kannel(folder, mo="http://127.0.0.1:8080/sms/sms-ci/SECRET")
    kannel.start()
    phone = kannel.phone("2250701020304")
    phone.send("36789", "CREDIT 500")
    phone.receive(containing="OUI")
"""
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

from harness import eventually

START_S = 10
USER = "demo"
PASSWORD = "demo-sms-password"

# Groups are separated by empty lines: that is the syntax. smsbox-id is not set, because bearerbox
# hands messages only to a nameless box unless a route is configured. The fake SMSC listens; phones
# connect to it.
CONF = """
group = core
admin-port = {admin}
admin-interface = "127.0.0.1"
admin-password = admin
status-password = status
smsbox-port = {link}
smsbox-interface = "127.0.0.1"
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
access-log = "{folder}/access.log"
log-level = 0
dlr-storage = internal
store-type = spool
store-location = "{folder}/spool"

group = smsc
smsc = fake
smsc-id = FAKE
port = {smsc}
our-host = "127.0.0.1"
connect-allow-ip = "127.0.0.1"

group = smsbox
bearerbox-host = "127.0.0.1"
sendsms-interface = "127.0.0.1"
sendsms-port = {sendsms}
global-sender = 36789
log-file = "{folder}/smsbox.log"
access-log = "{folder}/smsbox-access.log"
log-level = 0
http-request-retry = 30
http-queue-delay = 1
http-timeout = 10
mo-recode = true

group = sendsms-user
username = {user}
password = {password}
user-deny-ip = "*.*.*.*"
user-allow-ip = "127.0.0.1"
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
name = tama
{how}
accept-x-kannel-headers = true
max-messages = 10
concatenation = true
omit-empty = true
assume-plain-text = true
"""

HOW = {
    # %I is the message's id: a POST has no field for it.
    "post": 'post-url = "{mo}/mo?id=%I"\nsend-sender = true',
    "get": 'get-url = "{mo}/mo?id=%I&from=%p&to=%P&text=%a"',
}


def free_ports(n):
    """Ports of the loopback that nobody has now, all different."""
    held = [socket.socket() for _ in range(n)]
    try:
        for s in held:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()


class Kannel:
    def __init__(self, folder, mo, method="post"):
        self.folder = folder
        self.admin, self.link, self.smsc, self.sendsms = free_ports(4)
        self.url = f"http://127.0.0.1:{self.sendsms}/cgi-bin/sendsms"
        self.boxes = []
        self.phones = []
        (folder / "spool").mkdir(parents=True, exist_ok=True)
        self.conf = folder / "kannel.conf"
        self.conf.write_text(
            CONF.format(
                folder=folder, admin=self.admin, link=self.link, smsc=self.smsc, sendsms=self.sendsms,
                user=USER, password=PASSWORD, how=HOW[method].format(mo=mo),
            )
        )

    def status(self):
        """The status page; empty while there is none."""
        try:
            url = f"http://127.0.0.1:{self.admin}/status.txt?password=status"
            return urllib.request.urlopen(url, timeout=2).read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _box(self, program):
        out = open(self.folder / f"{program}.out", "ab")
        with out:
            self.boxes.append(
                subprocess.Popen(
                    [f"/usr/sbin/{program}", "-v", "4", str(self.conf)],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                )
            )

    def start(self):
        self._box("bearerbox")
        eventually(lambda: "Kannel bearerbox" in self.status(), "bearerbox answers", START_S)
        self._box("smsbox")
        eventually(lambda: "smsbox:" in self.status() and self._takes_messages(), "smsbox is there", START_S)
        for phone in self.phones:
            phone.connect()

    def _takes_messages(self):
        try:
            urllib.request.urlopen(self.url, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self):
        """TERM, and again what still drains (bearerbox takes 10 s of it), then KILL."""
        for phone in self.phones:
            phone.close()
        for box in reversed(self.boxes):
            for end in (box.terminate, box.terminate, box.kill):
                if box.poll() is not None:
                    break
                end()
                try:
                    box.wait(1)
                except subprocess.TimeoutExpired:
                    pass
            box.wait(5)
        self.boxes = []

    def phone(self, number):
        """A phone; one at a time, as the fake SMSC gives each message to whoever is connected."""
        phone = Phone(self.smsc, number)
        self.phones.append(phone)
        phone.connect()
        return phone

    def log(self):
        return (self.folder / "smsbox.log").read_text(errors="replace")


HEAD = re.compile(rb"(\+?\d+) (\+?\d+) (text|ucs-2|udh) (.*)", re.S)


class Message:
    """One message as the phone shows it: the parts of a long one joined."""

    def __init__(self, sender, receiver, text, form):
        self.sender, self.receiver, self.text, self.form = sender, receiver, text, form

    def __repr__(self):
        return f"<{self.sender}: {self.text} ({self.form})>"


def _decode(data):
    """Parts of a long message carry no coding: UTF-16BE has zero bytes in any text of ours."""
    return data.decode("utf-16-be" if b"\0" in data[:2] else "utf-8", "replace")


class Phone:
    def __init__(self, port, number):
        self.port, self.number = port, number
        self.inbox = []
        self.seen = 0
        self.arrived = threading.Condition()
        self.socket = None
        self.parts = {}

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), START_S)
        self.socket.settimeout(None)
        threading.Thread(target=self._listen, args=(self.socket,), daemon=True).start()

    def close(self):
        if self.socket:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.socket.close()
            self.socket = None

    def _listen(self, sock):
        with sock.makefile("rb") as lines:
            try:
                for line in lines:
                    self._take(line.rstrip(b"\n"))
            except (OSError, ValueError):
                pass

    def _take(self, line):
        head = HEAD.match(line)
        if not head:
            self._go_on(line)
            return
        sender, receiver, form, rest = head.groups()
        text = None
        if form == b"text":
            text = rest.decode("utf-8", "replace")
        elif form == b"ucs-2":
            text = urllib.parse.unquote_to_bytes(rest.replace(b"+", b" ")).decode("utf-16-be", "replace")
        elif form == b"udh":
            text = self._join(receiver, *rest.split(b" data ", 1))
        if text is None:
            return
        message = Message(sender.decode(), receiver.decode(), text, form.decode())
        with self.arrived:
            self.inbox.append(message)
            self.arrived.notify_all()

    def _go_on(self, line):
        """The protocol does not escape the line breaks of a text: a further line of the last one."""
        with self.arrived:
            self.inbox[-1].text += "\n" + line.decode("utf-8", "replace")
            self.arrived.notify_all()

    def _join(self, receiver, udh, data):
        """05 00 03 reference total number, then the part; None until all are there."""
        head = urllib.parse.unquote_to_bytes(udh)
        reference, total, number = head[3], head[4], head[5]
        parts = self.parts.setdefault((receiver, reference), {})
        parts[number] = urllib.parse.unquote_to_bytes(data.replace(b"+", b" "))
        if len(parts) < total:
            return None
        del self.parts[receiver, reference]
        return _decode(b"".join(parts[i] for i in sorted(parts)))

    def send(self, to, text):
        self.socket.sendall(f"{self.number} {to} text {text}\n".encode())

    def receive(self, containing="", seconds=10):
        """The next message not received before; it must come to hold these words."""

        def is_there():
            return len(self.inbox) > self.seen and containing in self.inbox[self.seen].text

        with self.arrived:
            if not self.arrived.wait_for(is_there, seconds):
                came = len(self.inbox) - self.seen
                raise AssertionError(f"no {containing!r} within {seconds} s, in {came} that came")
            self.seen += 1
            return self.inbox[self.seen - 1]

    def unread(self):
        with self.arrived:
            return len(self.inbox) - self.seen
