import { describe, expect, test } from "vitest";
import { memoryLimitStore } from "../../../src/adapters/memory/limit-store.js";
import { makeShouldRateLimit } from "../../../src/app/should-rate-limit.js";
import type { Descriptor } from "../../../src/core/rate-limit/plan-charges.js";
import type { PolicyInput } from "../../support/policy-builder.js";
import { aPolicy } from "../../support/policy-builder.js";

type Rules = NonNullable<NonNullable<PolicyInput["rateLimits"]>[number]["descriptors"]>;

/** A clock that stands still, and what was counted. */
function aService(descriptors: Rules) {
  const counted: string[] = [];
  const policy = aPolicy({ rateLimits: [{ domain: "d", descriptors }] });
  const clock = { nowMs: () => 1e12, monotonicMs: () => 0 };
  const ask = makeShouldRateLimit({
    ...{ policy: () => policy, limits: memoryLimitStore(100), clock },
    metrics: {
      judged: (domain, label, outcome) => counted.push(`${domain} ${label} ${outcome}`),
      answered: () => undefined,
      refused: () => undefined,
    },
  });
  return {
    counted,
    /** `1` or `0` for OK and over, of all and then of each descriptor. */
    ask: (...asked: readonly Descriptor[]) => {
      const { isOver, statuses } = ask({ domain: "d", descriptors: asked });
      return [isOver, ...statuses.map((status) => status.isOver)].map((over) => (over ? 0 : 1));
    },
    remaining: (descriptor: Descriptor) =>
      ask({ domain: "d", descriptors: [{ ...descriptor, hits: 0 }] }).statuses[0]?.verdict
        ?.remaining,
    full: ask,
  };
}

const perDay = (requestsPerUnit: number) => ({ requestsPerUnit, unit: "day" }) as const;
const a = (key: string, changes: Partial<Descriptor> & { readonly value?: string } = {}) => {
  const { value = "v", ...rest } = changes;
  return { entries: [{ key, value }], override: undefined, hits: 1, ...rest };
};

test("each value has a quota of its own, and is over once that is used up", () => {
  const { ask, counted } = aService([{ key: "user", rateLimit: perDay(2) }]);
  const answers = ["u", "u", "u", "w"].map((value) => ask(a("user", { value })));
  expect(answers).toEqual([
    [1, 1],
    [1, 1],
    [0, 0],
    [1, 1],
  ]);
  expect(counted).toEqual(["d user ok", "d user ok", "d user overLimit", "d user ok"]);
});

test("when one descriptor is over, the others keep their quota", () => {
  const { ask, remaining } = aService([
    { key: "parent", rateLimit: perDay(10) },
    { key: "child", rateLimit: perDay(1) },
  ]);
  const both = [a("parent"), a("child")];
  expect([ask(...both), ask(...both), ask(...both)]).toEqual([
    [1, 1, 1],
    [0, 1, 0],
    [0, 1, 0],
  ]);
  expect(remaining(a("parent"))).toBe(9);
});

test("hits that do not fit are refused whole, and take nothing", () => {
  const { ask, remaining } = aService([{ key: "tokens", rateLimit: perDay(10) }]);
  expect([6, 6, 4, 1].map((hits) => ask(a("tokens", { hits }))[0])).toEqual([1, 0, 1, 0]);
  expect(remaining(a("tokens"))).toBe(0);
});

test("a quota for what is known when it is spent is emptied by hits that do not fit", () => {
  const { ask } = aService([{ key: "tokens", rateLimit: { ...perDay(10), chargeRefused: true } }]);
  expect([6, 6, 4].map((hits) => ask(a("tokens", { hits }))[0])).toEqual([1, 0, 0]);
});

test("hits of zero ask whether one would pass, and take nothing", () => {
  const { ask } = aService([{ key: "k", rateLimit: perDay(1) }]);
  const hits = [0, 0, 1, 0];
  expect(hits.map((each) => ask(a("k", { hits: each }))[0])).toEqual([1, 1, 1, 0]);
});

test("two descriptors of one quota are charged together", () => {
  const { ask, remaining } = aService([{ key: "k", rateLimit: perDay(3) }]);
  expect(ask(a("k"), a("k"))).toEqual([1, 1, 1]);
  expect(remaining(a("k"))).toBe(1);
  expect(ask(a("k"), a("k"))).toEqual([0, 0, 0]);
});

test("shadow mode answers OK, and counts what would have been over", () => {
  const { ask, counted } = aService([{ key: "k", shadowMode: true, rateLimit: perDay(1) }]);
  expect([ask(a("k")), ask(a("k"))]).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(counted).toEqual(["d k ok", "d k wouldLimit"]);
});

describe("quota mode", () => {
  const rules: Rules = [
    { key: "small", quotaMode: true, rateLimit: perDay(1) },
    { key: "large", quotaMode: true, rateLimit: perDay(2) },
    { key: "plain", rateLimit: perDay(9) },
  ];
  const all = [a("small"), a("large"), a("plain")];

  test("a request is over when every quota is, and then nothing is charged", () => {
    const { ask, remaining } = aService(rules);
    expect([ask(...all), ask(...all), ask(...all)]).toEqual([
      [1, 1, 1, 1],
      [1, 0, 1, 1],
      [0, 0, 0, 1],
    ]);
    expect(remaining(a("plain"))).toBe(7);
  });

  test("an ordinary limit refuses alone, and then no quota is charged", () => {
    const { ask, remaining } = aService([...rules, { key: "none", rateLimit: perDay(0) }]);
    expect(ask(...all, a("none"))).toEqual([0, 1, 1, 1, 0]);
    expect(remaining(a("small"))).toBe(1);
  });
});

test.each([
  {
    name: "zero per unit refuses everything",
    rule: { rateLimit: perDay(0) },
    ok: 0,
    outcome: "overLimit",
  },
  { name: "unlimited", rule: { rateLimit: { unlimited: true } }, ok: 1, outcome: "unlimited" },
  { name: "a rule without a limit", rule: {}, ok: 1, outcome: "unmatched" },
])("$name", ({ rule, ok, outcome }) => {
  const { ask, counted } = aService([{ key: "k", ...rule }]);
  expect(ask(a("k"))[0]).toBe(ok);
  expect(counted[0]).toContain(outcome);
});

test("a limit that another replaces does not apply, and is not charged", () => {
  const { ask, remaining, counted } = aService([
    { key: "general", rateLimit: { ...perDay(1), name: "general" } },
    { key: "special", rateLimit: { ...perDay(3), replaces: ["general"] } },
  ]);
  const both = [a("general"), a("special")];
  expect([1, 2, 3, 4].map(() => ask(...both)[0])).toEqual([1, 1, 1, 0]);
  expect(remaining(a("general"))).toBe(1);
  expect(counted).toContain("d general replaced");
});

test("values that a shared pattern stands for have one quota, others one each", () => {
  const { ask } = aService([
    { key: "shared", value: "f*", shareThreshold: true, rateLimit: perDay(1) },
    { key: "own", value: "f*", rateLimit: perDay(1) },
  ]);
  const answers = ["shared", "own"].map((key) =>
    ["fa", "fb"].map((value) => ask(a(key, { value }))[0]),
  );
  expect(answers).toEqual([
    [1, 0],
    [1, 1],
  ]);
});

test("a limit that comes with the descriptor goes before the rule, and has its own quota", () => {
  const { ask } = aService([{ key: "k", rateLimit: perDay(1) }]);
  const override = { requestsPerUnit: 2, unit: "hour" } as const;
  const answers = [1, 2, 3].map(() => ask(a("k", { override }))[0]);
  expect([...answers, ask(a("k"))[0]]).toEqual([1, 1, 0, 1]);
});

test("an unknown domain has no limits, and its name is no label", () => {
  const { full, counted } = aService([]);
  expect(full({ domain: "other", descriptors: [a("k")] }).isOver).toBe(false);
  expect(counted).toEqual(["- - unmatched"]);
});
