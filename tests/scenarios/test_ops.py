"""What the person at night has: purchases, review, backup, restore, on a server that runs and one that
does not."""
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import unittest

from harness import ROOT, TAMA, eventually, run
from world import World

MTN, ORANGE = "2250501020304", "2250701020304"
FAST = {"push_delay": "0s", "spacing": "0s"}
BUY = "2 0701020304 500 1"
NOBODY = 65534


class Ops(unittest.TestCase):
    def start(self, more="", settings=None):
        """more: further fields of gateway { ... }."""
        self.world = self.enterContext(World(FAST | (settings or {})))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        if more:
            text = self.gateway.config.read_text()
            self.gateway.config.write_text(text.replace("gateway {", "gateway { " + more, 1))
        self.gateway.start()

    def buy(self, number=MTN, keys=BUY):
        return self.world.call(number).buy(keys)

    def sold(self, number=MTN, keys=BUY):
        ref = self.buy(number, keys)
        self.sandbox.wait_for_sms(number, ref)
        return ref

    def config_line(self):
        sets = [word for k, v in self.gateway.settings.items() for word in ("--set", f"{k}={v}")]
        return ["-c", self.gateway.config, *sets]

    def ask(self, *words, expect=0, where=None):
        done = run(*words, *(where or ["--data", self.gateway.data]))
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def rows(self, *words, **how):
        return [json.loads(line) for line in self.ask(*words, "--json", **how).splitlines()]


class Purchases(Ops):
    def test_the_whole_history(self):
        self.start()
        ref = self.sold()
        eventually(lambda: self.rows("purchases", "show", ref)[0]["state"] == "DELIVERED", "delivered")
        rows = self.rows("purchases", "show", ref)
        kinds = {row["row"] for row in rows}
        self.assertTrue({"purchase", "screen", "attempt", "inbox", "event", "ledger", "sms"} <= kinds, kinds)
        moves = [(r["from_state"], r["to_state"]) for r in rows if r["row"] == "event"]
        self.assertEqual(moves[0], ("none", "CONFIRMED"))
        self.assertIn(("DELIVERING", "DELIVERED"), moves)
        self.assertIn(f"Réf {ref}", next(r["reply"] for r in rows if r["row"] == "screen"))
        self.assertIn(f"Réf {ref}", next(r["text"] for r in rows if r["row"] == "sms"))
        self.assertEqual(sum(r["debit"] for r in rows if r["row"] == "ledger"), 0)
        told = re.compile(r"sms +to .* handed over 20\d\d-.*, report: delivered 20\d\d-")
        eventually(lambda: told.search(self.ask("purchases", "show", ref)), "the report")
        text = self.ask("purchases", "show", ref)
        self.assertIn("told on the phone: Demande recue", text)
        self.assertIn("by claim", text)
        # In order of time.
        times = [line[:23] for line in text.splitlines() if line[:2] == "20"]
        self.assertEqual(times, sorted(times))

    def test_a_message_that_never_went_out(self):
        self.start()
        self.sandbox.fault({"provider": "sms", "op": "send", "do": "status", "status": 400})
        ref = self.buy()
        eventually(lambda: 'tama_events_total{what="sms_refused"}' in self.gateway.metrics(), "refused")
        self.assertRegex(self.ask("purchases", "show", ref), r"sms .* never sent, given up 20\d\d-.*, try 1, report: refused")

    def test_numbers_are_masked_unless_a_reason_is_given(self):
        self.start()
        ref = self.sold()
        for words in (["purchases"], ["purchases", "show", ref], ["purchases", MTN], ["review"]):
            said = self.ask(*words) + self.ask(*words, "--json")
            for number in (MTN, ORANGE, MTN[3:], ORANGE[3:], "07 01 02 03 04"):
                self.assertNotIn(number, said, words)
        self.assertIn("want a reason", self.ask("purchases", "show", ref, "--full", expect=1))
        said = self.ask("purchases", "show", ref, "--full", "--reason", "the customer of 05 01 02 03 04 calls")
        self.assertIn(MTN, said)
        audit = (self.gateway.data / "audit.log").read_text()
        line = json.loads(audit.splitlines()[-1])
        self.assertEqual((line["what"], line["ref"], line["uid"]), ("full_numbers", ref, os.getuid()))
        self.assertNotIn("05 01 02 03 04", audit)

    def test_no_address_that_ipns_may_come_to_is_shown(self):
        """Providers echo it: with its MAC anybody could report a success."""
        self.start()
        ref = self.sold()
        for more in ([], ["--full", "--reason", "test"]):
            said = self.ask("purchases", "show", ref, "--json", *more)
            self.assertIn("/ipn/et-ci/", said)
            self.assertNotRegex(said, r"/ipn/et-ci/\w+\.[0-9a-f]{8}")

    def test_found_by_whatever_is_at_hand(self):
        self.start()
        ref = self.sold()
        attempts = [r for r in self.rows("purchases", "show", ref) if r["row"] == "attempt"]
        words = [ref, ref.lower(), MTN, "+" + MTN, "00" + MTN, "05 01 02 03 04", "0701020304"]
        for word in words:
            self.assertEqual({r["ref"] for r in self.rows("purchases", word)}, {ref}, word)
        for word in (attempts[0]["our_ref"], attempts[1]["provider_id"]):
            self.assertEqual([(r["row"], r["ref"]) for r in self.rows("purchases", word)], [("attempt", ref)])
        self.assertEqual(self.ask("purchases", "0799999999"), "none\n")

    def test_lists(self):
        self.start()
        refs = [self.sold(keys=f"2 0701020304 {amount} 1") for amount in (500, 600, 700)]
        listed = [r["ref"] for r in self.rows("purchases")]
        self.assertEqual(listed, refs[::-1])
        self.assertEqual([r["ref"] for r in self.rows("purchases", "--limit", "1")], refs[-1:])
        self.assertEqual(self.rows("purchases", "--state", "review"), [])
        eventually(lambda: len(self.rows("purchases", "--state", "DELIVERED")) == 3, "all delivered")
        self.assertEqual(len(self.rows("purchases", "--since", "1h", "--partner", "demo")), 3)
        self.assertIn("no such state", self.ask("purchases", "--state", "LOST", expect=1))
        self.assertIn("no such partner", self.ask("purchases", "--partner", "nobody", expect=1))
        self.assertEqual(run("purchases", "--since", "soon", "--data", self.gateway.data).returncode, 2)

    def test_the_same_words_without_a_server(self):
        self.start()
        ref = self.sold()
        live = self.ask("purchases", where=self.config_line())
        self.gateway.stop()
        self.assertFalse((self.gateway.data / "tama.sock").exists())
        self.assertEqual(self.ask("purchases", where=self.config_line()), live)
        self.assertIn(ref, self.ask("purchases", "show", ref, where=self.config_line()))
        self.assertIn("no server answers", self.ask("purchases", expect=1))
        self.gateway.start()
        self.assertEqual(self.ask("purchases"), live)

    def test_after_a_kill(self):
        """The socket is there and nobody listens; the store has a WAL that nobody has recovered."""
        self.start()
        ref = self.sold()
        self.gateway.kill()
        self.assertTrue((self.gateway.data / "tama.sock").exists())
        self.assertIn(ref, self.ask("purchases", where=self.config_line()))
        self.gateway.start()
        self.assertIn(ref, self.ask("purchases"))


class Socket(Ops):
    def path(self):
        return self.gateway.data / "tama.sock"

    def say(self, data, wait=True):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(self.path()))
            s.sendall(data)
            got = b""
            while wait:
                more = s.recv(65536)
                if not more:
                    break
                got += more
            return got.decode()

    def test_mode_and_nonsense(self):
        self.start()
        self.assertEqual(stat.S_IMODE(self.path().stat().st_mode), 0o660)
        self.assertIn("no JSON object", self.say(b"[]\n"))
        self.assertIn("no JSON object", self.say(b"\xff\xfe\n"))
        self.assertIn("no such request", self.say(b'{"do":"drop"}\n'))
        self.assertIn('"end":true', self.say(b'{"do":"ping"}\n'))
        self.assertIn('"error"', self.say(b'{"do":"purchases.show","ref":7}\n'))
        # Beyond its size: closed without a word.
        self.assertEqual(self.say(b"x" * 65536 + b"\n"), "")
        self.assertEqual(self.gateway.metrics()["tama_admin_refused_total"], 1)

    def test_many_who_say_nothing(self):
        self.start()
        idle = [socket.socket(socket.AF_UNIX) for _ in range(12)]
        try:
            for s in idle:
                s.connect(str(self.path()))
            idle[-1].settimeout(20)
            self.assertIn("too many", idle[-1].recv(4096).decode())
        finally:
            for s in idle:
                s.close()
        eventually(lambda: run("purchases", "--data", self.gateway.data).returncode == 0, "answers again")
        # And an end does not wait for them.
        lingering = socket.socket(socket.AF_UNIX)
        lingering.connect(str(self.path()))
        self.gateway.stop()
        lingering.close()

    @unittest.skipUnless(os.getuid() == 0, "another user is needed")
    def test_who_may_ask(self):
        self.start()
        elsewhere = pathlib.Path(self.world.folder) / "run"
        elsewhere.mkdir()
        self.gateway.stop()
        text = self.gateway.config.read_text()
        self.gateway.config.write_text(
            text.replace("gateway {", f'gateway {{ socket = "{elsewhere}/tama.sock",', 1))
        self.gateway.start()
        os.chmod(self.world.folder, 0o755)
        where = ["--socket", elsewhere / "tama.sock"]
        self.assertEqual(self.ask("purchases", where=where), "none\n")

        def as_nobody(groups):
            return subprocess.run([TAMA, "purchases", *map(str, where)], cwd="/", user=NOBODY, group=NOBODY,
                                  extra_groups=groups, capture_output=True, text=True)
        self.assertIn("Permission denied", as_nobody([]).stderr)
        self.assertEqual(as_nobody([os.getgid()]).stdout, "none\n")


class Review(Ops):
    def test_evidence_that_fits_nothing(self):
        self.start()
        self.sandbox.fault({"op": "submit", "do": "ipn_wrong_amount"})
        ref = self.buy()
        self.world.metric("tama_mismatches_total", 1)
        [row] = self.rows("review")
        self.assertEqual((row["row"], row["verdict"], row["ref"]), ("inbox", "mismatch", ref))
        said = self.ask("review", "show", row["case"])
        self.assertIn("proof 1: reply of et-ci", said)
        self.assertIn("answer on a connection that we opened", said)
        self.assertIn("authenticated by secret path", said)
        self.assertIn("amount differs", said)
        self.assertNotIn(MTN[3:], said)
        self.assertIn("no case is called", self.ask("review", "show", "z9", expect=1))
        self.assertIn("wants --proof", self.ask("review", "decide", row["case"], "dismiss", expect=1))
        self.assertIn("is no decision about", self.ask(
            "review", "decide", row["case"], "failed", "--proof", "seen", expect=1))

    def test_both_proofs_of_a_contradiction(self):
        self.start()
        self.sandbox.fault({"op": "submit", "do": "ipn_contradicts", "amount": 500})
        ref = self.sold()
        self.world.metric("tama_contradictions_total", 1)
        rows = self.rows("review")
        case = next(r["case"] for r in rows if r["row"] == "attempt")
        self.assertEqual({r["ref"] for r in rows}, {ref})
        said = self.ask("review", "show", case)
        self.assertIn("CONTRADICTED", said)
        self.assertIn('"state":"SUCCESSFUL"', said)
        self.assertIn('"state":"FAILED"', said)

    def test_nothing(self):
        self.start()
        self.assertEqual(self.ask("review"), "nothing waits for a person\n")


@unittest.skipUnless(os.getuid() == 0, "another user is needed")
class Decisions(Ops):
    """Two accounts of the operating system: root, and one that is only in the socket's group."""

    def start(self, **more):
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="tama-run-"))
        self.addCleanup(shutil.rmtree, self.run_dir)
        self.run_dir.chmod(0o755)
        super().start(f'socket = "{self.run_dir}/tama.sock",', **more)

    def decide(self, case, word, proof, user=0, expect=0):
        line = [TAMA, "review", "decide", case, word, "--proof", proof, "--socket", f"{self.run_dir}/tama.sock"]
        who = {"user": user, "group": user, "extra_groups": [os.getgid()]} if user else {}
        done = subprocess.run(line, cwd="/", capture_output=True, text=True, **who)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def ask(self, *words, expect=0, where=None):
        return super().ask(*words, expect=expect, where=where or ["--socket", self.run_dir / "tama.sock"])

    def contradicted(self):
        self.sandbox.fault({"op": "submit", "do": "ipn_contradicts", "amount": 500})
        ref = self.sold()
        self.world.metric("tama_contradictions_total", 1)
        return ref, next(r["case"] for r in self.rows("review") if r["row"] == "attempt")

    def state(self, ref):
        return self.rows("purchases", ref)[0]["state"]

    def test_two_persons(self):
        self.start()
        ref, case = self.contradicted()
        self.assertIn("proposed by root; another person", self.decide(case, "succeeded", "portal says delivered"))
        self.assertIn("root proposed this already", self.decide(case, "succeeded", "really", expect=1))
        self.assertEqual(self.state(ref), "CONTRADICTED")
        [proposal] = [r for r in self.rows("review") if r["row"] == "decision"]
        self.assertEqual((proposal["kind"], proposal["proposed_by"]), ("succeeded", "root"))
        self.assertIn("wants a second person: portal says delivered", self.ask("review"))
        self.assertIn("applied", self.decide(case, "succeeded", "I called them", user=NOBODY))
        self.assertEqual(self.state(ref), "DELIVERED")
        shown = self.ask("purchases", "show", ref)
        self.assertIn("proposed by root, agreed by nobody", shown)
        self.assertIn("CONTRADICTED -> SUCCEEDED by decided_success", shown)
        self.assertIn("there is no case", self.decide(case[:-1] + ("0" if case[-1] != "0" else "1"), "failed", "x", expect=1))
        self.assertIn("not to be decided so", self.decide(case, "failed", "too late", expect=1))
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")
        audit = [json.loads(line) for line in (self.gateway.data / "audit.log").read_text().splitlines()]
        self.assertEqual([(a["user"], a["what"]) for a in audit[:3]],
                         [("root", "decision"), ("root", "decision"), ("nobody", "decision")])

    def test_two_who_disagree(self):
        self.start()
        ref, case = self.contradicted()
        self.decide(case, "succeeded", "portal says delivered")
        self.assertIn("proposed by nobody", self.decide(case, "write-off", "portal says nothing", user=NOBODY))
        self.assertEqual(self.state(ref), "CONTRADICTED")
        self.assertIn("applied", self.decide(case, "write-off", "agreed", user=0))
        self.assertEqual(self.state(ref), "WRITTEN_OFF")
        kinds = {(r["kind"], r["state"]) for r in self.rows("purchases", "show", ref) if r["row"] == "decision"}
        self.assertEqual(kinds, {("succeeded", "overtaken"), ("write-off", "applied")})
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")

    def test_a_refund_that_was_refused_is_tried_again(self):
        """By persons, who may name the purchase by its reference."""
        self.start(settings={"refund_delay": "2s"})
        self.sandbox.fault({"op": "submit", "do": "fail", "text": "Numero de destination invalide", "amount": 500})
        ref = self.buy()
        # Collected: the next request of that amount is the refund.
        eventually(lambda: any(s["amount"] == 600 for s in self.sandbox.ledger()), "collected")
        self.sandbox.fault({"op": "submit", "do": "fail", "text": "Numero de destination invalide", "amount": 600})
        eventually(lambda: self.state(ref) == "REVIEW", "the refund was refused")
        [case] = self.rows("review")
        self.assertEqual((case["row"], case["ref"]), ("purchase", ref))
        self.assertIn("refund failed", self.ask("review"))
        self.assertIn("is no decision about", self.decide(ref, "failed", "no", expect=1))
        self.assertIn("proposed", self.decide(ref, "refund", "the customer has called"))
        self.assertIn("applied", self.decide(case["case"], "refund", "right", user=NOBODY))
        eventually(lambda: self.state(ref) == "REFUNDED", "given back")
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")
        shown = self.ask("purchases", "show", ref)
        self.assertIn("none -> READY by decided_refund", shown)
        self.assertIn("refund.2", shown)

    def test_one_suffices_to_have_looked(self):
        self.start()
        self.sandbox.fault({"op": "submit", "do": "ipn_wrong_amount"})
        self.buy()
        self.world.metric("tama_mismatches_total", 1)
        [row] = self.rows("review")
        self.assertIn("applied", self.decide(row["case"], "dismiss", "their test", user=NOBODY))
        self.assertEqual(self.ask("review"), "nothing waits for a person\n")
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")

    def test_a_restored_store_is_held_until_two_release_it(self):
        """What the copy calls READY may have been sent since (F-K3): a case, and never sent again."""
        self.start(settings={"push_delay": "4s"})
        waiting = self.buy()
        copy, new = self.world.folder / "copy", self.world.folder / "new"
        self.ask("backup", copy)
        self.sandbox.wait_for_sms(MTN, waiting)
        executed = self.world.executed()
        self.gateway.stop()
        self.assertEqual(run("restore", copy, "--data", new).returncode, 0)
        self.gateway.settings["data"] = self.gateway.data = new
        self.gateway.start()
        [hold] = [r for r in self.rows("review") if r["row"] == "hold"]
        self.assertEqual(hold["account"], "*")
        eventually(lambda: self.state(waiting) == "REVIEW", "it is not believed")
        call = self.world.call(MTN)
        call.dial()
        self.assertNotRegex(call.keys("2 0701020304 600"), "Confirmer")
        [case] = [r["case"] for r in self.rows("review") if r["row"] == "attempt"]
        self.assertIn("proposed", self.decide(hold["case"], "release", "compared", user=NOBODY))
        self.assertEqual(len([r for r in self.rows("review") if r["row"] == "hold"]), 1)
        self.assertIn("applied", self.decide(hold["case"], "release", "compared too"))
        self.assertEqual([r for r in self.rows("review") if r["row"] == "hold"], [])
        self.assertEqual(self.state(waiting), "REVIEW")
        self.assertEqual(self.world.executed(), executed)
        self.assertIn("proposed", self.decide(case, "write-off", "carried out; delivered before the loss"))
        self.assertIn("applied", self.decide(case, "write-off", "seen", user=NOBODY))
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")


@unittest.skipUnless(os.getuid() == 0, "another user is needed")
class DecisionsWithoutServer(Ops):
    """The account that the data belongs to, and root: nobody else can while no server runs."""

    def give_away(self):
        """The data belongs to another account, as it does where a service has one of its own."""
        self.world.folder.chmod(0o755)
        for path in [self.world.folder, *self.world.folder.glob("data*"), *self.gateway.data.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)

    def owners(self):
        paths = [*self.world.folder.glob("data*"), *self.gateway.data.iterdir()]
        return {path.name: path.stat().st_uid for path in paths}

    def decide(self, case, word, proof, user=0, expect=0, more=(), crash=""):
        line = [TAMA, "review", "decide", case, word, "--proof", proof, *self.config_line(), *more]
        who = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run(list(map(str, line)), cwd="/", capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, TAMA_CRASH=crash), **who)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def case(self, kind="attempt"):
        return next(r["case"] for r in self.rows("review", where=self.config_line()) if r["row"] == kind)

    def contradicted(self):
        self.sandbox.fault({"op": "submit", "do": "ipn_contradicts", "amount": 500})
        ref = self.sold()
        self.world.metric("tama_contradictions_total", 1)
        return ref

    def state(self, ref):
        return self.rows("purchases", ref, where=self.config_line())[0]["state"]

    def requests(self):
        """Whatever a provider or the SMS gateway was asked."""
        paths = self.sandbox.requests()["paths"]
        return {path: count for path, count in paths.items() if "/_sandbox" not in path}

    def test_two_persons(self):
        self.start()
        ref = self.contradicted()
        self.gateway.stop()
        self.give_away()
        (self.gateway.data / "lock").unlink()
        case = self.case()
        self.assertIn("proposed by root; another person", self.decide(case, "succeeded", "0701020304 has it"))
        self.assertIn("root proposed this already", self.decide(case, "succeeded", "really", expect=1))
        self.assertIn("wants a second person: ********04 has it", self.ask("review", where=self.config_line()))
        self.assertEqual(self.state(ref), "CONTRADICTED")
        self.assertIn("applied", self.decide(case, "succeeded", "I called them", user=NOBODY))
        self.assertEqual(self.state(ref), "DELIVERED")
        self.assertIn("not to be decided so", self.decide(case, "failed", "too late", expect=1))
        self.assertIn("proposed by root, agreed by nobody", self.ask("purchases", "show", ref, where=self.config_line()))
        # The server could open whatever root has made.
        self.assertEqual(set(self.owners().values()), {NOBODY}, self.owners())
        self.assertTrue({"data.mark", "audit.log", "tama.db"} <= set(self.owners()))
        audit = [json.loads(line) for line in (self.gateway.data / "audit.log").read_text().splitlines()]
        self.assertEqual([(a["user"], a["uid"]) for a in audit if a["what"] == "decision"],
                         [("root", 0), ("root", 0), ("nobody", NOBODY), ("root", 0)])
        self.gateway.start()
        self.assertEqual(self.state(ref), "DELIVERED")
        self.assertEqual([r for r in self.rows("review") if r["row"] == "hold"], [])
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")

    def test_one_before_and_one_after_the_end(self):
        """A proposal made to the server is agreed to without it."""
        self.start()
        ref = self.contradicted()
        case = self.case()
        self.assertIn("proposed by root", self.decide(case, "succeeded", "portal says delivered"))
        self.gateway.kill()
        self.give_away()
        self.assertIn("applied", self.decide(case, "succeeded", "I called them", user=NOBODY))
        self.assertEqual(self.state(ref), "DELIVERED")
        self.assertEqual(self.ask("verify", where=self.config_line()), "verified 1 purchases\n")

    def test_a_kill_in_the_middle(self):
        """Before the commit nothing was decided, after it all was."""
        self.start()
        ref = self.contradicted()
        self.gateway.stop()
        self.give_away()
        case = self.case()
        self.decide(case, "succeeded", "portal says delivered", crash="K6", expect=-signal.SIGKILL)
        self.decide(case, "succeeded", "portal says delivered", crash="K7", expect=-signal.SIGKILL)
        self.assertIn("root proposed this already", self.decide(case, "succeeded", "again", expect=1))
        self.decide(case, "succeeded", "I called", user=NOBODY, crash="K6", expect=-signal.SIGKILL)
        self.assertEqual(self.state(ref), "CONTRADICTED")
        self.decide(case, "succeeded", "I called", user=NOBODY, crash="K7", expect=-signal.SIGKILL)
        self.assertEqual(self.state(ref), "DELIVERED")
        self.assertIn("not to be decided so", self.decide(case, "succeeded", "I called", user=NOBODY, expect=1))
        self.assertEqual(set(self.owners().values()), {NOBODY}, self.owners())
        self.gateway.start()
        self.assertEqual([r for r in self.rows("review") if r["row"] == "hold"], [])
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")

    def test_it_sends_nothing_and_the_next_life_does(self):
        """The refund that two persons decide; beside it, what the killed server was sending."""
        self.start(settings={"refund_delay": "1s"})
        self.sandbox.fault({"op": "submit", "do": "fail", "text": "Numero de destination invalide", "amount": 500})
        ref = self.buy()
        eventually(lambda: any(s["amount"] == 600 for s in self.sandbox.ledger()), "collected")
        self.sandbox.fault({"op": "submit", "do": "fail", "text": "Numero de destination invalide", "amount": 600})
        eventually(lambda: self.state(ref) == "REVIEW", "the refund was refused")
        for do in ("hang", "no_ipn"):
            self.sandbox.fault({"op": "submit", "do": do, "amount": 900})
        under_way = self.buy(keys="2 0701020304 800 1")
        eventually(lambda: any(r["state"] == "SENDING" for r in self.rows("purchases", "show", under_way)
                               if r["row"] == "attempt"), "it is being sent")
        self.gateway.kill()
        self.give_away()
        asked = self.requests()
        said = self.decide(ref, "refund", "the customer has called")
        self.assertIn("proposed by root", said)
        self.assertIn(f"tama: owner_dead {under_way}: ", said)
        said = self.decide(ref, "refund", "right", user=NOBODY)
        self.assertIn("applied", said)
        self.assertNotIn("owner_dead", said)
        for of, last in ((ref, "READY"), (under_way, "UNKNOWN")):
            shown = self.rows("purchases", "show", of, where=self.config_line())
            self.assertEqual([r["state"] for r in shown if r["row"] == "attempt"][-1], last)
        self.assertEqual(self.requests(), asked)
        self.gateway.start()
        eventually(lambda: self.state(ref) == "REFUNDED", "given back")
        self.sandbox.wait_for_sms(MTN, ref)
        self.assertEqual(self.ask("verify"), "verified 2 purchases\n")

    def test_a_hold_and_a_dismissal(self):
        self.start()
        self.sandbox.fault({"op": "submit", "do": "ipn_wrong_amount"})
        self.buy()
        self.world.metric("tama_mismatches_total", 1)
        self.gateway.stop()
        copy, new = self.world.folder / "copy", self.world.folder / "data2"
        self.ask("backup", copy)
        self.assertEqual(run("restore", copy, "--data", new).returncode, 0)
        self.gateway.settings["data"] = self.gateway.data = new
        self.give_away()
        self.assertIn("applied", self.decide(self.case("inbox"), "dismiss", "their test", user=NOBODY))
        hold = self.case("hold")
        self.assertIn("proposed by nobody", self.decide(hold, "release", "compared", user=NOBODY))
        self.assertIn("applied", self.decide(hold, "release", "compared too"))
        self.gateway.start()
        self.assertEqual([r["row"] for r in self.rows("review") if r["row"] in ("hold", "inbox")], [])
        self.sold(keys="2 0701020304 700 1")

    def test_a_store_behind_its_mark_is_held_here_too(self):
        self.start(settings={"push_delay": "4s"})
        self.sandbox.fault({"op": "submit", "do": "ipn_wrong_amount"})
        self.buy()
        self.world.metric("tama_mismatches_total", 1)
        waiting = self.buy(keys="2 0701020304 700 1")
        self.gateway.kill()
        copy = self.world.folder / "copy"
        shutil.copytree(self.gateway.data, copy, ignore=shutil.ignore_patterns("*.sock"))
        self.gateway.start()
        self.sandbox.wait_for_sms(MTN, waiting)
        self.gateway.stop()
        executed = self.world.executed()
        shutil.rmtree(self.gateway.data)
        copy.rename(self.gateway.data)
        said = self.decide(self.case("inbox"), "dismiss", "their test")
        self.assertIn("tama: held: ", said)
        self.assertIn(f"tama: frozen {waiting}: ", said)
        self.gateway.start()
        self.assertEqual([r["account"] for r in self.rows("review") if r["row"] == "hold"], ["*"])
        self.assertEqual(self.state(waiting), "REVIEW")
        self.assertEqual(self.world.executed(), executed)

    def test_refused_with_a_reason(self):
        self.start()
        ref = self.contradicted()
        case = self.case()
        self.gateway.stop()
        before = (self.gateway.data / "tama.db").read_bytes()
        with open(self.gateway.data / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            said = self.decide(case, "succeeded", "seen", expect=1)
            self.assertIn("no server answers at", said)
            self.assertIn("is in use", said)
        elsewhere = self.world.folder / "elsewhere"
        shutil.copytree(self.gateway.data, elsewhere)
        self.assertIn("leave --data away", self.decide(case, "succeeded", "seen", expect=1, more=["--data", elsewhere]))
        self.assertIn("no server answers", self.ask("review", "decide", case, "succeeded", "--proof", "seen", expect=1))
        self.assertIn("asked by the running server", self.ask("reconcile", where=self.config_line(), expect=1))
        self.assertIn("wants --proof", self.decide(case, "succeeded", "", expect=1))
        self.assertIn("is no decision about", self.decide(case, "refund", "seen", expect=1))
        self.assertEqual((self.gateway.data / "tama.db").read_bytes(), before)
        self.assertEqual(self.state(ref), "CONTRADICTED")
        shutil.rmtree(self.gateway.data)
        self.assertIn("No such file", self.decide(case, "succeeded", "seen", expect=1))
        self.assertFalse(self.gateway.data.exists())


class Copies(Ops):
    def test_backup_of_a_running_server(self):
        self.start()
        ref = self.sold()
        dest = self.world.folder / "copy"
        self.assertIn("purchases 1,", self.ask("backup", dest))
        later = self.sold(keys="2 0701020304 600 1")
        self.assertEqual(stat.S_IMODE((dest / "tama.db").stat().st_mode), 0o600)
        self.assertIn("is not empty", self.ask("backup", dest, expect=1))
        self.assertEqual(self.ask("verify", where=["--copy", dest]), "verified 1 purchases\n")
        key = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)
        for path in dest.iterdir():
            data = path.read_bytes()
            self.assertFalse(key in data or key.hex().encode() in data)
        self.gateway.stop()
        self.assertIn("purchases 2,", self.ask("backup", self.world.folder / "rest"))
        new = self.world.folder / "new"
        said = self.ask("restore", dest, where=["--data", new])
        self.assertIn("held: nothing is sent", said)
        self.assertIn("verified 1 purchases", said)
        self.gateway.settings["data"] = new
        self.gateway.data = new
        found = self.rows("purchases", where=self.config_line())
        self.assertEqual([r["ref"] for r in found], [ref])
        self.assertNotEqual(ref, later)
        [hold] = self.rows("review", where=self.config_line())
        self.assertEqual((hold["row"], hold["account"]), ("hold", "*"))

    def test_a_kill_in_the_middle_of_a_backup(self):
        """K27: the source is unharmed, and what lies there is no backup."""
        self.start()
        ref = self.sold()
        self.gateway.stop()
        self.gateway.start(crash="K27")
        dest = self.world.folder / "copy"
        self.assertIn("broke off", self.ask("backup", dest, expect=1))
        self.assertTrue(self.gateway.was_killed())
        new = self.world.folder / "new"
        self.assertIn("neither a manifest", self.ask("restore", dest, where=["--data", new], expect=1))
        self.gateway.start()
        self.assertEqual([r["ref"] for r in self.rows("purchases")], [ref])
        self.assertEqual(self.ask("verify"), "verified 1 purchases\n")

    def test_a_copy_that_is_not_whole_is_refused(self):
        self.start()
        self.sold()
        dest = self.world.folder / "copy"
        self.ask("backup", dest)
        new = self.world.folder / "new"

        def refused(why):
            said = self.ask("restore", bad, where=["--data", new], expect=1)
            self.assertIn(why, said)
            self.assertFalse((new / "tama.db").exists())
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(bad)

        bad = self.world.folder / "bad"
        shutil.copytree(dest, bad)
        with open(bad / "tama.db", "r+b") as f:
            f.seek(5000)
            f.write(b"\0\1\2")
        refused("not what its manifest says")
        shutil.copytree(dest, bad)
        with open(bad / "tama.db", "r+b") as f:
            f.truncate(8192)
        refused("not what its manifest says")
        shutil.copytree(dest, bad)
        (bad / "manifest.json").unlink()
        refused("neither a manifest.json nor a base")
        shutil.copytree(dest, bad)
        (bad / "manifest.json").write_text("{}")
        refused("no manifest of a whole copy")
        new.mkdir(mode=0o700)
        (new / "something").write_text("")
        self.assertIn("is not empty", self.ask("restore", dest, where=["--data", new], expect=1))


class Standby(Ops):
    def start(self):
        more = 'standby = setting("standby", ""),'
        self.world = self.enterContext(World(FAST))
        self.sandbox, self.gateway = self.world.sandbox, self.world.gateway
        self.other = self.world.folder / "other-disk"
        self.other.mkdir(mode=0o700)
        text = self.gateway.config.read_text()
        self.gateway.config.write_text(text.replace("gateway {", "gateway { " + more, 1))
        self.gateway.settings["standby"] = self.other
        self.gateway.start()
        self.current()

    def current(self):
        """Until nothing is committed that is not in it."""
        def is_current():
            m = self.gateway.metrics()
            return m["tama_standby_whole"] == 1 and m["tama_standby_lag_commits"] == 0
        eventually(is_current, "the standby is current")

    def restored(self):
        new = self.world.folder / f"new-{len(list(self.world.folder.iterdir()))}"
        said = self.ask("restore", self.other, where=["--data", new])
        with sqlite3.connect(new / "tama.db") as db:
            return said, {r for (r,) in db.execute("SELECT ref FROM purchase")}

    def test_nothing_is_lost_once_it_is_current(self):
        self.start()
        refs = {self.sold(keys=f"2 0701020304 {amount} 1") for amount in (500, 600, 700, 800)}
        self.current()
        self.assertRegex(self.ask("backup", "--measure"), r"standby_whole 1\nstandby_lag_ms \d+\nstandby_lag_commits \d+\n")
        self.gateway.kill()
        shutil.rmtree(self.gateway.data)
        said, found = self.restored()
        self.assertEqual(found, refs)
        self.assertIn("verified 4 purchases", said)

    def test_what_is_lost_when_the_disk_is_lost(self):
        """Killed in the middle of selling, and the data directory gone: prints what that cost."""
        self.start()
        acknowledged = []
        for i in range(30):
            acknowledged.append(self.buy(keys=f"2 0701020304 {500 + 100 * i} 1"))
        lag = self.gateway.metrics()["tama_standby_lag_ms"]
        self.gateway.kill()
        shutil.rmtree(self.gateway.data)
        said, found = self.restored()
        lost = [ref for ref in acknowledged if ref not in found]
        print(f"standby_lag_ms {lag}\nlost_purchases {len(lost)} of {len(acknowledged)}")
        # What is lost is the end, never something in the middle.
        self.assertEqual(acknowledged[:len(acknowledged) - len(lost)], [r for r in acknowledged if r in found])
        self.assertLessEqual(len(lost), 2)
        self.assertIn("verified", said)

    def test_a_later_life_and_another_store(self):
        self.start()
        first = self.sold()
        self.gateway.stop()
        self.gateway.start()
        self.current()
        second = self.sold(keys="2 0701020304 600 1")
        self.current()
        self.gateway.stop()
        self.assertEqual(self.restored()[1], {first, second})
        # A fresh store must not take the place of what may be all that is left.
        self.gateway.settings["data"] = self.world.folder / "fresh"
        self.gateway.start(ready=False)
        self.assertNotEqual(self.gateway.wait(), 0)
        self.assertIn("standby of another store", "".join(self.gateway.process.output))

    def test_a_torn_end_is_left_out(self):
        self.start()
        first = self.sold()
        self.current()
        self.gateway.stop()
        log = max(self.other.glob("log-*.seg"), key=lambda p: int(p.stem.split("-")[2]))
        size = log.stat().st_size
        with open(log, "r+b") as f:
            f.truncate(size - 10)
        said, found = self.restored()
        self.assertIn("restored", said)
        self.assertEqual(found, {first})

    def test_a_base_without_its_log_is_none(self):
        self.start()
        self.sold()
        self.current()
        # A new life takes a new base; its log is then removed.
        self.gateway.stop()
        self.gateway.start()
        self.sold(keys="2 0701020304 600 1")
        self.current()
        self.gateway.kill()
        manifest = json.loads(next(self.other.glob("base-*.json")).read_text())
        for path in self.other.glob("log-*.seg"):
            path.unlink()
        new = self.world.folder / "new"
        done = run("restore", self.other, "--data", new)
        if manifest["needed"] >= manifest["first"]:
            self.assertEqual(done.returncode, 1)
            self.assertIn("not whole", done.stderr)
        else:
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_disk_that_refuses_stops_nothing(self):
        self.start()
        self.sold()
        self.gateway.stop()
        aside = self.other.rename(self.world.folder / "aside")
        self.gateway.start()
        refs = [self.sold(keys=f"2 0701020304 {amount} 1") for amount in (600, 700)]
        eventually(lambda: any('"what":"standby"' in line for line in self.gateway.process.output), "told")
        self.assertEqual(self.gateway.metrics()["tama_standby_whole"], 0)
        # The disk is back: what it missed is in the new base.
        aside.rename(self.other)
        self.current()
        self.gateway.kill()
        self.assertTrue(set(refs) <= self.restored()[1])


class Runbook(unittest.TestCase):
    """Whoever is woken by a word finds it in docs/operations.md."""

    ALARMS = re.compile(r'(?:alarm\(\s*[^";]*?|"alarm",\s*)"([a-z_]+)"')

    def test_every_alarm_has_its_row(self):
        words = set()
        for path in sorted((ROOT / "src").rglob("*.c")):
            words |= set(self.ALARMS.findall(path.read_text()))
        words -= {"alarm", "warn", "info"}
        self.assertGreater(len(words), 30)
        page = (ROOT / "docs" / "operations.md").read_text()
        self.assertEqual({word for word in words if f"`{word}`" not in page}, set())


if __name__ == "__main__":
    unittest.main()
