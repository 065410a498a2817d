import { describe, expect, test } from "vitest";
import { memoryLimitStore } from "../../../src/adapters/memory/limit-store.js";
import { makeHandleRequest } from "../../../src/app/handle-request.js";
import type { HandleRequestPorts } from "../../../src/app/handle-request.js";
import type { CompiledPolicy } from "../../../src/core/policy/compiled-policy.js";
import type { Decision } from "../../../src/core/routing/decision.js";
import type { HeaderView } from "../../../src/core/routing/facts.js";
import { AssignmentEvent } from "../../../src/schema/events.js";
import { aLimit, aPolicy, anExperiment, aRequest } from "../../support/policy-builder.js";

const NOW_MS = 1_790_000_000_000;

/** The application over honest twins; what it told the world is in the lists. */
function anApplication(policy: CompiledPolicy, ports: Partial<HandleRequestPorts> = {}) {
  const told = {
    events: [] as AssignmentEvent[],
    decided: [] as { decision: Decision; seconds: number }[],
    errors: [] as unknown[],
    failed: 0,
    passedThrough: 0,
    shed: [] as string[],
  };
  let monotonicMs = 0;
  let bytes = 0;
  const handle = makeHandleRequest({
    policy: () => policy,
    limits: memoryLimitStore(100),
    overload: { isShedding: () => false },
    log: { append: (event) => told.events.push(event), close: () => Promise.resolve() },
    metrics: {
      decided: (decision, seconds) => told.decided.push({ decision, seconds }),
      passedThrough: () => told.passedThrough++,
      shed: (model, action) => told.shed.push(`${model} ${action}`),
      failed: () => told.failed++,
    },
    clock: { nowMs: () => NOW_MS, monotonicMs: () => (monotonicMs += 2) },
    random: { bytes: (count) => Uint8Array.from({ length: count }, () => bytes++) },
    onError: (error) => told.errors.push(error),
    ...ports,
  });
  return { handle, told };
}

const broken = (why: string): HeaderView => ({
  values: () => {
    throw new Error(why);
  },
  names: () => [],
});

describe("a request", () => {
  test("of no model passes through: no event, no charge, counted", () => {
    const { handle, told } = anApplication(aPolicy());
    expect(handle(aRequest({ path: "/other" }))).toEqual({ kind: "passThrough" });
    expect(told).toMatchObject({ events: [], decided: [], passedThrough: 1, failed: 0 });
  });

  test("that is admitted is logged once, under the id that the caller gets", () => {
    const { handle, told } = anApplication(aPolicy({ experiments: [anExperiment()] }));
    const outcome = handle(aRequest({ user: "u1" }));
    if (outcome.kind !== "admitted") throw new Error(outcome.kind);
    expect(outcome.id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
    expect(told.events.map(({ decision }) => decision)).toEqual([outcome.id]);
    expect(told.decided).toEqual([{ decision: outcome.decision, seconds: 0.002 }]);
    expect(AssignmentEvent.parse(told.events[0])).toEqual(told.events[0]);
  });

  test("is decided and counted alike where assignments are not kept", () => {
    const policy = aPolicy({ experiments: [anExperiment()] });
    const [kept, notKept] = [{}, { log: undefined }].map((ports) => {
      const { handle, told } = anApplication(policy, ports);
      return { outcome: handle(aRequest({ user: "u1" })), decided: told.decided, told };
    });
    expect(notKept?.outcome).toEqual(kept?.outcome);
    expect(notKept?.decided).toEqual(kept?.decided);
    expect(notKept?.told).toMatchObject({ events: [], failed: 0 });
  });

  test("has an id of sixteen random characters, five bits of one byte each", () => {
    const { handle } = anApplication(aPolicy(), {
      random: { bytes: (count) => Uint8Array.from({ length: count }, (_, at) => at * 8 + 7) },
    });
    expect(handle(aRequest())).toMatchObject({
      id: expect.stringMatching(/^.{10}FEDCBA9876543210$/) as string,
    });
  });

  test("has an id of its own, which sorts by time", () => {
    const ids = [NOW_MS, NOW_MS, NOW_MS + 1].map((nowMs, at) => {
      const { handle } = anApplication(aPolicy(), {
        clock: { nowMs: () => nowMs, monotonicMs: () => 0 },
        random: { bytes: (count) => new Uint8Array(count).fill(at === 1 ? 255 : 0) },
      });
      const outcome = handle(aRequest());
      return outcome.kind === "admitted" ? outcome.id : "";
    });
    expect(new Set(ids).size).toBe(3);
    expect(ids[2]! > ids[0]!).toBe(true);
  });
});

describe("a request over its limit", () => {
  const limits = [
    aLimit({ name: "slow", key: [], quota: { requests: 1, period: "10s" } }),
    aLimit({ name: "fast", key: [], quota: { requests: 1, period: "1s" } }),
  ];

  test("is limited until the last of its limits admits it, charged nowhere and not logged", () => {
    const { handle, told } = anApplication(aPolicy({ limits }));
    expect(handle(aRequest()).kind).toBe("admitted");
    const outcome = handle(aRequest());
    expect(outcome).toMatchObject({ kind: "limited", retryAfterMs: 10_000 });
    expect(told.events).toHaveLength(1);
    expect(told.decided.map(({ decision }) => decision.admitted)).toEqual([true, false]);
  });

  test("is admitted and logged where the limit only observes", () => {
    const observed = [
      aLimit({ key: [], quota: { requests: 1, period: "1s" }, enforcement: "observe" }),
    ];
    const { handle, told } = anApplication(aPolicy({ limits: observed }));
    const kinds = [1, 2].map(() => handle(aRequest()).kind);
    expect(kinds).toEqual(["admitted", "admitted"]);
    expect(told.events.map(({ limits: [verdict] }) => verdict?.kind)).toEqual([
      "admitted",
      "wouldLimit",
    ]);
  });
});

test("a request that no version may serve is refused and not logged", () => {
  const residency = [{ when: "true", versionsIn: ["moon"] }];
  const { handle, told } = anApplication(aPolicy({ residency }));
  expect(handle(aRequest())).toMatchObject({
    kind: "refused",
    decision: { refused: "residency", admitted: false },
  });
  expect(told.events).toEqual([]);
});

describe("a request while overloaded", () => {
  const busy: Parameters<typeof aPolicy>[0] = {
    experiments: [anExperiment()],
    limits: [aLimit({ key: [], quota: { requests: 1, period: "10s" } })],
  };

  test("gets the default version: no quota is charged, nothing is logged, and it is counted", () => {
    let isShedding = true;
    const { handle, told } = anApplication(aPolicy(busy), {
      overload: { isShedding: () => isShedding },
    });
    const outcomes = [1, 2, 3].map(() => handle(aRequest({ user: "u1" })));
    const shed = { kind: "shed", decision: { version: "v1", versionReason: "shed", arms: [] } };
    expect(outcomes).toMatchObject([shed, shed, shed]);
    expect(told).toMatchObject({ events: [], decided: [], shed: Array(3).fill("m default") });
    isShedding = false;
    expect(handle(aRequest({ user: "u1" })).kind).toBe("admitted");
    expect(told.events).toHaveLength(1);
  });

  test("is refused for a second where the policy rejects", () => {
    const policy = aPolicy({ ...busy, onOverload: "reject" });
    const { handle, told } = anApplication(policy, { overload: { isShedding: () => true } });
    expect(handle(aRequest())).toMatchObject({ kind: "overloaded", retryAfterMs: 1000 });
    expect(told).toMatchObject({ events: [], decided: [], shed: ["m reject"] });
  });

  test("that no version may serve is refused for that", () => {
    const residency = [{ when: "true", versionsIn: ["moon"] }];
    const { handle, told } = anApplication(aPolicy({ residency }), {
      overload: { isShedding: () => true },
    });
    expect(handle(aRequest())).toMatchObject({ kind: "refused", decision: { admitted: false } });
    expect(told).toMatchObject({ events: [], shed: [] });
  });

  test("of no model passes through", () => {
    const { handle, told } = anApplication(aPolicy(), { overload: { isShedding: () => true } });
    expect(handle(aRequest({ path: "/other" }))).toEqual({ kind: "passThrough" });
    expect(told).toMatchObject({ passedThrough: 1, shed: [] });
  });
});

describe("a failure of ours", () => {
  test("in the store of quotas: the default version, admitted, with reason error, told once", () => {
    const failing = () => {
      throw new Error("store broke");
    };
    const { handle, told } = anApplication(
      aPolicy({ limits: [aLimit({ key: [] })], experiments: [anExperiment()] }),
      { limits: { charge: failing, peek: failing } },
    );
    expect(handle(aRequest({ user: "u1" }))).toMatchObject({
      kind: "admitted",
      decision: { version: "v1", versionReason: "error", arms: [], admitted: true },
    });
    expect(told).toMatchObject({ failed: 1, errors: [new Error("store broke")] });
    expect(told.events[0]).toMatchObject({ version: "v1", versionReason: "error" });
  });

  test("with facts that cannot be read: answered all the same, and never thrown", () => {
    const { handle, told } = anApplication(aPolicy({ experiments: [anExperiment()] }));
    const outcome = handle({ ...aRequest(), headers: broken("header table broke") });
    expect(outcome).toMatchObject({ kind: "admitted", decision: { versionReason: "error" } });
    expect(told.events).toEqual([]);
    expect(told.errors).toHaveLength(2);
  });

  test("in the log: the request is answered as decided", () => {
    const log = {
      append: () => {
        throw new Error("log broke");
      },
      close: () => Promise.resolve(),
    };
    const { handle, told } = anApplication(aPolicy(), { log });
    expect(handle(aRequest({ user: "u1" }))).toMatchObject({
      kind: "admitted",
      decision: { version: "v1", versionReason: null },
    });
    expect(told).toMatchObject({ failed: 1, errors: [new Error("log broke")] });
  });
});

test("a reload between two requests swaps the whole policy", () => {
  const policies = [aPolicy(), aPolicy({ metadata: { name: "q" } })];
  const { handle, told } = anApplication(policies[0]!, { policy: () => policies.shift()! });
  handle(aRequest());
  handle(aRequest());
  expect(new Set(told.events.map(({ policy }) => policy)).size).toBe(2);
});
