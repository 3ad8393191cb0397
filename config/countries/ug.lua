-- Uganda: numbers (numbering.tsv and numbering-plans.tsv, nine digits behind the trunk 0) and
-- networks (ITU-T E.212: MCC 641).

-- As in ci.lua.
local push_delay = setting("push_delay", "5s")

country "UG" {
  cc = "256",
  nsn = 9,
  trunk = "0",
  -- Every mobile range of the plan, also of operators that nothing is sold for.
  mobile = {
    "70", "71", "74", "75", "76", "77", "78",
    "720", "721", "724", "726", "727", "7280",
    "730", "731", "736", "737",
    "790", "791", "792", "793", "794", "795", "798", "799",
  },
  groups = "433", -- 0772 123 456
  currency = "UGX",
  lang = "en",
}

operator "mtn-ug" {
  country = "UG",
  title = "MTN",
  prefixes = { "76", "77", "78", "724", "737", "790", "791", "792", "793", "794" },
  networks = { "64110" },
  aliases = { "mtn", "momo" },
  wallet = { confirm = "push", push_delay = push_delay },
}

operator "airtel-ug" {
  country = "UG",
  title = "Airtel",
  prefixes = { "70", "74", "75", "730", "731", "795" },
  networks = { "64101" },
  aliases = { "airtel", "warid", "zain" },
  wallet = { confirm = "push", push_delay = push_delay },
}
