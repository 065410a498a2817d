import { parseDictionary, Token } from "structured-headers";
import { describe, expect, test } from "vitest";
import type { RequestOutcome } from "../../../../src/app/handle-request.js";
import type { Decision } from "../../../../src/core/routing/decision.js";
import { armsOf } from "../../../../src/servers/ext-proc/decision-metadata.js";
import { processingResponseType } from "../../../../src/servers/ext-proc/protocol.js";
import { plainOf } from "../../../../src/servers/ext-proc/struct.js";
import { safeDefault, toAnswer } from "../../../../src/servers/ext-proc/to-answer.js";
import { writeAnswer } from "../../../../src/servers/ext-proc/wire/write-answer.js";
import { mutationOf } from "../../../support/ext-proc-client.js";
import { aDecision, aLimit, aVerdict } from "./a-decision.js";

const ID = "01K00000000000000000000000";

/** The answer as the peer decodes it. */
function answerTo(outcome: RequestOutcome, strip: readonly string[] = []) {
  const answer = toAnswer(outcome, {
    strip,
    limitOf: (name) => (name === "gone" ? undefined : aLimit({ name })),
    onHeaderDropped: () => undefined,
  });
  return processingResponseType.deserialize(writeAnswer(answer));
}
const admitted = (decision: Partial<Decision> = {}): RequestOutcome => ({
  kind: "admitted",
  decision: aDecision(decision),
  id: ID,
});
const metadataOf = (answer: ReturnType<typeof answerTo>) =>
  plainOf(answer.dynamicMetadata ?? {})["weir"];

describe("a request of no model", () => {
  test("passes untouched, and the route stays", () => {
    const answer = answerTo({ kind: "passThrough" });
    expect(answer).toEqual({
      response: "requestHeaders",
      requestHeaders: { response: {} },
    });
  });

  test("loses what was forged, and the route is chosen again", () => {
    expect(mutationOf(answerTo({ kind: "passThrough" }, ["x-weir-version"]))).toEqual({
      set: {},
      removed: ["x-weir-version"],
      clearRouteCache: true,
    });
  });
});

describe("an admitted request", () => {
  test("carries its version, arms, policy, decision and seed, and a new route", () => {
    expect(mutationOf(answerTo(admitted(), ["x-weir-seed"]))).toEqual({
      set: {
        "x-weir-version": "magika/v3",
        "x-weir-arms": "magika-v3=treatment",
        "x-weir-policy": "0123456789abcdef",
        "x-weir-decision": ID,
        "x-weir-seed": "7",
      },
      removed: ["x-weir-seed"],
      clearRouteCache: true,
    });
  });

  test.each([
    {
      name: "no unit: no seed",
      decision: { seed: null },
      header: "x-weir-seed",
      expected: undefined,
    },
    { name: "seed 0 is a seed", decision: { seed: 0 }, header: "x-weir-seed", expected: "0" },
    { name: "no arm: no arms", decision: { arms: [] }, header: "x-weir-arms", expected: undefined },
    {
      name: "a shadow: its cluster",
      decision: { shadow: { name: "s", version: "v4", cluster: "outbound|8080||v4" } },
      header: "x-weir-shadow-cluster",
      expected: "outbound|8080||v4",
    },
  ])("$name", ({ decision, header, expected }) => {
    expect(mutationOf(answerTo(admitted(decision))).set[header]).toBe(expected);
  });

  test("sets raw_value and never value, and overwrites", () => {
    const options = answerTo(admitted()).requestHeaders?.response?.headerMutation?.setHeaders ?? [];
    expect(options).toHaveLength(5);
    for (const { header, append, appendAction } of options) {
      expect(header).not.toHaveProperty("value");
      expect({ append, appendAction }).toEqual({
        append: undefined,
        appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
      });
    }
  });

  test("tells access logs the decision, and responses the tightest limit", () => {
    const limits = [aVerdict({ remaining: 50 }), aVerdict({ limit: "per-user", remaining: 60 })];
    expect(metadataOf(answerTo(admitted({ limits })))).toEqual({
      decision: ID,
      model: "magika",
      version: "v3",
      arms: "magika-v3=treatment",
      policy: "0123456789abcdef",
      reason: "assigned",
      shadow: "",
      override: "none",
      ratelimit: '"per-tenant";r=50;t=30',
      ratelimit_policy: '"per-tenant";q=100;w=1',
    });
  });

  test("names the remaining quota of a limit that a reload has just removed", () => {
    const metadata = metadataOf(answerTo(admitted({ limits: [aVerdict({ limit: "gone" })] })));
    expect(metadata).toMatchObject({ ratelimit: '"gone";r=50;t=30' });
    expect(metadata).not.toHaveProperty("ratelimit_policy");
  });

  test("never shows the metadata of another request", () => {
    const first = metadataOf(answerTo(admitted({ limits: [aVerdict()] })));
    expect(metadataOf(answerTo({ kind: "admitted", decision: aDecision(), id: "other" }))).toEqual({
      ...(first as object),
      decision: "other",
      ratelimit: undefined,
      ratelimit_policy: undefined,
    });
  });
});

describe("x-weir-arms", () => {
  const arm = (
    experiment: string,
    name: string | null,
    reason: Decision["arms"][number]["reason"],
  ) => ({ experiment, phase: 1, arm: name, bucket: null, reason }) as const;
  const decision = aDecision({
    arms: [
      arm("in", "treatment", "assigned"),
      arm("held", null, "holdout"),
      arm("forced", "control", "override"),
      arm("sick", "treatment", "unhealthy"),
    ],
  });

  test("lists the arms a request is in, by draw or by override, and no other", () => {
    expect(armsOf(decision)).toBe("in=treatment, forced=control");
  });

  test("is a Structured Field dictionary to an independent parser", () => {
    expect([...parseDictionary(armsOf(decision) ?? "")]).toEqual([
      ["in", [new Token("treatment"), new Map()]],
      ["forced", [new Token("control"), new Map()]],
    ]);
  });
});

test("a shed request carries its version and policy, and its metadata says why", () => {
  const decision = aDecision({ version: "v1", versionReason: "shed", arms: [], seed: null });
  const answer = answerTo({ kind: "shed", decision }, ["x-weir-decision"]);
  expect(mutationOf(answer)).toEqual({
    set: { "x-weir-version": "magika/v1", "x-weir-policy": "0123456789abcdef" },
    removed: ["x-weir-decision"],
    clearRouteCache: true,
  });
  expect(metadataOf(answer)).toEqual({
    ...{ model: "magika", version: "v1", arms: "", policy: "0123456789abcdef" },
    ...{ reason: "shed", shadow: "", override: "none" },
  });
});

describe("a refusal", () => {
  const errorOf = (answer: ReturnType<typeof answerTo>) =>
    JSON.parse(answer.immediateResponse?.body?.toString() ?? "") as unknown;
  const setOf = (answer: ReturnType<typeof answerTo>): Record<string, string | undefined> =>
    Object.fromEntries(
      (answer.immediateResponse?.headers?.setHeaders ?? []).map(({ header }) => [
        header?.key ?? "",
        header?.rawValue?.toString(),
      ]),
    );

  test("by a limit is 429, RESOURCE_EXHAUSTED, with the wait rounded up", () => {
    const limits = [
      aVerdict({ kind: "limited", remaining: 0, retryAfterMs: 1200, resetAfterMs: 2400 }),
    ];
    const answer = answerTo({
      kind: "limited",
      decision: aDecision({ limits, admitted: false }),
      id: ID,
      retryAfterMs: 1200,
    });
    expect(answer.immediateResponse).toMatchObject({
      status: { code: "TooManyRequests" },
      grpcStatus: { status: 8 },
      details: "weir_rate_limited",
    });
    expect(setOf(answer)).toEqual({
      "content-type": "application/json",
      "retry-after": "2",
      ratelimit: '"per-tenant";r=0;t=3',
      "ratelimit-policy": '"per-tenant";q=100;w=1',
    });
    expect(errorOf(answer)).toEqual({
      error: 'limit "per-tenant" is used up; retry after 2 s, or ask for a larger quota',
    });
    expect(metadataOf(answer)).toMatchObject({ decision: ID, model: "magika" });
  });

  test("by overload is 503, UNAVAILABLE, with the wait, under no decision's id", () => {
    const decision = aDecision({ versionReason: "shed", arms: [] });
    const answer = answerTo({ kind: "overloaded", decision, retryAfterMs: 1000 });
    expect(answer.immediateResponse).toMatchObject({
      status: { code: "ServiceUnavailable" },
      grpcStatus: { status: 14 },
      details: "weir_overloaded",
    });
    expect(setOf(answer)).toEqual({ "content-type": "application/json", "retry-after": "1" });
    expect(metadataOf(answer)).toMatchObject({ reason: "shed", model: "magika" });
    expect(metadataOf(answer)).not.toHaveProperty("decision");
  });

  test("by residency is 451, PERMISSION_DENIED, and says why", () => {
    const answer = answerTo({
      kind: "refused",
      decision: aDecision({ refused: "residency", versionReason: "residency" }),
      id: ID,
    });
    expect(answer.immediateResponse).toMatchObject({
      status: { code: 451 },
      grpcStatus: { status: 7 },
      details: "weir_residency",
    });
    expect(setOf(answer)).toEqual({ "content-type": "application/json" });
    expect(errorOf(answer)).toEqual({
      error: expect.stringMatching(/model "magika".*residency.*ask the operator/) as string,
    });
  });
});

test("the safe default strips, sets nothing, and says so to the access log", () => {
  const bytes = writeAnswer(safeDefault(["x-weir-version"]));
  const answer = processingResponseType.deserialize(bytes);
  expect(mutationOf(answer)).toEqual({
    set: {},
    removed: ["x-weir-version"],
    clearRouteCache: true,
  });
  expect(metadataOf(answer)).toEqual({ reason: "error" });
});
