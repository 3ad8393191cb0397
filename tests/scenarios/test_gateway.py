"""The edge of a running gateway: who may call, what is malformed, messages, reloads, switches, and
what may be written down (design.md promises 5, 7, 8, 10; reliability.md F-G8 to F-G11, 5.4)."""
import concurrent.futures
import http.client
import json
import re
import signal
import socket
import unittest

from gateway import CALLER, OTP_CALLER, Gateway, Later

FIRST = "CON Recharge pour qui ?\n1. Moi\n2. Autre numéro\n3. Mon dernier achat"
AT = "/ussd/at-ci/demo-secret-of-at-ci"
INFOBIP = "/ussd/infobip-ci/demo-secret-of-infobip-ci"
SMS = "/sms/sms-ci/demo-secret-of-sms-ci"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


class Edge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway()
        cls.g.start()

    @classmethod
    def tearDownClass(cls):
        cls.g.close()

    def test_who_may_not_call_learns_nothing(self):
        g = self.g
        before = g.metric("tama_unauthorised_total")
        paths = ["/ussd/at-ci/wrong", "/ussd/at-ci/", "/ussd/at-ci", "/ussd/none/demo-secret-of-at-ci",
                 "/ussd/at-ci/demo-secret-of-at-c", "/ussd/at-ci/demo-secret-of-at-ci2", "/ussd/",
                 "/ussd//demo-secret-of-at-ci", "/ussd/sms-ci/demo-secret-of-sms-ci", "/sms/at-ci/demo-secret-of-at-ci",
                 "/ussd/at-ug/demo-secret-of-at-ci", "/sms/sms-ci/wrong/mo", "/dlr/sms-ci/wrong", "/ipn/et-ci/wrong",
                 "/ipn/none/wrong", "/ipn/xente-ug/wrong", "/ussd/at-ci/" + "x" * 1000]
        replies = []
        for path in paths:
            reply = g.ask("POST", path, "sessionId=a&phoneNumber=%2B2250501020304&text=", FORM)
            reply.fields.pop("Date", None)
            replies.append((reply.status, reply.fields, reply.body))
        for path, reply in zip(paths, replies):
            self.assertEqual(reply, replies[0], path)
        self.assertEqual(replies[0][0], 404)
        self.assertEqual(g.metric("tama_unauthorised_total"), before + len(paths))
        self.assertEqual(g.ask("GET", "/").status, 404)
        self.assertEqual(g.ask("GET", "/metrics").status, 404)

    def test_paths_that_are_none(self):
        for path in ("/ussd/at-ci%00/demo-secret-of-at-ci", "/ussd/../metrics", "/ussd/at-ci/%zz"):
            self.assertEqual(self.g.ask("POST", path, "", FORM).status, 400)

    def test_malformed_hops_of_africas_talking(self):
        g = self.g
        before = g.metric("tama_hops_malformed_total")
        sane = "sessionId=m1&phoneNumber=%2B2250501020304&serviceCode=*384*22%23&text="
        bodies = [b"", b"\x00", b"&&&=&", b"text=1", b"sessionId=m1&text=", sane.encode() + b"&text=1",
                  sane.encode() + b"%00\xff\xfe", b"sessionId=" + b"x" * 129 + sane[12:].encode(),
                  sane.replace("2250501020304", "07").encode(), sane.replace("%2B2250501020304", "abc").encode(),
                  sane.replace("%2B2250501020304", "").encode(), sane.replace("m1", "").encode() + b"1",
                  sane.encode() + b"1" * 5000, b"{}", b"%", b"sessionId[]=1&phoneNumber=2&text="]
        for body in bodies:
            reply = g.ask("POST", AT, body, FORM)
            self.assertEqual(reply.status, 200, body[:40])
            self.assertTrue(reply.text.startswith("END "), (body[:40], reply.text))
        self.assertGreaterEqual(g.metric("tama_hops_malformed_total"), before + len(bodies) - 2)
        self.assertEqual(g.at("m2", "", "+2250501000001"), FIRST)

    def test_methods_and_types(self):
        g = self.g
        self.assertIn(g.ask("GET", AT + "?sessionId=a&phoneNumber=%2B2250501020304&text=").status, (200, 400))
        self.assertIn(g.ask("DELETE", AT).status, (200, 400))
        reply = g.ask("POST", AT, "{}", JSON)
        self.assertTrue(reply.status == 400 or reply.text.startswith("END "), reply)

    def test_malformed_hops_of_infobip(self):
        g = self.g
        deep = "[" * 50 + "]" * 50
        bodies = ["", "{", "[]", "null", '{"msisdn":', '{"msisdn":null}', '{"msisdn":"07"}', '{"msisdn":["2250501020304"]}',
                  '{"text":"1"}', '{"msisdn":"2250501020304","msisdn":"2250501020305"}', '{"msisdn":"' + "2" * 5000 + '"}',
                  '{"x":' + deep + ',"msisdn":"2250501020304"}', "\x00", '{"msisdn":"225\\u0000501020304"}']
        for body in bodies:
            reply = g.ask("POST", INFOBIP + "/session/m1/start", body, JSON)
            self.assertEqual(reply.status, 200, body[:40])
            self.assertEqual(json.loads(reply.text)["responseExitCode"], 400, (body[:40], reply.text))
        for path in ("", "/", "/session", "/session/x", "/session/x/other", "/session//start", "/session/x/start/y"):
            reply = g.ask("POST", INFOBIP + path, '{"msisdn":"2250501020304"}', JSON)
            self.assertTrue(reply.status == 400 or json.loads(reply.text)["responseExitCode"] == 400, path)

    def test_malformed_messages(self):
        g = self.g
        for fields in ({}, {"X-Kannel-From": "", "X-Kannel-To": "36789"}, {"X-Kannel-From": "MTN", "X-Kannel-To": "36789"}):
            self.assertEqual(g.ask("POST", SMS + "/mo?id=1", "CREDIT 500", fields).status, 400)
        good = {"X-Kannel-From": "0501020304", "X-Kannel-To": "36789"}
        self.assertEqual(g.ask("POST", SMS + "/mo", "CREDIT 500", good).status, 400)
        self.assertEqual(g.ask("POST", SMS + "/mo?id=" + "x" * 200, "CREDIT 500", good).status, 400)

    def test_too_much(self):
        g = self.g
        self.assertEqual(g.ask("POST", AT, b"x" * (65 * 1024), FORM).status, 413)
        self.assertEqual(g.ask("POST", AT, b"", dict(FORM, X="y" * 9000)).status, 431)
        noise = bytes(range(256)) * 200
        self.assertTrue(g.ask("POST", AT, noise, FORM).text.startswith("END "))
        self.assertEqual(json.loads(g.ask("POST", INFOBIP + "/session/b/start", noise, JSON).text)["responseExitCode"], 400)

    def test_many_connections_at_once(self):
        g = self.g
        def walk(i):
            who = f"+2250502{i:06d}"
            return [g.at(f"n{i}", text, who) for text in ("", "1", "1*500")]
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            walks = list(pool.map(walk, range(100)))
        for i, said in enumerate(walks):
            self.assertEqual(said[0], FIRST)
            self.assertIn("1. Confirmer", said[2])

    def test_health_and_metrics(self):
        g = self.g
        self.assertEqual(g.ask("GET", "/healthz", port=g.admin_port).text, "ok\n")
        self.assertEqual(g.ask("GET", "/readyz", port=g.admin_port).text, "ok\n")
        self.assertEqual(g.ask("GET", "/ussd/at-ci", port=g.admin_port).status, 404)
        reply = g.ask("GET", "/metrics", port=g.admin_port)
        self.assertTrue(reply.fields["Content-Type"].startswith("text/plain; version=0.0.4"))
        names = [line.split()[0] for line in reply.text.splitlines() if not line.startswith("#")]
        self.assertEqual(len(names), len(set(names)))
        for line in reply.text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) tama_\w+ .+|tama_\w+(\{\w+="[\w.:-]+"\})? \d+)$')
        before = g.metric("tama_hops_total")
        g.at("h1", "", "+2250501000002")
        self.assertEqual(g.metric("tama_hops_total"), before + 1)

    def test_two_countries_on_one_code(self):
        first = self.g.at("ug1", "", "+256772123456", channel="at-ug")
        self.assertIn("CON Airtime", first.replace("for whom", "Airtime") if "Airtime" not in first else first)
        self.assertTrue(self.g.at("ug2", "", "+2250501020304", channel="at-ug").startswith(("CON", "END")))


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.g = Gateway()
        cls.g.start()
        cls.n = 0

    @classmethod
    def tearDownClass(cls):
        cls.g.close()

    def say(self, text, sender):
        type(self).n += 1
        return self.g.mo(f"id-{self.n}", text, sender)

    def order(self, text, sender):
        reply = self.say(text, sender)
        found = re.search(r"OUI (\d{4}) = payer", reply)
        self.assertTrue(found, reply)
        return reply, found[1]

    def test_an_order(self):
        before = self.g.purchases()
        reply, nonce = self.order("CREDIT 500 0701020304", "0501000001")
        self.assertIn("Recharge 500 F Orange\n07 01 02 03 04", reply)
        wrong = "0000" if nonce != "0000" else "1111"
        self.assertIn("Non compris", self.say(f"OUI {wrong}", "0501000001"))
        self.assertIn("Demande recue. Réf", self.say(f"oui {nonce}", "0501000001"))
        self.g.expect_purchases(before + 1)

    def test_the_same_message_again(self):
        g, who = self.g, "0501000002"
        before = g.purchases()
        first = g.mo("dup-1", "CREDIT 500", who)
        self.assertEqual(g.mo("dup-1", "CREDIT 500", who), first)
        nonce = re.search(r"OUI (\d{4})", first)[1]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ends = set(pool.map(lambda _: g.mo("dup-2", f"OUI {nonce}", who), range(8)))
        self.assertEqual(len(ends), 1, ends)
        end = ends.pop()
        self.assertIn("Demande recue", end)
        self.assertEqual(g.mo("dup-2", f"OUI {nonce}", who), end)
        g.expect_purchases(before + 1)

    def test_a_confirmation_of_nothing(self):
        before = self.g.purchases()
        self.assertIn("Envoyez CREDIT", self.say("OUI 1234", "0501000003"))
        self.g.expect_purchases(before)

    def test_a_keyword_in_the_middle(self):
        who = "0501000004"
        before = self.g.purchases()
        _, old = self.order("CREDIT 500", who)
        reply, new = self.order("CREDIT 1000", who)
        self.assertIn("1 000 F", reply)
        if old != new:
            self.assertIn("Non compris", self.say(f"OUI {old}", who))
        self.assertIn("Demande recue", self.say(f"OUI {new}", who))
        self.g.expect_purchases(before + 1)

    def test_words_for_everybody(self):
        for word in ("AIDE", "aide", "bonjour"):
            self.assertIn("Envoyez CREDIT", self.say(word, "0501000005"))
        self.assertIn("Merci", self.say("STOP", "0501000006"))
        self.assertIn("Aucun achat", self.say("STATUT", "0501000007"))

    def test_stop_gives_up_an_order(self):
        who = "0501000008"
        before = self.g.purchases()
        _, nonce = self.order("CREDIT 500", who)
        self.say("STOP", who)
        self.assertIn("Envoyez CREDIT", self.say(f"OUI {nonce}", who))
        self.g.expect_purchases(before)

    def test_help_leaves_an_order_for_another_dialogue(self):
        who = "0501000009"
        self.order("CREDIT 500", who)
        self.assertIn("Envoyez CREDIT", self.say("AIDE", who))

    def test_one_number_does_not_confirm_for_another(self):
        before = self.g.purchases()
        _, nonce = self.order("CREDIT 500", "0501000010")
        self.say(f"OUI {nonce}", "0501000011")
        self.g.expect_purchases(before)

    def test_long_and_odd_messages(self):
        for text in ("", " ", "x" * 2000, "CREDIT " * 60, "CREDIT \u202e500", "\U0001f600", "'; DROP", "CREDIT 500" + " " * 500):
            reply = self.g.ask("POST", SMS + "/mo?id=odd", text.encode(), {"X-Kannel-From": "0501000012", "X-Kannel-To": "36789"})
            self.assertIn(reply.status, (200, 400), text[:20])

    def test_a_code_by_message(self):
        who = "0701000001"
        _, nonce = self.order("CREDIT 500", who)
        self.assertIn("répondez avec le code", self.say(f"OUI {nonce}", who))
        self.assertIn("Code invalide", self.say("12", who))
        self.assertIn("Demande recue", self.say("4821", who))

    def test_an_order_across_a_kill(self):
        who = "0501000013"
        _, nonce = self.order("CREDIT 500", who)
        self.g.restart("kill")
        self.assertIn("Demande recue", self.say(f"OUI {nonce}", who))


class Reload(unittest.TestCase):
    def test_a_good_one(self):
        with Gateway() as g:
            g.at("old", "1*500")
            g.at("early", "", "+2250501000001")
            g.edit("Recharge pour qui ?", "Pour qui ?", g.dir / "menus/airtime/texts.fr.lua")
            self.assertEqual(g.reload()["detail"], "in force")
            self.assertEqual(g.at("new", "", "+2250501000002"), FIRST.replace("Recharge pour", "Pour"))
            # A repeat gets what was said; an answer to the old version ends politely.
            self.assertEqual(g.at("early", "", "+2250501000001"), FIRST)
            self.assertIn("END Le service a changé", g.at("early", "1", "+2250501000001"))
            self.assertIn("END Le service a changé", g.at("old", "1*500*1"))
            g.expect_purchases(0)

    def test_resuming_an_old_version(self):
        with Gateway() as g:
            g.at("old", "1*500")
            g.edit("Recharge pour qui ?", "Pour qui ?", g.dir / "menus/airtime/texts.fr.lua")
            g.reload()
            self.assertIn("Reprendre", g.at("new", ""))
            self.assertIn("END Le service a changé", g.at("new", "1"))
            self.assertIn("Pour qui", g.at("next", ""))

    def test_nothing_changed(self):
        with Gateway() as g:
            confirm = g.at("a", "1*500")
            g.reload()
            self.assertEqual(g.at("a", "1*500"), confirm)
            self.assertIn("END Demande recue", g.at("a", "1*500*1"))

    def test_bad_ones_change_nothing(self):
        bad = [("gateway {", "gateway {{"), ('country = "CI"', 'country = "XX"'), ("septets = 160", 'septets = "x"')]
        with Gateway() as g:
            confirm = g.at("a", "1*500")
            whole = g.config.read_text()
            for old, new in bad:
                g.edit(old, new)
                self.assertIn("nothing has changed", g.reload()["detail"])
                g.config.write_text(whole)
            menu = g.dir / "menus/airtime/menu.lua"
            text = menu.read_text()
            for broken in (text + "\n)", "return 1", "while true do end"):
                menu.write_text(broken)
                line = g.reload()
                self.assertIn("nothing has changed", line.get("detail", ""), broken[-20:])
                self.assertEqual(g.at("a", "1*500"), confirm)
            menu.write_text(text)
            self.assertIn("END Demande recue", g.at("a", "1*500*1"))
            self.assertEqual(g.at("b", "", "+2250501000009"), FIRST)

    def test_a_channel_less(self):
        with Gateway() as g:
            g.infobip("i", "start", msisdn="2250501000001", shortCode="*384*23#")
            text = g.config.read_text()
            g.config.write_text(re.sub(r'channel "infobip-ci" \{.*?\n\}\n', "", text, flags=re.S))
            self.assertEqual(g.reload().get("detail"), "in force")
            reply = g.ask("POST", INFOBIP + "/session/i/response", '{"text":"1"}', JSON)
            self.assertEqual(reply.status, 404)
            g.config.write_text(text)
            g.reload()
            self.assertIn("Montant", g.infobip("i", "response", text="1")["ussdMenu"])

    def test_switches(self):
        with Gateway() as g:
            g.at("a", "1*500")
            g.edit('codes = { "*384*22#" },\n  septets', 'codes = { "*384*22#" },\n  out_of_service = true,\n  septets')
            g.reload()
            self.assertIn("END Service indisponible", g.at("b", "", "+2250501000001"))
            g.edit("out_of_service = true,\n  septets", "septets")
            g.edit('kind = "airtime",\n  country = "CI",', 'kind = "airtime",\n  out_of_service = true,\n  country = "CI",')
            g.reload()
            gone = "END MTN est indisponible pour le moment. Rien n'a été débité."
            # Who answers a confirmation is answered by the engine: that press may have bought already.
            self.assertIn("END Service indisponible", g.at("a", "1*500*1"))
            self.assertIn(gone, g.at("c", "1*500", "+2250501000002"))
            g.edit('out_of_service = true,\n  country = "CI",', 'country = "CI",')
            mtn = g.dir / "config/countries/ci.lua"
            g.edit('title = "MTN",', 'title = "MTN", out_of_service = true,', mtn)
            g.reload()
            said = g.at("d", "1", "+2250501000003")
            self.assertIn("CON MTN est indisponible.", said)
            self.assertIn("1. Orange\n2. Moov", said)
            g.edit('title = "MTN", out_of_service = true,', 'title = "MTN",', mtn)
            g.edit('codes = { "36789" },', 'codes = { "36789" },\n  out_of_service = true,')
            g.reload()
            fields = {"X-Kannel-From": "0501000004", "X-Kannel-To": "36789"}
            self.assertIn("Service indisponible", g.ask("POST", SMS + "/mo?id=switched", "CREDIT 500", fields).text)
            self.assertIn("Montant", g.at("e", "1", "+2250501000004"))
            g.expect_purchases(0)

    def test_under_load(self):
        with Gateway() as g:
            stop = []
            def walk(i):
                n = 0
                while not stop:
                    who = f"+225050{i}{n:06d}"
                    g.at(f"u{i}-{n}", "", who)
                    g.at(f"u{i}-{n}", "1", who)
                    g.at(f"u{i}-{n}", "1*500", who)
                    said = g.at(f"u{i}-{n}", "1*500*1", who)
                    assert said.startswith(("END Demande recue", "END Le service a changé")), said
                    look = g.at(f"v{i}-{n}", "3", who)
                    assert look.startswith("END "), look
                    n += 1
                return n
            walkers = [Later(walk, i) for i in range(4)]
            texts = g.dir / "menus/airtime/texts.fr.lua"
            for i in range(6):
                texts.write_text(texts.read_text().replace("pour qui ?", "pour qui donc ?") if i % 2 == 0
                                 else texts.read_text().replace("pour qui donc ?", "pour qui ?"))
                g.reload()
            stop.append(True)
            self.assertGreater(sum(w.result() for w in walkers), 4)
            self.assertEqual(g.stop(), 0)


class Canary(unittest.TestCase):
    """What was typed as a code, and whole numbers, are in nothing that the gateway writes."""

    def test_codes_and_numbers(self):
        with Gateway() as g:
            code, number, other = "73914682", "+2250709182736", "0506172839"
            g.at("a", "1*500", number)
            g.at("a", "1*500*1", number)
            g.at("b", "", number)
            g.at("b", "1", number)
            self.assertIn("Code invalide", g.at("b", f"1*{code}9", number))
            self.assertIn("Demande recue", g.at("b", f"1*{code}9*{code}", number))
            g.at("b", f"1*{code}9*{code}", number)
            g.at("b", f"1*{code}9*{code}*1", number)
            g.at("lost", f"1*{code}9*{code}", number)
            g.at("c", f"2*{other}*500", "+2250501020304")
            g.at("c", f"2*{other}*500*1", "+2250501020304")
            g.ask("POST", AT, f"sessionId=x&phoneNumber=%2B225070918273&text={code}", FORM)
            g.ask("POST", AT, f"sessionId=x&sessionId=y&phoneNumber={number[1:]}&text={code}", FORM)
            g.infobip("i", "start", msisdn=number[1:], shortCode="*384*23#")
            g.infobip("lost", "response", msisdn=number[1:], text=code)
            g.ask("POST", "/ussd/at-ci/wrong", f"phoneNumber={number[1:]}&text={code}", FORM)
            g.ask("POST", SMS + "/mo?id=1", f"CREDIT 500 {other} {code}", {"X-Kannel-From": number, "X-Kannel-To": "36789"})
            written = {"metrics": g.ask("GET", "/metrics", port=g.admin_port).body}
            g.kill()
            written.update(g.files())
            written["log"] = g.log().encode()
            self.assertTrue(any(p.suffix == ".log" and len(b) for p, b in written.items() if hasattr(p, "suffix")))
            for name, content in written.items():
                for secret in (code, number[1:], number[4:], other, "demo-api-key", "demo-secret"):
                    self.assertNotIn(secret.encode(), content, f"{secret} in {name}")

    def test_names_cannot_forge_a_line(self):
        with Gateway() as g:
            g.ask("POST", AT, 'sessionId=%0a{"what":"forged"}&phoneNumber=%2B2250501020304&text=', FORM)
            g.ask("POST", '/ussd/"x"%7b/y', "", FORM)
            for line in g.log().splitlines():
                self.assertNotEqual(json.loads(line)["what"], "forged")


class Stop(unittest.TestCase):
    """SIGTERM in the middle of everything: every turn is answered, and it ends soon and well."""

    def test_under_load(self):
        for _ in range(4):
            with Gateway() as g:
                stop = []

                def insist(call):
                    n = 0
                    while not stop:
                        try:
                            call(n)
                        except (OSError, http.client.HTTPException):
                            return n
                        n += 1
                    return n

                ipn = "/ipn/xente-ug/demo-ipn-secret-xente-ug"
                calls = [Later(insist, lambda n: g.ask("POST", ipn, '{"transactionId":"x%d"}' % n, JSON)) for _ in range(3)]
                for i in range(3):
                    def buy(n, i=i):
                        g.at(f"b{i}-{n}", "1*500", f"+225050{i}{n:06d}")
                        g.at(f"b{i}-{n}", "1*500*1", f"+225050{i}{n:06d}")
                    calls.append(Later(insist, buy))
                calls.append(Later(insist, lambda n: g.ask("GET", "/metrics", port=g.admin_port)))
                calls.append(Later(insist, lambda n: g.at(f"l{n}", "3", f"+2250509{n:06d}")))
                g.until(lambda: g.metric("tama_purchases_total") > 20)
                self.assertEqual(g.stop(), 0)
                stop.append(True)
                for later in calls:
                    later.result()
                g.start()
                m = g.metrics()
                # Nothing was sent, so nothing may be in doubt.
                self.assertEqual(m['tama_attempts{state="UNKNOWN"}'], 0)


class Behind(unittest.TestCase):
    """Behind a proxy: whose address counts (config.proxies), and how many connections it may have."""

    SOURCES = [('ipn_secret = demo_secret "demo-ipn-secret-xente-ug",',
                'ipn_secret = demo_secret "demo-ipn-secret-xente-ug",\n  sources = { "192.0.2.7", "2001:db8::7" },')]
    PROXIES = [("connections = 1024,", 'connections = 1024,\n  proxies = { "127.0.0.1", "10.0.0.1" },')]

    def ipn(self, g, *forwarded):
        """Whether an IPN from there gets past the door."""
        connection = socket.create_connection(("127.0.0.1", g.port))
        lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded)
        connection.sendall(("POST /ipn/xente-ug/demo-ipn-secret-xente-ug HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                            f"{lines}Content-Length: 2\r\n\r\n{{}}").encode())
        reply = b""
        while piece := connection.recv(4096):
            reply += piece
        connection.close()
        return int(reply.split()[1]) != 404

    def test_the_address_that_the_proxy_saw(self):
        with Gateway(self.SOURCES + self.PROXIES) as g:
            self.assertTrue(self.ipn(g, "192.0.2.7"))
            self.assertTrue(self.ipn(g, "198.51.100.9, 192.0.2.7"))
            self.assertTrue(self.ipn(g, "192.0.2.7, 10.0.0.1"))
            self.assertTrue(self.ipn(g, " 192.0.2.7 ,10.0.0.1 , 127.0.0.1"))
            self.assertTrue(self.ipn(g, "198.51.100.9", "192.0.2.7"))
            self.assertTrue(self.ipn(g, "2001:DB8:0::7"))
            for forged in ((), ("192.0.2.8",), ("192.0.2.7, 198.51.100.9",), ("192.0.2.7", "198.51.100.9"), ("",), (",",),
                           ("192.0.2.7, unknown",), ("192.0.2.7,",), ("192.0.2.7:80",), ("192.0.2.77",), ("10.0.0.1",),
                           ("192.0.2.7, 10.0.0.2",), ("x" * 2000,)):
                self.assertFalse(self.ipn(g, *forged), forged)

    def test_nobody_else_is_believed(self):
        with Gateway(self.SOURCES) as g:
            self.assertFalse(self.ipn(g, "192.0.2.7"))


if __name__ == "__main__":
    unittest.main()
