"""Independent checks of the machine: Spin over the send path, another author's model, and the page."""
import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from world import World, replay

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "tests" / "model"
PRINT_MACHINE = pathlib.Path(os.environ["TAMA_BUILD"]) / "model" / "print_machine"

UNDELIVERED = "legs\t1\t1\tSUCCEEDED\tFAILED\tnone\tREFUND_DUE"


def printed(what):
    return subprocess.run([PRINT_MACHINE, what], capture_output=True, text=True, check=True).stdout


class Model(unittest.TestCase):
    @unittest.skipUnless(shutil.which("spin"), "spin is not installed")
    def test_ours_is_safe_and_each_tempting_design_is_not(self):
        done = subprocess.run([MODEL / "check_promela.py", PRINT_MACHINE], capture_output=True, text=True, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_cell_and_every_combination_is_as_the_reference_says(self):
        done = subprocess.run(
            ["lua5.4", MODEL / "compare.lua"], input=printed("tsv"), capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_comparison_sees_a_cell_that_is_wrong(self):
        for right, wrong in (
            ("step\tUNKNOWN\tDEADLINE\tMOVE\tREVIEW", "step\tUNKNOWN\tDEADLINE\tMOVE\tFAILED"),
            ("step\tREVIEW\tFAILURE\tPROPOSAL\tREVIEW", "step\tREVIEW\tFAILURE\tMOVE\tFAILED"),
            (UNDELIVERED + "\tPROVIDER_FLOAT=999999\tREFUND_PAYABLE", UNDELIVERED + "\tPROVIDER_FLOAT=999999\tCUSTOMER"),
            (UNDELIVERED, UNDELIVERED.replace("REFUND_DUE", "CANCELLED")),
        ):
            with self.subTest(wrong=wrong):
                tables = printed("tsv")
                self.assertIn(right, tables)
                done = subprocess.run(
                    ["lua5.4", MODEL / "compare.lua"], input=tables.replace(right, wrong, 1), capture_output=True,
                    text=True, check=False,
                )
                self.assertEqual(done.returncode, 1, done.stdout)

    def test_the_page_is_what_the_tables_print(self):
        page = (ROOT / "docs" / "machine.md").read_text()
        self.assertEqual(page, printed("markdown"), "docs/machine.md is not what the program prints: run make model")


class Replay(unittest.TestCase):
    """Every scenario's store is replayed when its world ends (world.py); this shows that the replay sees."""

    TAMPERED = (
        "UPDATE event SET to_state = 7 WHERE attempt IS NOT NULL AND to_state = 6",
        "UPDATE event SET cause = 'doubt' WHERE cause = 'success'",
        "DELETE FROM event WHERE attempt IS NULL AND to_state = 4",
        "UPDATE purchase SET state = 8",
        "UPDATE attempt SET state = 7 WHERE leg = 2",
        "DELETE FROM ledger WHERE posting = 2",
        "UPDATE ledger SET debit = debit * 2 WHERE posting = 1",
        "UPDATE ledger SET book = 3 WHERE book = 1",
        "UPDATE inbox SET verdict = 3 WHERE verdict = 1",
        "DELETE FROM inbox",
    )

    def test_it_sees_what_was_tampered_with(self):
        with World({"push_delay": "0s", "spacing": "0s"}) as world:
            world.gateway.start()
            ref = world.call("2250501020304").buy("2 0701020304 500 1")
            world.sandbox.wait_for_sms("2250501020304", ref)
            world.gateway.stop()
            store = world.gateway.data / "tama.db"
            self.assertEqual(replay(store), "")
            for statement in self.TAMPERED:
                with self.subTest(statement):
                    self.assertIn("purchase ", replay(self.tampered(store, statement)))

    def test_simulated_purchases_with_their_faults(self):
        with tempfile.TemporaryDirectory(prefix="tama-test-") as folder:
            env = dict(os.environ, TAMA_SIM_STORES=folder)
            program = PRINT_MACHINE.parent.parent / "unit" / "test_simulation"
            # What its own checkers say is its own test's; here only what it leaves behind.
            subprocess.run([program, "20261122", "4000"], env=env, capture_output=True, timeout=300, check=False)
            stores = list(pathlib.Path(folder).glob("*.db"))
            self.assertGreater(len(stores), 5)
            for store in stores:
                self.assertEqual(replay(store), "", store.stem)

    def tampered(self, store, statement):
        copy = store.with_name("tampered.db")
        shutil.copyfile(store, copy)
        with contextlib.closing(sqlite3.connect(copy)) as db:
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            self.assertGreater(db.execute(statement).rowcount, 0)
            db.commit()
        return copy


if __name__ == "__main__":
    unittest.main()
