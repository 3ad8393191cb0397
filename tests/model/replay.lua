-- Walks every purchase of a store once more, with the reference model: what the events say happened must be what
-- the specification says may happen, the purchase must be derived, each posting must be the difference of two
-- positions, and what the inbox holds must have been judged by table 2.6.
-- usage: lua5.4 replay.lua STORE      (nobody else may be writing it)
-- Prints what differs and exits 1; else the counts of what was compared.
package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local model = require("reference")

local purchase_states = {
	"CONFIRMED", "COLLECTING", "COLLECTED", "DELIVERING", "DELIVERED", "CANCELLED", "EXPIRED", "REFUND_DUE", "REVIEW",
	"REFUNDING", "REFUNDED", "CONTRADICTED", "WRITTEN_OFF",
}
local books = {
	"CUSTOMER", "PROVIDER_FLOAT", "REVENUE", "SUSPENSE_UNKNOWN", "REFUND_PAYABLE", "AGENT_FLOAT", "PROVIDER_FEES",
	"WRITE_OFF",
}
local legs = { "collect", "deliver", "refund" }
local verdicts = { [1] = "APPLIED", [5] = "CONTRADICTION" }
local MISMATCH, IPN = 4, 1

local differences, counted = 0, { purchases = 0, moves = 0, postings = 0, arrivals = 0 }

local function differ(purchase, text, ...)
	differences = differences + 1
	if differences <= 40 then
		print(("purchase %d: "):format(purchase.id) .. text:format(...))
	end
end

-- The rows of a query, as tables of named numbers and texts; NULL is nil.
local function rows(columns, from)
	local command = ("sqlite3 -readonly -batch -list -separator '\t' '%s' 'SELECT %s FROM %s'"):format(
		arg[1]:gsub("'", "'\\''"), columns, from)
	local pipe = assert(io.popen(command))
	local all, names = {}, {}
	for name in columns:gmatch("[%w_]+") do
		names[#names + 1] = name
	end
	for line in pipe:lines() do
		local row, i = {}, 0
		for field in (line .. "\t"):gmatch("(.-)\t") do
			i = i + 1
			row[names[i]] = math.tointeger(tonumber(field)) or (field ~= "" and field or nil)
		end
		all[#all + 1] = row
	end
	assert(pipe:close(), "sqlite3 could not read " .. arg[1])
	return all
end

local purchases, by_id = rows("id, price, cost, collect_fee, has_collect, has_deliver, state", "purchase ORDER BY id"), {}
for _, p in ipairs(purchases) do
	p.attempts, p.events, p.postings = {}, {}, {}
	p.now, p.terms = nil, { price = p.price, cost = p.cost, collect_fee = p.collect_fee }
	by_id[p.id] = p
end
local attempts = {}
for _, a in ipairs(rows("id, purchase, leg, n, state", "attempt ORDER BY purchase, id")) do
	attempts[a.id] = a
	table.insert(by_id[a.purchase].attempts, a)
end
for _, e in ipairs(rows("purchase, seq, attempt, from_state, to_state, cause, evidence, at_ms", "event ORDER BY purchase, seq")) do
	table.insert(by_id[e.purchase].events, e)
end
for _, l in ipairs(rows("purchase, posting, line, attempt, book, debit", "ledger ORDER BY purchase, posting, line")) do
	local postings = by_id[l.purchase].postings
	postings[l.posting] = postings[l.posting] or { lines = {} }
	table.insert(postings[l.posting].lines, l)
end
local decisions = {}
for _, d in ipairs(rows("id, state", "decision")) do
	decisions[d.id] = d
end
local inbox = {}
for _, i in ipairs(rows("id, kind, attempt, verdict, received_ms", "inbox")) do
	inbox[i.id] = i
end

-- A leg is CONTRADICTED if any of its attempts is; else what its attempt is that may have run, else its last.
local function leg_state(p, leg)
	local state
	for _, a in ipairs(p.attempts) do
		if a.leg == leg and a.now then
			local gives_way = state == nil or model.harmless[state]
			if gives_way or a.now == "CONTRADICTED" then
				state = a.now
			end
		end
	end
	return state
end

local function legs_of(p)
	local all = { has_collect = p.has_collect == 1, has_deliver = p.has_deliver == 1 }
	for leg, name in ipairs(legs) do
		all[name] = leg_state(p, leg)
	end
	return all
end

-- Takes the next posting off the purchase: it must lead from one position to the other.
local function expect_posting(p, before, after)
	local want = {}
	for _, book in ipairs(books) do
		local move = (after[book] or 0) - (before[book] or 0)
		want[book] = move ~= 0 and move or nil
	end
	if next(want) == nil then
		return
	end
	p.posted = (p.posted or 0) + 1
	counted.postings = counted.postings + 1
	local posting = p.postings[p.posted]
	if not posting then
		return differ(p, "posting %d is not there", p.posted)
	end
	for _, line in ipairs(posting.lines) do
		local book = books[line.book]
		want[book] = (want[book] or 0) - line.debit
	end
	for book, rest in pairs(want) do
		if rest ~= 0 then
			differ(p, "posting %d: %s is %d off", p.posted, book, rest)
		end
	end
end

-- An attempt comes into being READY, in the commit of what made it due; the store keeps no event of that.
local function begin(p, a)
	local before = model.position(legs_of(p), p.terms)
	a.now = "READY"
	expect_posting(p, before, model.position(legs_of(p), p.terms))
end

local function begin_next(p, leg, n)
	for _, a in ipairs(p.attempts) do
		if a.leg == leg and a.n == n and not a.now then
			begin(p, a)
		end
	end
end

-- Persons begin a refund where the machine does not, or its own has ended without one: an attempt is born.
local function replay_birth(p, event)
	local a = attempts[event.attempt]
	local before = leg_state(p, a.leg)
	if a.now or legs[a.leg] ~= "refund" or (before and not model.harmless[before]) or not decisions[event.evidence] then
		differ(p, "event %d begins attempt %d, and its leg is %s", event.seq, a.id, before or "not begun")
	end
	begin(p, a)
end

local function check_evidence(p, event, from, to)
	-- What persons decide rests on their decision.
	if decisions[event.evidence] then
		return
	end
	local row = inbox[event.evidence]
	if not row then
		return differ(p, "event %d rests on evidence %d, which is not there", event.seq, event.evidence)
	end
	counted.arrivals = counted.arrivals + 1
	row.is_used = true
	local verdict = to == "CONTRADICTED" and "CONTRADICTION" or "APPLIED"
	-- What a contradiction withdraws rests on the evidence about another attempt.
	local is_own = row.attempt == event.attempt
	-- 2.4: a reply that is about something else is a doubt, and never more.
	local is_doubt = verdict == "APPLIED" and row.verdict == MISMATCH and row.kind ~= IPN and event.cause == "doubt"
	if is_own and not is_doubt and verdicts[row.verdict] ~= verdict then
		differ(p, "evidence %d moved %s to %s with verdict %d", row.id, from, to, row.verdict)
	elseif not is_own and event.cause ~= "expire" then
		differ(p, "evidence %d is about another attempt", row.id)
	end
end

local function replay_attempt(p, event)
	local a = attempts[event.attempt]
	a.events = a.events or {}
	table.insert(a.events, event)
	local from, to = model.states[event.from_state], model.states[event.to_state]
	if event.from_state == 0 then
		return replay_birth(p, event)
	end
	if not a.now then
		begin(p, a)
		if a.n > 1 then
			differ(p, "attempt %d is number %d of its leg, and none before it was not sent", a.id, a.n)
		end
	end
	if from ~= a.now then
		differ(p, "event %d starts from %s, and attempt %d was %s", event.seq, from, a.id, a.now)
	end
	local step = model.step(from, event.cause:upper())
	local allowed = step.to == to
	if from == "READY" and event.cause == "accepted" then
		allowed = to == "REVIEW" -- stricter than 2.6; see compare.lua
	elseif (from == "NOT_SENT" and event.cause == "accepted") or (from == "SUCCEEDED" and event.cause == "not_sent") then
		allowed = to == "CONTRADICTED" -- the same
	elseif from == "WRITTEN_OFF" then
		allowed = event.cause == "decided_success" and to == "SUCCEEDED" or event.cause == "decided_failure" and to == "FAILED"
	end
	if not allowed or from == to then
		differ(p, "event %d, %s: %s to %s, and the specification says %s", event.seq, event.cause, from, to, step.to)
	end
	local before = model.position(legs_of(p), p.terms)
	a.now = to
	expect_posting(p, before, model.position(legs_of(p), p.terms))
	if event.evidence then
		check_evidence(p, event, from, to)
	end
	if model.allows_another(to) then
		begin_next(p, a.leg, a.n + 1)
	end
end

-- What the attempt may have been when something came: all the states it had in that millisecond.
local function states_at(a, ms)
	local state, found = "READY", {}
	for _, event in ipairs(a.events or {}) do
		if event.at_ms >= ms then
			found[#found + 1] = state
		end
		if event.at_ms > ms then
			return found
		end
		state = model.states[event.to_state]
	end
	found[#found + 1] = state
	return found
end

-- 2.6: an IPN that moved nothing was judged as its state and one of the words demand. Its word is sealed.
local silent = { [3] = "IGNORED", [5] = "CONTRADICTION", [7] = "HINT", [9] = "IMPOSSIBLE", [10] = "PROPOSAL" }

local function check_silent(p, row, a)
	local verdict = silent[row.verdict]
	for _, state in ipairs(states_at(a, row.received_ms)) do
		for _, word in ipairs({ "SUCCESS", "FAILURE", "PENDING" }) do
			local said = model.ipn(state, word)
			-- A hint is what would move it, had a query confirmed it.
			local is_hint = verdict == "HINT" and said.to ~= state
			local is_same = said.verdict == verdict or said.verdict == "ANY" or (verdict == "IGNORED" and said.verdict == "DUPLICATE")
			if is_same or is_hint then
				return
			end
		end
	end
	differ(p, "evidence %d was judged %s, and attempt %d was %s", row.id, verdict, a.id,
		table.concat(states_at(a, row.received_ms), " or "))
end

local function replay(p)
	for i, event in ipairs(p.events) do
		if event.seq ~= i then
			differ(p, "event %d is number %d", i, event.seq)
		end
		counted.moves = counted.moves + 1
		local want = model.derive(legs_of(p))
		if event.attempt then
			if p.now ~= want then
				differ(p, "before event %d it is %s, and derived %s", i, p.now, want)
			end
			replay_attempt(p, event)
		else
			local from, to = purchase_states[event.from_state], purchase_states[event.to_state]
			if want ~= to then
				begin_next(p, 3, 1) -- a refund that persons began
				want = model.derive(legs_of(p))
			end
			if from ~= p.now or to ~= want then
				differ(p, "event %d leads from %s to %s, and it is %s, derived %s", i, from, to, p.now, want)
			end
			p.now = to
		end
	end
	for _, a in ipairs(p.attempts) do
		a.now = a.now or "READY"
		if a.now ~= model.states[a.state] then
			differ(p, "attempt %d is stored as %s, and its events lead to %s", a.id, model.states[a.state], a.now)
		end
	end
	if p.now ~= purchase_states[p.state] or p.now ~= model.derive(legs_of(p)) then
		differ(p, "stored as %s, and its events lead to %s, derived %s", purchase_states[p.state], p.now, model.derive(legs_of(p)))
	end
	if p.postings[(p.posted or 0) + 1] then
		differ(p, "posting %d has no reason", p.posted and p.posted + 1 or 1)
	end
end

for _, p in ipairs(purchases) do
	counted.purchases = counted.purchases + 1
	replay(p)
end
-- APPLIED means that something moved by it.
for id, row in pairs(inbox) do
	if verdicts[row.verdict] == "APPLIED" and not row.is_used and row.kind <= 3 then
		differ(by_id[attempts[row.attempt].purchase], "evidence %d is applied, and nothing moved by it", id)
	elseif row.kind == IPN and row.attempt and silent[row.verdict] and not row.is_used then
		counted.arrivals = counted.arrivals + 1
		check_silent(by_id[attempts[row.attempt].purchase], row, attempts[row.attempt])
	end
end
print(("%d purchases, %d moves, %d postings, %d arrivals, %d differences"):format(counted.purchases, counted.moves,
	counted.postings, counted.arrivals, differences))
os.exit(differences == 0)
