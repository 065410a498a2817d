import type { Quota } from "../../core/limit/gcra.js";
import {
  type LeaseAnswer,
  type LeaseReport,
  MAX_HOLD_MS,
  UNIT_TOLERANCE,
  unitsPerMs,
} from "../../core/limit/lease.js";

/**
 * The twin of core/limit/lease.ts, in the order of its operations: test/process/shared-limits-script
 * holds the two together. One key, so that Redis Cluster can run it; the time is that of the server,
 * so that the clocks of replicas do not matter. A value that is not ours counts as lost.
 *
 * KEYS[1]  the quota, as `used atMs burst unitsPerMs;replica sequence spent held demand untilMs;…`
 */
export const LEASE_SCRIPT = `
local function text(n) return string.format('%.17g', n) end
local replica = ARGV[1]
local sequence, spent, acked = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held, want, need = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local demand, known, hold = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local burst, rate = tonumber(ARGV[11]), tonumber(ARGV[12])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000

local used, others, recorded, heldByOthers, allDemand = known, {}, acked, 0, demand
local value = redis.call('GET', KEYS[1]) or ''
local u, at, b, r, holders = string.match(value, '^(%S+) (%S+) (%S+) (%S+);(.*)$')
u, at, b, r = tonumber(u or ''), tonumber(at or ''), tonumber(b or ''), tonumber(r or '')
if u and at and b and r then
  used = math.max(0, u - math.max(0, now - at) * r)
  if b ~= burst or r ~= rate then used = math.min(used, burst) end
  for name, s, sp, h, d, e in string.gmatch(holders, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+);') do
    s, sp, h, d, e = tonumber(s), tonumber(sp), tonumber(h), tonumber(d), tonumber(e)
    if not (s and sp and h and d and e) then
      -- Not ours.
    elseif name == replica then
      if sequence <= s then return {text(now)} end
      recorded = math.max(recorded, sp)
    elseif e <= now then
      used = used + h
    else
      if e - now > ${MAX_HOLD_MS} then e = now + ${MAX_HOLD_MS} end
      others[#others + 1] = {name, s, sp, h, d, e}
      heldByOthers = heldByOthers + h
      allDemand = allDemand + d
    end
  end
end
used = used + math.max(0, spent - recorded)
recorded = math.max(recorded, spent)

local free, granted = burst - used - heldByOthers - held, 0
if want > 0 and free + ${UNIT_TOLERANCE} >= need then
  local share = free
  if allDemand > 0 then share = (free * demand) / allDemand end
  granted = math.min(want, math.max(share, need))
end

local lines, longest = {}, hold
others[#others + 1] = {replica, sequence, recorded, held + granted, demand, now + hold}
for at, holder in ipairs(others) do
  longest = math.max(longest, holder[6] - now)
  for field = 2, 6 do holder[field] = text(holder[field]) end
  lines[at] = table.concat(holder, ' ') .. ';'
end
local whole = table.concat({text(used), text(now), text(burst), text(rate)}, ' ')
local keep = math.ceil(used / rate + longest) + 1000
redis.call('SET', KEYS[1], whole .. ';' .. table.concat(lines), 'PX', text(math.min(keep, 1e15)))
local retryAfter = math.max(0, (need - (free - granted)) / rate)
return {text(now), text(granted), text(used), text(heldByOthers), text(retryAfter), text(recorded)}
`;

export function leaseArguments(report: LeaseReport, quota: Quota): readonly string[] {
  const { replica, sequence, spent, acked, held, want, need, demand, known, holdMs } = report;
  const numbers = [sequence, spent, acked, held, want, need, demand, known, holdMs];
  return [replica, ...[...numbers, quota.burst, unitsPerMs(quota)].map(String)];
}

/** @returns undefined: a later report was heard before this one; null: no answer that this script gives */
export function readLeaseAnswer(reply: unknown): LeaseAnswer | undefined | null {
  if (!Array.isArray(reply)) return null;
  const numbers = reply.map((one) => (typeof one === "string" ? Number(one) : NaN));
  if (numbers.length === 1) return undefined;
  const [, granted, used, heldByOthers, retryAfterMs, recorded] = numbers;
  if (granted === undefined || used === undefined || heldByOthers === undefined) return null;
  if (retryAfterMs === undefined || recorded === undefined) return null;
  if (!numbers.every((value) => value >= 0 && Number.isFinite(value))) return null;
  return { granted, used, heldByOthers, retryAfterMs, recorded };
}

/**
 * Who is there, by the time of the server; answers how many.
 *
 * KEYS[1]  the replicas, by the time at which they count as gone
 * ARGV     replica, how long it counts as there, 1 to stay or 0 to leave
 */
export const REGISTER_SCRIPT = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local live = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * live, '+inf')
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], now + live, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], 2 * live)
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
`;
