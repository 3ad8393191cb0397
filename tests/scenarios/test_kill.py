"""kill -9 at every step of a purchase, and what must be true after the next start.

Where the gateway dies (reliability.md 3.1) and by what means. `K19:2` is the second time that the
point of that name is reached (crash.h); 300 bytes leave in one send(2), so that nothing lies between
the two sides of "half written".

    K1-K3    before the menu has run                      crash point
    K4       the menu wants to buy, before BEGIN          crash point
    K5, K6   inside D1; at its COMMIT                     crash point, with the first event
    K7, K8   committed; the engine has told the worker    crash point
    K9       half the reply written                       crash point, just before it is written
    K10      after the reply                              crash point, at the confirming hop's end
    K11      inside D2                                    crash point
    K12      SENDING committed, nothing sent              crash point
    K13      no request byte has left                     crash point, last look before the socket
    K14      half the request sent                        one send: K13 and K15 are its sides
    K15      request sent, no reply                       the provider holds its reply; SIGKILL
    K16      half the reply read                          a wire that stops there; SIGKILL
    K17      reply read, before D3                        crash point
    K18      inside D3                                    crash point
    K19      committed, before the next leg               crash point
    K20      IPN read, before D4                          crash point
    K21      D4 committed, before the 200                 crash point
    K22      200 half written                             one send: K21 and K10 of the IPN
    K23      SMS before and after it was sent             crash point, twice
    K24      query answered, before the commit            crash point
    K29      during recovery                              crash point, after another kill

Where strace may attach, the gateway is also killed as it enters each send(2) of a purchase in turn:
that is the near side of K9, K14, K22 and K23 without a crash point.

After each: the confirming hop comes again (an aggregator redelivers it) and gets the same answer; the
provider has carried each leg out at most once; what the person was told of has ended and was told in
one or two equal messages, or waits as UNKNOWN with a due row where nobody can say.
"""
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import unittest

from gateway import can_trace
from harness import eventually
from world import BROKEN, OUTBOX, World, mask, reference

FAST = {"push_delay": "0s", "spacing": "0s", "queries": 6000}
FINAL = {"DELIVERED", "CANCELLED", "EXPIRED", "REFUND_DUE"}


class Push:
    """Cote d'Ivoire, MTN pays by a push, airtime for somebody with Orange."""

    number, channel = "2250501020304", "at-ci"
    legs = [("121", 600, "0501020304"), ("225", 500, "0701020304")]
    hops = 5

    def confirm(self, world):
        call = world.call(self.number, self.channel)
        call.dial()
        call.keys("2 0701020304 500")
        call.text += "*1"
        return call


class Code:
    """Cote d'Ivoire, Orange Money: the code is fetched in between, and lives in memory only."""

    number, channel = "2250701020304", "at-ci"
    legs = [("125", 600, "0701020304"), ("225", 500, "0701020304")]
    hops = 7

    def confirm(self, world):
        first = world.call(self.number, self.channel)
        first.dial()
        first.keys("1 500 1")
        call = world.call(self.number, self.channel)
        call.dial()
        call.type("1")
        call.text += "*4821"
        return call


class Uganda:
    """Uganda, Xente: its IPN is only a hint, a query confirms."""

    number, channel = "256772123456", "at-ug"
    legs = [("MTNMOBILEMONEYUG", 2000, None), ("MTNAIRTIMEUG", 2000, None)]
    hops = 4

    def confirm(self, world):
        call = world.call(self.number, self.channel)
        call.dial()
        call.keys("1 2")
        call.text += "*1"
        return call


# (where, what became of the purchase's legs, collect first). "-": there is no such leg.
SOLD = ("SUCCEEDED", "SUCCEEDED")
LOST_1 = ("UNKNOWN", "-")
LOST_2 = ("SUCCEEDED", "UNKNOWN")
GONE = ("EXPIRED", "-")
BEFORE = [(k, SOLD) for k in ("K4", "K5", "K6")]
CONFIRMED = ("K7", "K8", "K9", "K10", "K11")
# While the answer leaves, the request with a code may be at any of its steps.
SOMEWHERE = None
EITHER_LEG = [
    ("K12", LOST_1), ("K12:2", LOST_2), ("K13", LOST_1), ("K13:2", LOST_2),
    ("K17", SOLD), ("K17:2", SOLD), ("K18", SOLD), ("K18:2", SOLD), ("K19:2", SOLD), ("K11:2", SOLD),
    ("K20", SOLD), ("K20:2", SOLD), ("K21", SOLD), ("K21:2", SOLD), ("K23", SOLD), ("K23:2", SOLD),
]
CASES = {
    Push: [(k, SOLD) for k in ("K1", "K2", "K3")] + BEFORE + [(k, SOLD) for k in CONFIRMED] + EITHER_LEG,
    # The code died with the process: what was not claimed is never sent.
    Code: BEFORE + [("K7", GONE), ("K8", GONE), ("K9", SOMEWHERE), ("K10", SOMEWHERE), ("K11", GONE)] + EITHER_LEG,
    Uganda: BEFORE + [(k, SOLD) for k in CONFIRMED] + EITHER_LEG + [("K24", SOLD), ("K24:2", SOLD)],
}
# Some points are on the way of hops before the confirming one, too.
EACH_HOP = {"K1", "K2", "K3", "K10"}


class KillTest(unittest.TestCase):
    def world(self, settings=None):
        world = World(FAST | (settings or {}))
        self.enterContext(world)
        return world

    def hop(self, world, call):
        """The confirming hop's answer, or None when the gateway died over it."""
        try:
            return call.hop()
        except BROKEN:
            return None

    def drive(self, world, shape, where):
        """Up to the kill; the call, and what its last hop was answered with (None: nothing)."""
        world.gateway.start(crash=f"{where}:{shape.hops}" if where in EACH_HOP else where)
        call = shape.confirm(world)
        screen = self.hop(world, call)
        self.assertTrue(world.gateway.was_killed(), "the gateway ended otherwise")
        return call, screen

    def settle(self, world, shape, call, screen, legs):
        """After the restart; the reference."""
        again = call.hop()
        if screen is not None:
            self.assertEqual(again, screen)
        self.assertEqual(call.hop(), again)
        self.assertTrue(call.is_over)
        ref = reference(again)
        if legs == SOMEWHERE:
            eventually(lambda: self.is_told(world, shape, ref) or self.is_lost(world), "an end")
        elif "UNKNOWN" in legs:
            eventually(lambda: self.is_unknown(world), "UNKNOWN")
        else:
            eventually(lambda: self.is_told(world, shape, ref), "told")
        world.gateway.stop()
        return ref

    def is_told(self, world, shape, ref):
        return any(ref in text for text in world.messages(shape.number))

    def is_lost(self, world):
        """A request that died with its owner, and no news to come: all there was has been taken, and
        no leg was proven in this life, after which another would begin."""
        if not all(sale["ipns_acknowledged"] for sale in world.sandbox.ledger()):
            return False
        return self.is_unknown(world) and world.gateway.metrics()["tama_attempts_succeeded_total"] == 0

    def is_unknown(self, world):
        return world.gateway.metrics()["tama_attempts_unknown_total"] >= 1

    def check(self, world, shape, ref, legs):
        states = dict((leg, s) for r, leg, s in world.gateway.attempts() if r == ref)
        found = (states.get("collect", "-"), states.get("deliver", "-"))
        if legs == SOMEWHERE:
            self.assertIn(found, (SOLD, GONE, LOST_1, LOST_2))
            legs = found
        self.assertEqual(found, legs)
        self.assertEqual(list(world.gateway.purchases()), [ref])
        self.check_money(world)
        done = [leg for leg, state in zip(shape.legs, legs) if state == "SUCCEEDED"]
        executed = world.executed()
        self.assertEqual(len(executed), len(done), "executed")
        for (service, amount, number), (want, sum_, whom) in zip(executed, done):
            self.assertTrue(service.startswith(want), f"service {service}")
            self.assertEqual(amount, sum_)
            self.assertTrue(whom is None or number == whom, "another number")
        self.check_told(world, {ref: shape.number})

    def check_money(self, world):
        """No reference of ours was asked for or carried out twice; the books balance."""
        for count in world.sandbox.requests()["refs"].values():
            self.assertLessEqual((count["requested"], count["executed"]), (1, 1))
        self.assertEqual(world.sandbox.totals()["executed_twice"], 0)
        query = "SELECT count(*) FROM (SELECT sum(debit) AS s FROM ledger GROUP BY purchase, posting, currency)"
        self.assertEqual(world.gateway.rows(query + " WHERE s <> 0"), [(0,)])

    def check_told(self, world, numbers):
        """Final and told in one or two equal messages; or UNKNOWN, and something will happen."""
        waiting = {ref for ref, _, state in world.gateway.attempts() if state == "UNKNOWN"}
        for ref, state in world.gateway.purchases().items():
            told = [text for text in world.messages(numbers[ref]) if ref in text]
            if state in FINAL:
                self.assertIn(len(told), (1, 2), f"{state}: messages")
                self.assertEqual(len(set(told)), 1, [mask(t) for t in told])
                continue
            self.assertIn(ref, waiting, state)
            self.assertEqual(told, [])
            query = "SELECT kind FROM outbox o JOIN purchase p ON p.id = o.purchase WHERE p.ref = ?"
            kinds = {OUTBOX[k] for (k,) in world.gateway.rows(query, ref)}
            self.assertIn("DEADLINE", kinds)

    def kill_at(self, shape, where, legs):
        # A push that waits a little keeps the request from racing the answer.
        world = self.world({"push_delay": "500ms"} if where in ("K9", "K10") else None)
        call, screen = self.drive(world, shape, where)
        world.gateway.start()
        ref = self.settle(world, shape, call, screen, legs)
        self.check(world, shape, ref, legs)


def add_cases(cls, shape):
    for where, legs in CASES[shape]:
        def test(self, where=where, legs=legs):
            self.kill_at(shape(), where, legs)

        setattr(cls, f"test_{where.replace(':', '_time_')}", test)


class Pushed(KillTest):
    """EasyTransfert, confirmed by a push."""


class WithCode(KillTest):
    """EasyTransfert, confirmed by a code."""


class ByQuery(KillTest):
    """Xente."""


for _class, _shape in ((Pushed, Push), (WithCode, Code), (ByQuery, Uganda)):
    add_cases(_class, _shape)


class HalfWire:
    """Passes one request on to the sandbox and brings back the first bytes of the reply, no more."""

    def __init__(self, url, keep):
        self.host, self.target = url.removeprefix("http://").split(":")
        self.keep = keep
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.stopped_there = threading.Event()
        self.ends = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        near, _ = self.listener.accept()
        far = socket.create_connection((self.host, int(self.target)))
        self.ends = [near, far]
        far.sendall(near.recv(65536))
        near.sendall(far.recv(65536)[: self.keep])
        self.stopped_there.set()

    def close(self):
        for end in [self.listener, *self.ends]:
            end.close()


class OnTheWire(KillTest):
    """The gateway dies while a request is out."""

    def die_when(self, world, call, event):
        """The confirming hop, then SIGKILL once the event has come."""
        screen = call.hop()
        event()
        world.gateway.kill()
        return screen

    def hang(self, shape, provider, which):
        """K15: carried out, and the reply never comes."""
        world = self.world()
        if which == 2:
            world.sandbox.fault({"provider": provider, "op": "submit", "do": "hang", "amount": 500})
        else:
            world.sandbox.fault({"provider": provider, "op": "submit", "do": "hang"})
        world.gateway.start()
        call = shape.confirm(world)
        screen = self.die_when(
            world, call, lambda: eventually(lambda: len(world.executed()) == which, "executed"))
        world.gateway.start()
        ref = self.settle(world, shape, call, screen, SOLD)
        self.check(world, shape, ref, SOLD)

    def test_K15_collect(self):
        self.hang(Push(), "easytransfert", 1)

    def test_K15_deliver(self):
        self.hang(Push(), "easytransfert", 2)

    def test_K15_with_code(self):
        self.hang(Code(), "easytransfert", 1)

    def test_K15_xente(self):
        self.hang(Uganda(), "xente", 1)

    def test_K15_and_no_ipn(self):
        """Nobody says what became of it: UNKNOWN, not sent again, nothing told."""
        world = self.world()
        world.sandbox.fault({"op": "submit", "do": "hang"})
        world.sandbox.fault({"op": "submit", "do": "no_ipn"})
        world.gateway.start()
        call = Push().confirm(world)
        screen = self.die_when(
            world, call, lambda: eventually(lambda: len(world.executed()) == 1, "executed"))
        world.gateway.start()
        ref = self.settle(world, Push(), call, screen, LOST_1)
        self.assertEqual(world.gateway.attempts(), [(ref, "collect", "UNKNOWN")])
        self.assertEqual(len(world.executed()), 1)
        self.check_money(world)
        self.check_told(world, {ref: Push.number})

    def test_K16(self):
        """Half the reply was read; the IPN comes after the restart."""
        world = self.world()
        wire = HalfWire(world.sandbox.url, 40)
        self.addCleanup(wire.close)
        world.gateway.settings["easytransfert"] = wire.url + "/api_v1/transaction"
        world.gateway.start()
        call = Push().confirm(world)
        screen = self.die_when(world, call, lambda: self.assertTrue(wire.stopped_there.wait(20)))
        del world.gateway.settings["easytransfert"]
        world.gateway.start()
        ref = self.settle(world, Push(), call, screen, SOLD)
        self.check(world, Push(), ref, SOLD)


@unittest.skipUnless(can_trace(), "strace may not attach here")
class AtEachSend(KillTest):
    def test_push(self):
        self.each_send(Push())

    def test_xente(self):
        self.each_send(Uganda())

    def each_send(self, shape):
        """strace counts by thread: each thread in turn, as far as it sends."""
        kills = threads = 0
        while (died := self.dies_at(shape, threads, 1)) is not None:
            n = 1
            while died and n < 20:
                kills += 1
                n += 1
                died = self.dies_at(shape, threads, n)
            threads += 1
        # At least the screen, two requests, an IPN's answer, and the message.
        self.assertGreaterEqual(kills, 5)

    def dies_at(self, shape, thread, n):
        """False when the purchase was over before that thread's n-th send; None: no such thread."""
        with World(FAST) as world:
            world.gateway.start()
            tasks = sorted(pathlib.Path(f"/proc/{world.gateway.process.pid}/task").iterdir(), key=lambda t: int(t.name))
            if thread >= len(tasks):
                return None
            call = shape.confirm(world)
            tracer = self.trace(tasks[thread], n)
            screen = self.hop(world, call)
            eventually(lambda: not world.gateway.is_alive() or self.is_over(world, shape), "an end")
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
            if world.gateway.is_alive():
                return False
            self.assertTrue(world.gateway.was_killed())
            world.gateway.start()
            with self.subTest(thread=thread, send=n):
                ref = self.settle(world, shape, call, screen, SOMEWHERE)
                self.check(world, shape, ref, SOMEWHERE)
        return True

    def is_over(self, world, shape):
        """Told, and the sandbox has nothing more to bring: reports of the message come last."""
        return world.messages(shape.number) and world.sandbox.totals()["parcels"] == 0

    def trace(self, task, n):
        """strace on one thread, to kill the process as it enters its n-th send."""
        calls = "sendto,sendmsg,writev"
        tracer = subprocess.Popen(
            ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
             f"inject={calls}:signal=KILL:when={n}", "-p", task.name], stderr=subprocess.DEVNULL)
        eventually(lambda: "TracerPid:\t0\n" not in (task / "status").read_text(), "traced")
        return tracer


class DuringRecovery(KillTest):
    def twice(self, shape, first, legs):
        world = self.world()
        call, screen = self.drive(world, shape, first)
        world.gateway.start(crash="K29", ready=False)
        self.assertTrue(world.gateway.was_killed())
        world.gateway.start()
        ref = self.settle(world, shape, call, screen, legs)
        self.check(world, shape, ref, legs)

    def test_K29_after_a_reply(self):
        self.twice(Push(), "K17", SOLD)

    def test_K29_before_the_claim(self):
        self.twice(Push(), "K11", SOLD)

    def test_K29_with_a_message_owed(self):
        self.twice(Uganda(), "K23", SOLD)


class AtRandom(KillTest):
    KILLS = 20

    def test_kills_under_load(self):
        """Purchases go on while the gateway dies again and again at any moment."""
        seed = int(os.environ.get("TAMA_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed} ", end="", flush=True)
        chance = random.Random(seed)
        world = self.world()
        numbers, calls = {}, []
        with self.subTest(seed=seed):
            for i in range(self.KILLS):
                world.gateway.start()
                calls += [self.begin(world, chance, i, k) for k in range(2)]
                killer = threading.Timer(chance.uniform(0, 0.12), world.gateway.kill)
                killer.start()
                self.try_all(world, calls, numbers)
                killer.join()
            world.gateway.start()
            self.try_all(world, calls, numbers)
            self.assertEqual(len(numbers), len(calls))
            self.end(world, numbers)

    def begin(self, world, chance, i, k):
        """A call just before its confirmation; nothing is bought yet."""
        uganda = chance.random() < 0.4
        number = f"2567721{i:02}{k}00" if uganda else f"22505010{i:02}{k}00"
        call = world.call(number, "at-ug" if uganda else "at-ci")
        call.dial()
        call.keys("1 2")
        call.text += "*1"
        return call

    def try_all(self, world, calls, numbers):
        """Confirms what has no answer yet, as an aggregator would: until the gateway is gone."""
        for call in calls:
            if call.number in numbers.values():
                continue
            screen = self.hop(world, call)
            if screen is None:
                return
            numbers[reference(screen)] = call.number

    def end(self, world, numbers):
        """Everything that can end has ended: told, or UNKNOWN and known to nobody."""
        def is_told(ref):
            return any(ref in text for text in world.messages(numbers[ref]))

        def is_at_rest():
            gauges = world.gateway.metrics()
            moving = sum(gauges[f'tama_attempts{{state="{s}"}}'] for s in ("READY", "SENDING", "ACCEPTED"))
            unknown = gauges['tama_attempts{state="UNKNOWN"}']
            return moving == 0 and sum(not is_told(ref) for ref in numbers) == unknown

        eventually(is_at_rest, "at rest")
        world.gateway.stop()
        self.assertEqual(set(world.gateway.purchases()), set(numbers))
        self.check_money(world)
        self.check_told(world, numbers)
        legs = world.executed()
        self.assertEqual(len(legs), len(set(legs)), "a leg ran twice")
        # What was carried out has its IPN brought until it is taken, and no longer waits.
        unknown = {r for (r,) in world.gateway.rows("SELECT our_ref FROM attempt WHERE state = 4")}
        self.assertFalse(unknown & {s["our_ref"] for s in world.sandbox.ledger()})


if __name__ == "__main__":
    unittest.main()
