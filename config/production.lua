-- A configuration to start a real gateway from, behind a proxy that speaks TLS
-- (nginx.conf.example). Copy this folder to /etc/tama, change what is marked CHANGE, then:
--
--   tama check -c /etc/tama/production.lua     every problem as file:line: message
--   tama serve -c /etc/tama/production.lua
--
-- A declaration is a name and a table of fields; an unknown field, a duplicate or a name that
-- leads nowhere is an error. Files and folders are relative to the file that names them. Amounts
-- are whole units of the country's currency. Durations are "500ms", "5s", "15m", "1h" or "7d".
--
-- A secret is a file of its own, readable by the gateway's user alone (chmod 600, or 640 with a
-- group of its own). A newline at its end is dropped. credential "name" reads the one that systemd
-- has put into $CREDENTIALS_DIRECTORY under that name (LoadCredential= in tama.service).
--
-- Secrets in addresses and signatures may be two while they are changed: the new one and the one
-- before it, both accepted.
--
--   secret = { secret_file(keys .. "/at-ci.path.new"), secret_file(keys .. "/at-ci.path") }
--
-- Reload, have the other side change to the new one, take the old one out, reload.

local keys = setting("keys", "/etc/tama/keys")
local menus = setting("menus", "/usr/local/share/tama/menus")

-- CHANGE: our address as providers see it, which the proxy answers for.
local public = "https://tama.example.com"

gateway {
  -- The database, the session log and the socket of `tama` commands. On a disk of this machine.
  data = "/var/lib/tama",

  -- How far the store had come when money last left because of it, so that a restored backup or a
  -- cloned machine is noticed and sends nothing. Better on another disk, and never in the backup.
  -- The folder must exist and be ours; without this line it is DATA.mark beside the data.
  mark = "/var/lib/tama-mark/mark",

  -- The socket of `tama purchases`, `review` and the others, mode 0660. By default it is in the data
  -- directory, which is closed to all but its owner; elsewhere a group can be let in, whose members
  -- then decide cases two by two (docs/operations.md).
  -- socket = "/run/tama/tama.sock",

  -- A directory on another disk, in which a copy of the store is kept current.
  -- standby = "/srv/standby/tama",

  -- How often the gateway checks every invariant of its own store.
  verify = "1h",

  -- Where the proxy finds us: an address and a port. TLS ends at the proxy, so stay on loopback or
  -- a private network.
  listen = "127.0.0.1:8080",

  -- Metrics and health. Never to be reached from outside.
  admin = "127.0.0.1:8081",

  -- The proxies in front of us. Only their X-Forwarded-For is believed, and of that the last
  -- address, which is what `sources` of an account or channel are compared with.
  proxies = { "127.0.0.1" },

  -- Threads that answer phones; 0 is one for each processor.
  workers = 0,

  -- Connections at once; the proxy keeps some open for its own use.
  connections = 1024,

  -- MiB: with less free on the disk of `data` nothing is sold, so that what has been begun can end
  -- and IPNs are still taken.
  disk_reserve = 64,

  -- This machine may be called by every account and channel, demo_secret, port 0: for demo and tests.
  -- What an account or channel may really reach in private space it lists itself, as `private` below.
  allow_loopback = false,

  -- Providers and gateways without TLS: for demo and tests.
  allow_http = false,

  -- What one person may refund by hand (tama review decide ... refund) within a day, proposing or
  -- agreeing: how often, and for how much in whole units. What is not said has no limit.
  staff = { refunds_a_day = 20, amount_a_day = { XOF = 200000 } },

  -- 32 random bytes that all encryption at rest derives from. Lost, the numbers and messages in
  -- the database are lost: keep a copy away from this machine. Make it with
  --   (umask 077; head -c 32 /dev/urandom > /etc/tama/keys/master.key)
  master_key = secret_file(keys .. "/master.key"),
}

-- Numbering, operators, networks and wallets. An operator in such a file takes
--   out_of_service = true
-- as do offers, accounts and channels below: people then read that it does not work for now, and
-- what is under way is finished.
include "countries/ci.lua"

-- A tenant. Its id is in every row of the database: never change it, never give it to another.
partner "acme" { -- CHANGE
  id = 1,
  title = "Acme Telecom",
}

-- What may be bought within ten minutes, a day or a month (thirty days): how often (count), for how
-- much (value, in whole units of the currency), or both; what is not said has no limit. A purchase
-- beyond it is refused before anything is taken, and the person is told from when it works again.
-- Purchases that were cancelled or never sent do not count. One declaration for a partner and a
-- currency. CHANGE: begin low.
limits "acme-xof" {
  partner = "acme",
  currency = "XOF",

  -- Each number that pays,
  payer = {
    ten_minutes = { count = 5, value = 100000 },
    day = { count = 20, value = 300000 },
    month = { count = 200, value = 2000000 },
  },

  -- each number that is paid for, by prices without the fee,
  beneficiary = {
    ten_minutes = { count = 5, value = 100000 },
    day = { count = 20, value = 300000 },
    month = { count = 200, value = 2000000 },
  },

  -- and all of the partner's purchases together.
  all = { day = { count = 20000, value = 50000000 } },
}

-- An account of a partner at a provider.
account "et-ci" {
  partner = "acme",

  -- "easytransfert" or "xente".
  provider = "easytransfert",

  -- Without a '/' at the end.
  base_url = "https://proxy-airtime.easytransfert.app/api_v1/transaction",

  -- Where the provider's IPNs come in: this and /ipn/et-ci/...
  ipn_base = public,

  -- What the provider's dialect needs. Names ending in key, password, secret or token must be
  -- secrets. "xente" needs app_key, app_password and user_id.
  fields = { api_key = secret_file(keys .. "/et-ci.key") },

  -- The currency the account is kept in.
  currency = "XOF",

  -- A part of the IPN address that only the provider knows, 16 to 128 letters and digits. Needed
  -- for "xente", which has one address for the account; "easytransfert" is given a secret address
  -- with each request. ipn_secret = secret_file(keys .. "/xente-ug.ipn"),

  -- The key of the signature of IPNs. Where it is given, an IPN without the right signature is
  -- refused. Ask the provider for it (easytransfert.md 1.12).
  signature_secret = secret_file(keys .. "/et-ci.hmac"),

  -- How many requests, and for how much, may go out through the account: what is at stake when a
  -- provider does not tell the truth. Purchases are refused beyond it; what has been paid for is
  -- delivered all the same.
  cap = { ten_minutes = { count = 2000, value = 5000000 }, day = { value = 100000000 } },

  -- Addresses IPNs may come from; without the list, any.
  sources = { "41.207.2.10", "102.67.211.210" },

  -- We call public addresses only, whatever DNS says. A provider in private space (a VPN, a proxy on
  -- this machine) is reached when its address or network is listed, by this account alone. The
  -- addresses at which clouds keep credentials (169.254.169.254 and their like) are never in a network.
  -- private = { "10.1.0.0/16" },

  -- Between two calls for one number and amount; the provider's own rule when it is not given.
  spacing = "15m",

  -- Status queries, so long after the request, each later than the one before and not nearer to it
  -- than the spacing. After the last, one a day for seven days.
  polls = { "15m", "30m", "1h", "4h", "12h" },

  -- Status queries of all its purchases, balances and pages of lists together; 30 where nothing is said.
  -- queries = { per_minute = 30 },

  -- Class I: only for an account whose live provider has proven that it knows a request by our id
  -- and carries out no id twice (resend under one id: the same answer or "duplicate"; the query by
  -- our id finds it). A doubt is then asked about by that id, and after so many answers "no such
  -- request" over so long the same bytes go out again, never later than `keeps` after the first
  -- time. Without it, which is right until proven otherwise, nothing is ever sent again. Not with
  -- "easytransfert", which cannot be asked by our id.
  -- idempotent = { keeps = "24h", absent_after = "10m", answers = 3 },

  -- The account's balance is asked for every so often, not more often than the spacing allows. Below
  -- warn there is an alarm; nothing is sold that would leave less than stop. unknown says what holds
  -- before the balance was first heard: "sell" or "stop".
  float = { warn = 200000, stop = 20000, every = "15m", unknown = "sell" },

  -- When yesterday (UTC) is compared with the provider's list and balance. It wants `float`, which has
  -- the balance asked for.
  reconcile = "03:00",

  out_of_service = false,
}

-- Ids that the provider calls its services, by operator. CHANGE: the lists are those you get at
-- onboarding. Operators that are not in the first two are not offered.
local cashout = { ["orange-ci"] = "125", ["mtn-ci"] = "121", ["moov-ci"] = "123" }
local cashin = { ["orange-ci"] = "126", ["mtn-ci"] = "122", ["moov-ci"] = "124" }
local airtime = { ["orange-ci"] = "225", ["mtn-ci"] = "221", ["moov-ci"] = "223" }

-- What is sold.
offer "ci-airtime" {
  partner = "acme",

  -- What menus ask for: choose_offer("airtime", ...).
  kind = "airtime",

  country = "CI",

  -- Face values: from min to max in steps; suggest is what people are shown first.
  amount = { min = 500, max = 500000, step = 100, suggest = { 500, 1000, 2000, 5000 } },

  -- What the person pays on top: flat and permille of the face value together, rounded up to step.
  fee = { flat = 100, permille = 0, step = 100 },

  -- By contract, of each 1000: what a delivery takes from your float (of the face value; 1000 when it
  -- is not given), and what the provider keeps of a collection (of the price). The daily
  -- reconciliation finds it when these are wrong.
  cost_permille = 980,
  collect_fee = 20,

  -- Who takes the money from the person: account, what the provider calls it, service by the
  -- payer's operator. An offer without deliver is a payment: you hand out the goods.
  collect = { account = "et-ci", verb = "cashout", services = cashout },

  -- Who delivers, by the beneficiary's operator.
  deliver = { account = "et-ci", verb = "airtime", services = airtime },

  -- Who gives the price back to the number that paid, by the payer's operator, once the delivery is
  -- proven not done: so long after it was refused (news of it may still come), at once where it was
  -- never sent. Without it two persons decide each refund: tama review.
  refund = { account = "et-ci", verb = "cashin", services = cashin, delay = "30m" },

  -- A collection that proves done so long after the purchase finds nobody who waits for the goods:
  -- action = "refund" gives the money back, "deliver" delivers all the same. These are the defaults.
  late = { after = "24h", action = "refund" },

  -- An offer without collect must say whose money it spends, and never spends more than there is:
  -- paid_by = "float:agents",
  -- float "agents" { partner = "acme", currency = "XOF", opening = 500000, warn = 50000 }
  -- opening is all that the agents ever paid in: raise it and reload when they pay in more.

  out_of_service = false,
}

-- A folder with menu.lua and texts.<language>.lua.
service "airtime" { partner = "acme", dir = menus .. "/airtime" }

-- A way in. The aggregator calls https://tama.example.com/ussd/at-ci/<secret>.
channel "at-ci" {
  partner = "acme",

  -- "ussd" or "sms".
  kind = "ussd",

  -- The wire format of the aggregator; `tama check` knows which there are.
  dialect = "africastalking",

  country = "CI",
  service = "airtime",

  -- What the aggregator's address ends with, 16 to 128 letters and digits. Whoever knows it can
  -- pretend to be any phone. Only `open = true` allows a channel without one.
  secret = secret_file(keys .. "/at-ci.path"),

  -- Addresses the aggregator may call from; without the list, any.
  -- sources = { "198.51.100.20", "198.51.100.21" },

  -- CHANGE: what people dial. A partner has each code once in a country.
  codes = { "*384*22#" },

  -- The country's language when it is not given.
  lang = "fr",

  -- The most a screen holds, in GSM 03.38 septets: 20 to 182, by what the aggregator adds. Of an SMS
  -- channel the most an answer holds, up to 1530 in parts of 153.
  septets = 160,

  -- A session without a sign of life for so long has ended,
  timeout = "180s",

  -- and can be taken up again for so long by dialling once more.
  resume = "10m",

  -- When our answer must have left, below the aggregator's own limit.
  hop = "5s",

  -- What may be bought through it, as in `limits`: what is at stake when its secret is stolen.
  cap = { ten_minutes = { count = 1000, value = 5000000 } },

  -- Hops of this channel at once; beyond it people are asked to try again.
  in_flight = 256,

  out_of_service = false,
}

-- Messages: /sms/sms-ci/<secret> takes them. Each one we send names its own secret address below
-- /dlr/sms-ci/ for its delivery reports.
channel "sms-ci" {
  partner = "acme",
  kind = "sms",
  dialect = "kannel",
  country = "CI",
  service = "airtime",
  secret = secret_file(keys .. "/sms-ci.path"),

  -- CHANGE: the short code.
  codes = { "36789" },

  -- The first word of a message, folded, chooses another service than the one above.
  keywords = { credit = "airtime" },

  -- Where the gateway is in private space, as for an account: a Kannel behind a proxy on this machine.
  -- private = { "127.0.0.1" },

  -- The gateway that sends for us, and who we are to it.
  fields = {
    url = "https://sms.example.com/cgi-bin/sendsms", -- CHANGE
    username = "tama",
    password = secret_file(keys .. "/sms-ci.password"),
    sender = "36789",
    -- Where delivery reports come in; without it none are asked for.
    dlr_base = public,
  },
}
