-- The demo's partner and a second one, each with channels and an account of its own: what one of them
-- does, the other must neither see nor pay.
include "demo.lua"

local sandbox = setting("sandbox", "http://127.0.0.1:9090")
local public = setting("public", "http://127.0.0.1:8080")

partner "other" { id = 2, title = "Other" }

account "et-other" {
  partner = "other",
  provider = "easytransfert",
  base_url = setting("easytransfert", sandbox .. "/api_v1/transaction"),
  ipn_base = public,
  fields = { api_key = demo_secret "other-api-key" },
  currency = "XOF",
  spacing = setting("spacing", "15m"),
  polls = { "15m" },
}

offer "other-airtime" {
  partner = "other",
  kind = "airtime",
  country = "CI",
  amount = { min = 500, max = 500000, step = 100, suggest = { 500 } },
  fee = { flat = 100, permille = 0, step = 100 },
  collect = { account = "et-other", verb = "cashout", services = { ["mtn-ci"] = "121" } },
  deliver = { account = "et-other", verb = "airtime", services = { ["mtn-ci"] = "221", ["orange-ci"] = "225" } },
}

service "other-airtime" { partner = "other", dir = setting("menus", "../menus") .. "/airtime" }

channel "at-other" {
  partner = "other",
  kind = "ussd",
  dialect = "africastalking",
  country = "CI",
  service = "other-airtime",
  secret = "demo-secret-of-at-other",
  codes = { "*384*77#" },
}

channel "sms-other" {
  partner = "other",
  kind = "sms",
  dialect = "kannel",
  country = "CI",
  service = "other-airtime",
  secret = "demo-secret-of-sms-other",
  codes = { "36700" },
  fields = {
    url = setting("sendsms", sandbox .. "/cgi-bin/sendsms"),
    username = "demo",
    password = demo_secret "demo-sms-password",
    sender = "36700",
    dlr_base = setting("dlr_base", public),
  },
}
