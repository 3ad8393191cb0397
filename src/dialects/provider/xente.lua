-- Xente, generation C (https://api.xente.co/api). Numbers in brackets are sections of xente.md.
--
-- Log in, then send with the token. Every answer is an envelope: `code` 0, a `message`, and `data` with the
-- transaction. The word that counts is data.status; the envelope's own "status":"success" only says that
-- the call was understood. Dates are M/D/YYYY in an unknown zone and are not read.

-- The delegated user's scheme: pages say Bearer, every sample says Token (2.1), so the account decides.
local function headers(account)
	local scheme = account.has.auth_scheme and "{{auth_scheme}}" or "Bearer"
	return { { "Authorization", scheme .. " {{token}}" } }
end

local function get(account, path)
	return { method = "GET", url = account.base_url .. path, headers = headers(account) }
end

-- A service is "PRODUCTID/PRODUCTITEMID", or the item alone where the call takes no product.
local function product(service)
	local id, item = service:match("^([^/]+)/([^/]+)$")
	return id, item or service
end

-- What each verb sends where, and what says which product (2.2, 2.3). `type` changed its meaning
-- several times; these are the newest pages' words.
local VERBS = {
	airtime = {
		path = "/transactions/payouts/airtime",
		type = "DEBIT",
		what = function(service)
			local id, item = product(service)
			if not id then
				error("airtime needs a service PRODUCTID/PRODUCTITEMID")
			end
			return { "product", object { { "id", id }, { "productItemId", item } } }
		end,
	},
	payout = {
		path = "/transactions/payouts/mobilemoney",
		type = "DEBIT",
		what = function(service)
			local _, item = product(service)
			return { "product", object { { "productItemId", item } } }
		end,
	},
	collection = {
		path = "/transactions/collections/mobilemoney",
		type = "CREDIT",
		what = function(service)
			local _, item = product(service)
			return { "provider", object { { "providerItemId", item } } }
		end,
	},
}

-- What a member says, as text. Absent, null, "", a table and a boolean say nothing.
local function text(v)
	if (type(v) == "string" and v ~= "") or type(v) == "number" then
		return tostring(v)
	end
end

local function members_of(v)
	return type(v) == "table" and v or {}
end

-- The members by lower-case name without underscores: TransactionId, transaction_id and transactionId
-- are one (2.8). nil if two of them disagree.
local function loosely(members)
	local out = {}
	for name, v in pairs(members) do
		if type(name) == "string" and v ~= null and v ~= "" then
			local key = name:lower():gsub("_", "")
			if out[key] ~= nil and out[key] ~= v then
				return nil, key .. " contradicts itself"
			end
			out[key] = v
		end
	end
	return out
end

-- The facts of a transaction: a reply's data, a row of the list, an IPN.
local function read(members)
	if type(members) ~= "table" then
		return nil, "not a JSON object"
	end
	local row, reason = loosely(members)
	if not row then
		return nil, reason
	end
	local reference = loosely(members_of(row.requestreference)) or {}
	local holder = members_of(members_of(row.beneficiary).data)
	return {
		word = text(row.status),
		id = text(row.transactionid),
		our_ref = text(row.requestid) or text(row.clientreferenceid) or text(reference.requestid),
		amount = text(row.amount), -- negative for a payout (2.4)
		currency = text(row.currency) or text(row.currencycode),
		number = text(holder.CustomerPhone),
		service = text(members_of(row.product).id),
	}, row
end

-- The envelope's data, or facts that tell why there is none. Accepted is `code` 0; the list's field
-- table calls it `success` 1 (2.4). The message of a refusal is its code: it is what names a duplicate.
local function open(envelope)
	if type(envelope) ~= "table" then
		return nil, nil, "not a JSON object"
	end
	local code = text(envelope.code)
	local is_ok = code == "0" or (not code and (envelope.success == 1 or envelope.success == true))
	if is_ok and type(envelope.data) == "table" then
		return envelope.data
	end
	local complaint = text(envelope.message) or code
	if is_ok or not complaint then
		return nil, nil, "no envelope"
	end
	return nil, { code = complaint, id = text(members_of(envelope.data).transactionId) }
end

-- The row with our reference. Rows have no status, and a filter may be ignored in silence (2.4): so this
-- only finds the id to ask by, and a page without the row proves nothing.
local function find(data, our_ref)
	if type(data.collection) ~= "table" or #data.collection == 0 then
		return nil, "an empty page"
	end
	for _, member in ipairs(data.collection) do
		local facts = read(member)
		if facts and facts.our_ref == our_ref then
			facts.word = nil
			return facts
		end
	end
	return {}
end

-- Every row of a page, for the reconciliation of a day. A page beyond the last has none.
local function rows_of(data)
	if type(data.collection) ~= "table" then
		return nil, "no collection"
	end
	local rows = {}
	for i, member in ipairs(data.collection) do
		local facts, reason = read(member)
		if not facts or type(reason) == "string" then
			return nil, "a row that is none"
		end
		rows[i] = facts
	end
	return rows
end

local function balance_of(data)
	local amount = text(data.balance)
	if not amount then
		return nil, "no balance"
	end
	return { amount = amount, currency = text(data.currency) }
end

return dialect {
	kind = "provider",
	name = "xente",
	title = "Xente",
	body = "json",

	login = function(account)
		return {
			method = "POST",
			url = account.base_url .. "/auth/login",
			json = object {
				{ "appKey", "{{app_key}}" },
				{ "appPassword", "{{app_password}}" },
				{ "userId", "{{user_id}}" },
				{ "includeRefereshToken", true }, -- their spelling
			},
		}
	end,

	-- Token or token, at the top or under data (2.1). An hour, unless it says less.
	token = function(response)
		local top = response.json
		if type(top) ~= "table" or top.success == false then
			return nil, "the login was refused"
		end
		local data = members_of(top.data)
		local token = text(top.Token) or text(top.token) or text(data.Token) or text(data.token)
		if not token then
			return nil, "the login's answer has no token"
		end
		local expires = math.type(data.expiresIn) == "integer" and data.expiresIn or 3600
		return { token = token, expires = math.max(1, math.min(expires, 3600)) }
	end,

	submit = function(terms)
		local verb = VERBS[terms.verb]
		if not verb then
			error("no such verb: " .. terms.verb)
		end
		local msisdn = terms.number -- 256XXXXXXXXX without a plus (2.6)
		return {
			method = "POST",
			url = terms.base_url .. verb.path,
			headers = headers(terms.account),
			json = object {
				{ "requestId", terms.our_ref },
				{ "batchId", terms.our_ref },
				{ "amount", number(terms.amount) },
				{ "type", verb.type },
				verb.what(terms.service),
				{ "beneficiary", object {
					{ "phoneNumber", msisdn },
					{ "data", object { { "phoneNumber", msisdn } } },
				} },
			},
		}
	end,

	status = function(terms)
		-- By our id only for accounts that have proven it (`idempotent`): the SDKs had this path, the current
		-- pages do not (reliability.md 2.5).
		if not terms.provider_id then
			return get(terms.account, "/transactions/Requests/" .. url_escape(terms.our_ref))
		end
		return get(terms.account, "/transactions/" .. url_escape(terms.provider_id))
	end,

	list = function(terms)
		local query = {
			"pageNumber=" .. terms.page,
			-- Whole pages must fit what a dialect may hold (64 KiB).
			"pageSize=" .. (terms.our_ref and 100 or 50),
			"earlierDate=" .. url_escape(terms.from),
			"laterDate=" .. url_escape(terms.to),
		}
		if terms.listed then
			query[#query + 1] = "transactionStatus=" .. url_escape(terms.listed)
		end
		return get(terms.account, "/transactions?" .. table.concat(query, "&"))
	end,

	balance = function(account)
		return get(account, "/accounts")
	end,

	reply = function(call, terms, response)
		local data, refusal, reason = open(response.json)
		if not data then
			if call == "rows" then
				return nil, "the list was refused"
			end
			return refusal, reason
		end
		if call == "list" then
			return find(data, terms.our_ref)
		elseif call == "rows" then
			return rows_of(data)
		elseif call == "balance" then
			return balance_of(data)
		end
		local facts
		facts, reason = read(data)
		if facts and not facts.id then
			return nil, "no transaction id" -- accepted is 2xx, code 0 and an id (2.2)
		end
		return facts, reason
	end,

	-- All four variants (2.8); variant 1 says its ids in the query string as well. A code of 0 is presumably
	-- success: enough to ask at once, never to settle by (provider.h, ipn_needs_query).
	ipn = function(request)
		local facts, row = read(request.json)
		if not facts then
			return nil, row
		end
		local query, reason = loosely(request.query)
		if not query then
			return nil, reason
		end
		for fact, name in pairs { id = "transactionid", our_ref = "requestid" } do
			if facts[fact] and query[name] and facts[fact] ~= query[name] then
				return nil, name .. " in query and body disagree"
			end
			facts[fact] = facts[fact] or query[name]
		end
		facts.amount = facts.amount or query.amount
		if not (facts.id or facts.our_ref) then
			return nil, "neither an id nor a reference"
		end
		local code = text(row.statuscode)
		if code == "0" then
			facts.word = facts.word or "SUCCESS"
		elseif code then
			facts.word = nil
		end
		return facts
	end,

	-- The 200 is what counts; the keys are those of the newest page, as far as we know their values (2.8).
	ipn_reply = function(facts)
		return {
			status = 200,
			json = object {
				{ "TransactionId", facts.id },
				{ "RequestId", facts.our_ref },
				{ "ReferenceId", facts.our_ref },
				{ "ResponseCode", 0 },
				{ "ResponseMessage", "Received" },
			},
		}
	end,
}
