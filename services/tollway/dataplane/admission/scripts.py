"""The scripts that keep the pools in Redis or Valkey: `tollway.core.leases.Pool`, one hash for each account.

Keys of an organisation `O`, all in one slot; `E` is the epoch of the counters' life:
- `tw:{o:O}:life` the life: `e` epoch, `r` run id of the server that it began on, `p` phase ("gather" or "ready"), `s`
  since (Unix ms by the server's clock), `c` cut (up to when the ledger's rows were spent before it; microseconds)
- `tw:{o:O}:E:holders` sorted set of holders by when they were last heard of; `...:closed` those that are gone;
  `...:members` holder -> replica
- `tw:{o:O}:E:of:<holder>` set of the accounts that a holder has touched
- `tw:{o:O}:E:lost:<holder>` of a lost holder, account of a budget -> what was written off; for a week
- `tw:{o:O}:E:a:<account>` the pool: `s` spent, `o` held, `b` spent before (present: known); of each holder `H`
  `q:H` last seq, `p:H` its spent, `o:H` what it holds

Nothing stays for ever: what is not used for 40 days goes, and is read from the ledger again when it is needed.
Amounts stay below 2^53 (rules are refused above), where doubles are exact; they are changed with HINCRBY.
"""

from __future__ import annotations

_COMMON = """
local function life(keys, epoch, run)
  local m = redis.call('HMGET', keys, 'e', 'r', 'p', 's', 'c')
  if m[1] == epoch and m[2] == run then return m, true end
  return m, false
end
local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local function int(x) return string.format('%.0f', x) end
local function num(x) return tonumber(x or '0') or 0 end
"""

ASK = (
    _COMMON
    + """
-- KEYS: life, holders, closed, of, then for each account its key and that of the window before.
-- ARGV: epoch, run, holder, alive ms, places ms, then 15 for each account: id seq spent held unit want extra floor
-- limit start expire before kind carry start-of-the-window-before
local m, same = life(KEYS[1], ARGV[1], ARGV[2])
if not same then return {'lost', m[1] or '', m[2] or '', m[3] or ''} end
local H = ARGV[3]
if redis.call('SISMEMBER', KEYS[3], H) == 1 then return {'closed'} end
local now, since, ready = now_ms(), num(m[4]), m[3] == 'ready'
redis.call('ZADD', KEYS[2], now, H)
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], 3456000) end
local n = redis.call('ZCOUNT', KEYS[2], now - tonumber(ARGV[4]), '+inf')

local function carried(prev, most, start)
  local f = redis.call('HMGET', prev, 's', 'o', 'b')
  if not (f[3] or start >= since) then return nil end
  return math.max(0, most - num(f[1]) - num(f[2]))
end

local function drop_dead_places(key)
  local all, freed = redis.call('HGETALL', key), 0
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'o:' then
      local who = string.sub(all[i], 3)
      local seen = redis.call('ZSCORE', KEYS[2], who)
      if not seen or tonumber(seen) < now - tonumber(ARGV[5]) then
        freed = freed + num(all[i + 1])
        redis.call('HDEL', key, all[i], 'p:' .. who, 'q:' .. who)
      end
    end
  end
  if freed > 0 then redis.call('HINCRBY', key, 'o', int(-freed)) end
  return freed
end

local function one(key, prev, at)
  local id, seq, spent, held = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local unit, want = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local extra, floor = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local limit, start, expire, before = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), ARGV[at + 10], ARGV[at + 11]
  local f = redis.call('HMGET', key, 's', 'o', 'b', 'q:' .. H, 'p:' .. H, 'o:' .. H)
  local s, o, p0, o0 = num(f[1]), num(f[2]), num(f[5]), num(f[6])
  local known = f[3] or start >= since
  if not known and before ~= '' then
    redis.call('HSET', key, 'b', before)
    redis.call('HINCRBY', key, 's', before)
    s, known = s + tonumber(before), true
  end
  local whole = known and 1 or 0
  if prev ~= key then
    local more = carried(prev, tonumber(ARGV[at + 13]), tonumber(ARGV[at + 14]))
    if more then limit = limit + more else known, whole = false, 2 end
  end
  if f[4] and tonumber(f[4]) >= seq then return {-1, int(s), int(o), int(limit), 1, whole} end
  if not f[4] then redis.call('SADD', KEYS[4], id) end
  s, o = s + spent - p0, o + held - o0
  local free, granted = limit - s - o, 0
  if want > 0 and free < unit and ARGV[at + 12] == 'c' then
    local freed = drop_dead_places(key)
    o, free = o - freed, free + freed
  end
  local may = ready and known
  if may and want > 0 and free >= unit then
    granted = math.min(want, free)
    free = free - granted
  end
  local tight = free < n * floor
  if may and not tight and extra > 0 then
    granted = granted + math.max(0, math.min(extra, math.floor(free / (4 * n))))
  end
  if spent ~= p0 then redis.call('HINCRBY', key, 's', int(spent - p0)) end
  if held + granted ~= o0 then redis.call('HINCRBY', key, 'o', int(held + granted - o0)) end
  redis.call('HSET', key, 'q:' .. H, ARGV[at + 1], 'p:' .. H, ARGV[at + 2])
  redis.call('HSET', key, 'o:' .. H, int(held + granted))
  if expire ~= '' then redis.call('PEXPIREAT', key, expire) else redis.call('EXPIRE', key, 3456000) end
  return {int(granted), int(s), int(o + granted), int(limit), tight and 1 or 0, whole}
end

local out = {'ok', n, m[3], m[4], m[5] or ''}
local at = 6
for k = 5, #KEYS, 2 do
  out[#out + 1] = one(KEYS[k], KEYS[k + 1], at)
  at = at + 15
end
return out
"""
)

CLOSE = (
    _COMMON
    + """
-- KEYS: life, holders, closed, of, lost. ARGV: epoch, run, holder, account prefix, 'lost' or '', then account and its
-- final total in turn. A lost holder is one whose journal is gone: what it held counts as spent, of budgets too, and
-- the answer says how much that was of each; `lost` keeps that for who asks again. `gone`: it ended otherwise.
-- A holder that this life does not know had its totals counted by the ledger; `unknown` answers that.
local m, same = life(KEYS[1], ARGV[1], ARGV[2])
if not same then return {'lost'} end
local H, lost = ARGV[3], ARGV[5] == 'lost'
if redis.call('SISMEMBER', KEYS[3], H) == 1 then
  if not lost then return {'done'} end
  local off = redis.call('HGETALL', KEYS[5])
  if #off == 0 then return {'gone'} end
  return {'done', off}
end
local final = {}
for i = 6, #ARGV, 2 do final[ARGV[i]] = tonumber(ARGV[i + 1]) end
local touched = redis.call('SMEMBERS', KEYS[4])
if lost then redis.call('HSET', KEYS[5], '', '0') end
for _, id in ipairs(touched) do
  local key = ARGV[4] .. id
  local f = redis.call('HMGET', key, 'p:' .. H, 'o:' .. H)
  if f[1] or f[2] then
    local p, o = num(f[1]), num(f[2])
    local whole, budget = p, string.sub(id, 1, 1) == 'b'
    if budget and not lost then whole = math.max(p, final[id] or p)
    elseif string.sub(id, -2) ~= ':c' then whole = p + o end
    if whole ~= p then redis.call('HINCRBY', key, 's', int(whole - p)) end
    if o ~= 0 then redis.call('HINCRBY', key, 'o', int(-o)) end
    redis.call('HDEL', key, 'p:' .. H, 'o:' .. H, 'q:' .. H)
    if lost and budget and o > 0 then redis.call('HSET', KEYS[5], id, int(o)) end
  end
end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[2], H)
redis.call('SADD', KEYS[3], H)
redis.call('EXPIRE', KEYS[3], 604800)
if lost then
  redis.call('EXPIRE', KEYS[5], 604800)
  return {#touched > 0 and 'done' or 'unknown', redis.call('HGETALL', KEYS[5])}
end
return {#touched > 0 and 'done' or 'unknown'}
"""
)

BEGIN = (
    _COMMON
    + """
-- KEYS: life. ARGV: epoch, run. Begins a new life unless one on this server is there already; answers with the one that
-- holds.
local m = redis.call('HMGET', KEYS[1], 'e', 'r', 'p')
if m[1] and m[2] == ARGV[2] then return {m[1], m[3]} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'r', ARGV[2], 'p', 'gather', 's', int(now_ms()))
return {ARGV[1], 'gather'}
"""
)

READY = (
    _COMMON
    + """
-- KEYS: life. ARGV: epoch, run, cut. The life is ready from now on: what the ledger had at the cut was spent before it.
local m, same = life(KEYS[1], ARGV[1], ARGV[2])
if not same then return 0 end
if m[3] == 'ready' then return 1 end
redis.call('HSET', KEYS[1], 'p', 'ready', 'c', ARGV[3], 's', int(now_ms()))
return 1
"""
)

LEAVE = """
-- KEYS: holders, closed, of. ARGV: holder. An orderly end: its last ask gave everything back.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], 604800)
redis.call('DEL', KEYS[3])
return 1
"""
