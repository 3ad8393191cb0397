-- Airtime for oneself or somebody else, by USSD or SMS.

local function last_purchase()
	local last = lookup("last_purchase")
	if not last then
		bye(text.last_none)
	end
	bye(text["last_" .. last.state], {
		amount = money(last.amount),
		operator = last.operator,
		number = phone(last.to),
		ref = last.ref,
	})
end

-- CREDIT 500 0701020304, CREDIT 0701020304 500, CREDIT 500
local function credit(_, words)
	local amount, number, is_clear = amount_and_number(words)
	if not is_clear then
		return {}, text.not_understood
	elseif number then
		return { "2", number, amount }
	end
	return { "1", amount }
end

local function status()
	return { "3" }
end

return menu {
	title = "Airtime",
	keywords = {
		CREDIT = credit, AIRTIME = credit, RECHARGE = credit, TOPUP = credit, UNITES = credit,
		STATUT = status, STATUS = status,
	},
	run = function(call)
		local to = choose(text.for_whom, {
			{ text.me, call.msisdn },
			{ text.other, function() return ask_msisdn(text.number) end },
			{ text.last, last_purchase },
		})
		local operator = choose_operator(to)
		local amount = ask_amount(text.amount, operator.airtime)
		local offer = choose_offer("airtime", operator)
		local purchase = buy(offer, { amount = amount, to = to })
		bye(text.accepted, { ref = purchase.ref, next = purchase.next })
	end,
}
