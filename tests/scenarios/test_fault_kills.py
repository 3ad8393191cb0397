"""A thousand kills of the real binary (reliability.md 3.1 and 4.2), and what its calls may answer.

Each crash point by name, and each system call of a purchase by its number, one after the other, until
a life goes through unharmed: as the call is entered, when it has been made and nobody knows yet, and
with half of its bytes moved. chain.py says what is looked at after each. The shim (tests/faults/shim.c)
counts calls of the whole process; test_kill.py does some of it again with strace, which is not ours.

`kills N` at the end is how often a process of ours died by SIGKILL. TAMA_KILLS sets how many it must
be: 1000, or fewer under a sanitizer, which cannot have a second library between it and malloc.
"""
import concurrent.futures
import os
import threading
import unittest

from chain import SHIM, Chain, Push, Uganda

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
        turn, ended = None, None
        import time; t0=time.monotonic(); self.fin=0; self.what=""
        while turn is not StopIteration:
            with Chain(self.shape) as chain:
                chain.live("the first")
                for _ in range(CHAIN):
                    try:
                        turn = lives.send(ended)
                    except StopIteration:
                        turn = StopIteration
                        break
                    label, fault, crash = turn; self.what=self.what or label
                    ended = chain.live(label, fault, crash)
                    if ended == "ended":
                        chain.wrong.append(f"{label}: ended of itself: {chain.gateway.process.output[-3:]}")
                self.kills += chain.kills
                t1=time.monotonic(); self.wrong += chain.finish(); self.fin+=time.monotonic()-t1
        self.took=time.monotonic()-t0
        return self


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
    lock = threading.Lock()

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
        jobs = list(self.sweeps())
        kills = 0
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            runs = [pool.submit(Sweep(shape).run, lives) for shape, lives in jobs]
            for run in concurrent.futures.as_completed(runs):
                sweep = run.result()
                kills += sweep.kills
                print(sweep.shape.__name__, sweep.what, sweep.kills, round(sweep.took,2), round(sweep.fin,2),flush=True)
                for wrong in sweep.wrong:
                    with self.subTest(wrong):
                        self.fail(wrong)
        print(f"kills {kills}", flush=True)
        if WANTED != 1000:
            print(f"(wanted {WANTED}: a full run wants 1000)", flush=True)
        self.assertGreaterEqual(kills, WANTED)


if __name__ == "__main__":
    unittest.main()
