-- The menu functions (docs/menus.md is the author's manual). Loaded once a partner; `c` holds the
-- functions written in C (menu_api.c, menu_buy.c). Gives the table of what a menu sees, and the
-- function that runs one. Nothing here may keep anything between two calls.
local c = ...
local type, pick, guess, amount_of, other_amount = type, c.pick, c.guess, c.amount, c.other_amount

-- A menu is the table itself. Checked here so that a mistake is shown at its own line.
local function menu(spec)
	c.check(spec)
	return spec
end

-- The value chosen, and its number. A function is called for its value.
local function choose(prompt, options, vars)
	local index = pick(prompt, options, vars)
	local option = options[index]
	if type(option) ~= "table" then
		return option, index
	end
	local value = option[2]
	if type(value) == "function" then
		return value(), index
	elseif value == nil then
		value = option[1]
	end
	return value, index
end

-- Free text. check(answer) gives the value, or nil and the reason; it must give the same on a replay.
local function ask(prompt, options)
	local answer, is_new = c.ask(prompt, options)
	local check = options and options.check
	local value, reason = answer, nil
	if check then
		value, reason = check(answer)
	end
	if value == nil then
		if is_new then
			c.refuse(prompt, options, reason)
		end
		c.changed()
	end
	if is_new then
		c.accept(prompt, options, answer)
	end
	return value
end

local function ask_amount(prompt, offer, vars)
	local amount = amount_of(prompt, offer, vars)
	if amount == nil then
		amount = other_amount(nil, offer)
	end
	return amount
end

-- The guess is taken without a question: the confirmation shows it and lets it be changed.
local function choose_operator(number, options)
	local operator, is_out = guess(number)
	if operator and not is_out and not (options and options.ask) then
		return operator
	end
	return c.ask_operator(number, operator, is_out)
end

local function ask_for_change(deal)
	local caller = c.caller()
	local is_own = deal.to == caller
	if deal.from and not is_own and c.which() then
		deal.from = c.ask_operator(caller)
		return
	end
	deal.operator = c.ask_operator(deal.to)
	if deal.from and is_own then
		deal.from = deal.operator
	end
	local fits
	deal.offer, fits = c.refit(deal.offer, deal.amount, deal.operator)
	if not fits then
		deal.amount = ask_amount(nil, deal.offer)
	end
end

local function buy(offer, want)
	if offer == nil then
		c.finish("not_sold")
	end
	local amount, to, operator, from, has_code = c.want(offer, want)
	local deal = { offer = offer, amount = amount, to = to, operator = operator or choose_operator(to) }
	if c.collects(offer) then
		deal.from = from or (to == c.caller() and deal.operator) or choose_operator(c.caller())
	end
	while true do
		c.quote(deal.offer, deal.amount, to, deal.operator, deal.from)
		local answer = c.confirm()
		if answer == "yes" then
			break
		elseif answer == "no" then
			c.finish("cancelled")
		end
		ask_for_change(deal)
	end
	if not has_code and c.needs_code() then
		c.park()
		c.code()
	end
	-- Asked only when the engine has told that the same was bought minutes ago.
	if not c.again() then
		c.finish("cancelled")
	end
	return c.commit()
end

-- A message that opens a session: its first word says which inputs the others stand for.
local function open_by_message(keywords)
	local word, words = c.keyword()
	if not word then
		return
	end
	local handler = keywords and keywords[word]
	if handler then
		return word, handler, words
	elseif c.stops(word) then
		c.finish("stopped")
	elseif keywords or c.asks_help(word) then
		c.finish("help")
	end
end

local function drive(chunk)
	local spec = chunk()
	c.begin(spec)
	local call = c.call()
	local word, handler, words = open_by_message(spec.keywords)
	if word then
		local inputs, reason = handler(call, words)
		c.type(inputs, reason)
	end
	spec.run(call)
	c.no_bye()
end

return {
	menu = menu,
	ask = ask,
	choose = choose,
	ask_msisdn = c.number,
	ask_amount = ask_amount,
	ask_otp = c.code,
	choose_operator = choose_operator,
	choose_offer = c.offer,
	buy = buy,
	bye = c.bye,
	lookup = c.lookup,
	now = c.now,
	money = c.money,
	phone = c.phone,
	amount_and_number = c.amount_and_number,
}, drive
