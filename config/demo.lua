-- The gateway that `make run` starts: one partner, two countries, both providers and the SMS
-- gateway played by `tama sandbox` on this machine. Every declaration a configuration can have is
-- here; production.lua explains each of its fields.
--
-- setting("name", default) is what `tama serve --set name=value` changes.

local sandbox = setting("sandbox", "http://127.0.0.1:9090")
local easytransfert = setting("easytransfert", sandbox .. "/api_v1/transaction")
local xente = setting("xente", sandbox .. "/api")
local sendsms = setting("sendsms", sandbox .. "/cgi-bin/sendsms")
local public = setting("public", "http://127.0.0.1:8080")
-- Where the SMS gateway brings its delivery reports.
local reports = setting("dlr_base", public)
local menus = setting("menus", "../menus")
-- "off": no balance is asked for, and no day reconciled.
local floats = setting("floats", "on") == "on" or nil
local float_stop = setting("float_stop", 0)
local float_every = setting("float_every", "15m")
local reconcile_at = setting("reconcile", "03:00")

gateway {
  data = setting("data", "../data"),
  listen = setting("listen", "127.0.0.1:8080"),
  admin = setting("admin", "127.0.0.1:8081"),
  workers = 0,
  connections = 1024,
  disk_reserve = setting("disk_reserve", 64),
  -- Whoever is called may be on this machine, and need not speak TLS; demo_secret, and port 0. Neither
  -- belongs where there is real money.
  allow_loopback = true,
  allow_http = true,
  staff = { refunds_a_day = 100, amount_a_day = { XOF = 5000000, UGX = 50000000 } },
  master_key = demo_secret "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
}

include "countries/ci.lua"
include "countries/ug.lua"

partner "demo" { id = 1, title = "Tama Demo" }

-- Generous, so that nobody who plays meets them soon.
limits "demo-xof" {
  partner = "demo",
  currency = "XOF",
  payer = {
    ten_minutes = { count = setting("payer_count", 50), value = 2000000 },
    day = { count = 500, value = 10000000 },
    month = { count = 5000, value = 50000000 },
  },
  beneficiary = { ten_minutes = { count = 100, value = 5000000 }, day = { value = 20000000 } },
  all = { day = { value = 1000000000 } },
}

-- ---- accounts at providers -----------------------------------------------------------------------

account "et-ci" {
  partner = "demo",
  provider = "easytransfert",
  base_url = easytransfert,
  private = { "127.0.0.1" },
  ipn_base = public,
  fields = { api_key = demo_secret "demo-api-key" },
  currency = "XOF",
  -- At least 15 minutes between two calls for one number and amount (easytransfert.md 1.12).
  spacing = setting("spacing", "15m"),
  cap = { ten_minutes = { value = 500000000 } },
  polls = { "15m", "30m", "1h", "4h", "12h" },
  queries = { per_minute = setting("queries", 30) },
  -- Its balance is asked for; an offer that it could not deliver is not sold (docs/operations.md).
  float = floats and { warn = 100000, stop = float_stop, every = float_every },
  reconcile = floats and reconcile_at,
}

account "xente-ug" {
  partner = "demo",
  provider = "xente",
  base_url = xente,
  private = { "127.0.0.1" },
  ipn_base = public,
  fields = {
    app_key = demo_secret "demo-app-key",
    app_password = demo_secret "demo-app-password",
    user_id = "demo-user",
  },
  currency = "UGX",
  -- One IPN address for the whole account, so the address itself is the secret.
  ipn_secret = demo_secret "demo-ipn-secret-xente-ug",
  polls = { "150s", "10m", "1h", "4h", "12h" },
  queries = { per_minute = setting("queries", 30) },
  float = floats and { warn = 1000000, every = float_every },
  reconcile = floats and reconcile_at,
}

-- ---- offers --------------------------------------------------------------------------------------

-- The service ids of collect and refund are those of the provider's glossary (easytransfert.md 1.6). Which
-- ids sell airtime comes from onboarding: 225, 221 and 223 below are invented for the sandbox.
local ci_cashout = { ["orange-ci"] = "125", ["mtn-ci"] = "121", ["moov-ci"] = "123" }
local ci_cashin = { ["orange-ci"] = "126", ["mtn-ci"] = "122", ["moov-ci"] = "124" }
local ci_airtime = { ["orange-ci"] = "225", ["mtn-ci"] = "221", ["moov-ci"] = "223" }

offer "ci-airtime" {
  partner = "demo",
  kind = "airtime",
  country = "CI",
  amount = { min = 500, max = 500000, step = 100, suggest = { 500, 1000, 2000, 5000 } },
  -- The fee also keeps the two legs' amounts apart, which the spacing needs when a person buys for
  -- the own number.
  fee = { flat = 100, permille = 0, step = 100 },
  -- Of each 1000: what an airtime transfer takes from the float, and what is kept of a collection.
  cost_permille = 980,
  collect_fee = 20,
  collect = { account = "et-ci", verb = "cashout", services = ci_cashout },
  deliver = { account = "et-ci", verb = "airtime", services = ci_airtime },
  -- What was paid and not delivered goes back to the wallet that paid.
  refund = {
    account = "et-ci",
    verb = "cashin",
    services = ci_cashin,
    delay = setting("refund_delay", "30m"),
  },
}

-- Collects only: the partner hands out the goods and is told of the payment.
offer "ci-payment" {
  partner = "demo",
  kind = "payment",
  country = "CI",
  amount = { min = 500, max = 500000, step = 100, suggest = { 1000, 5000, 10000 } },
  collect_fee = 20,
  collect = { account = "et-ci", verb = "cashout", services = ci_cashout },
}

-- Product and item ids as xente.md 2.6 has them; those for Airtel airtime and MTN collection are
-- not in the provider's own pages.
offer "ug-airtime" {
  partner = "demo",
  kind = "airtime",
  country = "UG",
  amount = { min = 500, max = 500000, step = 100, suggest = { 1000, 2000, 5000, 10000 } },
  collect = {
    account = "xente-ug",
    verb = "collection",
    services = {
      ["mtn-ug"] = "MTNMOBILEMONEYUG/MTNMOBILEMONEYUG_MTNMOBILEMONEYUG",
      ["airtel-ug"] = "AIRTELMONEYUG/AIRTELMONEYUG_AIRTELMONEYUG",
    },
  },
  deliver = {
    account = "xente-ug",
    verb = "airtime",
    services = {
      ["mtn-ug"] = "MTNAIRTIMEUG/MTNAIRTIMEUG_MTNAIRTIMEUG",
      ["airtel-ug"] = "AIRTELAIRTIMEUG/AIRTELAIRTIMEUG_AIRTELAIRTIMEUG",
    },
  },
  refund = {
    account = "xente-ug",
    verb = "payout",
    services = {
      ["mtn-ug"] = "MTNMOBILEMONEYPAYOUTUG/MTNMOBILEMONEYPAYOUTUG_MTNMOBILEMONEYPAYOUTUG",
      ["airtel-ug"] = "AIRTELMOBILEMONEYPAYOUTUG/AIRTELMOBILEMONEYPAYOUTUG_AIRTELMOBILEMONEYPAYOUTUG",
    },
    delay = setting("refund_delay", "30m"),
  },
}

-- Delivers only: an agent's float with us pays, behind a PIN. Never more than the agents have paid in.
float "agents" { partner = "demo", currency = "XOF", opening = 1000000, warn = 50000 }

offer "agent-airtime" {
  partner = "demo",
  kind = "agent-airtime",
  country = "CI",
  amount = { min = 500, max = 500000, step = 100, suggest = { 500, 1000, 2000, 5000 } },
  cost_permille = 980,
  deliver = { account = "et-ci", verb = "airtime", services = ci_airtime },
  paid_by = "float:agents",
}

-- ---- services and channels -----------------------------------------------------------------------

service "airtime" { partner = "demo", dir = menus .. "/airtime" }

channel "at-ci" {
  partner = "demo",
  kind = "ussd",
  dialect = "africastalking",
  country = "CI",
  service = "airtime",
  secret = "demo-secret-of-at-ci",
  codes = { "*384*22#" },
  septets = 160,
  timeout = "180s",
  resume = "10m",
  hop = "5s",
  in_flight = 256,
}

-- The same code in another country is another channel.
channel "at-ug" {
  partner = "demo",
  kind = "ussd",
  dialect = "africastalking",
  country = "UG",
  service = "airtime",
  secret = "demo-secret-of-at-ug",
  codes = { "*384*22#" },
}

channel "infobip-ci" {
  partner = "demo",
  kind = "ussd",
  dialect = "infobip",
  country = "CI",
  service = "airtime",
  secret = "demo-secret-of-infobip-ci",
  codes = { "*384*23#" },
}

channel "sms-ci" {
  partner = "demo",
  kind = "sms",
  dialect = "kannel",
  country = "CI",
  service = "airtime",
  secret = "demo-secret-of-sms-ci",
  codes = { "36789" },
  keywords = { credit = "airtime", recharge = "airtime" },
  private = { "127.0.0.1" },
  fields = {
    url = sendsms,
    username = "demo",
    password = demo_secret "demo-sms-password",
    sender = "36789",
    dlr_base = reports,
  },
}

channel "sms-ug" {
  partner = "demo",
  kind = "sms",
  dialect = "kannel",
  country = "UG",
  service = "airtime",
  secret = "demo-secret-of-sms-ug",
  codes = { "8888" },
  keywords = { airtime = "airtime" },
  private = { "127.0.0.1" },
  fields = {
    url = sendsms,
    username = "demo",
    password = demo_secret "demo-sms-password",
    sender = "8888",
    dlr_base = reports,
  },
}
