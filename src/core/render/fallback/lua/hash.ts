/**
 * core/experiment/hash.ts and bucket.ts in Lua. Numbers are doubles and `bit` works on signed 32
 * bits, so products are taken in parts that a double holds exactly.
 */
export const HASH_LUA = String.raw`
local bit = bit or require("bit")
local band, bxor, lshift, rshift, rol, tobit =
  bit.band, bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit
local byte, floor = string.byte, math.floor
local TWO_32 = 4294967296
local FNV_OFFSET = tobit(0x811c9dc5)

local function multiply(a, b)
  return tobit(band(a, 0xffff) * b + lshift(tobit(rshift(a, 16) * b), 16))
end

local function fmix32(hash)
  hash = multiply(bxor(hash, rshift(hash, 16)), 0x85ebca6b)
  hash = multiply(bxor(hash, rshift(hash, 13)), 0xc2b2ae35)
  return bxor(hash, rshift(hash, 16)) % TWO_32
end

-- The prime is 2^24 + 0x193.
local function fnv_step(hash, value)
  hash = bxor(hash, value)
  return tobit(lshift(hash, 24) + hash * 0x193)
end

local function fnv1a32(text, state)
  local hash = state
  for at = 1, #text do hash = fnv_step(hash, byte(text, at)) end
  return hash
end

local function fnv1a32_utf16(text, state)
  local hash = state
  for char in text:gmatch("[%z\1-\127\192-\247][\128-\191]*") do
    local a, b, c, d = byte(char, 1, 4)
    if d then
      local point = (a - 0xf0) * 0x40000 + (b - 0x80) * 0x1000 + (c - 0x80) * 0x40 + d - 0x80
      hash = fnv_step(hash, 0xd800 + floor((point - 0x10000) / 0x400))
      hash = fnv_step(hash, 0xdc00 + point % 0x400)
    elseif c then hash = fnv_step(hash, (a - 0xe0) * 0x1000 + (b - 0x80) * 0x40 + c - 0x80)
    elseif b then hash = fnv_step(hash, (a - 0xc0) * 0x40 + b - 0x80)
    else hash = fnv_step(hash, a) end
  end
  return hash
end

local function murmur_block(word)
  return multiply(rol(multiply(word, 0xcc9e2d51), 15), 0x1b873593)
end

local function murmur3(text)
  local hash, rest = 0, #text % 4
  for at = 1, #text - rest, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    hash = bxor(hash, murmur_block(a + b * 0x100 + c * 0x10000 + d * 0x1000000))
    hash = tobit(rol(hash, 13) * 5 + 0xe6546b64)
  end
  if rest > 0 then
    local word = 0
    for at = #text, #text - rest + 1, -1 do word = word * 0x100 + byte(text, at) end
    hash = bxor(hash, murmur_block(word))
  end
  return fmix32(bxor(hash, #text))
end

local function scale(hash, count) return floor(hash * count / TWO_32) end
local function seed_of(unit, salt) return fmix32(fnv1a32(salt, unit.state)) end
local function bucket_of(unit, salt) return scale(seed_of(unit, salt), 10000) end

local DRAW = {
  ["fnv1a32-fmix"] = function(unit, experiment) return bucket_of(unit, experiment.seed) end,
  ["fnv1a32-mod"] = function(unit, experiment)
    return fnv1a32(experiment.seed, unit.state) % TWO_32 % experiment.total
  end,
  ["growthbook-v2"] = function(unit, experiment)
    local first = fnv1a32_utf16(experiment.seed .. unit.id, FNV_OFFSET) % TWO_32
    return fnv1a32(("%.0f"):format(first), FNV_OFFSET) % TWO_32 % 10000
  end,
  ["murmur3-flagd"] = function(unit, experiment)
    return scale(murmur3(experiment.seed .. unit.id), experiment.total)
  end,
}
`;
