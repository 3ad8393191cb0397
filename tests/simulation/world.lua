-- What the simulation sells: a provider that takes an IPN address with each request and wants pauses, one
-- whose IPNs are hints that a query confirms, and the same once more as one that honours ids; offers of all
-- shapes. Nothing here is ever called: tests/simulation plays the other side.

gateway {
  data = "data",
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:8081",
  allow_loopback = true,
  allow_http = true,
  master_key = demo_secret "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
}

country "CI" {
  cc = "225", nsn = 10, trunk = "", mobile = { "01", "05", "07" }, groups = "22222",
  currency = "XOF", lang = "fr",
}
country "UG" {
  cc = "256", nsn = 9, trunk = "0", mobile = { "77" }, groups = "433",
  currency = "UGX", lang = "en",
}

operator "orange-ci" {
  country = "CI", title = "Orange", prefixes = { "07" },
  wallet = { confirm = "otp", dial = "#144*82#" },
}
operator "mtn-ci" {
  country = "CI", title = "MTN", prefixes = { "05" },
  wallet = { confirm = "push", dial = "*133#", push_delay = "5s" },
}
operator "moov-ci" { country = "CI", title = "Moov", prefixes = { "01" }, wallet = { confirm = "dial" } }
operator "mtn-ug" {
  country = "UG", title = "MTN", prefixes = { "77" },
  wallet = { confirm = "push", push_delay = "5s" },
}

partner "one" { id = 1, title = "One" }

local function easytransfert(name, partner)
  account(name) {
    partner = partner,
    provider = "easytransfert",
    base_url = "http://127.0.0.1:9090/api_v1/transaction",
    ipn_base = "http://127.0.0.1:8080",
    fields = { api_key = demo_secret "demo-api-key" },
    currency = "XOF",
    spacing = "15m",
    polls = { "15m", "30m", "1h", "4h", "12h" },
  }
end

easytransfert("et-ci", "one")

local function xente(name, idempotent)
  account(name) {
    partner = "one",
    provider = "xente",
    base_url = "http://127.0.0.1:9090/api",
    ipn_base = "http://127.0.0.1:8080",
    fields = {
      app_key = demo_secret "demo-app-key",
      app_password = demo_secret "demo-app-password",
      user_id = "demo-user",
    },
    currency = "UGX",
    ipn_secret = demo_secret("demo-ipn-secret-of-" .. name),
    polls = { "150s", "10m", "1h", "4h", "12h" },
    idempotent = idempotent,
  }
end

xente "xente-ug"
xente("xente-i", { keeps = "24h" })

local cashout = { ["orange-ci"] = "125", ["mtn-ci"] = "121", ["moov-ci"] = "123" }
local airtime = { ["orange-ci"] = "225", ["mtn-ci"] = "221", ["moov-ci"] = "223" }
local amounts = { min = 500, max = 500000, step = 100, suggest = { 500 } }

-- Collects, then delivers; class N with an IPN address an attempt.
offer "ci-airtime" {
  partner = "one",
  kind = "airtime",
  country = "CI",
  amount = amounts,
  fee = { flat = 100, permille = 0, step = 100 },
  cost_permille = 20,
  collect = { account = "et-ci", verb = "cashout", services = cashout },
  deliver = { account = "et-ci", verb = "airtime", services = airtime },
}

-- The same, and what was collected can go back by the machine.
offer "ci-refund" {
  partner = "one",
  kind = "refundable",
  country = "CI",
  amount = amounts,
  fee = { flat = 100, permille = 0, step = 100 },
  cost_permille = 20,
  collect = { account = "et-ci", verb = "cashout", services = cashout },
  deliver = { account = "et-ci", verb = "airtime", services = airtime },
  refund = {
    account = "et-ci",
    verb = "cashin",
    services = { ["orange-ci"] = "126", ["mtn-ci"] = "122", ["moov-ci"] = "124" },
  },
}

offer "ci-payment" {
  partner = "one",
  kind = "payment",
  country = "CI",
  amount = amounts,
  collect = { account = "et-ci", verb = "cashout", services = cashout },
}

float "agents" { partner = "one", currency = "XOF", opening = 1000000000 }

offer "agent-airtime" {
  partner = "one",
  kind = "agent-airtime",
  country = "CI",
  amount = amounts,
  deliver = { account = "et-ci", verb = "airtime", services = airtime },
  paid_by = "float:agents",
}

-- Collects, then delivers; IPNs are hints that a query confirms.
offer "ug-airtime" {
  partner = "one",
  kind = "airtime",
  country = "UG",
  amount = amounts,
  collect = { account = "xente-ug", verb = "collection", services = { ["mtn-ug"] = "MM/MM" } },
  deliver = { account = "xente-ug", verb = "airtime", services = { ["mtn-ug"] = "AIR/AIR" } },
}

offer "ug-refund" {
  partner = "one",
  kind = "refundable",
  country = "UG",
  amount = amounts,
  collect = { account = "xente-ug", verb = "collection", services = { ["mtn-ug"] = "MM/MM" } },
  deliver = { account = "xente-ug", verb = "airtime", services = { ["mtn-ug"] = "AIR/AIR" } },
  refund = { account = "xente-ug", verb = "payout", services = { ["mtn-ug"] = "OUT/OUT" } },
}

offer "ui-airtime" {
  partner = "one",
  kind = "honoured",
  country = "UG",
  amount = amounts,
  fee = { flat = 0, permille = 30, step = 1 },
  cost_permille = 40,
  collect = { account = "xente-i", verb = "collection", services = { ["mtn-ug"] = "MM/MM" } },
  deliver = { account = "xente-i", verb = "airtime", services = { ["mtn-ug"] = "AIR/AIR" } },
  refund = { account = "xente-i", verb = "payout", services = { ["mtn-ug"] = "OUT/OUT" } },
}

service "one" { partner = "one", dir = "../../menus/airtime" }

local function sms(name, partner, country)
  channel(name) {
    partner = partner,
    kind = "sms",
    dialect = "kannel",
    country = country,
    service = partner,
    secret = "demo-secret-of-" .. name,
    codes = { "36789" },
    keywords = { credit = partner },
    fields = {
      url = "http://127.0.0.1:9090/cgi-bin/sendsms",
      username = "demo",
      password = demo_secret "demo-sms-password",
      sender = "36789",
    },
  }
end

sms("sms-ci", "one", "CI")
sms("sms-ug", "one", "UG")
