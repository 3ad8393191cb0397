"""Independent checks of the machine: Spin over the send path, another author's model, and the page."""
import os
import pathlib
import shutil
import subprocess
import unittest

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


if __name__ == "__main__":
    unittest.main()
