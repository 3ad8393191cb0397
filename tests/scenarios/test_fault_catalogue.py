"""Every fault of the analysis has a row, every row a test that exists, and the page is the table's."""
import subprocess
import sys
import unittest

from harness import ROOT


class Catalogue(unittest.TestCase):
    def test_table_and_page(self):
        done = subprocess.run([sys.executable, ROOT / "scripts" / "faults.py", "--check"], capture_output=True,
                              text=True, cwd=ROOT, timeout=120)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    unittest.main()
