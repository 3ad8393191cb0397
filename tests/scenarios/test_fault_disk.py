"""The disk under the store (reliability.md 3.2): power loss, full, read-only, slow, damaged, locked,
and files that are missing.

Power loss is SIGKILL and then, on ext4 in a loop image, its shutdown ioctl, which drops what was not
synced, journal included; "full" and "read-only" are a small tmpfs. Both need the right to mount.
"""
import contextlib
import ctypes
import fcntl
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from chain import Chain, Push, broken, copied
from harness import eventually
from world import BROKEN

MODE = os.environ.get("TAMA_MODE", "test")
# _IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN; 2 is NOLOGFLUSH.
SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
RESERVE = 64 << 20  # LIMIT_DISK_RESERVE
CYCLES = int(os.environ.get("TAMA_POWER_CYCLES", 20 if MODE == "test" else 3))


CLONE_NEWNS = 0x00020000


def mount_or_skip():
    """Mounts are ours alone from here on: a namespace that somebody else makes meanwhile would take a
    copy of them along and keep a file system alive that we have left."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise unittest.SkipTest(f"may not mount here: {os.strerror(ctypes.get_errno())}")
    with tempfile.TemporaryDirectory() as folder:
        for how in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]):
            done = subprocess.run(["mount", *how], capture_output=True, text=True)
            if done.returncode:
                raise unittest.SkipTest(f"may not mount here: {done.stderr.strip()}")
        subprocess.run(["umount", folder], check=True)


class Disk(unittest.TestCase):
    def chain(self, **more):
        return self.enterContext(Chain(Push, **more))

    def put_data_on(self, chain, *mount):
        """Mounts something and keeps the data there."""
        folder = chain.world.folder / "disk"
        folder.mkdir()
        subprocess.run(["mount", *mount, folder], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", folder], capture_output=True))
        chain.gateway.data = folder / "data"
        chain.gateway.settings["data"] = chain.gateway.data
        return folder

    def sell(self, chain, label):
        """True when it was acknowledged with a reference; only then it counts. The session may be lost
        with the disk, so that the hop is not brought again."""
        before = len(chain.sales)
        chain.sell(label)
        if len(chain.sales) == before:
            return False
        sale = chain.sales[-1]
        sale.is_repeated = True
        if re.search(r"R[ée]f \w{8}", sale.screen or ""):
            return True
        chain.sales.remove(sale)
        return False

    def screen_of(self, chain, keys="1 500 1"):
        chain.count += 1
        call = chain.world.call(chain.shape.number.format(chain.count), chain.shape.channel)
        call.dial()
        return call.keys(keys)


class PowerLoss(Disk):
    setUpClass = staticmethod(mount_or_skip)

    def setUp(self):
        self.world = chain = self.chain()
        self.sold = 0
        self.image = chain.world.folder / "image"
        with open(self.image, "wb") as image:
            image.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self.folder = chain.world.folder / "disk"
        self.folder.mkdir()
        chain.gateway.data = self.folder / "data"
        chain.gateway.settings["data"] = chain.gateway.data

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.image, self.folder], capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f"no loop device here: {done.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", self.folder], capture_output=True))

    def lose_power(self):
        """What is not synced is gone. The process must be dead by then: under a running one ext4 ends
        an fsync with success that found its transaction dropped, which no power cut does."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def test_acknowledged_purchases_survive(self):
        """F-B1: the power fails while purchases go on; what was acknowledged is there, once."""
        seed = int(os.environ.get("TAMA_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed} cycles {CYCLES} ", end="", flush=True)
        chance, chain = random.Random(seed), self.world
        for cycle in range(CYCLES):
            self.mount()
            with self.subTest(seed=seed, cycle=cycle):
                self.assertTrue(chain.start(), chain.gateway.process.output)
                pid = chain.gateway.process.pid
                timer = threading.Timer(chance.uniform(0, 0.15), os.kill, (pid, signal.SIGKILL))
                timer.start()
                while timer.is_alive() and not chain.is_closed:
                    self.sell(chain, f"cycle {cycle}")
                timer.join()
                chain.gateway.wait()
                self.lose_power()
            subprocess.run(["umount", self.folder], check=True)
            if chain.is_closed or cycle == CYCLES - 1:
                self.look(chain)
        self.assertGreater(self.sold, CYCLES // 4)

    def look(self, chain):
        """What there is in the end; the next cycles have a store of their own."""
        self.mount()
        self.assertEqual(broken(chain.gateway.data), [])
        self.sold += len(chain.sales)
        self.finish(chain)
        subprocess.run(["umount", self.folder], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        chain.sandbox.reset()
        chain.sales, chain.is_closed = [], False

    def finish(self, chain):
        """As at the end of any chain; purchases in doubt at a power cut may be there without an answer."""
        wrong = chain.finish(must_be_told=False)
        self.assertEqual([w for w in wrong if not w.startswith("a purchase that nobody")], [])


class Full(Disk):
    setUpClass = staticmethod(mount_or_skip)

    def fill(self, folder, leave=0):
        with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as ballast:
            while shutil.disk_usage(folder).free > leave:
                ballast.write(b"x" * min(65536, max(1, shutil.disk_usage(folder).free - leave)))

    def test_refused_before_the_confirmation(self):
        """F-B5: below the reserve no purchase is begun; IPNs go on to be taken; room, and it sells again."""
        chain = self.chain()
        folder = self.put_data_on(chain, "-t", "tmpfs", "-o", "size=80m", "tmpfs")
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "before"))
        chain.wait_for(chain.is_quiet)
        self.fill(folder, 60 << 20)
        eventually(lambda: chain.gateway.metrics()["tama_disk_free_bytes"] < RESERVE, "noticed")
        screen = self.screen_of(chain, "1 500")
        self.assertNotIn("Confirmer", screen)
        self.assertEqual(chain.gateway.metrics()["tama_purchases_total"], 1)
        (folder / "ballast").unlink()
        eventually(lambda: chain.gateway.metrics()["tama_disk_free_bytes"] > RESERVE, "noticed")
        self.assertTrue(self.sell(chain, "after"))
        chain.wait_for(chain.is_quiet)
        self.assertEqual(chain.finish(), [])

    def test_full_to_the_last_byte(self):
        """No commit at all: refused on the phone, 503 to an IPN; nothing lost when there is room again."""
        chain = self.chain(settings={"disk_reserve": 0}, ipn_delay_ms=300, ipn_retry_ms=20)
        folder = self.put_data_on(chain, "-t", "tmpfs", "-o", "size=16m", "tmpfs")
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "before"))
        eventually(lambda: chain.sandbox.totals()["executed"] == 1, "sent")
        self.fill(folder)
        before = self.requests(chain)
        # ENOSPC in a commit is a doubt: the process may be gone before it can say anything.
        with contextlib.suppress(*BROKEN):
            self.assertNotRegex(self.screen_of(chain), "R[ée]f ")
        eventually(lambda: self.requests(chain) > before + 4, "an IPN came, or the end")
        self.assertEqual(chain.sandbox.ledger()[0]["ipns_acknowledged"], 0)
        (folder / "ballast").unlink()
        if self.requests(chain) == float("inf"):
            self.assertEqual(chain.gateway.wait(), 75)
            self.assertTrue(chain.start())
        eventually(lambda: chain.world.messages(chain.sales[0].call.number), "told")
        chain.gateway.stop()
        wrong = chain.finish(must_be_told=False)
        self.assertEqual([w for w in wrong if not w.startswith("a purchase that nobody")], [])

    def requests(self, chain):
        """Without end when there is nobody to ask."""
        try:
            return chain.gateway.metrics()["tama_http_requests_total"]
        except BROKEN:
            return float("inf")

    def test_read_only(self):
        """F-B6: as good as no disk: nothing is sold, the process stops itself, a start is refused."""
        chain = self.chain(settings={"disk_reserve": 0})
        folder = self.put_data_on(chain, "-t", "tmpfs", "-o", "size=16m", "tmpfs")
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "before"))
        chain.wait_for(chain.is_quiet)
        chain.gateway.stop()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        self.assertFalse(chain.start())
        self.assertEqual(chain.gateway.wait(), 1)
        self.assertIn("Read-only", " ".join(chain.gateway.process.output))
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        self.assertEqual(chain.finish(), [])


class Slow(Disk):
    @unittest.skipUnless(MODE == "test", "a sanitizer does not share malloc with the shim")
    def test_each_sync_takes_long(self):
        """F-B14: hops that buy are answered within their time; many purchases share a sync."""
        chain = self.chain()
        self.assertTrue(chain.start("fdatasync:4+:slow=400"))
        calls = []
        for n in range(8):
            call = chain.world.call(chain.shape.number.format(500 + n))
            call.dial()
            call.keys("1 500")
            call.text += "*1"
            calls.append(call)
        screens = [None] * len(calls)

        def confirm(n):
            screens[n] = calls[n].hop()

        threads = [threading.Thread(target=confirm, args=(n,)) for n in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        for screen in screens:
            self.assertRegex(screen, "R[ée]f ")
        commits = chain.gateway.metrics()["tama_commits_total"]
        self.assertLess(commits, 8 + 4, "each purchase had a commit of its own")
        eventually(lambda: all(chain.world.messages(c.number) for c in calls), "told")
        chain.gateway.kill()
        self.assertEqual(broken(chain.gateway.data), [])


class Damaged(Disk):
    """What lies there is not what we left there."""

    def left(self):
        """A store with three purchases, ended in good order."""
        chain = self.chain()
        chain.world.is_damaged = True
        self.assertTrue(chain.start())
        for n in range(3):
            self.assertTrue(self.sell(chain, f"sale {n}"))
            chain.wait_for(chain.is_quiet)
        chain.gateway.stop()
        return chain

    def ends(self, chain):
        """True when it starts, sells and stops; else it must have refused in good order."""
        if not chain.start():
            self.assertIn(chain.gateway.wait(), (1, 75))
            return False
        with contextlib.suppress(*BROKEN):
            chain.sell("damaged")
        if chain.gateway.is_alive():
            chain.gateway.process.send_signal(signal.SIGTERM)
        self.assertIn(chain.gateway.wait(), (0, 75))
        return True

    def test_a_page_of_noise(self):
        """F-B9: the head of the database, or a page in the middle: refused, never repaired."""
        for page in (0, 1, 2, 5):
            with self.subTest(page=page):
                chain = self.left()
                noise = bytes((page * 7 + i * 31) % 256 for i in range(4096))
                with open(chain.gateway.data / "tama.db", "r+b") as db:
                    db.seek(4096 * page)
                    db.write(noise)
                started = self.ends(chain)
                self.assertFalse(started and page == 0)
                if page == 0:
                    self.assertFalse(chain.start())
                    self.assertEqual(chain.gateway.wait(), 1)
                if not started:
                    left = (chain.gateway.data / "tama.db").read_bytes()[4096 * page:][:4096]
                    self.assertEqual(left, noise, "it was repaired")

    def test_flipped_bytes_in_the_log(self):
        """F-B9: a frame of the WAL that does not match its checksum ends the log there. The store is
        sound, older than its mark, and held: what it lacks may have been sent. (A frame of the last
        second before the end is what the mark cannot miss: mark.h.)"""
        chance = random.Random(7)
        for _ in range(3):
            chain = self.left_older_than_a_second()
            wal = chain.gateway.data / "tama.db-wal"
            at = chance.randrange(32, self.old_size)
            with self.subTest(at=at), open(wal, "r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 0x40]))
                file.flush()
                with copied(chain.gateway.data) as db:
                    self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
                self.is_held(chain)

    def test_the_log_is_gone(self):
        """F-B11: rm tama.db-wal. The store is behind its mark: it starts held, or not at all."""
        chain = self.left_older_than_a_second()
        (chain.gateway.data / "tama.db-wal").unlink()
        (chain.gateway.data / "tama.db-shm").unlink(missing_ok=True)
        self.is_held(chain)

    def left_older_than_a_second(self):
        """One sale, others for two seconds after it, and all in the WAL."""
        chain = self.chain()
        chain.world.is_damaged = True
        mark = chain.gateway.data.with_name("data.mark")
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "old"))
        chain.wait_for(chain.is_quiet)
        self.old_size = (chain.gateway.data / "tama.db-wal").stat().st_size
        # The first sale after a second raises the generation and writes a new mark. Few sales: at 1,000
        # pages a checkpoint would take all of it into the database.
        for _ in range(2):
            before, until = mark.read_bytes(), time.monotonic() + 1.2
            eventually(lambda: time.monotonic() > until, "a second later")
            self.assertTrue(self.sell(chain, "later"))
            eventually(lambda: mark.read_bytes() != before, "a new mark")
        chain.wait_for(chain.is_quiet)
        chain.gateway.kill()
        return chain

    def is_held(self, chain):
        before = chain.sandbox.totals()["executed"]
        if chain.start():
            eventually(lambda: chain.gateway.metrics()["tama_accounts_held"] >= 1, "held")
            self.assertNotRegex(self.screen_of(chain), "R[ée]f ")
            chain.gateway.stop()
        else:
            self.assertEqual(chain.gateway.wait(), 1)
        self.assertEqual(chain.sandbox.totals()["executed"], before)

    def test_a_newer_schema(self):
        """F-K6: an older binary on a newer store does not touch it."""
        chain = self.left()
        file = chain.gateway.data / "tama.db"
        with contextlib.closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA user_version = 99")
        before = file.read_bytes()
        self.assertFalse(chain.start())
        self.assertEqual(chain.gateway.wait(), 1)
        self.assertIn("made by a newer tama", " ".join(chain.gateway.process.output))
        self.assertEqual(file.read_bytes()[:4096][24:28], before[:4096][24:28])
        with contextlib.closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA user_version = 3")
        self.assertEqual(chain.finish(), [])


class Foreign(Disk):
    """Somebody else's connection, which the operator is told never to open."""

    def test_a_writer_holds_the_lock(self):
        """F-B7: hops are answered in time, nothing is half done, and all goes on when it lets go."""
        chain = self.chain()
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "before"))
        chain.wait_for(chain.is_quiet)
        other = sqlite3.connect(chain.gateway.data / "tama.db", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        screen = self.screen_of(chain)
        self.assertNotRegex(screen, "R[ée]f ")
        other.execute("ROLLBACK")
        eventually(lambda: self.sell(chain, "after"), "sold again")
        chain.wait_for(chain.is_quiet)
        self.assertEqual(chain.finish(), [])

    def test_a_reader_that_never_ends(self):
        """F-B10: the WAL cannot be reset past it; it is told, and shrinks when the reader goes."""
        chain = self.chain()
        self.assertTrue(chain.start())
        self.assertTrue(self.sell(chain, "before"))
        other = sqlite3.connect(chain.gateway.data / "tama.db", isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM purchase").fetchall()
        for n in range(40):
            self.assertTrue(self.sell(chain, f"sale {n}"))
        chain.wait_for(chain.is_quiet)
        other.execute("ROLLBACK")
        wal = chain.gateway.data / "tama.db-wal"
        grown = wal.stat().st_size
        # A checkpoint would have come at 4 MiB and let it begin anew.
        self.assertGreater(grown, 6 << 20)
        for n in range(40):
            self.assertTrue(self.sell(chain, f"later {n}"))
        chain.wait_for(chain.is_quiet)
        self.assertLess(wal.stat().st_size, grown + (1 << 20), "it is not used again")
        self.assertEqual(chain.finish(), [])


if __name__ == "__main__":
    unittest.main()
