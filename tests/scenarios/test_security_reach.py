"""Whom the gateway may call (reliability.md 5.2): the demo's switch is off, and what is in private space is
reached by the accounts and channels that list it, and by no other."""
import hashlib
import re
import unittest

from harness import eventually, run
from world import World

MTN = "2250501020304"
# Nobody's: what the sandbox brings there its own guard stops.
PUBLIC = "http://169.254.1.1"
LISTED = 'private = { "127.0.0.1" },'


def as_for_money(world):
    """The demo's configuration without allow_loopback: keys are files. TLS is the one thing that lacks."""
    config = world.gateway.config
    keys = config.parent / "keys"
    keys.mkdir()

    def file_of(value):
        path = keys / hashlib.sha256(value.encode()).hexdigest()[:16]
        path.write_text(value)
        path.chmod(0o600)
        return f'secret_file "keys/{path.name}"'

    text = config.read_text().replace("allow_loopback = true", "allow_loopback = false")
    text = re.sub(r'demo_secret "([^"]*)"', lambda m: file_of(m[1]), text)
    text = re.sub(r'secret = "([^"]*)"', lambda m: f"secret = {file_of(m[1])}", text)
    config.write_text(text)


class Reach(unittest.TestCase):
    def setUp(self):
        self.world = self.enterContext(World({"push_delay": "0s", "spacing": "0s", "public": PUBLIC}))
        as_for_money(self.world)

    def edit(self, old, new, count=-1):
        config = self.world.gateway.config
        text = config.read_text()
        self.assertIn(old, text)
        config.write_text(text.replace(old, new, count))

    def test_what_is_listed_is_reached(self):
        self.world.gateway.start()
        self.world.call(MTN).buy("1 500 1")
        eventually(lambda: self.world.executed(), "the provider was called")
        self.assertFalse(any("demo_switches" in line for line in self.world.gateway.process.output))

    def test_what_is_not_listed_is_refused_at_load(self):
        self.edit(LISTED, "")
        sets = [word for k, v in self.world.gateway.settings.items() for word in ("--set", f"{k}={v}")]
        said = run("check", "-c", self.world.gateway.config, *sets)
        self.assertEqual(said.returncode, 1)
        self.assertEqual((said.stdout + said.stderr).count("the address is this machine: list it"), 4)

    def test_one_peers_list_is_not_anothers(self):
        """A name that leads inwards: the account lists another network than the one it is in."""
        self.edit("base_url = easytransfert,\n  " + LISTED, 'base_url = easytransfert,\n  private = { "10.0.0.0/8" },')
        # A name, so that nothing can be said before it has been resolved. Its ending is loopback by RFC 6761.
        inwards = self.world.sandbox.url.replace("127.0.0.1", "provider.localhost")
        self.world.gateway.settings["easytransfert"] = inwards + "/api_v1/transaction"
        self.world.gateway.start()
        self.world.call(MTN).buy("1 500 1")
        eventually(lambda: self.world.gateway.metrics()["tama_attempts_not_sent_total"] > 0, "refused at the socket")
        self.assertEqual(self.world.executed(), [])

    def test_the_demos_switches_ring_where_money_is_real(self):
        self.edit("allow_loopback = false", "allow_loopback = true")
        self.world.gateway.settings["xente"] = "https://xente.invalid/api"
        self.world.gateway.start()
        eventually(lambda: any('"what":"demo_switches"' in line for line in self.world.gateway.process.output), "told")


if __name__ == "__main__":
    unittest.main()
