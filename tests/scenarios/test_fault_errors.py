"""The operating system says no: EIO and ENOSPC at each call of a purchase, once and from then on
(reliability.md 4.2, F-B3, F-B4, F-B13, F-B15), and errors by chance.

Whatever is refused, nothing acknowledged is lost, nothing is carried out twice, and the next start
without a fault finds a sound store. A commit in doubt ends the process with 75; a start that cannot
commit ends with 1; a failed assertion or a signal of its own is never right.
"""
import concurrent.futures
import os
import re
import unittest

import harness
from chain import STRANGER, Chain, Push
from world import mask

MODE = os.environ.get("TAMA_MODE", "test")
PARALLEL = 2
CHAIN = 20
IN_DOUBT, CANNOT_START = 75, 1
REFERENCE = re.compile(r"R[ée]f (\w{8})")
IN_PROGRESS = "en cours"

# What can be refused, and by which errors. Reads and writes of our own pipes are left alone: those the
# kernel does not refuse.
CALLS = {
    "pwrite64": ("EIO", "ENOSPC"), "fdatasync": ("EIO", "ENOSPC"), "write@file": ("EIO", "ENOSPC"),
    "ftruncate64@file": ("EIO",), "pread64": ("EIO",), "sendto": ("EIO", "ECONNRESET"),
    "sendmsg": ("EPIPE",), "recvfrom": ("EIO", "ECONNRESET"), "accept4": ("ECONNABORTED",),
    "connect": ("ENETUNREACH",), "socket": ("EMFILE",), "unlink": ("EIO",),
}
# One by one costs a life each: of the calls that come by the hundred, every so many-th.
STRIDE = {"pwrite64": 3, "pread64": 3}
FOR_EVER_STRIDE = 7


def has_reference(sale):
    return bool(sale.screen and REFERENCE.search(sale.screen))


class Refused(Chain):
    """A chain whose lives may end of themselves, with the two statuses that say why."""

    def live(self, label, fault):
        started = self.start(fault)
        if started:
            self.try_pending()
            self.sell(label)
            self.wait_for(lambda: self.mark.exists() or self.is_quiet(), 20)
            if not self.mark.exists():
                self.gateway.process.send_signal(15)
                return self.end(label)
            self.give_it_a_moment()
            if self.gateway.is_alive():
                self.gateway.process.send_signal(9)
        return self.end(label)

    def give_it_a_moment(self):
        """Time to do wrong in; a fault that stays can hold it up for ever, which is no wrong."""
        try:
            self.wait_for(self.is_quiet, 0.15)
        except AssertionError:
            pass

    def is_quiet(self):
        try:
            return super().is_quiet()
        except harness.http.client.HTTPException:
            return False

    def end(self, label):
        was_met = self.mark.exists()
        ended = self.autopsy(label)
        status = self.gateway.process._process.returncode
        if status not in (0, -9, IN_DOUBT, CANNOT_START):
            self.wrong.append(f"{label}: ended with {status}: {mask(' '.join(self.gateway.process.output[-3:]))}")
        return ended if was_met else "unharmed"

    def try_pending(self):
        """A hop that was refused is over, like one that was answered; the store says which it was."""
        for sale in self.sales:
            if sale.is_repeated:
                continue
            screen = self.hop(sale)
            if screen is None:
                return
            sale.is_repeated = True
            # Without its log a session is lost with the process, and with it the place of the answer.
            if has_reference(sale) and screen != sale.screen and not sale.label.startswith("write@file"):
                self.wrong.append(f"{sale.label}: another answer: {mask(screen)}")
            sale.screen = sale.screen if has_reference(sale) else screen
            sale.was_in_doubt |= IN_PROGRESS in screen

    def finish(self):
        """Refused sales go; one that was told of a doubt may be there or not."""
        if not self.start():
            return [f"it does not start again: {self.gateway.process.output}"]
        self.try_pending()
        self.doubts = sum(1 for s in self.sales if s.was_in_doubt and not has_reference(s))
        self.sales = [s for s in self.sales if has_reference(s)]
        self.gateway.stop()
        return super().finish(must_be_told=False)

    def compare(self, db, refs):
        super().compare(db, refs)
        for _ in range(self.doubts):
            if STRANGER in self.wrong:
                self.wrong.remove(STRANGER)


def sweep(call, error, for_ever):
    """(kills and ends met, what was wrong)"""
    n, step, met, wrong, ended = 1, 1, 0, [], None
    step = FOR_EVER_STRIDE if for_ever else STRIDE.get(call, 1)
    while ended != "unharmed":
        with Refused(Push, ipn_retry_ms=10) as chain:
            chain.live("the first", f"{call}:0:EIO")
            for _ in range(CHAIN):
                rule = f"{call}:{n}{'+' if for_ever else ''}:{error}"
                ended = chain.live(rule, rule)
                if chain.is_closed:
                    ended = "closed"
                    break
                if ended == "unharmed":
                    break
                met += 1
                n += step
            wrong += chain.finish()
    return met, wrong


@unittest.skipUnless(MODE == "test", "a sanitizer does not share malloc with the shim")
class Errors(unittest.TestCase):
    def run_all(self, jobs):
        met = 0
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            for run in concurrent.futures.as_completed([pool.submit(sweep, *job) for job in jobs]):
                n, wrong = run.result()
                met += n
                for what in wrong:
                    with self.subTest(what):
                        self.fail(what)
        print(f"errors {met} ", end="", flush=True)
        return met

    def test_once(self):
        jobs = [(call, error, False) for call, errors in CALLS.items() for error in errors]
        self.assertGreater(self.run_all(jobs), 200)

    def test_interrupted_and_short(self):
        """F-B13: pieces of one byte, interrupted calls, sockets that are full: no effect at all."""
        rules = ",".join((
            "sendto:%300/7:short", "recvfrom:%300/11:short", "recvfrom:%100/3:EINTR", "sendto:%100/5:EAGAIN",
            "accept4:%200/2:EINTR", "pwrite64:%50/13:short", "write@file:%200/17:short", "pread64:%100/19:short"))
        with Chain(Push) as chain:
            chain.live("the first")
            for n in range(15):
                # Another seed each time, the same one each run.
                ended = chain.live(f"life {n}", re.sub(r"/(\d+)", lambda m: f"/{int(m[1]) + 100 * n}", rules))
                self.assertEqual(ended, "unharmed", chain.gateway.process.output[-3:])
                self.assertTrue(chain.mark.exists())
            self.assertEqual(chain.finish(), [])

    def test_from_then_on(self):
        # Who is never let in waits until its own patience ends: test_fault_os has that one.
        jobs = [(call, errors[0], True) for call, errors in CALLS.items() if call != "accept4"]
        # F-B6: a quota is reached, or the kernel remounts the disk read-only under the running process.
        jobs += [("pwrite64", "EDQUOT", True), ("pwrite64", "EROFS", True)]
        self.assertGreater(self.run_all(jobs), 40)


if __name__ == "__main__":
    unittest.main()
