"""A thousand kills of the real binary (reliability.md 3.1 and 4.2), and what its calls may answer.

Each crash point by name, and each system call of a purchase by its number, one after the other, until
a life goes through unharmed: as the call is entered, when it has been made and nobody knows yet, and
with half of its bytes moved. chain.py says what is looked at after each. The shim (tests/faults/shim.c)
counts calls of the whole process; test_kill.py does some of it again with strace, which is not ours.

`kills N` at the end is how often a process of ours died by SIGKILL. TAMA_KILLS sets how many it must
be: 1000, or fewer under a sanitizer, which cannot have a second library between it and malloc.
"""
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import unittest

import harness
from chain import Chain, Push, Uganda, copied
from harness import ROOT

MODE = os.environ.get("TAMA_MODE", "test")
WANTED = int(os.environ.get("TAMA_KILLS", 1000 if MODE == "test" else 40))
PARALLEL = 2
# Kills on one store; a fresh one begins with the schema's creation, which has its own test.
CHAIN = 40

# The points on the way of one purchase of each kind (crash.h), and how often each is passed.
POINTS = {
    Push: {"K1": 4, "K2": 4, "K3": 4, "K4": 9, "K5": 9, "K6": 9, "K7": 9, "K8": 1, "K9": 1, "K10": 6, "K11": 2,
           "K12": 2, "K13": 2, "K17": 2, "K18": 2, "K19": 2, "K20": 2, "K21": 2, "K23": 2, "K29": 1, "K30": 1},
    Uganda: {"K4": 9, "K5": 9, "K6": 9, "K7": 9, "K11": 2, "K12": 2, "K13": 2, "K17": 2, "K18": 4, "K19": 2,
             "K20": 2, "K21": 2, "K23": 2, "K24": 2, "K29": 1, "K30": 1},
}
CALLS = ["pwrite64", "fdatasync", "fsync", "write", "writev", "sendto", "sendmsg", "recvfrom", "recvmsg", "read",
         "accept4", "connect", "close", "rename", "unlink", "ftruncate64"]
BY_HALVES = {"write", "sendto"}
# What Xente's way has that EasyTransfert's has not: the query, the token, other dialects.
UGANDA_CALLS = ["fdatasync", "sendto", "recvfrom", "accept4", "connect"]


class Sweep:
    """Lives, each killed one call later than the one before, until one goes through unharmed."""

    def __init__(self, shape):
        self.shape = shape
        self.kills = 0
        self.wrong = []

    def run(self, lives):
        """lives: yields (label, fault, crash) and is told by send() how the life ended."""
        turn = next(lives)
        while turn:
            with Chain(self.shape) as chain:
                chain.live("the first")
                turn = self.go_on(chain, lives, turn)
                self.kills += chain.kills
                try:
                    self.wrong += chain.finish()
                except AssertionError as error:
                    self.wrong.append(f"the end: {error}")
        return self

    def go_on(self, chain, lives, turn):
        """As long as this store takes them; the life that is to be tried next, if any."""
        for _ in range(CHAIN):
            label, fault, crash = turn
            ended = chain.live(label, fault, crash)
            if chain.is_closed:
                return turn
            if ended == "ended":
                chain.wrong.append(f"{label}: ended of itself: {chain.gateway.process.output[-3:]}")
            # How often it is passed may differ from life to life; that it is passed may not.
            if crash and crash.endswith(":1") and ended != "killed":
                chain.wrong.append(f"{label}: {ended}, the point was not reached")
            try:
                turn = lives.send(ended)
            except StopIteration:
                return None
        return turn


def each_index(call, what):
    """Every call of that name, from the process's first on."""
    n, ended = 1, "killed"
    while ended == "killed":
        ended = yield f"{call}:{n}:{what}", f"{call}:{n}:{what}", None
        n += 1


def each_point(points):
    for name, times in points.items():
        for n in range(1, times + 1):
            yield f"{name}:{n}", None, f"{name}:{n}"


class Kills(unittest.TestCase):
    def sweeps(self):
        for shape, points in POINTS.items():
            yield shape, each_point(points)
        if MODE != "test":
            return
        for call in CALLS:
            for what in ("kill", "after", "half"):
                if what != "half" or call in BY_HALVES:
                    yield Push, each_index(call, what)
        for call in UGANDA_CALLS:
            yield Uganda, each_index(call, "kill")

    def test_a_thousand(self):
        kills = 0
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            runs = [pool.submit(Sweep(shape).run, lives) for shape, lives in self.sweeps()]
            for run in concurrent.futures.as_completed(runs):
                sweep = run.result()
                kills += sweep.kills
                for wrong in sweep.wrong:
                    with self.subTest(wrong):
                        self.fail(wrong)
        fewer = "" if WANTED == 1000 else f" (of {WANTED}: a full run wants 1000)"
        print(f"kills {kills}{fewer}", flush=True)
        self.assertGreaterEqual(kills, WANTED)


class AroundTheStore(unittest.TestCase):
    """Kills at what a purchase seldom meets."""

    def chain(self, **more):
        return self.enterContext(Chain(Push, **more))

    def check(self, chain):
        self.assertEqual(chain.finish(), [])

    def fill_the_log(self, chain, fault=None, crash=None):
        """Sells until it dies of the checkpoint, which comes at some 1,000 pages in the WAL."""
        self.assertTrue(chain.start(fault, crash))
        for _ in range(100):
            chain.try_pending()
            chain.sell("fill")
            if not chain.gateway.is_alive() or chain.sales[-1].screen is None:
                break
        return chain.autopsy("fill")

    def test_K25_a_checkpoint(self):
        """Before it, after it, and at each page that it moves; the next start has it to do again."""
        chain = self.chain()
        self.assertEqual(self.fill_the_log(chain, crash="K25:1"), "killed")
        for n in (1, 2):
            self.assertEqual(chain.live(f"K25:{n}", crash=f"K25:{n}"), "killed")
        if MODE == "test":
            n, ended = 1, "killed"
            while ended == "killed":
                # The first purchase after the start adds pages of its own: a checkpoint each time.
                ended = chain.live(f"page {n}", fault=f"pwrite64@/tama.db:{n}:kill", sell=False)
                n += 7
            self.assertGreater(n, 30)
        self.check(chain)

    def test_K26_an_upgrade(self):
        """An older store, killed at each write of its upgrade: old or new, never half."""
        chain = self.chain()
        chain.world.is_damaged = True  # its history begins in the middle
        for n in (1, 2):
            make_old_store(chain)
            self.assertEqual(self.upgraded(chain, crash=f"K26:{n}"), "killed")
            self.assertEqual(schema_version(chain), n)
        n, ended = 1, "killed"
        while ended == "killed" and MODE == "test":
            make_old_store(chain)
            ended = self.upgraded(chain, fault=f"pwrite64:{n}:kill")
            self.assertIn(schema_version(chain), (1, 2, 3))
            n += 5
        if MODE == "test":
            self.assertGreater(n, 20)
        self.assertEqual(self.upgraded(chain), "unharmed")
        self.assertEqual(schema_version(chain), 3)

    def upgraded(self, chain, **how):
        if chain.start(**how):
            chain.gateway.process.send_signal(signal.SIGTERM)
        ended = chain.gateway.wait()
        with copied(chain.gateway.data) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(db.execute("SELECT count(*) FROM purchase").fetchone(), (1,))
        return "killed" if ended == -signal.SIGKILL else "unharmed" if ended == 0 else f"ended with {ended}"

    def test_a_store_is_made_whole_or_not_at_all(self):
        chain = self.chain()
        n, ended = 1, False
        while not ended and MODE == "test":
            ended = chain.start(fault=f"pwrite64:{n}:kill")
            if not ended:
                self.assertTrue(chain.gateway.was_killed())
            n += 5
        if MODE == "test":
            self.assertGreater(n, 50)
            # It still has writes to come, and the fault is still armed.
            chain.gateway.kill()
        self.check(chain)

    def test_K28_half_reloaded(self):
        chain = self.chain()
        for n in range(5):
            self.assertTrue(chain.start(crash="K28"))
            chain.try_pending()
            chain.sell(f"before reload {n}")
            chain.gateway.process.send_signal(signal.SIGHUP)
            self.assertEqual(chain.autopsy("K28"), "killed")
        self.check(chain)

    def test_K27_a_backup(self):
        """Killed anywhere on the way: the source is as it was, and what is there is refused or whole."""
        chain = self.chain()
        for n in range(5):
            self.assertTrue(chain.start(crash="K27"))
            chain.try_pending()
            chain.sell(f"before backup {n}")
            copy = chain.world.folder / f"copy-{n}"
            done = harness.run("backup", copy, "--data", chain.gateway.data)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertEqual(chain.autopsy("K27"), "killed")
            done = harness.run("restore", copy, "--data", chain.world.folder / "new")
            self.assertIn("neither a manifest.json nor a base", done.stderr)
        self.check(chain)


def make_old_store(chain):
    """The fixture of schema 1, sealed with the key of tests/unit/store_kit.h."""
    data = chain.gateway.data
    shutil.rmtree(data, ignore_errors=True)
    data.with_name("data.mark").unlink(missing_ok=True)
    data.mkdir(mode=0o700)
    kit = (ROOT / "tests" / "unit" / "store_kit.h").read_text()
    key = re.search(r'#define KIT_KEY\s+"([^"]+)"', kit)[1].encode().hex()
    config = chain.gateway.config
    config.write_text(re.sub(r'master_key = demo_secret "\w+"', f'master_key = demo_secret "{key}"', config.read_text()))
    with contextlib.closing(sqlite3.connect(data / "tama.db")) as db:
        db.executescript((ROOT / "tests" / "fixtures" / "store" / "v1.sql").read_text())
    (data / "tama.db").chmod(0o600)


def schema_version(chain):
    with copied(chain.gateway.data) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


if __name__ == "__main__":
    unittest.main()
