"""The README's figures are checked by each whole run; this checks the check."""
import unittest

import claims

TABLE = """
| promise | shown by | prints |
|---|---|---|
| one | `test_a`<br>`Two` | `2 passed, 0 failed`<br>`kills 3`, `1 passed, 0 failed` |
| other | `make mutants` | `mutants 24/24` |
"""


class Claims(unittest.TestCase):
    def test_true_and_untrue(self):
        ran = ["test_a", "test_a", "test_b.Two.test_c"]
        self.assertEqual(list(claims.untrue(ran, TABLE)), [])
        self.assertEqual(list(claims.untrue(ran[1:], TABLE)), ["README.md: test_a prints 1, not 2 passed"])
        self.assertEqual(list(claims.untrue(ran[:2], TABLE)), ["README.md: Two prints 0, not 1 passed"])

    def test_the_page_has_claims(self):
        self.assertGreater(len(list(claims.claims(claims.README.read_text()))), 10)
