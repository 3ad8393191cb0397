#!/usr/bin/env python3
"""The real binary under load in a bad network for as long as wanted: make soak MINUTES=n.

Two phones buy over both providers, some fifteen purchases a second; two in a hundred connections to a
provider meet a fault of the chaos proxy, by the seed; configuration is read again now and then. Nothing
is killed. Sessions are kept for seconds instead of minutes, so that their number is soon steady. Every
so often it prints what the process holds. It ends with

    soak_minutes N
    rss_growth_kib N     from a third of the time on; SQLite's cache may still take its 32 MiB
    fd_growth N          likewise; a connection that hangs is kept for 45 s

and exits 1 when memory grew beyond RSS_BOUND_KIB, descriptors beyond FD_BOUND, or books and ledgers
disagree at the end.
"""
import argparse
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

RSS_BOUND_KIB = 36 * 1024
FD_BOUND = 24
PACE_S = 0.12
DRAIN_S = 75


def usage(pid):
    """(resident KiB, open descriptors)"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return rss, len(os.listdir(f"/proc/{pid}/fd"))


class Buyers:
    """Phones that buy until they are told to stop."""

    SHAPES = (("at-ci", "22505{:08}", "1 500 1"), ("at-ug", "2567721{:05}", "1 2 1"))

    def __init__(self, world, at_once):
        self.world, self.stopped = world, threading.Event()
        self.lock = threading.Lock()
        self.bought = self.refused = 0
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(at_once)]

    def run(self, k):
        from world import BROKEN

        n = 0
        while not self.stopped.wait(PACE_S):
            n += 1
            channel, number, keys = self.SHAPES[(n + k) % 2]
            call = self.world.call(number.format((k * 49999 + n) % 99999), channel)
            try:
                call.dial()
                screen = call.keys(keys)
            except BROKEN:
                screen = ""
            with self.lock:
                self.bought += "R\u00e9f " in screen or "Ref " in screen
                self.refused += not ("R\u00e9f " in screen or "Ref " in screen)


def shorten_sessions(config):
    text = re.sub(r'\n  (timeout|resume) = "\w+",', "", config.read_text())
    config.write_text(re.sub(r'(\n  kind = "(?:ussd|sms)",)', r'\1\n  timeout = "20s",\n  resume = "5s",', text))


def soak(minutes, seed, interval_s):
    from chain import FAST, broken
    from chaos import Chaos
    from harness import eventually
    from world import World

    samples = []
    with World(FAST, ipn_delay_ms=20) as world:
        world.is_damaged = True  # too long a history to replay
        chaos = Chaos(world.sandbox.port, seed)
        world.gateway.settings["easytransfert"] = chaos.url + "/api_v1/transaction"
        world.gateway.settings["xente"] = chaos.url + "/api"
        shorten_sessions(world.gateway.config)
        world.gateway.start()
        chaos.random(20)
        buyers = Buyers(world, 2)
        for thread in buyers.threads:
            thread.start()
        end = time.monotonic() + 60 * minutes
        while (left := end - time.monotonic()) > 0 and world.gateway.is_alive():
            time.sleep(min(interval_s, left))
            samples.append(usage(world.gateway.process.pid))
            print(f"seconds {60 * minutes - max(0, end - time.monotonic()):.0f} rss_kib {samples[-1][0]} "
                  f"fds {samples[-1][1]} bought {buyers.bought} refused {buyers.refused}", flush=True)
            if len(samples) % 4 == 0:
                world.gateway.process.send_signal(signal.SIGHUP)
        buyers.stopped.set()
        for thread in buyers.threads:
            thread.join()
        chaos.calm()
        eventually(lambda: not world.sandbox.totals()["parcels"], "all IPNs brought")
        twice = world.sandbox.totals()["executed_twice"]
        # What hangs ends by its own time-out.
        world.gateway.process.send_signal(signal.SIGTERM)
        status = world.gateway.process.wait(DRAIN_S)
        chaos.close()
        wrong = broken(world.gateway.data)
    wrong += ["carried out twice"] if twice else []
    wrong += [f"ended with {status}"] if status else []
    return samples, wrong, buyers.bought


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--minutes", type=float, default=10)
    args.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = args.parse_args()
    print(f"seed {args.seed}", flush=True)
    samples, wrong, bought = soak(args.minutes, args.seed, min(30, 60 * args.minutes / 20))
    warm = samples[len(samples) // 3]
    rss, fds = samples[-1][0] - warm[0], samples[-1][1] - warm[1]
    for what in wrong:
        print(what)
    print(f"purchases {bought}\nsoak_minutes {args.minutes:g}\nrss_growth_kib {rss}\nfd_growth {fds}")
    return 1 if wrong or not bought or rss > RSS_BOUND_KIB or fds > FD_BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
