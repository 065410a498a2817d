import { FALLBACK_DECISION, HEADER, METADATA_NAMESPACE } from "../../../../schema/headers.js";

/**
 * Envoy's side. A header or metadata of a decision means that extproc answered: clients cannot send
 * the former, it is taken away before the first filter. Routes are named MODEL/VERSION at the end.
 */
export const ON_REQUEST_LUA = String.raw`
local function refuse(handle, name)
  local text = 'extproc is away, and no version of model "' .. name ..
    '" may serve this request where the residency rules of the policy allow it'
  if (handle:headers():get("content-type") or ""):match("^application/grpc") then
    handle:respond({ [":status"] = "200", ["content-type"] = "application/grpc",
      ["grpc-status"] = "7", ["grpc-message"] = text }, "")
  else
    handle:respond({ [":status"] = "451" }, text .. "\n")
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get("${HEADER.decision}") then return end
  local info = handle:streamInfo()
  local metadata = info:dynamicMetadata()
  if metadata:get("${METADATA_NAMESPACE}") then return end
  local name = (info:routeName() or ""):match("([^/]+)/[^/]+$")
  if not POLICY.models[name] then return end
  local version, arms, seed = decide(name, function(header)
    local values = {}
    for at = 1, headers:getNumValues(header) do
      values[at] = headers:getAtIndex(header, at - 1)
    end
    return values
  end)
  if not version then return refuse(handle, name) end
  for _, header in ipairs(POLICY.strip) do headers:remove(header) end
  local said = { model = name, version = version, arms = arms, policy = POLICY.version,
    decision = "${FALLBACK_DECISION}", reason = "${FALLBACK_DECISION}" }
  for key, value in pairs(said) do metadata:set("${METADATA_NAMESPACE}", key, value) end
  headers:replace("${HEADER.version}", name .. "/" .. version)
  headers:replace("${HEADER.policy}", POLICY.version)
  headers:replace("${HEADER.decision}", "${FALLBACK_DECISION}")
  if arms ~= "" then headers:replace("${HEADER.arms}", arms) end
  if seed then headers:replace("${HEADER.seed}", seed) end
  handle:clearRouteCache()
end
`;
