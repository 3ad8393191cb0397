-- What bench/run.sh starts: the airtime service of menus/ on an Africa's Talking channel, sold
-- through EasyTransfert, which `tama sandbox` plays. It differs from config/demo.lua in what would
-- measure waiting and not work: no pause before a push is sent and between two calls, no status
-- queries, sessions that are gone after the run.
--
-- setting("name", default) is what `tama serve --set name=value` changes.

local sandbox = setting("sandbox", "http://127.0.0.1:9090")

gateway {
  data = setting("data", "../build/bench/data"),
  listen = setting("listen", "127.0.0.1:8080"),
  admin = setting("admin", "127.0.0.1:8081"),
  workers = 2,
  connections = 1024,
  allow_loopback = true,
  allow_http = true,
  master_key = demo_secret "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
}

country "CI" {
  cc = "225",
  nsn = 10,
  trunk = "",
  mobile = { "01", "05", "07" },
  groups = "22222",
  currency = "XOF",
  lang = "fr",
}

operator "orange-ci" {
  country = "CI",
  title = "Orange",
  prefixes = { "07" },
  networks = { "61203" },
  wallet = { confirm = "otp", dial = "#144*82#" },
}

operator "mtn-ci" {
  country = "CI",
  title = "MTN",
  prefixes = { "05" },
  networks = { "61205" },
  wallet = { confirm = "push", dial = "*133#", push_delay = "0s" },
}

operator "moov-ci" {
  country = "CI",
  title = "Moov Africa",
  prefixes = { "01" },
  networks = { "61202" },
  wallet = { confirm = "dial" },
}

partner "bench" { id = 1, title = "Bench" }

account "et-ci" {
  partner = "bench",
  provider = "easytransfert",
  base_url = sandbox .. "/api_v1/transaction",
  ipn_base = setting("public", "http://127.0.0.1:8080"),
  fields = { api_key = demo_secret "bench-api-key" },
  currency = "XOF",
  spacing = "0s",
  polls = { "1h" },
}

-- Two legs: the money is collected, then the airtime delivered.
offer "ci-airtime" {
  partner = "bench",
  kind = "airtime",
  country = "CI",
  amount = { min = 500, max = 500000, step = 100, suggest = { 500, 1000, 2000, 5000 } },
  fee = { flat = 100, permille = 0, step = 100 },
  cost_permille = 20,
  collect = {
    account = "et-ci",
    verb = "cashout",
    services = { ["orange-ci"] = "125", ["mtn-ci"] = "121", ["moov-ci"] = "123" },
  },
  deliver = {
    account = "et-ci",
    verb = "airtime",
    services = { ["orange-ci"] = "225", ["mtn-ci"] = "221", ["moov-ci"] = "223" },
  },
}

service "airtime" { partner = "bench", dir = "../menus/airtime" }

channel "at-ci" {
  partner = "bench",
  kind = "ussd",
  dialect = "africastalking",
  country = "CI",
  service = "airtime",
  secret = "bench-secret-of-at-ci",
  codes = { "*384*22#" },
  septets = 160,
  timeout = "180s",
  resume = "10m",
  hop = "5s",
  in_flight = 1024,
}

-- Carries the SMS that ends a purchase.
channel "sms-ci" {
  partner = "bench",
  kind = "sms",
  dialect = "kannel",
  country = "CI",
  service = "airtime",
  secret = "bench-secret-of-sms-ci",
  codes = { "36789" },
  fields = {
    url = sandbox .. "/cgi-bin/sendsms",
    username = "bench",
    password = demo_secret "bench-sms-password",
    sender = "36789",
  },
}
