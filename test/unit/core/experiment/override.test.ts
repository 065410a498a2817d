import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { mintOverrideToken, parseOverride } from "../../../../src/core/experiment/override.js";
import { decide } from "../../../../src/core/routing/decide.js";
import { aPolicy, anExperiment, aRequest } from "../../../support/policy-builder.js";
import type { PolicyInput, RequestInput } from "../../../support/policy-builder.js";

const NOW_MS = 1_790_000_000_000;
const KEY = new TextEncoder().encode("a key of at least sixteen bytes");
const OTHER_KEY = new TextEncoder().encode("another key of sixteen bytes");
const QA = "spiffe://cluster.local/ns/qa/sa/bob";

const POLICY: Partial<PolicyInput> = {
  experiments: [
    anExperiment(),
    anExperiment({ name: "f", arms: [{ name: "on", version: "v3", share: 0 }] }),
  ],
  holdouts: [{ name: "h", unit: "user", share: 10_000 }],
  overrides: {
    trust: [
      { signed: "qa-key" },
      { principal: "spiffe://cluster.local/ns/qa/sa/*" },
      { principal: "spiffe://cluster.local/ns/ops/sa/deployer" },
    ],
  },
};
const KEYS = new Map([
  ["qa-key", KEY],
  ["other-key", OTHER_KEY],
]);

const token = (changes: Partial<Parameters<typeof mintOverrideToken>[0]> = {}) =>
  mintOverrideToken({
    policyName: "p",
    keyName: "qa-key",
    key: KEY,
    override: "e=treatment",
    expiresAtMs: NOW_MS + 60_000,
    ...changes,
  });

function decided(request: RequestInput, changes: Partial<PolicyInput> = {}) {
  const policy = aPolicy({ ...POLICY, ...changes }, KEYS);
  return decide(policy, aRequest({ user: "u1", ...request }), NOW_MS)!;
}
const sent = (override: string | string[], withToken?: string | string[]): RequestInput => ({
  headers: {
    "x-weir-override": override,
    ...(withToken === undefined ? {} : { "x-weir-override-token": withToken }),
  },
});

describe("an override that is trusted", () => {
  test("by a token, forces the arm past holdout and share, and says so", () => {
    const decision = decided(sent("e=treatment", token()));
    expect(decision).toMatchObject({
      version: "v2",
      versionReason: "override",
      override: "trusted",
    });
    expect(decision.arms).toEqual([
      { experiment: "e", phase: 1, arm: "treatment", bucket: null, reason: "override" },
      { experiment: "f", phase: 1, arm: null, bucket: null, reason: "holdout", because: "h" },
    ]);
  });

  test("forces a caller without a unit as well", () => {
    const { headers = {} } = sent("e=treatment", token());
    const decision = decided({ headers: { ...headers, "x-user-id": "" } });
    expect(decision.arms[0]).toMatchObject({ arm: "treatment", reason: "override" });
  });

  test.each([
    { principal: QA, override: "trusted" },
    { principal: "spiffe://cluster.local/ns/qa/sa/", override: "trusted" },
    { principal: "spiffe://cluster.local/ns/ops/sa/deployer", override: "trusted" },
    { principal: "spiffe://cluster.local/ns/ops/sa/deployer2", override: "untrusted" },
    { principal: "spiffe://cluster.local/ns/qa-evil/sa/bob", override: "untrusted" },
    { principal: "spiffe://cluster.local.evil/ns/qa/sa/bob", override: "untrusted" },
    { principal: "", override: "untrusted" },
    { principal: undefined, override: "untrusted" },
  ])("by principal $principal: $override", ({ principal, override }) => {
    const decision = decided({
      ...sent("e=treatment"),
      ...(principal === undefined ? {} : { principal }),
    });
    expect(decision.override).toBe(override);
    expect(decision.version).toBe(override === "trusted" ? "v2" : "v1");
  });

  test.each([
    { name: "two experiments", text: "e=control, f=on" },
    { name: "a header sent twice", text: ["e=control", "f=on"] },
    { name: "strings", text: 'e="control", f="on"' },
    { name: "parameters, which say nothing", text: "e=control;a=1, f=on" },
    { name: "a key twice: the last one counts", text: "e=treatment, e=control, f=on" },
  ])("may be $name", ({ text }) => {
    const decision = decided({ ...sent(text), principal: QA });
    expect(decision.arms.map(({ arm, reason }) => [arm, reason])).toEqual([
      ["control", "override"],
      ["on", "override"],
    ]);
    expect(decision.version).toBe("v1");
  });

  test("may come under a header of the policy's own", () => {
    const overrides = { header: "x-force", trust: [{ signed: "qa-key" }] };
    const headers = { "x-force": "e=treatment", "x-weir-override-token": token() };
    expect(decided({ headers }, { overrides }).override).toBe("trusted");
    expect(decided(sent("e=treatment", token()), { overrides }).override).toBe("none");
  });
});

describe("an override that is refused", () => {
  const longAgo = token({ expiresAtMs: NOW_MS - 1 });
  const valid = token();

  test.each<{
    name: string;
    override: string | string[];
    token?: string | string[];
    because: string;
  }>([
    { name: "without a token", override: "e=treatment", because: "untrusted" },
    { name: "with an expired token", override: "e=treatment", token: longAgo, because: "expired" },
    {
      name: "at the very second",
      override: "e=treatment",
      token: token({ expiresAtMs: NOW_MS }),
      because: "expired",
    },
    { name: "with an empty token", override: "e=treatment", token: "", because: "forged" },
    {
      name: "with a token of no form",
      override: "e=treatment",
      token: "weir1.qa-key",
      because: "forged",
    },
    {
      name: "with another MAC",
      override: "e=treatment",
      token: valid.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
      because: "forged",
    },
    {
      name: "with a MAC in upper case",
      override: "e=treatment",
      token: valid.replace(/[0-9a-f]+$/, (mac) => mac.toUpperCase()),
      because: "forged",
    },
    {
      name: "with a later expiry",
      override: "e=treatment",
      token: valid.replace(/\.\d+\./, ".99999999999."),
      because: "forged",
    },
    {
      name: "with a token of another policy",
      override: "e=treatment",
      token: token({ policyName: "q" }),
      because: "forged",
    },
    {
      name: "with a token for another override",
      override: "e=control",
      token: valid,
      because: "forged",
    },
    {
      name: "with a token for it in other words",
      override: "e=treatment ",
      token: token({ override: "e=treatment;a" }),
      because: "forged",
    },
    {
      name: "with a key that the policy does not trust",
      override: "e=treatment",
      token: token({ keyName: "other-key", key: OTHER_KEY }),
      because: "forged",
    },
    {
      name: "with a key that the process does not have",
      override: "e=treatment",
      token: token({ keyName: "lost-key" }),
      because: "forged",
    },
    {
      name: "with the wrong key under a trusted name",
      override: "e=treatment",
      token: token({ key: OTHER_KEY }),
      because: "forged",
    },
    {
      name: "of an unknown arm",
      override: "e=treatmnt",
      token: token({ override: "e=treatmnt" }),
      because: "unknownArm",
    },
    {
      name: "of an unknown experiment",
      override: "g=on",
      token: token({ override: "g=on" }),
      because: "unknownArm",
    },
    {
      name: "of an arm of the prototype",
      override: "e=constructor",
      token: token({ override: "e=constructor" }),
      because: "unknownArm",
    },
    { name: "that is empty", override: "", because: "malformed" },
    { name: "that is no dictionary", override: "treatment please", because: "malformed" },
    { name: "without a value", override: "e", because: "malformed" },
    { name: "with a number", override: "e=1", because: "malformed" },
    { name: "with a list", override: "e=(treatment)", because: "malformed" },
    { name: "in upper case", override: "E=treatment", because: "malformed" },
    { name: "of letters that no header has", override: "e=ğ", because: "malformed" },
    { name: "of 64 KiB", override: "e=".padEnd(65_536, "!é"), because: "malformed" },
  ])("$name: $because", ({ override, token: withToken, because }) => {
    const decision = decided(sent(override, withToken));
    expect(decision.override).toBe(because);
    expect(decision).toMatchObject({ version: "v1", versionReason: null });
    expect(decision.arms.map(({ reason }) => reason)).toEqual(["holdout", "holdout"]);
  });

  test("where the policy trusts nobody, the header is not even read", () => {
    const policy = aPolicy({ experiments: [anExperiment()] }, KEYS);
    const facts = aRequest({ ...sent("e=treatment", token()), principal: QA });
    expect(decide(policy, facts, NOW_MS)?.override).toBe("none");
    expect(policy.headersRead).not.toContain("x-weir-override");
  });
});

describe("the token", () => {
  test("is an HMAC-SHA256 over policy, key, expiry and override", () => {
    const expiry = Math.floor((NOW_MS + 60_000) / 1000);
    const mac = createHmac("sha256", KEY)
      .update(`weir1\np\nqa-key\n${expiry}\ne=treatment`)
      .digest("hex");
    expect(token()).toBe(`weir1.qa-key.${expiry}.${mac}`);
  });

  test("expires at the second it names", () => {
    const policy = aPolicy(POLICY, KEYS);
    const facts = aRequest({ user: "u1", ...sent("e=treatment", token()) });
    const at = (nowMs: number) => decide(policy, facts, nowMs)?.override;
    expect([at(NOW_MS + 59_999), at(NOW_MS + 60_000)]).toEqual(["trusted", "expired"]);
  });
});

test("parseOverride reads keys of the prototype as any other", () => {
  expect([...(parseOverride("constructor=a, tostring=b") ?? [])]).toEqual([
    ["constructor", "a"],
    ["tostring", "b"],
  ]);
});
