"""The stand-ins: what they answer, what they execute, and each behaviour once."""
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import tempfile
import threading
import unittest
import urllib.parse

import harness
from harness import Receiver, Sandbox, eventually, exchange, request

# The fields of the documented replies (easytransfert.md 1.2 and 1.4).
FLAT = {"transaction_id", "amount", "benefice", "comission", "destination", "fee", "response", "service_id",
        "customer_name", "state", "custom_data", "ipn_url", "transaction_channel", "provider_id", "sms_link", "p_id",
        "p_last_wallet_amount", "p_new_wallet_amount", "created_at", "updated_at", "message", "statut_code"}
WRAPPED = {"transaction_id", "amount", "benefice", "commission", "destination", "fee", "error", "service_id",
           "customer_name", "state", "custom_data", "ipn_url", "provider_id", "created_at", "updated_at",
           "p_last_wallet_amount", "p_new_wallet_amount", "p_id", "hash"}
IPN_1 = {"transaction_id", "amount", "benefice", "commission", "destination", "fee", "reponse", "error", "service_id",
         "customer_name", "state", "custom_data", "ipn_url", "provider_id", "sms_link", "created_at", "updated_at",
         "ipn_state"}


class Case(unittest.TestCase):
    options = {}

    def setUp(self):
        self.receiver = Receiver()
        self.addCleanup(self.receiver.stop)
        self.sandbox = Sandbox(**{"ipn_delay_ms": 0, "ipn_retry_ms": 20, **self.options})
        self.addCleanup(self.check_end)

    def check_end(self):
        self.assertEqual(self.sandbox.stop(), 0, self.sandbox.process.output)

    def buy(self, ref="order_789", **kw):
        return self.sandbox.airtime(ref, ipn=self.receiver.url + "/ipn", **kw)

    def status(self, transaction_id):
        return request(self.sandbox.url + "/api_v1/transaction/status", "POST",
                       {"api_key": self.sandbox.ET_KEY, "transaction_id": transaction_id})

    def executed(self):
        return [(t["our_ref"], t["executed"]) for t in self.sandbox.ledger()]

    def settled(self, state="SUCCESSFUL"):
        return eventually(lambda: [t for t in self.sandbox.ledger() if t["state"] == state], state)[0]


class EasyTransfert(Case):
    def test_flat_and_wrapped(self):
        flat = self.buy("A1")
        self.assertEqual(flat.status, 202)
        data = json.loads(flat.body)
        self.assertEqual(set(data), FLAT)
        self.assertEqual((data["amount"], data["destination"], data["state"], data["custom_data"], data["fee"]),
                         (500, "0501020304", "PENDING1", "A1", "0"))
        wrapped = self.buy("A2")
        self.assertEqual(wrapped.status, 200)
        top = json.loads(wrapped.body)
        self.assertEqual(set(top), {"data", "message", "statut_code"})
        self.assertEqual(set(top["data"]), WRAPPED)
        self.assertEqual((top["data"]["state"], top["data"]["fee"]), ("PENDING1", 0))

    def test_ipn(self):
        sent = json.loads(self.buy("A1").body)
        ipn = self.receiver.bodies()[0]
        self.assertEqual(set(ipn), IPN_1)
        self.assertEqual((ipn["transaction_id"], ipn["amount"], ipn["destination"], ipn["service_id"], ipn["state"],
                          ipn["custom_data"], ipn["reponse"]),
                         (sent["transaction_id"], 500, "0501020304", 121, "SUCCESSFUL", "A1", "operation succes"))
        self.assertEqual(self.receiver.requests[0]["path"], "/ipn")
        self.buy("A2")
        second = self.receiver.bodies(2)[1]
        self.assertEqual(second["response"], "operation success")
        row = eventually(lambda: [t for t in self.sandbox.ledger() if t["ipns_acknowledged"]], "an acknowledged IPN")[0]
        self.assertEqual((row["provider"], row["our_ref"], row["number"], row["amount"], row["service"],
                          row["requested"], row["executed"], row["state"], row["ipns_sent"]),
                         ("easytransfert", "A1", "0501020304", 500, "121", 1, 1, "SUCCESSFUL", 1))

    def test_ipn_until_200(self):
        self.receiver._answers = [500, 404, 302, 201]
        self.buy()
        arrived = self.receiver.wait(5)
        gaps = [b["at"] - a["at"] for a, b in zip(arrived, arrived[1:])]
        self.assertEqual(len({r["body"].split('"updated_at"')[0] for r in arrived}), 1)
        # 20, 40, 80, 160 ms: it waits longer each time.
        for gap, least in zip(gaps, (0.02, 0.04, 0.08, 0.16)):
            self.assertGreaterEqual(gap, least * 0.9)
        row = eventually(lambda: [t for t in self.sandbox.ledger() if t["ipns_acknowledged"]], "acknowledged")[0]
        self.assertEqual((row["ipns_sent"], row["ipns_acknowledged"]), (5, 1))

    def test_status(self):
        self.sandbox.fault({"do": "pending_forever"})
        transaction = json.loads(self.buy("A1").body)["transaction_id"]
        self.assertEqual(json.loads(self.status(transaction).body)["data"]["state"], "PENDING")
        transaction = json.loads(self.buy("A2").body)["data"]["transaction_id"]
        self.settled()
        top = json.loads(self.status(transaction).body)
        self.assertEqual(set(top["data"]), WRAPPED)
        self.assertEqual((top["data"]["state"], top["data"]["custom_data"]), ("SUCCESSFUL", "A2"))
        for unknown in ("EFB.001158", "EFB.999999999", "EFB.-1", "x", ""):
            self.assertEqual(self.status(unknown).status, 404, unknown)

    def test_refusals(self):
        for status, error, kw in (
                (401, "Invalid API Key", {"api_key": "x"}),
                (400, "Amount must be a multiple of 100", {"amount": 550}),
                (422, "Montant minimum : 500 FCFA", {"amount": 400}),
                (422, "amount is not applicable", {"amount": 500100}),
                (406, "amount is required", {"amount": "500"}),
                (406, "amount is required", {"amount": 500.0}),
                (422, "destination field is not applicable", {"number": "0701020304"}),
                (422, "destination field is not applicable", {"number": "+2250501020304"}),
                (406, "destination is required", {"number": ""}),
                (406, "service_id is required", {"service": 999}),
                (406, "service_id is required", {"service": "121"}),
                (406, "om_otp is required", {"service": 125, "number": "0701020304"}),
                (406, "om_otp is required", {"service": 125, "number": "0701020304", "om_otp": 1234}),
                (422, "custom_data or ipn_url is too long", {"ref": "x" * 48}),
        ):
            with self.subTest(**kw):
                reply = self.buy(**kw)
                self.assertEqual((reply.status, json.loads(reply.body)), (status, {"error": error}))
        self.assertEqual(self.sandbox.ledger(), [])
        reply = request(self.sandbox.url + "/api_v1/transaction/airtime", "POST", "{")
        self.assertEqual(reply.status, 401)

    def test_otp(self):
        self.assertEqual(self.buy("A1", service=125, number="0701020304", om_otp="1234").status, 202)
        self.assertEqual(self.receiver.bodies()[0]["state"], "SUCCESSFUL")
        self.buy("A2", service=125, number="0701020304", om_otp="0000")
        ipn = self.receiver.bodies(2)[1]
        self.assertEqual((ipn["state"], ipn["error"]), ("FAILED", "Solde insuffisant"))
        self.assertEqual([t["state"] for t in self.sandbox.ledger()], ["SUCCESSFUL", "FAILED"])

    def test_balance(self):
        url = self.sandbox.url + "/api_v1/admin/partner/wallet/single"
        self.assertEqual(request(url, "POST").status, 401)
        reply = request(url, "POST", headers={"x-api-key": self.sandbox.ET_KEY})
        self.assertEqual(json.loads(reply.body)["data"]["balance"], 139403535)


class Spacing(Case):
    options = {"spacing_ms": 3600000}

    def test_number_and_amount(self):
        transaction = json.loads(self.buy("A1").body)["transaction_id"]
        reply = self.buy("A2")
        self.assertEqual((reply.status, json.loads(reply.body)),
                         (429, {"error": "Veuillez patienter 3600 secondes"}))
        self.assertEqual(self.status(transaction).status, 429)
        self.assertIn(self.buy("A3", amount=600).status, (200, 202))
        self.assertIn(self.buy("A4", number="0501020305").status, (200, 202))
        self.assertEqual(self.executed(), [("A1", 1), ("A3", 1), ("A4", 1)])
        self.sandbox.settings(spacing_ms=0)
        self.assertIn(self.buy("A2").status, (200, 202))


class Options(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "ledger"
        self.options = {"ledger": self.file, "et_signature": "shared", "shape": "wrapped"}
        super().setUp()

    def test_file_signature_and_shape(self):
        for ref in ("A1", "A2"):
            self.assertEqual(set(json.loads(self.buy(ref).body)), {"data", "message", "statut_code"})
        for arrived in self.receiver.wait(2):
            mac = hmac.new(b"shared", arrived["body"].encode(), hashlib.sha256).hexdigest()
            self.assertEqual(arrived["headers"]["X-EASYTRANSFERT-SIGNATURE"], mac)
        self.sandbox.process.kill()
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        self.assertEqual([(t["our_ref"], t["amount"], t["number"]) for t in lines],
                         [("A1", 500, "0501020304"), ("A2", 500, "0501020304")])

    def check_end(self):
        self.sandbox.process.stop()


class WrongCalls(unittest.TestCase):
    def test_command_line(self):
        for args in (["--listen", "9090"], ["--listen", "127.0.0.1:70000"], ["--workers", "0"], ["--workers", "x"],
                     ["--nothing"], ["--ledger"], ["word"]):
            with self.subTest(args=args):
                self.assertEqual(harness.run("sandbox", *args).returncode, 2)
        for args in (["--listen", "localhost:0"], ["--listen", "127.0.0.1:0", "--ledger", "/nowhere/ledger"]):
            with self.subTest(args=args):
                done = harness.run("sandbox", *args)
                self.assertEqual(done.returncode, 1)
                self.assertIn("tama sandbox: ", done.stderr)
        self.assertEqual(harness.run("sandbox", "--help").returncode, 0)

    def test_closed_descriptors(self):
        """F-C12: no file or socket becomes stdout."""
        done = harness.subprocess.run(["sh", "-c", 'exec "$0" sandbox --listen localhost:0 <&- >&- 2>&-', harness.TAMA],
                                      timeout=30)
        self.assertEqual(done.returncode, 1)


class Xente(Case):
    def setUp(self):
        super().setUp()
        self.sandbox.settings(ipn_base=self.receiver.url + "/ipn/xente")
        self.auth = self.sandbox.login()

    def test_login(self):
        reply = request(self.sandbox.url + "/api/auth/login", "POST", dict(Sandbox.LOGIN, appPassword="x"))
        self.assertEqual((reply.status, json.loads(reply.body)["success"]), (401, False))
        reply = request(self.sandbox.url + "/api/auth/login", "POST", Sandbox.LOGIN)
        self.assertEqual(set(json.loads(reply.body)), {"Token", "refreshToken", "success", "message"})

    def test_401(self):
        for auth in ({}, {"Authorization": "Bearer x"}, {"Authorization": self.auth["Authorization"][7:]}):
            self.assertEqual(self.sandbox.payout(auth).status, 401)
        self.assertIn(self.sandbox.payout({"Authorization": "Token " + self.auth["Authorization"][7:]}).status,
                      (200, 201))
        self.sandbox.settings(token_s=0)
        self.assertEqual(self.sandbox.payout(self.sandbox.login()).status, 401)
        self.assertEqual(len(self.sandbox.ledger()), 1)

    def test_payout(self):
        first = self.sandbox.payout(self.auth, "X1")
        second = self.sandbox.payout(self.auth, "X2")
        self.assertEqual((first.status, second.status), (200, 201))
        top = json.loads(first.body)
        self.assertEqual((top["code"], top["status"]), (0, "success"))
        self.assertNotIn("status", json.loads(second.body))
        self.assertEqual(set(top["data"]), {"requestId", "batchId", "transactionId", "status", "message", "createdOn"})
        self.assertEqual((top["data"]["requestId"], top["data"]["batchId"], top["data"]["status"]),
                         ("X1", "batch5678", "PROCESSING"))
        self.assertRegex(top["data"]["createdOn"], r"^\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M$")
        # Two transactions, two IPNs, in either order.
        ipn = {i["requestId"]: i for i in self.receiver.bodies(2)}["X1"]
        self.assertEqual((ipn["transactionId"], ipn["requestId"], ipn["requestReference"]["requestId"], ipn["amount"],
                          ipn["statusCode"], ipn["currencyCode"]),
                         (top["data"]["transactionId"], "X1", "X1", 1000, 0, "UGX"))
        self.assertEqual(self.receiver.requests[0]["path"], "/ipn/xente")

    def test_get(self):
        self.sandbox.fault({"do": "pending_forever"})
        path = self.sandbox.url + "/api/transactions/"
        transaction = json.loads(self.sandbox.payout(self.auth, "X1").body)["data"]["transactionId"]
        data = json.loads(request(path + transaction, headers=self.auth).body)["data"]
        self.assertEqual((data["status"], data["requestId"], data["currency"], data["transactionType"]),
                         ("PROCESSING", "X1", "UGX", "PAYOUT"))
        self.assertIn('"amount":-1000.00,', request(path + transaction, headers=self.auth).body)
        reply = self.sandbox.payout(self.auth, "X2", path="collections/mobilemoney", type="CREDIT",
                                    provider={"providerItemId": "AIRTELMONEYUG_AIRTELMONEYUG"}, number="+256702000000")
        transaction = json.loads(reply.body)["data"]["transactionId"]
        self.settled("SUCCESSFULL")
        self.assertIn('"amount":1000.00,', request(path + transaction, headers=self.auth).body)
        self.assertIn('"status":"SUCCESSFULL"', request(path + transaction, headers=self.auth).body)
        self.assertEqual([(t["service"], t["collect"]) for t in self.sandbox.ledger()],
                         [("MTNAIRTIMEUG/MTNAIRTIMEUG_MTNAIRTIMEUG", False), ("AIRTELMONEYUG_AIRTELMONEYUG", True)])
        for unknown in ("673cb118-fa10-462c-e1c0-08dc377e93f9", transaction[:-1] + "f", transaction[:-1], "x"):
            self.assertEqual(request(path + unknown, headers=self.auth).status, 404, unknown)
        self.assertEqual(request(path + transaction).status, 401)

    def test_list(self):
        self.sandbox.fault({"do": "ipn_failed", "our_ref": "X1"})
        for i in range(5):
            self.sandbox.payout(self.auth, f"X{i}")
        eventually(lambda: all(t["state"] != "PROCESSING" for t in self.sandbox.ledger()), "all settled")

        def page(query):
            data = json.loads(request(self.sandbox.url + "/api/transactions?" + query, headers=self.auth).body)["data"]
            return [row["requestId"] for row in data["collection"]], data["totalCount"]
        self.assertEqual(page("pageNumber=1&pageSize=2"), (["X4", "X3"], 5))
        self.assertEqual(page("pageNumber=3&pageSize=2"), (["X0"], 5))
        self.assertEqual(page("transactionStatus=FAILED"), (["X1"], 1))
        self.assertEqual(page("transactionStatus=REVERSED"), ([], 0))
        row = json.loads(request(self.sandbox.url + "/api/transactions", headers=self.auth).body)["data"]["collection"][0]
        self.assertNotIn("status", row)

    def test_refusals(self):
        for message, kw in (
                ("Invalid requestId", {"ref": ""}),
                ("Invalid amount", {"amount": 0}),
                ("Invalid amount", {"amount": "1000"}),
                ("Invalid amount", {"amount": 10.5}),
                ("Invalid transaction type", {"type": "CREDIT"}),
                ("Invalid product", {"product": {}}),
                ("Invalid phone number", {"number": "0701"}),
                ("Invalid phone number", {"number": "+2250701020304"}),
        ):
            with self.subTest(**kw):
                reply = self.sandbox.payout(self.auth, **kw)
                self.assertEqual((reply.status, json.loads(reply.body)), (400, {"code": 1, "message": message}))
        self.assertEqual(self.sandbox.ledger(), [])
        self.assertIn(self.sandbox.payout(self.auth, amount=1000.0).status, (200, 201))

    def test_accounts(self):
        reply = request(self.sandbox.url + "/api/accounts", headers=self.auth)
        self.assertEqual(reply.body, '{"code":0,"message":"Account retrieved successfully","data":{"accountNumber":6,'
                         '"name":"Enaf Tech","description":"Enaf Tech","balance":400000000.00,"currency":"UGX"}}')
        self.assertEqual(request(self.sandbox.url + "/api/accounts").status, 401)

    def test_faults(self):
        self.sandbox.fault({"provider": "xente", "op": "submit", "do": "duplicate"})
        reply = self.sandbox.payout(self.auth)
        self.assertEqual((reply.status, json.loads(reply.body)["message"]), (400, "Duplicate RequestId"))
        self.sandbox.fault({"provider": "xente", "op": "submit", "do": "refuse"})
        self.assertEqual(json.loads(self.sandbox.payout(self.auth).body)["message"], "Invalid phone number")
        self.assertEqual(self.sandbox.ledger(), [])
        self.sandbox.fault({"provider": "xente", "op": "login", "do": "status_500"})
        self.assertEqual(request(self.sandbox.url + "/api/auth/login", "POST", Sandbox.LOGIN).status, 500)
        self.sandbox.fault({"do": "wrong_ref"})
        self.assertEqual(json.loads(self.sandbox.payout(self.auth, "X1").body)["data"]["requestId"], "92399933543589")
        self.sandbox.fault({"do": "ipn_wrong_amount"})
        self.sandbox.payout(self.auth, "X2")
        self.receiver.wait(2)
        self.sandbox.fault({"do": "ipn_old_shape"})
        self.sandbox.payout(self.auth, "X3")
        old = self.receiver.bodies(3)[2]
        self.assertEqual((old["client_referenceId"], old["status_code"], old["amount"]), ("X3", 0, 1000.0))
        self.assertRegex(old["created_on"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual({i["requestId"]: i["amount"] for i in self.receiver.bodies(2)}, {"X1": 1000, "X2": 1100})


class Faults(Case):
    def fault(self, do, **more):
        self.sandbox.fault({"do": do, "op": "submit", **more})

    def raw(self, ref="A1"):
        body = json.dumps({"amount": 500, "api_key": Sandbox.ET_KEY, "destination": "0501020304", "service_id": 121,
                           "ipn_url": self.receiver.url + "/ipn", "custom_data": ref})
        return exchange(self.sandbox.port, (
            "POST /api_v1/transaction/airtime HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode())

    def test_statuses(self):
        for status, text in ((401, "Invalid API Key"), (429, "Veuillez patienter 15 minutes"),
                             (500, "Internal server error"), (503, "")):
            self.fault(f"status_{status}")
            reply = self.buy()
            self.assertEqual((reply.status, json.loads(reply.body)), (status, {"error": text}))
        self.assertEqual(self.sandbox.ledger(), [])
        self.fault("status_500", execute=True, text="<html>")
        reply = self.buy()
        self.assertEqual((reply.status, reply.body), (500, "<html>"))
        self.assertEqual(self.executed(), [("order_789", 1)])

    def test_refuse_fail_duplicate(self):
        self.fault("refuse")
        reply = self.buy()
        self.assertEqual((reply.status, json.loads(reply.body)), (422, {"error": "Numero de destination invalide"}))
        self.fault("duplicate")
        self.assertEqual(json.loads(self.buy().body), {"error": "Transaction deja executee"})
        self.fault("fail")
        self.assertEqual(json.loads(self.buy().body), {
            "status": "FAILED", "message": "Solde insuffisant",
            "data": {"transaction_id": "EFB.001158", "state": "FAILED", "error": "Solde insuffisant"}})
        self.assertEqual(self.sandbox.ledger(), [])

    def test_lost(self):
        self.fault("lost_request")
        self.assertEqual(self.raw("A1"), b"")
        self.assertEqual(self.sandbox.ledger(), [])
        self.fault("lost_reply")
        self.assertEqual(self.raw("A1"), b"")
        self.assertEqual(self.executed(), [("A1", 1)])
        self.assertEqual(self.sandbox.requests()["refs"], {"A1": {"requested": 2, "executed": 1}})
        self.assertEqual(self.receiver.bodies()[0]["custom_data"], "A1")
        self.fault("lost_reply")
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.buy("A2")

    def test_garbage_body_raw_redirect(self):
        self.fault("garbage")
        reply = self.buy()
        self.assertEqual((reply.status, reply.body), (202, "<html>Bad gateway</html>"))
        self.fault("body", status=200, text='{"data":null}')
        reply = self.buy()
        self.assertEqual((reply.status, reply.body), (200, '{"data":null}'))
        self.fault("raw", text="HTTP/1.1 100 Continue\r\n\r\nnonsense")
        self.assertEqual(self.raw(), b"HTTP/1.1 100 Continue\r\n\r\nnonsense")
        self.assertEqual(len(self.sandbox.ledger()), 3)
        self.fault("huge", bytes=400000)
        self.assertEqual(len(self.buy().body), 400000)
        self.assertEqual(len(self.sandbox.ledger()), 4)
        self.fault("redirect", status=308)
        reply = self.buy()
        self.assertEqual((reply.status, reply.headers["Location"]), (308, "/api_v1/transaction/airtime"))
        self.assertEqual(len(self.sandbox.ledger()), 4)

    def test_lies(self):
        self.fault("wrong_amount")
        self.assertEqual(json.loads(self.buy().body)["amount"], 600)
        self.fault("wrong_number")
        self.assertEqual(json.loads(self.buy().body)["data"]["destination"], "0799999999")
        self.fault("wrong_ref")
        self.assertEqual(json.loads(self.buy("A1").body)["custom_data"], "order_789")
        self.assertEqual({(t["amount"], t["number"]) for t in self.sandbox.ledger()}, {(500, "0501020304")})

    def test_execute_twice(self):
        self.fault("execute_twice")
        self.buy("A1")
        self.assertEqual(self.executed(), [("A1", 2), ("A1", 2)])
        self.assertEqual(self.sandbox.totals()["executed_twice"], 1)
        self.assertEqual(len({i["transaction_id"] for i in self.receiver.bodies(2)}), 2)

    def test_delay_and_hang(self):
        self.fault("delay_ms", ms=150)
        begin = harness.time.monotonic()
        self.assertEqual(self.buy("A1").status, 202)
        self.assertGreaterEqual(harness.time.monotonic() - begin, 0.15)
        self.fault("hang", ms=150)
        self.assertEqual(self.raw("A2"), b"")
        self.assertEqual(self.executed(), [("A1", 1), ("A2", 1)])
        # One that still hangs when the sandbox ends is let go.
        self.fault("hang")
        waiting = threading.Thread(target=self.raw, args=("A3",))
        waiting.start()
        eventually(lambda: len(self.sandbox.ledger()) == 3, "the third execution")
        self.assertEqual(self.sandbox.stop(), 0)
        waiting.join(harness.DEADLINE_S)
        self.assertFalse(waiting.is_alive())

    def test_ipn_first(self):
        self.fault("ipn_first")
        self.assertEqual(self.buy("A1").status, 202)
        self.assertEqual(len(self.receiver.requests), 1)

    def test_ipn_counts(self):
        self.fault("ipn_twice", our_ref="A1")
        self.fault("ipn_times", n=5, our_ref="A2")
        self.fault("no_ipn", our_ref="A3")
        for ref in ("A1", "A2", "A3"):
            self.buy(ref)
        refs = [i["custom_data"] for i in self.receiver.bodies(7)]
        self.assertEqual((refs.count("A1"), refs.count("A2")), (2, 5))
        rows = eventually(lambda: [t for t in self.sandbox.ledger() if t["state"] == "SUCCESSFUL"][2:], "all settled")
        self.assertEqual((rows[0]["our_ref"], rows[0]["ipns_sent"]), ("A3", 0))
        eventually(lambda: self.sandbox.totals()["parcels"] == 0, "nothing is left to send")
        self.assertEqual(len(self.receiver.requests), 7)

    def test_ipn_lies(self):
        for do, name, value in (("ipn_wrong_amount", "amount", 600), ("ipn_wrong_number", "destination", "0799999999"),
                                ("ipn_failed", "state", "FAILED")):
            self.fault(do)
            self.buy()
            self.assertEqual(self.receiver.bodies()[0][name], value)
            eventually(lambda: self.sandbox.totals()["parcels"] == 0, "sent")
            self.receiver.requests.clear()
        self.fault("ipn_contradicts")
        self.buy()
        self.assertEqual([i["state"] for i in self.receiver.bodies(2)], ["SUCCESSFUL", "FAILED"])

    def test_ipn_late(self):
        self.fault("ipn_late_ms", ms=200)
        begin = harness.time.monotonic()
        self.buy()
        self.assertGreaterEqual(self.receiver.wait()[0]["at"] - begin, 0.2)

    def test_filters(self):
        self.sandbox.fault({"do": "status_500", "always": True, "number": "0501020304", "amount": 700})
        self.sandbox.fault({"do": "status_503", "times": 2, "provider": "easytransfert", "op": "status"})
        self.assertEqual([self.buy(amount=700).status for _ in range(3)], [500, 500, 500])
        self.assertEqual(self.buy(amount=700, number="0501020305").status, 202)
        self.assertEqual(self.buy(amount=800).status, 200)
        self.assertEqual([self.status("x").status for _ in range(3)], [503, 503, 404])
        self.assertEqual(self.sandbox.get("/_sandbox/faults"), {"faults": [
            {"do": "status", "left": -1, "taken": 3}, {"do": "status", "left": 0, "taken": 2}]})
        self.sandbox.clear_faults()
        self.assertEqual(self.buy(amount=700).status, 202)
        for wrong in ({}, {"do": "nothing"}, {"do": "status_99"}, {"do": 1}, {"do": "fail", "provider": "mtn"},
                      {"do": "fail", "op": 1}, {"do": "ipn_times", "n": 1 << 40}, {"do": "fail", "number": "1" * 40}, "x"):
            reply = request(self.sandbox.url + "/_sandbox/faults", "POST", wrong)
            self.assertEqual(reply.status, 400, wrong)

    def test_many_faults(self):
        for _ in range(256):
            self.fault("fail")
        self.assertEqual(request(self.sandbox.url + "/_sandbox/faults", "POST", {"do": "fail"}).status, 400)

    def test_reset(self):
        self.buy("A1")
        self.fault("refuse")
        self.sandbox.reset()
        self.assertEqual(self.sandbox.ledger(), [])
        self.assertEqual(self.sandbox.requests()["refs"], {})
        self.assertEqual(self.buy("A1").status, 200)
        self.assertEqual(self.executed(), [("A1", 1)])


class Cut(Case):
    options = {"shape": "flat"}
    fault, raw = Faults.fault, Faults.raw

    def test_cut_at_every_byte(self):
        self.fault("cut_reply", at=100000)
        whole = self.raw()
        self.assertTrue(whole.startswith(b"HTTP/1.1 202 Accepted\r\n") and whole.endswith(b"}"))
        for at in [*range(0, len(whole), 17), len(whole)]:
            self.fault("cut_reply", at=at)
            self.assertEqual(len(self.raw()), at)
        self.fault("cut_reply", at=-1)
        cut = self.raw()
        self.assertFalse(cut.endswith(b"}"))
        length = int(cut.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.assertEqual(len(cut.split(b"\r\n\r\n", 1)[1]), length - 1)


class Sms(Case):
    def send(self, to="2250701020304", text="Recharge 500 F", **headers):
        fields = {"Content-Type": "text/plain; charset=UTF-8", "X-Kannel-Username": "demo",
                  "X-Kannel-Password": "demo-sms-password", "X-Kannel-From": "36789", "X-Kannel-To": to}
        fields.update({"X-Kannel-" + k.replace("_", "-"): v for k, v in headers.items()})
        return request(self.sandbox.url + "/cgi-bin/sendsms", "POST", text,
                       {k: v for k, v in fields.items() if v is not None})

    def test_post(self):
        reply = self.send(text="Crédit 500 F reçu {ok}")
        self.assertEqual((reply.status, reply.body), (202, "0: Accepted for delivery"))
        message = self.sandbox.sms("2250701020304")[0]
        self.assertEqual((message["from"], message["to"], message["text"]),
                         ("36789", "2250701020304", "Crédit 500 F reçu {ok}"))
        # ç is in neither table, é and the pairs are.
        self.assertEqual(message["septets"], -1)
        self.send(text="Crédit {ok}")
        self.assertEqual(self.sandbox.sms("+2250701020304", after=message["id"])[0]["septets"], 13)

    def test_get_and_reports(self):
        query = urllib.parse.urlencode({
            **Sandbox.SMS_LOGIN, "from": "36789", "to": "+2250701020304", "text": "Crédit", "dlr-mask": "31",
            "dlr-url": self.receiver.url + "/dlr?id=77&type=%d&ans=%A&fid=%F&x=a%2Fb"})
        self.assertEqual(request(self.sandbox.url + "/cgi-bin/sendsms?" + query).status, 202)
        first, second = self.receiver.wait(2)
        self.assertEqual(first["path"], "/dlr?id=77&type=8&ans=ACK%2F&fid=&x=a%2Fb")
        self.assertRegex(second["path"], r"^/dlr\?id=77&type=1&ans=&fid=[0-9a-f]{8}&x=a%2Fb$")
        self.assertEqual(self.sandbox.sms("2250701020304")[0]["text"], "Crédit")

    def test_mask_and_faults(self):
        url = self.receiver.url + "/dlr?type=%d&ref="
        self.sandbox.fault({"do": "no_dlr"})
        self.send(DLR_Mask="31", DLR_Url=url + "1")
        self.sandbox.fault({"do": "sms_lost"})
        self.send(text="lost", DLR_Mask="31", DLR_Url=url + "2")
        self.sandbox.fault({"do": "dlr_failed"})
        self.send(DLR_Mask="31", DLR_Url=url + "3")
        self.receiver.wait(2)
        self.send(DLR_Mask="1", DLR_Url=url + "4")
        self.assertEqual([r["path"] for r in self.receiver.wait(3)],
                         ["/dlr?type=8&ref=3", "/dlr?type=2&ref=3", "/dlr?type=1&ref=4"])
        self.assertNotIn("lost", [m["text"] for m in self.sandbox.sms()])

    def test_refusals(self):
        for status, body, kw in (
                (403, "Authorization failed for sendsms", {"Password": "x"}),
                (403, "Authorization failed for sendsms", {"Username": None}),
                (400, "Missing receiver number, rejected", {"to": None}),
                (400, "Number(s) has/have been denied by white- and/or black-lists.", {"to": "22507x"}),
                (400, "Number(s) has/have been denied by white- and/or black-lists.", {"to": "1" * 16}),
                (400, "Sender missing and no global set, rejected", {"From": None}),
                (400, "DLR-Mask field misformed, rejected", {"DLR_Mask": "67"}),
                (400, "DLR-Mask field misformed, rejected", {"DLR_Mask": "x"}),
                (400, "Charset or body misformed, rejected", {"text": "x" * 2049}),
        ):
            with self.subTest(**kw):
                reply = self.send(**kw)
                self.assertEqual((reply.status, reply.body), (status, body))
        reply = request(self.sandbox.url + "/cgi-bin/sendsms", "POST", {"text": "x"})
        self.assertEqual((reply.status, reply.body), (400, "Invalid content-type"))
        self.assertEqual(self.sandbox.sms(), [])

    def test_faults(self):
        self.sandbox.fault({"provider": "sms", "op": "send", "do": "status_503", "text": "Temporal failure"})
        self.assertEqual(self.send().status, 503)
        self.sandbox.fault({"provider": "sms", "number": "2250701020304", "do": "lost_reply"})
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.send()
        self.assertEqual(len(self.sandbox.sms("2250701020304")), 1)

    def test_waits_for_the_next(self):
        self.assertEqual(self.sandbox.sms("2250701020304", wait_ms=50), [])
        got = []
        waiting = threading.Thread(target=lambda: got.extend(self.sandbox.sms("2250701020304", wait_ms=20000)))
        waiting.start()
        self.send(to="2250701020305")
        self.send(text="for us")
        waiting.join(harness.DEADLINE_S)
        self.assertEqual([m["text"] for m in got], ["for us"])
        self.assertEqual(self.sandbox.wait_for_sms("2250701020304", "us")["text"], "for us")


class Ends(unittest.TestCase):
    def test_lets_a_waiting_phone_go(self):
        sandbox = Sandbox()
        waiting = threading.Thread(target=lambda: sandbox.sms("225070102", wait_ms=60000))
        waiting.start()
        eventually(lambda: sandbox.requests()["paths"]["GET /_sandbox/sms"] == 1, "the phone waits")
        self.assertEqual(sandbox.stop(), 0)
        waiting.join(harness.DEADLINE_S)
        self.assertFalse(waiting.is_alive())

    def test_unknown_paths(self):
        sandbox = Sandbox()
        self.addCleanup(sandbox.stop)
        for method, path in (("GET", "/"), ("GET", "/api_v1/transaction/airtime"), ("POST", "/api/transactions"),
                             ("GET", "/api/transactions/"), ("DELETE", "/_sandbox/ledger")):
            self.assertEqual(request(sandbox.url + path, method).status, 404, path)
        self.assertEqual(sandbox.requests()["paths"]["other"], 5)


if __name__ == "__main__":
    unittest.main()
