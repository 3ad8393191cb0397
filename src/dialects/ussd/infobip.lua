-- Infobip (ussd-aggregators.md 3.1): the path says what happens and holds the only session id. Errors
-- travel inside HTTP 200. The gateway shows the first screen of a session as a menu in any case, even
-- with shouldClose true. `text` of a start is what was dialled, so it is no answer.
local ok = { "responseExitCode", 200 }
local fine = { "responseMessage", "" }

return dialect {
	kind = "ussd",
	name = "infobip",
	title = "Infobip",
	routes = {
		{
			method = "POST",
			path = "/session/*/start",
			body = "json",
			event = "new",
			decode = {
				session = "path:2",
				msisdn = "msisdn",
				code = "shortCode", -- optional, and really missing at times
				required = { "session", "msisdn" },
			},
		},
		{
			method = "POST",
			path = "/session/*/response",
			body = "json",
			event = "input",
			decode = {
				session = "path:2",
				msisdn = "msisdn",
				code = "shortCode",
				input = "text",
				required = { "session", "input" },
			},
		},
		{
			method = "PUT",
			path = "/session/*/end",
			body = "json",
			event = { from = "exitCode", values = { ["0"] = "report" }, other = "cancel", none = "cancel" },
			decode = { session = "path:2" },
		},
		{
			method = "GET",
			path = "/session/*/status",
			event = "probe",
			decode = { session = "path:2" },
		},
	},
	encode = {
		type = "application/json; charset=UTF-8",
		continue = { json = { { "shouldClose", false }, ok, { "ussdMenu", "${text}" }, fine } },
		finish = { json = { { "shouldClose", true }, ok, { "ussdMenu", "${text}" }, fine } },
		error = { json = { { "responseExitCode", 400 }, { "responseMessage", "${text}" } } },
		ended = { json = { ok, fine } },
		alive = { json = { { "sessionActive", true }, ok, fine } },
		gone = { json = { { "sessionActive", false }, ok, fine } },
	},
}
