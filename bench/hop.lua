-- wrk: Africa's Talking callbacks (ussd-aggregators.md 1.1), each session of another person.
-- arguments: the texts that each session sends, comma between; the first session's number; how many
-- sessions a thread has at most; and optionally a file with a count for each thread, which then is
-- the most.
--
-- With one text a run is one hop of many sessions, and so measures one question. Each thread walks
-- sessions of its own in order, and `done` prints how many of them have surely had an answer; the run
-- for the next question is given that and asks no others.
--
-- With several texts the hops of a session follow each other within the run. wrk has no say in which
-- connection takes a request, so the next hop is sent LAG sessions later, when the one before has
-- been answered on whichever connection it went.

local CONNECTIONS = 64 -- as run.sh opens; so many requests may have no answer at the end
local LAG = 4 * CONNECTIONS

local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int pid, int signal);")
local SIGINT = 2

local made = 0
local threads = {}

function setup(thread)
	thread:set("thread_index", made)
	made = made + 1
	threads[made] = thread
end

local function limit_of(most, path, index)
	local file = path and assert(io.open(path, "r"))
	if not file then
		return most
	end
	for _ = 1, index do
		file:read("*l")
	end
	local count = tonumber(file:read("*l"))
	file:close()
	return math.min(count, most)
end

local HEAD = "POST %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: at-ussd-api/1.0\r\n" ..
	"Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: %d\r\n\r\n"
local BODY = "sessionId=ATUid_%s&phoneNumber=%%2B22505%s&serviceCode=%%2A384%%2A22%%23" ..
	"&networkCode=61205&text=%s"

-- All but the session and the number, which are put in by each request.
local function template(text)
	local body = BODY:format("SESSION", "NUMBER", (text:gsub("%*", "%%2A")))
	local length = #body - #"SESSION" + 32 - #"NUMBER" + 8
	return ((HEAD:format(wrk.path, wrk.host, wrk.port, length) .. body)
		:gsub("%%", "%%%%"):gsub("SESSION", "%%032d"):gsub("NUMBER", "%%08d"))
end

local format = string.format
local templates = {}
local first, limit
local hop, step = 0, 1 -- which text comes next, and of which session the first text does

function init(arguments)
	for text in (arguments[1] .. ","):gmatch("(.-),") do
		templates[#templates + 1] = template(text)
	end
	first = tonumber(arguments[2]) + thread_index * 10000000
	limit = limit_of(tonumber(arguments[3]), arguments[4], thread_index)
	issued = 0
end

function request()
	local session
	repeat
		hop = hop + 1
		if hop > #templates then
			hop, step = 1, step + 1
		end
		session = step - (hop - 1) * LAG
	until session >= 1 and session <= limit or step > limit + #templates * LAG
	if step > limit + #templates * LAG then
		-- Nothing is left to ask: ends the run before its time.
		ffi.C.kill(ffi.C.getpid(), SIGINT)
		wrk.thread:stop()
	end
	issued = math.min(step, limit)
	return format(templates[hop], first + session, first + session)
end

-- Requests, microseconds, failures, bytes a reply, p99 in microseconds; then the threads' counts.
function done(summary, latency)
	local e = summary.errors
	print(format("RESULT %d %d %d %.3f %d", summary.requests, summary.duration,
		e.connect + e.read + e.write + e.status + e.timeout,
		summary.bytes / math.max(1, summary.requests), latency:percentile(99)))
	for i = 1, made do
		print(format("COUNT %d", math.max(0, threads[i]:get("issued") - CONNECTIONS)))
	end
end
