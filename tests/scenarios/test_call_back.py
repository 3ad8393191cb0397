"""A claim is durable and its connection hangs: until the first byte has left, news that contradicts the
purchase still calls the request back (reliability.md 2.5, 2.6)."""
import json
import pathlib
import socket
import unittest

from harness import DEADLINE_S, Receiver, eventually, request
from world import World

MTN = "2250501020304"
BUY = "2 0701020304 500 1"  # 500 F for an Orange number, paid 600 F by MTN
DELIVERS = 'deliver = { account = "et-ci", verb = "airtime"'
SYN_SENT = "02"


class Deaf:
    """A provider whose line is full: the kernel drops whoever calls, who calls again after 1 and 3 s."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.waiting = socket.create_connection(("127.0.0.1", self.port))  # a line of none takes one

    def is_called(self):
        """Whether somebody's connect hangs: /proc/net/tcp tells addresses and state in hexadecimal."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[2].endswith(f":{self.port:04X}") and row[3] == SYN_SENT for row in rows)

    def hear(self):
        """Answers who waits, and hears the next one out: all bytes that came."""
        self.listener.accept()[0].close()
        self.listener.settimeout(DEADLINE_S)
        caller, _ = self.listener.accept()
        with caller:
            caller.settimeout(DEADLINE_S)
            said = b""
            while not said.endswith(b"}") and (piece := caller.recv(65536)):
                said += piece
        return said

    def close(self):
        self.waiting.close()
        self.listener.close()


class CallBack(unittest.TestCase):
    """Airtime is delivered by an account of its own, whose provider is deaf. The test brings the IPNs."""

    def setUp(self):
        self.deaf = Deaf()
        self.addCleanup(self.deaf.close)
        self.provider = Receiver()
        self.addCleanup(self.provider.stop)
        self.world = self.enterContext(World({"push_delay": "0s", "spacing": "0s", "public": self.provider.url}))
        self.gateway = self.world.gateway
        self.add_account(f"http://127.0.0.1:{self.deaf.port}/api_v1/transaction")
        self.gateway.start()

    def add_account(self, base_url):
        config = self.gateway.config
        text = config.read_text()
        account = f"""account "et-deaf" {{
          partner = "demo", provider = "easytransfert", base_url = "{base_url}", ipn_base = public,
          fields = {{ api_key = demo_secret "demo-api-key" }}, currency = "XOF", spacing = setting("spacing", "15m"),
        }}
        """
        before, offer, after = text.partition('offer "ci-airtime"')
        self.assertIn(DELIVERS, after)
        config.write_text(before + account + offer + after.replace(DELIVERS, DELIVERS.replace("et-ci", "et-deaf"), 1))

    def bring(self, ipn, **changes):
        body = json.loads(ipn["body"])
        inner = body["data"] if isinstance(body.get("data"), dict) else body
        inner.update(changes)
        self.assertEqual(request(self.gateway.url + ipn["path"], "POST", body).status, 200)

    def pay(self):
        """Until the payment is proven and the request for the goods hangs: the reference, the IPN."""
        ref = self.world.call(MTN).buy(BUY)
        (ipn,) = eventually(lambda: [r for r in list(self.provider.requests) if "/ipn/et-ci/" in r["path"]], "an IPN")
        self.bring(ipn)
        eventually(self.deaf.is_called, "a connect that hangs")
        return ref, ipn

    def ends(self, ref):
        """The purchase and its legs in the store, once the gateway has ended in good order."""
        self.gateway.stop()
        legs = [(leg, state) for r, leg, state in self.gateway.attempts() if r == ref]
        return self.gateway.purchases()[ref], legs

    def test_contradicted_while_it_connects(self):
        ref, ipn = self.pay()
        self.bring(ipn, state="FAILED")
        # The engine that has answered the second of these had told the wire, which has read the third after it.
        self.bring(ipn, state="FAILED")
        self.bring(ipn, state="FAILED")
        self.assertTrue(self.deaf.is_called(), "it hangs still")
        self.assertEqual(self.deaf.hear(), b"")
        self.world.metric("tama_attempts_not_sent_total", 1)
        self.assertEqual(self.ends(ref), (
            "CONTRADICTED", [("collect", "CONTRADICTED"), ("deliver", "NOT_SENT"), ("deliver", "EXPIRED")]))

    def test_a_connect_that_hung_is_used_otherwise(self):
        """What the test above rests on: the call that hung is the request, and comes."""
        ref, _ = self.pay()
        self.assertIn(b"POST /api_v1/transaction/airtime", self.deaf.hear())
        self.world.metric("tama_attempts_unknown_total", 1)
        self.assertEqual(self.ends(ref), ("DELIVERING", [("collect", "SUCCEEDED"), ("deliver", "UNKNOWN")]))


if __name__ == "__main__":
    unittest.main()
