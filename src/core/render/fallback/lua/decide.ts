/** core/experiment/assign.ts and routing/choose-version.ts in Lua, without overrides and health. */
export const DECIDE_LUA = String.raw`
-- Reads each unit and each header at most once.
local function reading_of(header_values)
  local units, texts = {}, {}
  local function text_of(name)
    if texts[name] == nil then
      local values = header_values(name)
      texts[name] = #values > 0 and table.concat(values, ", ")
    end
    return texts[name]
  end
  return {
    unit = function(at)
      if units[at] == nil then units[at] = read_unit(POLICY.units[at], header_values) end
      return units[at]
    end,
    holds = function(conditions)
      for _, condition in ipairs(conditions) do
        local found = false
        for at = 2, #condition do found = found or text_of(condition[1]) == condition[at] end
        if not found then return false end
      end
      return true
    end,
  }
end

local function is_held_out(model, reading)
  for _, holdout in ipairs(model.holdouts or {}) do
    local unit = reading.unit(holdout[2])
    if unit and bucket_of(unit, holdout[1]) < holdout[3] then return true end
  end
  return false
end

local function is_in_slot(experiment, unit)
  if not experiment.layer then return true end
  local slot, slots = bucket_of(unit, experiment.layer), experiment.slots
  for at = 1, #slots, 2 do
    if slot >= slots[at] and slot < slots[at + 1] then return true end
  end
  return false
end

local function arm_of(experiment, unit)
  local bucket = DRAW[experiment.hash or "fnv1a32-fmix"](unit, experiment)
  for _, arm in ipairs(experiment.arms) do
    if bucket >= arm[2] and bucket < arm[3] then return arm end
  end
end

-- Of whom nobody can say whether an experiment has him, the default version serves.
local function assign(model, reading)
  local arms, version, by = {}, nil, nil
  if is_held_out(model, reading) then return arms end
  for _, experiment in ipairs(model.experiments or {}) do
    local unit = reading.unit(experiment.unit)
    local when = experiment.when
    if unit and is_in_slot(experiment, unit) and (not when or reading.holds(when))
      and not (version ~= nil and experiment.chooses) then
      local arm = arm_of(experiment, unit)
      if arm and experiment.unknown then
        if experiment.chooses then version = false end
      elseif arm then
        arms[#arms + 1] = { experiment.name, arm[1] }
        if experiment.chooses then version = arm[4] or false end
        if arm[4] then by = #arms end
      end
    end
  end
  return arms, version, by
end

local function is_allowed(region, rules)
  for _, regions in ipairs(rules) do
    if not regions[region] then return false end
  end
  return true
end

-- The version, and whether it is the wanted one; nil when the law forbids every version.
local function choose_version(model, wanted, reading)
  local rules = {}
  for _, rule in ipairs(POLICY.residency or {}) do
    if reading.holds(rule.when) then rules[#rules + 1] = rule.regions end
  end
  if #rules == 0 then return wanted, true end
  if is_allowed(model.regions[wanted], rules) then return wanted, true end
  for _, version in ipairs(model.order) do
    if is_allowed(model.regions[version], rules) then return version, false end
  end
end

local function seed_for(name, reading)
  for at = 1, #POLICY.units do
    local unit = reading.unit(at)
    if unit then return ("%.0f"):format(seed_of(unit, "seed:" .. name)) end
  end
end

local function decide(name, header_values)
  local model, reading = POLICY.models[name], reading_of(header_values)
  local arms, wanted, by = assign(model, reading)
  local version, is_wanted = choose_version(model, wanted or model.default, reading)
  local members = {}
  for at, arm in ipairs(arms) do
    if is_wanted or at ~= by then members[#members + 1] = arm[1] .. "=" .. arm[2] end
  end
  return version, table.concat(members, ", "), seed_for(name, reading)
end
`;
