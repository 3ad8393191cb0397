-- The purchase machine once more, in another language and by another author: written from reliability.md
-- 2.1 to 2.8 and from the rules of the books, without a look at src/core. It answers the same questions as
-- attempt_step(), purchase_derive() and ledger_position(); compare.lua and replay.lua set it against them.
-- It is written as rules rather than as tables, so that a slip is not likely to be made twice.
local model = {}

model.states = {
	"READY", "SENDING", "ACCEPTED", "UNKNOWN", "NOT_SENT", "SUCCEEDED", "FAILED", "EXPIRED", "REVIEW", "CONTRADICTED",
	"WRITTEN_OFF",
}

local function set(...)
	local members = {}
	for _, name in ipairs({ ... }) do
		members[name] = true
	end
	return members
end

-- 2.2: from SENDING on a request may have been executed, until something is proven.
local in_doubt = set("SENDING", "ACCEPTED", "UNKNOWN", "REVIEW", "CONTRADICTED")
-- Waits for the provider's word, not for a person.
local under_way = set("SENDING", "ACCEPTED", "UNKNOWN")
-- Proven not to have been executed.
local harmless = set("NOT_SENT", "FAILED", "EXPIRED")
-- What one attempt's end leaves the index of live attempts: harmless, or closed by a person's hand.
local not_live = set("NOT_SENT", "FAILED", "EXPIRED", "CONTRADICTED", "WRITTEN_OFF")

-- A refund that left, unless it is proven to have failed: the money may be with the customer.
local refund_sent = set("SENDING", "ACCEPTED", "UNKNOWN", "SUCCEEDED", "REVIEW", "CONTRADICTED", "WRITTEN_OFF")

---- one attempt (2.2, 2.6) ------------------------------------------------------------------------------

-- Each rule: the states it holds for, the event, what it does, the state after. STAY keeps the state. Where no
-- rule says anything, an act of ours is IMPOSSIBLE, and news or a timer must not move the attempt.
local rules = {}
local acts = set("CLAIM", "RESEND", "DECIDED_SUCCESS", "DECIDED_FAILURE", "WRITE_OFF")

local function rule(from, event, kind, to)
	for state in pairs(from) do
		rules[state .. "+" .. event] = { kind = kind, to = to or state }
	end
end

-- 2.3: D2 is the only way out of READY towards the provider; expiry is safe because nothing was sent.
rule(set("READY"), "CLAIM", "MOVE", "SENDING")
rule(set("READY"), "EXPIRE", "MOVE", "EXPIRED")
rule(set("READY"), "FREEZE", "MOVE", "REVIEW")
-- 2.6, first row: store, alarm, hold; a person looks.
rule(set("READY"), "SUCCESS", "IMPOSSIBLE", "REVIEW")
rule(set("READY"), "FAILURE", "IMPOSSIBLE", "REVIEW")
rule(set("READY"), "ACCEPTED", "STAY")

-- 2.2 and 2.4: what the transfer itself shows.
rule(set("SENDING", "UNKNOWN"), "NOT_SENT", "MOVE", "NOT_SENT")
rule(under_way, "ACCEPTED", "MOVE", "ACCEPTED")
rule(set("ACCEPTED"), "ACCEPTED", "STAY")
rule(set("SENDING"), "DOUBT", "MOVE", "UNKNOWN")
rule(set("UNKNOWN"), "DOUBT", "STAY")
-- 2.7: timers lead to UNKNOWN, and from there to a person; never to a proof.
rule(set("SENDING", "ACCEPTED"), "DEADLINE", "MOVE", "UNKNOWN")
rule(set("UNKNOWN"), "DEADLINE", "MOVE", "REVIEW")
-- 2.5: a provider that honours ids may be sent the same id again, from doubt only.
rule(set("UNKNOWN"), "RESEND", "MOVE", "SENDING")

-- 2.6: evidence.
rule(under_way, "SUCCESS", "MOVE", "SUCCEEDED")
rule(under_way, "FAILURE", "MOVE", "FAILED")
rule(set("REVIEW"), "SUCCESS", "MOVE", "SUCCEEDED")
rule(set("REVIEW"), "FAILURE", "PROPOSAL")
rule(set("SUCCEEDED"), "SUCCESS", "STAY")
rule(set("FAILED", "NOT_SENT"), "FAILURE", "STAY")
rule(set("SUCCEEDED"), "FAILURE", "CONTRADICTION", "CONTRADICTED")
rule(set("FAILED", "NOT_SENT"), "SUCCESS", "CONTRADICTION", "CONTRADICTED")
-- 2.2: a person's decision, by the two-person rule.
rule(set("REVIEW", "CONTRADICTED"), "DECIDED_SUCCESS", "MOVE", "SUCCEEDED")
rule(set("REVIEW", "CONTRADICTED"), "DECIDED_FAILURE", "MOVE", "FAILED")
rule(set("REVIEW", "CONTRADICTED"), "WRITE_OFF", "MOVE", "WRITTEN_OFF")

function model.step(state, event)
	return rules[state .. "+" .. event] or { kind = acts[event] and "IMPOSSIBLE" or "ANY", to = state }
end

-- 2.1: the partial UNIQUE index, and no further attempt of a leg that is contradicted.
function model.is_live(state)
	return not not_live[state]
end

-- 2.4, 2.5: only what provably never left this host may be tried once more.
function model.allows_another(state)
	return state == "NOT_SENT"
end

---- the purchase (2.2, 2.8) ------------------------------------------------------------------------------

-- legs: has_collect, has_deliver, and collect, deliver, refund: the state of each leg's last attempt, nil
-- while there is none.
function model.derive(legs)
	local collect, deliver, refund = legs.collect, legs.deliver, legs.refund
	local function any(state)
		return collect == state or deliver == state or refund == state
	end
	-- What a person must see hides everything else.
	if any("CONTRADICTED") then
		return "CONTRADICTED"
	end
	-- A refund of what was delivered after all, or written off, is owed to nobody unless it left.
	local is_closed = deliver == "SUCCEEDED" or deliver == "WRITTEN_OFF"
	if is_closed and not refund_sent[refund] then
		refund = nil
	end
	if any("REVIEW") or refund == "FAILED" or refund == "EXPIRED" then
		return "REVIEW"
	end
	if under_way[refund] then
		return "REFUNDING"
	end
	-- A person closed it without knowing, or by bearing the loss of what was both delivered and refunded.
	if any("WRITTEN_OFF") or (deliver == "SUCCEEDED" and refund == "SUCCEEDED") then
		return "WRITTEN_OFF"
	end
	if refund == "SUCCEEDED" then
		return "REFUNDED"
	end
	if refund then
		return "REFUND_DUE" -- READY, or tried without a byte sent
	end
	if legs.has_collect and collect ~= "SUCCEEDED" then
		if under_way[collect] then
			return "COLLECTING"
		end
		return ({ FAILED = "CANCELLED", EXPIRED = "EXPIRED" })[collect] or "CONFIRMED"
	end
	if not legs.has_deliver then
		return "COLLECTED"
	end
	if deliver == "SUCCEEDED" then
		return "DELIVERED"
	end
	if under_way[deliver] then
		return "DELIVERING"
	end
	if deliver == "FAILED" or deliver == "EXPIRED" then
		-- Nothing was collected from a customer whose agent pays: nothing is owed.
		if legs.has_collect then
			return "REFUND_DUE"
		end
		return deliver == "FAILED" and "CANCELLED" or "EXPIRED"
	end
	return legs.has_collect and "COLLECTED" or "CONFIRMED"
end

---- the books (2.1, 2.8) ---------------------------------------------------------------------------------

-- What each leg's state puts into the books, debit positive. terms: P price, C cost, K the provider's fee of
-- a collection.
local function collect_position(post, legs, terms)
	local price, state = terms.price, legs.collect
	if in_doubt[state] then
		post("SUSPENSE_UNKNOWN", price)
		post("CUSTOMER", -price)
	elseif state == "SUCCEEDED" then
		post("PROVIDER_FLOAT", price - terms.collect_fee)
		post("PROVIDER_FEES", terms.collect_fee)
		-- With a delivery to come the customer has a claim; without one the money is earned, until a person
		-- begins to give it back.
		local owner = "CUSTOMER"
		if not legs.has_deliver then
			owner = legs.refund and "REFUND_PAYABLE" or "REVENUE"
		end
		post(owner, -price)
	end
end

local function deliver_position(post, legs, terms)
	local price, cost, state = terms.price, terms.cost, legs.deliver
	local payer = legs.has_collect and "CUSTOMER" or "AGENT_FLOAT"
	if in_doubt[state] then
		post("SUSPENSE_UNKNOWN", cost)
		post("PROVIDER_FLOAT", -cost)
	elseif state == "SUCCEEDED" or state == "WRITTEN_OFF" then
		post("PROVIDER_FLOAT", -cost)
		if legs.collect == "WRITTEN_OFF" then
			-- Nobody has a claim any more: what the goods cost is lost.
			post("WRITE_OFF", cost)
		else
			post(payer, price)
			post(state == "SUCCEEDED" and "REVENUE" or "WRITE_OFF", -(price - cost))
		end
	end
	local owes = state == "FAILED" or state == "EXPIRED" or (state == "CONTRADICTED" and refund_sent[legs.refund])
	-- Who paid nothing, as persons found, is owed nothing.
	local is_paid = legs.collect == "SUCCEEDED" or in_doubt[legs.collect]
	if owes and is_paid then
		post("CUSTOMER", price)
		post("REFUND_PAYABLE", -price)
	end
end

local function refund_position(post, legs, terms)
	local price, state = terms.price, legs.refund
	if in_doubt[state] then
		post("SUSPENSE_UNKNOWN", price)
		post("PROVIDER_FLOAT", -price)
	elseif state == "SUCCEEDED" or state == "WRITTEN_OFF" then
		post("PROVIDER_FLOAT", -price)
		-- Given back what was delivered after all, or written off: nobody has a claim, it is our loss.
		local is_loss = legs.collect == "WRITTEN_OFF" or legs.deliver == "SUCCEEDED" or legs.deliver == "WRITTEN_OFF"
		post(is_loss and "WRITE_OFF" or "REFUND_PAYABLE", price)
	end
end

-- The books of a purchase: name -> balance, zero balances left out.
function model.position(legs, terms)
	local books = {}
	local function post(book, debit)
		books[book] = (books[book] or 0) + debit
	end
	collect_position(post, legs, terms)
	deliver_position(post, legs, terms)
	refund_position(post, legs, terms)
	for book, balance in pairs(books) do
		if balance == 0 then
			books[book] = nil
		end
	end
	return books
end

---- an IPN (2.6) -----------------------------------------------------------------------------------------

-- What becomes of authentic news whose facts match: verdict, the attempt's state after, and what else must
-- happen in the same commit. word: SUCCESS, FAILURE or PENDING.
function model.ipn(state, word)
	local event = word == "PENDING" and "ACCEPTED" or word
	local step = model.step(state, event)
	local outcome = { to = step.to }
	if step.kind == "MOVE" and step.to ~= state then
		outcome.verdict = "APPLIED"
	elseif step.kind == "MOVE" or step.kind == "STAY" then
		outcome.verdict = word == "PENDING" and "IGNORED" or "DUPLICATE"
	else
		outcome.verdict = step.kind
	end
	outcome.holds_account = step.kind == "IMPOSSIBLE" or (step.kind == "CONTRADICTION" and state == "NOT_SENT")
	return outcome
end

-- 2.6: a refund that was not sent yet is withdrawn when what it compensates turns out to have happened, and so
-- is a further attempt of a leg of which an earlier one happened after all.
function model.withdraws(leg, state, to)
	if to ~= "CONTRADICTED" then
		return nil
	end
	return ({ FAILED = leg == "DELIVER" and "REFUND" or nil, NOT_SENT = leg })[state]
end

model.in_doubt, model.harmless, model.under_way = in_doubt, harmless, under_way

return model
