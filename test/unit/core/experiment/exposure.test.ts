import fc from "fast-check";
import { expect, test } from "vitest";
import { type Exposure, ExposureJoin } from "../../../../src/core/experiment/exposure.js";
import {
  ASSIGNMENT_SCHEMA,
  type AssignmentEvent,
  PREDICTION_SCHEMA,
  type PredictionEvent,
} from "../../../../src/schema/events.js";

type Arm = AssignmentEvent["arms"][number];
const anArm = (changes: Partial<Arm> = {}): Arm => ({
  experiment: "magika-v3",
  phase: 2,
  arm: "treatment",
  bucket: 5321,
  reason: "assigned",
  ...changes,
});

const anAssignment = (changes: Partial<AssignmentEvent> = {}): AssignmentEvent => ({
  schema: ASSIGNMENT_SCHEMA,
  at: "2026-11-22T10:11:12.000Z",
  decision: "d1",
  policy: "p1",
  model: "magika",
  version: "v3",
  versionReason: "assigned",
  arms: [anArm()],
  shadow: null,
  seed: null,
  limits: [],
  draws: {},
  facts: { method: "POST", path: "/", host: "h", headers: { "x-user-id": "u1" }, unhealthy: [] },
  ...changes,
});

const aPrediction = (changes: Partial<PredictionEvent> = {}): PredictionEvent => ({
  schema: PREDICTION_SCHEMA,
  at: "2026-11-22T10:11:13.000Z",
  decision: "d1",
  policy: "p1",
  model: "magika",
  version: "v3",
  role: "primary",
  arms: null,
  status: 200,
  attempt: 1,
  requestId: null,
  durationMs: 1,
  queueMs: 0,
  batchSize: 1,
  outputs: {},
  ...changes,
});

function joined(events: readonly (AssignmentEvent | PredictionEvent)[]) {
  const join = new ExposureJoin();
  const exposures: Exposure[] = events.flatMap((event) => join.add(event));
  const counts = join.finish();
  expect(counts.exposures).toBe(exposures.length);
  return { exposures, counts };
}

const NOTHING = {
  assignments: 1,
  predictions: 1,
  exposures: 0,
  duplicateAssignments: 0,
  overridden: 0,
  withoutPrediction: 0,
  onlyErrors: 0,
  versionMismatches: 0,
  shadowPredictions: 0,
  orphanPredictions: 0,
  undecidedPredictions: 0,
};

test("an assignment that the decided version answered is one exposure per drawn arm", () => {
  const arms = [anArm(), anArm({ experiment: "ranker", phase: 1, arm: "control" })];
  const assignment = anAssignment({ arms });
  const { exposures, counts } = joined([assignment, aPrediction()]);
  expect(exposures[0]).toEqual({
    decision: "d1",
    at: assignment.at,
    experiment: "magika-v3",
    phase: 2,
    arm: "treatment",
    model: "magika",
    version: "v3",
    policy: "p1",
    facts: assignment.facts,
  });
  expect(exposures.map(({ experiment, arm }) => [experiment, arm])).toEqual([
    ["magika-v3", "treatment"],
    ["ranker", "control"],
  ]);
  expect(counts).toEqual({ ...NOTHING, exposures: 2 });
});

test.each([
  {
    name: "a shadow",
    prediction: { role: "shadow" as const },
    counts: { shadowPredictions: 1, withoutPrediction: 1 },
  },
  { name: "an error of the server", prediction: { status: 503 }, counts: { onlyErrors: 1 } },
  { name: "an error of the client", prediction: { status: 400 }, counts: { onlyErrors: 1 } },
  { name: "another version", prediction: { version: "v1" }, counts: { versionMismatches: 1 } },
  { name: "another model", prediction: { model: "other" }, counts: { versionMismatches: 1 } },
  {
    name: "another decision",
    prediction: { decision: "d2" },
    counts: { orphanPredictions: 1, withoutPrediction: 1 },
  },
  {
    name: "a request without a decision",
    prediction: { decision: null },
    counts: { undecidedPredictions: 1, withoutPrediction: 1 },
  },
])("$name exposes nobody, and is counted", ({ prediction, counts }) => {
  expect(joined([anAssignment(), aPrediction(prediction)])).toEqual({
    exposures: [],
    counts: { ...NOTHING, ...counts },
  });
});

test.each(["holdout", "unhealthy", "residency", "versionTaken", "outsideShare", "error"])(
  "an arm with the reason %s is not exposed",
  (reason) => {
    const assignment = anAssignment({ arms: [anArm({ reason })] });
    expect(joined([assignment, aPrediction()])).toEqual({ exposures: [], counts: NOTHING });
  },
);

test("an override exposes none of its request's arms, and is counted", () => {
  const arms = [anArm({ reason: "override" }), anArm({ experiment: "other" })];
  const { exposures, counts } = joined([anAssignment({ arms }), aPrediction()]);
  expect(exposures).toEqual([]);
  expect(counts).toEqual({ ...NOTHING, overridden: 1 });
});

test("an assignment that no pod answered is counted: a local reply, or a lost log", () => {
  const { exposures, counts } = joined([anAssignment()]);
  expect(exposures).toEqual([]);
  expect(counts).toMatchObject({ withoutPrediction: 1 });
});

test("a decision that was logged twice is a fault that is counted, and exposes once", () => {
  const { exposures, counts } = joined([anAssignment(), aPrediction(), anAssignment()]);
  expect(exposures).toHaveLength(1);
  expect(counts).toMatchObject({ duplicateAssignments: 1, assignments: 2 });
});

test("a decision exposes exactly once, however it was retried and in whatever order its lines come", () => {
  const prediction = fc.record({
    decision: fc.constantFrom("d1", "d2", "d3", null),
    version: fc.constantFrom("v1", "v3"),
    role: fc.constantFrom("primary" as const, "shadow" as const),
    status: fc.constantFrom(200, 204, 429, 503),
    attempt: fc.integer({ min: 1, max: 3 }),
  });
  const story = fc
    .tuple(fc.array(prediction, { maxLength: 12 }), fc.subarray(["d1", "d2"]))
    .chain(([predictions, decisions]) => {
      const lines = [
        ...predictions.map((changes) => aPrediction(changes)),
        ...decisions.map((decision) => anAssignment({ decision })),
      ];
      return fc.shuffledSubarray(lines, { minLength: lines.length });
    });
  fc.assert(
    fc.property(story, (lines) => {
      const decisions = lines.filter((line) => "facts" in line).map((line) => line.decision);
      const predictions = lines.filter((line) => "status" in line);
      const exposed = decisions.filter((decision) =>
        predictions.some(
          (line) =>
            line.decision === decision &&
            line.role === "primary" &&
            line.version === "v3" &&
            line.status < 300,
        ),
      );
      const { exposures, counts } = joined(lines);
      expect(exposures.map(({ decision }) => decision).sort()).toEqual(exposed.sort());
      const { withoutPrediction, onlyErrors, versionMismatches } = counts;
      expect(exposed.length + withoutPrediction + onlyErrors + versionMismatches).toBe(
        decisions.length,
      );
      const primaries = predictions.length - counts.shadowPredictions - counts.undecidedPredictions;
      const known = predictions.filter(
        ({ role, decision }) =>
          role === "primary" && decision !== null && decisions.includes(decision),
      );
      expect(counts.orphanPredictions).toBe(primaries - known.length);
    }),
  );
});
