"""Clock, operating system and resources (reliability.md 3.3): what a machine does to a process."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

from chain import FAST, SHIM, Chain, Push, broken
from chaos import Chaos
from gateway import can_trace
from harness import eventually, request
from soak import usage
from world import BROKEN, World, reference

MODE = os.environ.get("TAMA_MODE", "test")
FAKETIME = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
CGROUP = pathlib.Path("/sys/fs/cgroup/memory")
NUMBER = "22505010{:05}"
# Longer than LIMIT_CLAIM_MS: what was claimed before is not sent any more.
SUSPENDED_S = 11
no_shim = unittest.skipUnless(MODE == "test", "a sanitizer does not share malloc with a preloaded library")


class Os(unittest.TestCase):
    def chain(self, **more):
        return self.enterContext(Chain(Push, **more))

    def world(self, settings=None, **sandbox):
        return self.enterContext(World(FAST | (settings or {}), **({"ipn_delay_ms": 20} | sandbox)))

    def buy(self, world, n):
        call = world.call(NUMBER.format(n))
        call.dial()
        return reference(call.keys("1 500 1"))

    def told(self, world, n, ref):
        return any(ref in text for text in world.messages(NUMBER.format(n)))

    def sold(self, world, n):
        """A whole purchase, to its message."""
        ref = self.buy(world, n)
        eventually(lambda: self.told(world, n, ref), f"purchase {n} told")
        return ref


class Clock(Os):
    def setUp(self):
        if FAKETIME is None or MODE != "test":
            self.skipTest("libfaketime is not here, or a sanitizer is")
        self.w = self.world()
        self.file = self.w.folder / "clock"
        self.set("+0")
        env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
        self.w.gateway.start(env=env)

    def set(self, offset):
        new = self.file.with_suffix(".new")
        new.write_text(offset)
        new.rename(self.file)

    def gauge(self, state):
        return self.w.gateway.metrics()[f'tama_attempts{{state="{state}"}}']

    def in_doubt(self):
        self.w.sandbox.fault({"op": "submit", "do": "lost_reply"})
        self.w.sandbox.fault({"op": "submit", "do": "no_ipn"})
        ref = self.buy(self.w, 1)
        eventually(lambda: self.gauge("UNKNOWN") == 1, "UNKNOWN")
        return ref

    def jump(self, offset):
        """What was in doubt before the jump is so after it; new purchases go their way at once."""
        ref = self.in_doubt()
        self.sold(self.w, 2)
        self.set(offset)
        for n in range(3, 6):
            self.sold(self.w, n)
        # A deadline that fell due by the wall would have been taken in these steps.
        self.assertEqual((self.gauge("UNKNOWN"), self.gauge("REVIEW")), (1, 0))
        self.w.gateway.stop()
        self.assertEqual(self.w.gateway.purchases()[ref], "COLLECTING")
        self.assertEqual(broken(self.w.gateway.data), [])
        ids = [i for (i,) in self.w.gateway.rows("SELECT id FROM attempt UNION ALL SELECT id FROM purchase")]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(self.w.sandbox.totals()["executed_twice"], 0)

    def test_three_days_ahead(self):
        """F-C1: nobody's deadline comes early."""
        self.jump("+3d")

    def test_three_days_back(self):
        """F-C2: what falls due a moment later is not due in three days."""
        self.jump("-3d")

    def test_to_1970(self):
        """F-C2: a clock that lost its battery."""
        self.jump("-20500d")


class Suspended(Os):
    """F-C4, F-H2: the machine sleeps longer than a claim lives, at the worst moments."""

    def test_past_the_claim(self):
        points = ["K12", "K13"]
        # The answer has left before the request is due: a stopped process answers nobody.
        worlds = [self.world({"push_delay": "300ms"}) for _ in points]
        refs = []
        for world, point in zip(worlds, points):
            world.gateway.start(crash=f"stop:{point}")
            refs.append(self.buy(world, 1))
        for world in worlds:
            eventually(lambda: self.is_stopped(world), "stopped")
        until = time.monotonic() + SUSPENDED_S
        eventually(lambda: time.monotonic() > until, "a long sleep", SUSPENDED_S + 5)
        for world, point, ref in zip(worlds, points, refs):
            with self.subTest(point):
                world.gateway.process.send_signal(signal.SIGCONT)
                eventually(lambda: self.told(world, 1, ref), "told")
                world.gateway.stop()
                states = [s for _, leg, s in world.gateway.attempts() if leg == "collect"]
                self.assertEqual(states, ["NOT_SENT", "SUCCEEDED"])
                self.assertEqual(len(world.executed()), 2)

    def is_stopped(self, world):
        stat = pathlib.Path(f"/proc/{world.gateway.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def test_while_a_request_is_out(self):
        """Stopped with a reply on the way: read when it wakes, or a doubt; one execution."""
        world = self.world()
        world.sandbox.fault({"op": "submit", "do": "delay_ms", "ms": 500})
        world.gateway.start()
        ref = self.buy(world, 1)
        eventually(lambda: world.executed(), "executed")
        world.gateway.process.send_signal(signal.SIGSTOP)
        eventually(lambda: self.is_stopped(world), "stopped")
        until = time.monotonic() + 2
        eventually(lambda: time.monotonic() > until, "the reply has come", 5)
        world.gateway.process.send_signal(signal.SIGCONT)
        eventually(lambda: self.told(world, 1, ref), "told")
        world.gateway.stop()
        self.assertEqual(world.sandbox.totals()["executed_twice"], 0)


class Resources(Os):
    def test_no_descriptors_left(self):
        """F-C6: 64 descriptors and 200 callers; what was begun ends, and it goes on afterwards."""
        world = self.world({"push_delay": "300ms"})
        world.gateway.start(wrap=["prlimit", "--nofile=64:64"])
        ref = self.buy(world, 1)
        callers = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                callers.append(socket.create_connection(("127.0.0.1", world.gateway.port), timeout=2))
        self.assertGreater(len(callers), 60)
        # No descriptor for a request: nothing has left, and it is tried again when there is one.
        for caller in callers:
            caller.close()
        eventually(lambda: self.told(world, 1, ref), "told", 60)
        self.sold(world, 2)
        world.gateway.stop()
        self.assertEqual(broken(world.gateway.data), [])
        self.assertEqual(world.sandbox.totals()["executed_twice"], 0)

    @no_shim
    def test_no_more_threads(self):
        """F-C8: refused at the start, with the reason; the next start is as any other."""
        chain = self.chain()
        n = 1
        while not chain.start(f"pthread_create:{n}:EAGAIN"):
            self.assertEqual(chain.gateway.wait(), 1, chain.gateway.process.output)
            self.assertTrue(chain.gateway.process.output, "no reason told")
            n += 1
        self.assertGreater(n, 4)
        self.assertEqual(chain.finish(), [])

    def test_little_memory(self):
        """F-C7: the kernel kills it for its memory; what was acknowledged is there."""
        group = CGROUP / f"tama-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text("8M")
        except OSError as error:
            with contextlib.suppress(OSError):
                group.rmdir()
            self.skipTest(f"no memory group here: {error}")
        chain = self.chain()
        self.assertTrue(chain.start())
        chain.sell("before")
        chain.wait_for(chain.is_quiet)
        (group / "cgroup.procs").write_text(str(chain.gateway.process.pid))
        # What it holds stays charged to where it was; each thread's new pages count here.
        for n in range(300):
            if not chain.gateway.is_alive():
                break
            chain.sell(f"sale {n}")
            if chain.sales[-1].screen is None:
                break
        self.assertGreater(int((group / "memory.failcnt").read_text()), 0, "the limit was never reached")
        with contextlib.suppress(OSError):
            (CGROUP / "cgroup.procs").write_text(str(chain.gateway.process.pid))
        if chain.gateway.is_alive():
            chain.gateway.kill()
        eventually(lambda: self.gone(group), "the group ended")
        self.assertEqual(chain.finish(), [])

    def gone(self, group):
        with contextlib.suppress(OSError):
            group.rmdir()
        return not group.exists()

    def test_starved(self):
        """F-C9: the processor belongs to others; purchases take longer and are what they were."""
        world = self.world()
        world.gateway.start(wrap=["nice", "-n", "19"])
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
        try:
            for n in range(3):
                self.sold(world, n)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        world.gateway.stop()
        self.assertEqual(world.sandbox.totals()["executed_twice"], 0)

    @no_shim
    def test_memory_ends_anywhere(self):
        """F-B15: the n-th allocation fails, once or from then on. It goes on, or ends with a message and
        no half transaction: our own code aborts where there is no way to say no (134)."""
        chance = random.Random(int(os.environ.get("TAMA_SEED", 15)))
        chain = self.chain(ipn_retry_ms=10)
        chain.live("the first")
        ends = {}
        for i in range(60):
            n, more = int(10 ** chance.uniform(0, 4.2)), "+" if i % 4 == 0 else ""
            label = f"malloc:{n}{more}:ENOMEM"
            if chain.start(label):
                chain.sell(label)
                with contextlib.suppress(AssertionError, *BROKEN):
                    chain.wait_for(chain.is_quiet, 0.3)
                if chain.gateway.is_alive():
                    chain.gateway.process.send_signal(signal.SIGKILL)
            chain.sales = [s for s in chain.sales if s.screen and "Réf " in s.screen.replace("Ref ", "Réf ")]
            status = chain.gateway.wait()
            ends[status] = ends.get(status, 0) + 1
            self.assertIn(status, (0, 1, 75, -signal.SIGKILL, -signal.SIGABRT), label)
            self.assertEqual(broken(chain.gateway.data), [], label)
            for sale in chain.sales:
                sale.is_repeated = True
        print(f"ends {ends} ", end="", flush=True)
        wrong = chain.finish(must_be_told=False)
        self.assertEqual([w for w in wrong if not w.startswith("a purchase that nobody")], [])


def is_pending(pid, number):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("ShdPnd:")[1].split()[0], 16) >> (number - 1) & 1


class Reloads(Os):
    RELOADS = 300 if MODE == "test" else 30

    def test_reloads_without_end(self):
        """F-I12: read again and again while people buy; descriptors and memory are what they were."""
        world = self.world()
        world.gateway.start()

        def reload(times):
            for n in range(times):
                world.gateway.process.send_signal(signal.SIGHUP)
                # The log tells ten a second; a signal that is no longer pending is being worked on.
                eventually(lambda: not is_pending(world.gateway.process.pid, signal.SIGHUP), "taken")
                if n % 20 == 0:
                    reload.sold += 1
                    self.sold(world, reload.sold)

        reload.sold = 0
        reload(self.RELOADS // 3)
        before = usage(world.gateway.process.pid)
        reload(self.RELOADS)
        after = usage(world.gateway.process.pid)
        print(f"reloads {self.RELOADS} rss_growth_kib {after[0] - before[0]} fd_growth {after[1] - before[1]} ", end="")
        self.assertLessEqual(after[1], before[1] + 4)
        if MODE == "test":
            self.assertLess(after[0] - before[0], 8192)
        world.gateway.stop()


    def test_accounts_exchanged(self):
        """F-K5: what was begun stays with the account that its attempt names; what begins later is the new one's."""
        world = self.world({"push_delay": "2s"})
        chaos = Chaos(world.sandbox.port)
        self.addCleanup(chaos.close)
        world.gateway.start()
        ref = self.buy(world, 1)
        text = world.gateway.config.read_text()
        old = text[text.index('account "et-ci" {'):text.index('account "xente-ug" {')]
        new = old.replace('"et-ci"', '"et-new"').replace("base_url = easytransfert", f'base_url = "{chaos.url}/api_v1/transaction"')
        offers = text.index('\noffer "')
        text = text[:offers].replace(old, old + new) + text[offers:].replace('account = "et-ci"', 'account = "et-new"')
        world.gateway.config.write_text(text)
        world.gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: not is_pending(world.gateway.process.pid, signal.SIGHUP), "taken")
        self.assertEqual(world.executed(), [])
        eventually(lambda: self.told(world, 1, ref), "told")
        world.gateway.stop()
        query = "SELECT leg, account, state FROM attempt ORDER BY id"
        self.assertEqual(world.gateway.rows(query), [(1, "et-ci", 6), (2, "et-new", 6)])
        self.assertEqual(len(chaos.fates()), 1)


class Surroundings(Os):
    def start_without(self, world, closed):
        """Without its standard descriptors there is no line to wait for: the port answers."""
        world.gateway.start(wrap=["sh", "-c", f'exec "$@" {closed}', "sh"], ready=False)

        def answers():
            with contextlib.suppress(*BROKEN):
                return request(f"http://127.0.0.1:{world.gateway.admin}/readyz", timeout=2).status == 200
            return False

        eventually(answers, "ready")

    def test_closed_descriptors(self):
        """F-C12: no file of ours may become descriptor 1 or 2, where something prints into it."""
        for closed in ("<&- >&- 2>&-", ">&- 2>&-", "2>&-"):
            with self.subTest(closed):
                world = World(FAST)
                with world:
                    self.start_without(world, closed)
                    self.sold(world, 1)
                    fds = pathlib.Path(f"/proc/{world.gateway.process.pid}/fd")
                    for n in range(3):
                        self.assertNotIn(str(world.gateway.data), os.readlink(fds / str(n)))
                    world.gateway.kill()
                    self.assertEqual(broken(world.gateway.data), [])

    def test_nobody_else_has_the_store_open(self):
        """F-B12: one descriptor for each of SQLite's connections, and no third."""
        world = self.world()
        world.gateway.start()
        self.sold(world, 1)
        fds = pathlib.Path(f"/proc/{world.gateway.process.pid}/fd")
        open_now = [os.readlink(fd) for fd in fds.iterdir() if fd.is_symlink()]
        self.assertEqual(sum(path.endswith("/tama.db") for path in open_now), 2)

    def test_two_at_once(self):
        """F-C13: a hundred races for one data directory; one wins each."""
        world = self.world()
        gateway = world.gateway
        for n in range(100):
            gateway.start(ready=False)
            first = gateway.process
            gateway.start(ready=False)
            pair = [first, gateway.process]
            eventually(lambda: sum(p._process.poll() is not None for p in pair) == 1 and
                       any("listening" in line for p in pair for line in p.output) or
                       all(p._process.poll() is not None for p in pair), "one of the two")
            ended = [p for p in pair if p._process.poll() is not None]
            self.assertEqual(len(ended), 1, [p.output for p in pair])
            self.assertEqual(ended[0].wait(), 1)
            self.assertIn("another tama holds the data directory", " ".join(ended[0].output))
            winner = pair[1 - pair.index(ended[0])]
            self.assertEqual(winner.kill(), -signal.SIGKILL)
        gateway.start()
        self.sold(world, 1)

    @unittest.skipUnless(can_trace(), "strace may not attach here")
    @no_shim
    def test_no_chance(self):
        """F-C10: neither getrandom nor /dev/urandom: it does not start with guessable secrets."""
        world = self.world()
        env = {"LD_PRELOAD": str(SHIM), "TAMA_FAULT": "getrandom:1+:ENOSYS"}
        world.gateway.start(ready=False, env=env, wrap=[
            "strace", "-f", "-qq", "-o", "/dev/null", "-P", "/dev/urandom", "-P", "/dev/random",
            "-e", "inject=open,openat:error=ENOENT"])
        self.assertNotEqual(world.gateway.wait(), 0)
        self.assertFalse(any("listening" in line for line in world.gateway.process.output))
        world.gateway.start()
        self.sold(world, 1)

    def hang_up(self, world):
        """Its answer meets a connection that was reset: EPIPE, and no signal."""
        with socket.create_connection(("127.0.0.1", world.gateway.port)) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.sendall(b"GET /ussd/at-ci/x HTTP/1.1\r\nHost: x\r\n\r\n")

    def test_signals(self):
        """F-C11: a storm of SIGHUP, callers that are gone when they are answered, SIGTERM twice."""
        world = self.world()
        world.gateway.start()
        refs = {}
        for n in range(20):
            world.gateway.process.send_signal(signal.SIGHUP)
            self.hang_up(world)
            refs[n] = self.buy(world, n)
        for n, ref in refs.items():
            eventually(lambda: self.told(world, n, ref), f"{n} told")
        world.gateway.process.send_signal(signal.SIGTERM)
        world.gateway.process.send_signal(signal.SIGTERM)
        self.assertEqual(world.gateway.wait(), 0)
        self.assertEqual(broken(world.gateway.data), [])

    @unittest.skipUnless(shutil.which("fiu-run") and MODE == "test", "libfiu is not here, or a sanitizer is")
    def test_errors_by_chance(self):
        """libfiu: each call of input and output fails now and then. Its chance has no seed to give."""
        points = {"posix/io/sync/*": 0.05, "posix/io/net/*": 0.01, "posix/io/rw/write": 0.01,
                  "posix/io/rw/pwrite": 0.01, "posix/io/dir/*": 0.05, "posix/io/rw/read/reduce": 0.05}
        chain = self.chain(ipn_retry_ms=10)
        for i in range(12):
            name, probability = list(points.items())[i % len(points)]
            command = f"enable_random name={name},probability={probability}"
            with contextlib.suppress(AssertionError):
                chain.gateway.start(wrap=["fiu-run", "-x", "-c", command])
            if chain.gateway.is_alive():
                chain.sell(command)
                with contextlib.suppress(AssertionError, *BROKEN):
                    chain.wait_for(chain.is_quiet, 0.3)
            if chain.gateway.is_alive():
                chain.gateway.process.send_signal(signal.SIGKILL)
            status = chain.gateway.wait()
            self.assertIn(status, (0, 1, 75, -signal.SIGKILL, 137), f"{name}: {chain.gateway.process.output[-3:]}")
            self.assertEqual(broken(chain.gateway.data), [], name)
            chain.sales = [s for s in chain.sales if s.screen and "f " in s.screen and len(s.screen) > 20]
            for sale in chain.sales:
                sale.is_repeated = True
        chain.sales = [s for s in chain.sales if self.has_reference(s)]
        wrong = chain.finish(must_be_told=False)
        self.assertEqual([w for w in wrong if not w.startswith("a purchase that nobody")], [])

    def has_reference(self, sale):
        with contextlib.suppress(AssertionError):
            return bool(reference(sale.screen))
        return False


if __name__ == "__main__":
    unittest.main()
