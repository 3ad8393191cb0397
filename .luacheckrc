-- What the Lua of each folder sees; everything else is a mistake (make lint).
std = "max"
max_line_length = 140
cache = false

-- The sandbox's allow-list (include/tama/lua_gate.h).
local base = {
	"assert", "error", "ipairs", "math", "next", "pairs", "select", "string", "table", "tonumber", "tostring",
	"type", "utf8",
}

local menu = {
	"menu", "text", "ask", "choose", "ask_msisdn", "ask_amount", "ask_otp", "choose_operator", "choose_offer",
	"buy", "bye", "lookup", "now", "money", "phone", "amount_and_number",
}

local dialect = {
	"array", "dialect", "json_decode", "json_encode", "null", "number", "object", "septets", "url_escape",
	"url_unescape", "xml_escape", "xml_unescape",
}

local config = {
	"setting", "include", "secret_file", "demo_secret", "gateway", "country", "operator", "partner", "account",
	"offer", "service", "channel", "limits", "credential", "float",
}

local function sees(names)
	local all = {}
	for _, list in ipairs({ base, names }) do
		for _, name in ipairs(list) do
			all[#all + 1] = name
		end
	end
	return { std = "none", read_globals = all }
end

files["src/lua"] = sees({})
files["src/dialects"] = sees(dialect)
files["menus"] = sees(menu)
files["menus/**/texts.*.lua"] = { max_line_length = false }
files["src/lua/texts.lua"] = { max_line_length = false }
files["config"] = sees(config)
files["bench/config.lua"] = sees(config)
files["bench/hop.lua"] = { std = "max", globals = { "request", "response", "done", "setup", "init", "wrk", "thread_index", "issued" } }
files["tests/configs"] = sees(config)
files["tests/fixtures/engine.lua"] = sees(config)
files["tests/fixtures/velocity.lua"] = sees(config)
files["tests/simulation"] = sees(config)
files["tests/fixtures/menus"] = sees(menu)
files["tests/fixtures/menus/check.lua"] = sees(config)
files["tests/fixtures/config"] = sees(config)
files["tests/fixtures/config/menus"] = sees(menu)

-- Broken on purpose.
exclude_files = {
	"tests/fixtures/config/*.lua",
	"tests/fixtures/menus/*_error",
	"tests/fixtures/menus/endless",
	"tests/fixtures/menus/bad_keyword",
}
