-- Kannel 1.4.5 (sms-gsm-numbering.md A.2). Messages go out by POST with X-Kannel fields, so that neither
-- text nor password stands in an address. Fields of the channel: url, username, password, sender.
--
-- smsbox.conf, for the other direction, with <channel> the channel's address:
--   sms-service  post-url = "<channel>/mo?id=%I"  send-sender = true  max-messages = 10
--           or   get-url  = "<channel>/mo?id=%I&from=%p&to=%P&text=%a"
-- Reports arrive where each message asks for them; nothing has to be configured.

-- Bits of a report: 1 delivered, 2 failed, 4 buffered, 8 with the SMSC, 16 refused by it; 32 and 64 come
-- with 2. A later report may contradict an earlier one, so a failing bit outweighs.
local function report_state(bits)
	if bits & (2 | 16) ~= 0 then
		return "failed"
	elseif bits & 1 ~= 0 then
		return "delivered"
	elseif bits & (4 | 8) ~= 0 then
		return "buffered"
	end
end

local function decode_report(request)
	local query = request.query
	local bits = query.type and query.type:find("^%d+$") and math.tointeger(tonumber(query.type))
	local state = bits and report_state(bits)
	if not query.ref or query.ref == "" then
		return nil, "ref is missing"
	elseif not state then
		return nil, "type is missing or says nothing"
	end
	-- `ans` holds raw bytes of the SMSC, NUL among them, and nothing that we need.
	return { ref = query.ref, id = query.id, state = state }
end

-- Kannel puts the status in for %d and the SMSC's id for %F.
local function report_url(message)
	local separator = message.dlr_url:find("?", 1, true) and "&" or "?"
	return message.dlr_url .. separator .. "ref=" .. url_escape(message.ref) .. "&type=%d&id=%F"
end

return dialect {
	kind = "sms",
	name = "kannel",
	title = "Kannel",
	mo = {
		{
			method = "POST",
			path = "*",
			body = "text",
			decode = {
				id = "query:id",
				from = "header:X-Kannel-From",
				to = "header:X-Kannel-To",
				text = "body:",
				required = { "id", "from", "to", "text" },
			},
		},
		{
			method = "GET",
			path = "*",
			decode = {
				id = "id",
				from = "from",
				to = "to",
				text = "text",
				required = { "id", "from", "to", "text" },
			},
		},
	},
	dlr = { method = "GET", path = "*", decode = decode_report },
	reply = { type = "text/plain; charset=UTF-8", text = "${text}" },

	submit = function(message, channel)
		local headers = {
			{ "X-Kannel-Username", "{{username}}" },
			{ "X-Kannel-Password", "{{password}}" },
			{ "X-Kannel-To", message.to },
			{ "X-Kannel-Coding", septets(message.text) and "0" or "2" },
		}
		if channel.sender then -- else the gateway's global-sender
			headers[#headers + 1] = { "X-Kannel-From", channel.sender }
		end
		if message.dlr_url then
			headers[#headers + 1] = { "X-Kannel-DLR-Mask", "31" }
			headers[#headers + 1] = { "X-Kannel-DLR-Url", report_url(message) }
		end
		return {
			method = "POST",
			url = channel.url,
			type = "text/plain; charset=UTF-8", -- without charset the body is read as Latin-1
			headers = headers,
			body = message.text,
		}
	end,

	-- 202 also says "Queued for later delivery". A wrong password is our configuration's fault and not the
	-- number's.
	verdict = function(status, body)
		if status == 202 or status == 200 then
			return "sent"
		elseif status == 503 then
			return "retry"
		elseif status == 403 then
			return body:find("Not routable", 1, true) and "refused" or "retry"
		elseif status == 400 then
			return "refused"
		end
		return "doubt"
	end,
}
