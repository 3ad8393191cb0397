"""Lives of one gateway, one after the other on the same data: each sells a purchase and may meet a
fault on the way; the next finds what the last one left. A life that dies in its recovery is the
second level of an earlier kill without further ado.

After each death the store is looked at as it lies there (a copy: opening it would tidy it up), and the
provider's ledger is asked whether anything was carried out twice. At the end of the chain everything
has been told, or waits in doubt with a row that will fall due, and every request is compared with the
provider's own book by its reference.
"""
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import tempfile
import time

from gateway import PATIENCE_S
from harness import ROOT, eventually
from world import BROKEN, World, mask, reference

BUILD = pathlib.Path(os.environ.get("TAMA_BUILD", ROOT / "build" / "test"))
SHIM = BUILD / "faults" / "shim.so"
FAST = {"push_delay": "0s", "spacing": "0s", "queries": 6000}
READY, SENDING, ACCEPTED, UNKNOWN, NOT_SENT, SUCCEEDED, FAILED, EXPIRED = range(1, 9)
STRANGER = "a purchase that nobody confirmed"
NOTHING_LIVE = (NOT_SENT, FAILED, EXPIRED)


class Push:
    """Cote d'Ivoire, EasyTransfert: MTN pays by a push, for the own number."""

    channel, keys, number = "at-ci", "1 500", "22505010{:05}"


class Uganda:
    """Uganda, Xente: its IPN is only a hint, a query confirms."""

    channel, keys, number = "at-ug", "1 2", "2567721{:05}"


# ---- the store as it lies there -------------------------------------------------------------------


def chain_hash(before, row):
    purchase, seq, partner, attempt, was, now, cause, evidence, incarnation, at_ms, _ = row
    fixed = struct.pack("<QIIQBBQQQ", purchase, seq, partner, attempt or 0, was, now, evidence or 0,
                        incarnation, at_ms)
    return hashlib.blake2b(before + fixed + cause.encode(), digest_size=16).digest()


def broken_history(db):
    """I1: no gap, every hash right, and what the rows say is where the history ends."""
    found, ends, before, last = [], {}, b"", (None, 0)
    query = """SELECT purchase, seq, partner, attempt, from_state, to_state, cause, evidence,
               incarnation, at_ms, hash FROM event ORDER BY purchase, seq"""
    for row in db.execute(query):
        purchase, seq = row[:2]
        if purchase != last[0]:
            before, last = bytes(16), (purchase, 0)
        if seq != last[1] + 1:
            found.append(f"I1: a gap before event {seq}")
        before = chain_hash(before, row)
        if before != row[10]:
            found.append(f"I1: the hash of event {seq}")
        ends[purchase, row[3]] = row[5]
        last = (purchase, seq)
    for purchase, attempt, state in db.execute("SELECT purchase, id, state FROM attempt"):
        if ends.get((purchase, attempt), READY) != state:
            found.append(f"I1: an attempt is {state}, its history ends at {ends.get((purchase, attempt))}")
    for purchase, state in db.execute("SELECT id, state FROM purchase"):
        if ends.get((purchase, None), 1) != state:
            found.append(f"I1: a purchase is {state}, its history ends at {ends.get((purchase, None))}")
    return found


QUESTIONS = {
    "I2: two attempts of a leg may execute": """SELECT purchase, leg FROM attempt
        WHERE state NOT IN (5, 7, 8, 10, 11) GROUP BY purchase, leg HAVING count(*) > 1""",
    "I4: a posting does not balance": """SELECT purchase, posting FROM ledger
        GROUP BY purchase, posting, currency HAVING sum(debit) <> 0""",
    "I9: a request waits for nobody": """SELECT a.id FROM attempt a WHERE a.state IN (2, 3, 4)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.attempt = a.id AND o.is_done = 0)""",
    "I9: a request that nobody will send": """SELECT a.id FROM attempt a WHERE a.state = 1
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.attempt = a.id AND o.kind = 1 AND o.is_done = 0)""",
}


@contextlib.contextmanager
def copied(data):
    """The store of a gateway that is not running, opened as a copy."""
    with tempfile.TemporaryDirectory(prefix="tama-copy-") as folder:
        for file in data.glob("tama.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(pathlib.Path(folder) / "tama.db")) as db:
            yield db


def broken(data):
    """What does not hold in a store, in words; nothing when there is none yet."""
    if not (data / "tama.db").exists():
        return []
    with copied(data) as db:
        if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return []
        found = [f"integrity: {line}" for (line,) in db.execute("PRAGMA integrity_check") if line != "ok"]
        found += [name for name, query in QUESTIONS.items() if db.execute(query).fetchall()]
        return found + broken_history(db)


# ---- lives ----------------------------------------------------------------------------------------


class Sale:
    """A purchase that somebody confirmed, or tried to."""

    def __init__(self, call, label):
        self.call, self.label = call, label
        self.screen = None
        self.is_repeated = False
        self.was_in_doubt = True


class Chain:
    """with Chain(Push) as chain: chain.live("the 7th write", fault="pwrite64:7:kill") ..."""

    def __init__(self, shape, settings=None, **sandbox):
        self.shape, self.count = shape, 0
        self.world = World(FAST | (settings or {}), **({"ipn_delay_ms": 20} | sandbox))
        self.gateway = self.world.gateway
        self.mark = self.world.folder / "mark"
        self.sales, self.wrong = [], []
        self.kills = 0
        # Five doubts that nobody can settle stop an account (2.7): this chain can sell no more.
        self.is_closed = False
        self.turned_away = 0

    def __enter__(self):
        self.world.__enter__()
        self.sandbox = self.world.sandbox
        return self

    def __exit__(self, *_):
        self.world.__exit__()

    def start(self, fault=None, crash=None):
        """True when it takes calls, False when it ended before."""
        env = {}
        self.mark.unlink(missing_ok=True)
        if fault:
            env = {"LD_PRELOAD": str(SHIM), "TAMA_FAULT": fault, "TAMA_FAULT_MARK": str(self.mark)}
        try:
            self.gateway.start(crash=crash, env=env)
        except AssertionError as error:
            if "ended before" not in str(error):
                raise
            return False
        return True

    def live(self, label, fault=None, crash=None, sell=True):
        """One life. "killed", "ended" (with another status), or "unharmed"."""
        if self.start(fault, crash):
            self.try_pending()
            if sell:
                self.sell(label)
            self.wait_for(self.is_quiet)
            if self.gateway.is_alive():
                self.gateway.process.send_signal(15)
        return self.autopsy(label)

    def autopsy(self, label):
        status = self.gateway.wait()
        is_killed = status in (-9, 137)
        self.kills += is_killed
        self.wrong += [f"{label}: {what}" for what in broken(self.gateway.data)]
        if self.sandbox.totals()["executed_twice"]:
            self.wrong.append(f"{label}: carried out twice")
        return "killed" if is_killed else "unharmed" if status == 0 else "ended"

    def wait_for(self, is_so, patience_s=PATIENCE_S):
        """Until it is so, the gateway is gone, or its accounts are stopped and nothing more is to come."""
        begin = time.monotonic()
        while self.gateway.is_alive() and not is_so():
            if time.monotonic() > begin + 1 and (self.has_stopped() or self.waits_for_a_query()):
                return
            if time.monotonic() > begin + patience_s:
                raise AssertionError(f"never: {is_so.__name__}; {self.labels()}")
            time.sleep(0.01)

    def waits_for_a_query(self):
        """Nothing is being sent, the sandbox has brought all it has: a hint was taken before the reply
        was, or its query died with an earlier life, and the next query comes by the account's table; or
        the request itself died with one, and its attempt waits for news that nobody has."""
        with contextlib.suppress(*BROKEN):
            if not self.sandbox.totals()["parcels"]:
                gauges = self.gateway.metrics()
                return not gauges['tama_attempts{state="READY"}'] + gauges['tama_attempts{state="SENDING"}']
        return False

    def has_stopped(self):
        with contextlib.suppress(*BROKEN):
            self.is_closed = self.is_closed or self.gateway.metrics()["tama_accounts_stopped"] > 0
        return self.is_closed

    def labels(self):
        return [sale.label for sale in self.sales]

    def is_quiet(self):
        """The newest sale has been told, and the sandbox has nothing more to bring."""
        sale = self.sales[-1] if self.sales else None
        if sale and sale.screen and not self.world.messages(sale.call.number):
            return False
        return not self.sandbox.totals()["parcels"]

    def hop(self, sale):
        try:
            return sale.call.hop()
        except BROKEN:
            return None

    def try_pending(self):
        """What an aggregator does: brings again what had no answer. What had one gets the same."""
        for sale in self.sales:
            if sale.is_repeated:
                continue
            screen = self.hop(sale)
            if screen is None:
                return
            if sale.screen is not None and screen != sale.screen:
                self.wrong.append(f"{sale.label}: another answer: {mask(screen)}")
            sale.screen = screen
            sale.is_repeated = True

    def sell(self, label):
        """A call up to the confirmation; the sale counts from when that is on its way."""
        self.count += 1
        call = self.world.call(self.shape.number.format(self.count), self.shape.channel)
        try:
            call.dial()
            screen = call.keys(self.shape.keys)
        except BROKEN:
            return
        if "1. Confirm" not in screen:
            self.is_closed = True
            return
        call.text += "*1"
        sale = Sale(call, label)
        self.sales.append(sale)
        sale.screen = self.hop(sale)
        sale.was_in_doubt = sale.screen is None or "en cours" in sale.screen

    # ---- the end ----

    def finish(self, must_be_told=True):
        """A life without a fault, to the end of everything; what is not as it should be, in words."""
        if self.gateway.is_alive():
            self.gateway.stop()
        if not self.start():
            return [f"it does not start again: {self.gateway.process.output}; {self.labels()}"]
        self.try_pending()
        # A hop brought again to a stopped account hears that nothing is sold now, whether or not its
        # purchase had been committed when the process died: it may be there or not.
        known = [s for s in self.sales if re.search(r"R[ée]f \w{8}", s.screen or "")]
        if self.has_met_a_stop():
            self.turned_away, self.sales = len(self.sales) - len(known), known
        refs = {reference(sale.screen): sale for sale in self.sales}
        if must_be_told:
            eventually(lambda: self.is_at_rest(refs), f"at rest; {self.labels()}")
        else:
            eventually(lambda: not self.sandbox.totals()["parcels"], "delivered")
        self.gateway.stop()
        self.wrong += [f"the end: {what}" for what in broken(self.gateway.data)]
        with copied(self.gateway.data) as db:
            self.compare(db, refs)
        return self.wrong

    def is_told(self, ref, sale):
        return any(ref in text for text in self.world.messages(sale.call.number))

    def is_at_rest(self, refs):
        """Told, or in doubt. A hint whose query died with the process leaves ACCEPTED to the next query."""
        gauges = self.gateway.metrics()
        ready, sending, accepted, unknown = (
            gauges[f'tama_attempts{{state="{s}"}}'] for s in ("READY", "SENDING", "ACCEPTED", "UNKNOWN"))
        untold = sum(not self.is_told(ref, sale) for ref, sale in refs.items())
        # What a stopped account did not send stays READY, for up to a minute after it has opened again.
        stopped = self.has_met_a_stop()
        still = unknown + accepted + (ready if stopped else 0)
        moving = sending + (0 if stopped else ready)
        told_all = still - self.turned_away <= untold <= still
        return moving == 0 and told_all and not self.sandbox.totals()["parcels"]

    def has_met_a_stop(self):
        return any('"what":"lane_' in line for output in self.gateway.log for line in output)

    def compare(self, db, refs):
        """Three books: ours, the provider's by our reference, and what people were told."""
        ours = {ref for (ref,) in db.execute("SELECT ref FROM purchase")}
        for ref in refs.keys() - ours:
            self.wrong.append(f"{refs[ref].label}: acknowledged and lost")
        self.wrong += [STRANGER] * max(0, len(ours - refs.keys()) - self.turned_away)
        executed = {}
        for sale in self.sandbox.ledger():
            executed[sale["our_ref"]] = executed.get(sale["our_ref"], 0) + 1
        query = "SELECT p.ref, a.our_ref, a.state FROM attempt a JOIN purchase p ON p.id = a.purchase"
        for ref, our_ref, state in db.execute(query):
            times = executed.pop(our_ref, 0)
            label = refs[ref].label if ref in refs else "?"
            if times > 1 or (state == SUCCEEDED) > times or (state in NOTHING_LIVE and times):
                self.wrong.append(f"{label}: an attempt in state {state} was carried out {times} times")
        if executed:
            self.wrong.append("the provider carried out what we do not know")
        for ref, sale in refs.items():
            if len({t for t in self.world.messages(sale.call.number) if ref in t}) > 1:
                self.wrong.append(f"{sale.label}: told different things")
