-- wrk: POST of 1 KiB, each payload another one (the same twice would be a duplicate, which costs less).
-- Threads draw their own random start; the answers that are no 200 are counted by wrk itself.
local n, start, pad = 0, "", string.rep("x", 1000)
local headers = { ["Content-Type"] = "application/octet-stream" }

function init(args)
  math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16) % 2147483647 + os.time())
  start = string.format("%04x%04x", math.random(0, 65535), math.random(0, 65535))
end

function request()
  n = n + 1
  return wrk.format("POST", "/api/v1/publish?topic=wrk", headers, string.format("%s%016x%s", start, n, pad))
end
