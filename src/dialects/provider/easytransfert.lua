-- EasyTransfert Business API. Numbers in brackets are sections of easytransfert.md.
--
-- Cash-out (the customer pays), cash-in and airtime are one call that differs in its service id only; an
-- Orange cash-out carries the payer's OTP, the others are confirmed by a push or need nothing (1.7).
-- The key travels in the body, except for the balance. `hash` in replies and IPNs is ignored: no page
-- says how it is made (1.9).

-- Where each fact stands. `commission`, `fee`, `provider_id` and their like are none of ours.
local NAMES = {
	word = "state",
	id = "transaction_id",
	our_ref = "custom_data",
	amount = "amount",
	number = "destination",
	service = "service_id",
}

local function is_object(v)
	return type(v) == "table"
end

-- A member as text. Absent, null and "" are all ways of saying nothing (1.9).
local function text(v)
	if v == nil or v == null or v == "" then
		return nil
	end
	if type(v) ~= "string" and type(v) ~= "number" then
		return nil, "a member is not text"
	end
	return v
end

-- The first of these that says something.
local function first(...)
	for i = 1, select("#", ...) do
		local v, reason = text((select(i, ...)))
		if v or reason then
			return v, reason
		end
	end
end

-- What went wrong, by any of its names: `error` (1.2, 1.4), `erreur` "inside response.data" on HTTP 500
-- (1.3), and `message`, but only beside "status":"FAILED" (1.12); elsewhere that is text for the payer.
local function complaint(top, inner)
	return first(inner.error, inner.erreur, top.error, top.erreur, top.status == "FAILED" and top.message or nil)
end

-- Replies and IPNs alike: the members stand at the top or under `data` (1.2: both are documented).
local function read(top)
	if not is_object(top) then
		return nil, "not a JSON object"
	end
	local inner = top
	if is_object(top.data) then
		inner = top.data
	elseif is_object(top.response) and is_object(top.response.data) then
		inner = top.response.data
	end
	local facts = {}
	for fact, name in pairs(NAMES) do
		local here, no = text(inner[name])
		local there, neither = text(top[name])
		if no or neither then
			return nil, name .. " is not text"
		elseif here and there and here ~= there then
			return nil, name .. " contradicts itself"
		end
		facts[fact] = here or there
	end
	local code, no = complaint(top, inner)
	if no then
		return nil, "the error is not text"
	end
	facts.code = code
	if not (facts.word or facts.id or facts.code) then
		return nil, "neither a state, an id nor an error"
	end
	facts.text = text(first(top.message, inner.message))
	return facts
end

-- 1.5 gives a path with its own /api_v1: it hangs off the host, not off the base URL.
local function host(account)
	return account.base_url:match("^https?://[^/]+")
end

return dialect {
	kind = "provider",
	name = "easytransfert",
	title = "EasyTransfert",
	body = "json",

	submit = function(terms)
		return {
			method = "POST",
			url = terms.base_url .. "/airtime",
			json = object {
				{ "amount", number(terms.amount) },
				{ "api_key", "{{api_key}}" },
				{ "destination", terms.national }, -- "0701020304", never +225 (1.2)
				{ "service_id", number(terms.service) },
				{ "ipn_url", terms.ipn_url },
				{ "custom_data", terms.our_ref },
				{ "om_otp", terms.has_otp and "{{otp}}" or nil }, -- a JSON string (1.2)
			},
		}
	end,

	status = function(terms)
		if not terms.provider_id then
			return nil, "no look-up without a transaction id (1.4)"
		end
		return {
			method = "POST",
			url = terms.base_url .. "/status",
			json = object {
				{ "api_key", "{{api_key}}" },
				{ "transaction_id", terms.provider_id }, -- the page's sample
				{ "transaction_ids", terms.provider_id }, -- its schema: 1.4 contradicts itself
			},
		}
	end,

	balance = function(account)
		return {
			method = "POST",
			url = host(account) .. "/api_v1/admin/partner/wallet/single",
			headers = { { "x-api-key", "{{api_key}}" } },
		}
	end,

	reply = function(call, _, response)
		if call ~= "balance" then
			return read(response.json)
		end
		-- The reply is undefined (1.5): these names are a guess, for people to read, not for the books.
		local top = response.json
		local inner = is_object(top) and (is_object(top.data) and top.data or top) or {}
		local amount = first(inner.balance, inner.amount)
		if not amount then
			return nil, "no balance"
		end
		return { amount = amount }
	end,

	-- Both variants (1.9). They differ in `reponse` and `response`, which the state and the error repeat.
	ipn = function(request)
		return read(request.json)
	end,
}
