import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envoyBinary } from "../../src/adapters/toolchain/envoy-binary.js";
import type { CompiledPolicy } from "../../src/core/policy/compiled-policy.js";
import { fallbackOf } from "../../src/core/render/fallback/fallback-program.js";
import type { Plain, RenderedDocument } from "../../src/core/render/rendered-document.js";
import { headerViewOf } from "../../src/core/routing/facts.js";
import { decide } from "../../src/core/routing/decide.js";
import { armsOf } from "../../src/servers/ext-proc/decision-metadata.js";
import { startEnvoy, type EnvoyProcess } from "../support/envoy-process.js";
import { fallbackPolicies, fallbackRequests, type WireHeader } from "../support/fallback-cases.js";
import { NEWEST_ENVOY, OLDEST_ENVOY } from "../support/mesh.js";
import { aPolicy, aRequest } from "../support/policy-builder.js";
import { sendRequest } from "../support/send-request.js";

const SEED = 20_261_125;
const POLICIES = 100;
const REQUESTS_EACH = 1000;
/** Cases in one body, well below Envoy's buffer of 1 MiB. */
const BATCH = 250;

const policies = fallbackPolicies(SEED, POLICIES).map((changes) => aPolicy(changes));
const requestsOf = (at: number) => fallbackRequests(SEED + at, REQUESTS_EACH);

/** What extproc answers, in the words of the program's `decide`. */
function decided(policy: CompiledPolicy, headers: readonly WireHeader[]): string {
  const texts: Record<string, string[]> = {};
  for (const [name, value] of headers) (texts[name] ??= []).push(value.toString("utf8"));
  const facts = { ...aRequest(), headers: headerViewOf(texts) };
  const assignment = decide(policy, facts, 0)!;
  if (assignment.refused !== null) return "refused";
  return [assignment.version, armsOf(assignment) ?? "", assignment.seed ?? "none"].join("|");
}

/** Instead of asking Envoy for headers, the program reads cases from a body and answers all of them. */
const ANSWER_CASES = `
function envoy_on_request(handle)
  local body, answers = handle:body(), {}
  for line in body:getBytes(0, body:length()):gmatch("[^\\n]+") do
    local headers = {}
    for name, hex in line:gmatch("([%w-]+)=(%x*)") do
      headers[name] = headers[name] or {}
      local value = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
      table.insert(headers[name], value)
    end
    local version, arms, seed = decide("m", function(name) return headers[name] or {} end)
    local said = version and version .. "|" .. arms .. "|" .. (seed or "none")
    answers[#answers + 1] = said or "refused"
  end
  handle:respond({ [":status"] = "200" }, table.concat(answers, "\\n"))
end
`;

const lineOf = (headers: readonly WireHeader[]) =>
  `.${headers.map(([name, value]) => `${name}=${value.toString("hex")}`).join(",")}`;

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("LuaJIT of Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  beforeAll(async () => {
    envoy = await startEnvoy(await envoyBinary({ version }), oneRouteFor(policies));
  });
  afterAll(() => envoy.stop());

  test(`decides ${POLICIES * REQUESTS_EACH} requests as core does, any bytes for ids`, async () => {
    const ends = { inArms: 0, refused: 0 };
    for (const [at, policy] of policies.entries()) {
      const cases = requestsOf(at);
      for (let from = 0; from < cases.length; from += BATCH) {
        const batch = cases.slice(from, from + BATCH);
        const body = batch.map(lineOf).join("\n");
        const answer = await sendRequest(envoy.port, `/${at}`, { body });
        const expected = batch.map((headers) => decided(policy, headers));
        expect(answer.body.split("\n")).toEqual(expected);
        ends.inArms += expected.filter((one) => one.includes("=")).length;
        ends.refused += expected.filter((one) => one === "refused").length;
      }
    }
    // Cases that all end alike would prove nothing.
    expect(ends.inArms).toBeGreaterThan((POLICIES * REQUESTS_EACH) / 4);
    expect(ends.refused).toBeGreaterThan(POLICIES);
  });
});

function oneRouteFor(all: readonly CompiledPolicy[]): RenderedDocument {
  const lua = (fields: Plain) => ({
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    ...(fields as object),
  });
  const routes = all.map((policy, at) => ({
    match: { path: `/${at}` },
    direct_response: { status: 500 },
    typed_per_filter_config: {
      lua: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute",
        source_code: { inline_string: `${fallbackOf(policy).program ?? ""}${ANSWER_CASES}` },
      },
    },
  }));
  const router = "envoy.extensions.filters.http.router.v3.Router";
  const manager = {
    "@type":
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "cases",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      { name: "lua", typed_config: lua({}) },
      { name: "router", typed_config: { "@type": `type.googleapis.com/${router}` } },
    ],
  };
  const free = { socket_address: { address: "127.0.0.1", port_value: 0 } };
  const filters = [
    { name: "envoy.filters.network.http_connection_manager", typed_config: manager },
  ];
  const listeners = [{ name: "cases", address: free, filter_chains: [{ filters }] }];
  const root = { admin: { address: free }, static_resources: { listeners } };
  return { header: [], root: root, comments: [] };
}
