/** core/experiment/unit-id.ts in Lua, on the bytes of headers instead of their decoded text. */
export const UNIT_ID_LUA = String.raw`
local function continues(a, b, c)
  return a and a >= 0x80 and a <= 0xbf and (b == nil or continues(b, c))
end

-- Length of a UTF-8 character that a unit id may hold: no control character, no U+FFFD.
local function char_length(a, b, c, d)
  if a < 0x80 then return a >= 0x20 and a ~= 0x7f and 1 end
  if a >= 0xc2 and a <= 0xdf then return continues(b) and (a ~= 0xc2 or b >= 0xa0) and 2 end
  if a >= 0xe0 and a <= 0xef then
    if not (c and continues(b, c)) then return false end
    if a == 0xe0 and b < 0xa0 or a == 0xed and b > 0x9f then return false end
    return not (a == 0xef and b == 0xbf and c == 0xbd) and 3
  end
  if a >= 0xf0 and a <= 0xf4 then
    if not (d and continues(b, c, d)) then return false end
    return not (a == 0xf0 and b < 0x90 or a == 0xf4 and b > 0x8f) and 4
  end
  return false
end

-- At most 256 UTF-16 code units.
local function is_unit_id(text)
  local at, units = 1, 0
  while at <= #text do
    local length = char_length(byte(text, at, at + 3))
    units = units + (length == 4 and 2 or 1)
    if not length or units > 256 then return false end
    at = at + length
  end
  return units > 0
end

-- By hand: a pattern would take quadratic time for what a client may send.
local function trimmed(text)
  local from, to = 1, #text
  local function is_blank(at) local code = byte(text, at) return code == 32 or code == 9 end
  while from <= to and is_blank(from) do from = from + 1 end
  while to >= from and is_blank(to) do to = to - 1 end
  return text:sub(from, to)
end

local function cookie_values(header_values, name)
  local found = {}
  for _, header in ipairs(header_values("cookie")) do
    for pair in (header .. ";"):gmatch("(.-);") do
      local key, value = pair:match("^([^=]*)=(.*)$")
      if key and trimmed(key) == name then
        value = trimmed(value)
        found[#found + 1] = value:match('^"(.*)"$') or value
      end
    end
  end
  return found
end

-- The first source that is present; what cannot be used there does not fall through.
local function read_unit(sources, header_values)
  for _, source in ipairs(sources) do
    local values
    if source[1] == "cookie" then values = cookie_values(header_values, source[2])
    else values = header_values(source[2]) end
    if #values > 0 then
      local id = values[1]
      if #values > 1 or not is_unit_id(id) then return false end
      return { id = id, state = fnv1a32(id .. ":", FNV_OFFSET) }
    end
  end
  return false
end
`;
