-- Africa's Talking (ussd-aggregators.md 1.1): a form in, CON or END out. The input is cumulative. The
-- end of a session is told afterwards at a second address, "/events" below the channel's own.
return dialect {
	kind = "ussd",
	name = "africastalking",
	title = "Africa's Talking",
	routes = {
		{
			method = "POST",
			body = "form",
			decode = {
				session = "sessionId",
				msisdn = "phoneNumber",
				code = "serviceCode",
				network = "networkCode", -- missing in the oldest documents
				input = "text",
				cumulative = true,
				required = { "session", "msisdn", "input" },
			},
		},
		{
			method = "POST",
			path = "/events",
			body = "form",
			event = "report",
			decode = {
				session = "sessionId",
				msisdn = "phoneNumber",
				code = "serviceCode",
				network = "networkCode",
				required = { "session" },
			},
		},
	},
	encode = {
		type = "text/plain; charset=UTF-8",
		continue = "CON ${text}",
		finish = "END ${text}",
		error = "END ${text}", -- any status but 200 would hide our words
		ended = "OK",
	},
}
