-- Côte d'Ivoire: numbers (numbering.tsv, ten digits since 2021, the leading 0 belongs to the
-- number), networks (ITU-T E.212: MCC 612) and how each wallet confirms (easytransfert.md 1.7).

-- How long after our last screen a push is sent: it cannot open on a phone still in our session.
local push_delay = setting("push_delay", "5s")

country "CI" {
  cc = "225",
  nsn = 10,
  trunk = "",
  mobile = { "01", "05", "07" },
  groups = "22222", -- 07 01 02 03 04
  currency = "XOF",
  lang = "fr",
}

-- Numbers are portable since 2018: a prefix only guesses, and the person can choose another
-- operator.
operator "orange-ci" {
  country = "CI",
  title = "Orange",
  prefixes = { "07" },
  networks = { "61203" },
  aliases = { "orange", "om" },
  -- The person dials this first and types the code that comes back.
  wallet = { confirm = "otp", dial = "#144*82#" },
}

operator "mtn-ci" {
  country = "CI",
  title = "MTN",
  prefixes = { "05" },
  networks = { "61205" },
  aliases = { "mtn", "momo" },
  -- *133# finds a push that was missed.
  wallet = { confirm = "push", dial = "*133#", push_delay = push_delay },
}

operator "moov-ci" {
  country = "CI",
  title = "Moov",
  prefixes = { "01" },
  networks = { "61202" },
  aliases = { "moov", "flooz" },
  -- To dial after the debit SMS, which names the code itself.
  wallet = { confirm = "dial" },
}
