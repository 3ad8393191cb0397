"""`tama restore` refused and killed at each call that it makes: no restored store ever stands in place
without its hold, and a second run does what the first could not, or says what there is to do."""
import contextlib
import fcntl
import os
import shutil
import sqlite3
import unittest

from chain import SHIM
from harness import run
from world import World

MTN = "2250501020304"
MODE = os.environ.get("TAMA_MODE", "test")
CALLS = {
    "pwrite64": ("EIO", "kill"), "write@file": ("ENOSPC", "kill"), "fsync": ("EIO", "after"),
    "fdatasync": ("EIO", "after"), "ftruncate64": ("EIO",), "rename": ("EIO", "kill", "after"), "unlink": ("EIO", "after"),
}
FAULTS = [(call, what) for call, whats in CALLS.items() for what in whats]


@unittest.skipUnless(MODE == "test", "a sanitizer does not share malloc with the shim")
class Restore(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(World({"push_delay": "0s", "spacing": "0s"}))
        self.folder, gateway = self.world.folder, self.world.gateway
        gateway.start()
        self.ref = self.world.call(MTN).buy("2 0701020304 500 1")
        self.world.sandbox.wait_for_sms(MTN, self.ref)
        self.assertEqual(run("backup", self.folder / "copy", "--data", gateway.data).returncode, 0)
        gateway.stop()
        self.new, self.mark = self.folder / "new", self.folder / "mark"

    def restore(self, fault=""):
        env = {"LD_PRELOAD": str(SHIM), "TAMA_FAULT": fault, "TAMA_FAULT_MARK": str(self.mark)} if fault else None
        return run("restore", self.folder / "copy", "--data", self.new, env=env)

    def look(self, label):
        """Whether a store stands in place; one that does is held, and older than any mark."""
        store = self.new / "tama.db"
        if not store.exists():
            return False
        # The file alone: what is in no WAL cannot be left behind with it.
        with contextlib.closing(sqlite3.connect(f"file:{store}?immutable=1", uri=True)) as db:
            held = db.execute("SELECT count(*) FROM hold WHERE account = '*' AND released_ms IS NULL").fetchone()[0]
            self.assertEqual(held, 1, label)
        return True

    def break_off(self, fault):
        """One restore that meets the fault and another after it; whether there was such a call."""
        shutil.rmtree(self.new, ignore_errors=True)
        self.mark.unlink(missing_ok=True)
        first = self.restore(fault)
        if not self.mark.exists():
            self.assertEqual(first.returncode, 0, fault + first.stderr)
            return False
        in_place = self.look(fault)
        again = self.restore()
        if in_place:
            self.assertEqual(again.returncode, 1, fault)
            self.assertIn("holds a store already", again.stderr, fault)
        else:
            self.assertEqual(again.returncode, 0, fault + again.stderr)
        self.assertTrue(self.look(fault), fault)
        verified = run("verify", "--data", self.new)
        self.assertEqual(verified.stdout, "verified 1 purchases\n", fault)
        self.assertEqual(sorted(p.name for p in self.new.iterdir() if p.name.startswith("tama.db.new")), [], fault)
        return True

    def test_refused_or_killed_at_each_call(self):
        met = 0
        for call, what in FAULTS:
            n = 1
            while self.break_off(f"{call}:{n}:{what}"):
                n += 1
            met += n - 1
        self.assertGreater(met, 30)

    def test_what_stands_there_is_never_overwritten(self):
        self.assertEqual(self.restore().returncode, 0)
        before = (self.new / "tama.db").read_bytes()
        said = self.restore()
        self.assertEqual(said.returncode, 1)
        self.assertIn("holds a store already", said.stderr)
        self.assertEqual((self.new / "tama.db").read_bytes(), before)

    def test_nobody_works_there_meanwhile(self):
        """Who holds the directory's lock keeps a restore out, as it keeps other gateways out."""
        self.new.mkdir(mode=0o700)
        with open(self.new / "lock", "w") as lock:
            os.chmod(lock.name, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = self.restore()
        self.assertEqual(said.returncode, 1)
        self.assertIn("another tama holds", said.stderr)
        self.assertEqual(self.restore().returncode, 0)


if __name__ == "__main__":
    unittest.main()
