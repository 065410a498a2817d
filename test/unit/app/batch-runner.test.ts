import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { BatchRunner } from "../../../src/app/batch-runner.js";
import type { BatchRequest, Waiting } from "../../../src/app/batch-runner.js";
import type { ModelInput } from "../../../src/app/model-ports.js";
import { DeadlineBatcher } from "../../../src/core/batching/deadline-batcher.js";
import type { ProfilePoint } from "../../../src/core/batching/latency-model.js";
import { ServiceError } from "../../../src/core/error.js";
import { FakePool, FakeTime, noMetrics } from "../../support/fake-serving.js";

let time: FakeTime;
let pool: FakePool;
let runner: BatchRunner;

beforeEach(() => {
  time = new FakeTime();
  pool = new FakePool();
  runner = makeRunner(pool);
});

/** Batching pays: a batch of four takes hardly longer than one item. */
const PROFILE = [
  { items: 1, length: 1, ms: 10 },
  { items: 4, length: 1, ms: 13 },
];

function makeRunner(
  instances: FakePool,
  maxQueued = 4,
  profile: readonly ProfilePoint[] = PROFILE,
): BatchRunner {
  const settings = { maxBatchSize: 4, maxQueued, maxQueueDelayMs: 5, maxPaddingShare: 0, profile };
  return new BatchRunner({
    version: { model: "m", version: "1" },
    batcher: new DeadlineBatcher<Waiting>(settings),
    ...{ instances, maxQueued, clock: time.clock, timer: time.timer, metrics: noMetrics },
  });
}

const inputOf = (value: number): ModelInput => ({
  kind: "tensors",
  tensors: new Map([["x", { datatype: "INT32", shape: [1], data: Int32Array.of(value) }]]),
});

const USUAL = { items: 1, shapeKey: "a", length: 1, priority: 0, tenant: "", isRetry: false };

function submit(value: number, over: Partial<BatchRequest> = {}): Promise<unknown> {
  const request = { ...USUAL, deadlineAtMs: Infinity, input: inputOf(value) };
  return runner.submit({ ...request, ...over }).then(
    ({ outputs }) => outputs.get("x")?.data[0],
    (error: unknown) => (error instanceof ServiceError ? error.code : error),
  );
}

const within = (ms: number) => ({ deadlineAtMs: time.clock.monotonicMs() + ms });

const valuesOf = (inputs: readonly ModelInput[] | undefined) =>
  inputs?.map((input) => (input.kind === "tensors" ? input.tensors.get("x")?.data[0] : undefined));

/** Lets the turn end, and what was resolved be seen by those who wait for it. */
const settle = async () => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((next) => setImmediate(next));
};

test("requests that come in one turn run together, and each gets its own output", async () => {
  const answers = Promise.all([submit(1), submit(2)]);
  expect(pool.runs).toHaveLength(0);
  await settle();
  expect(valuesOf(pool.runs[0]?.inputs)).toEqual([1, 2]);
  pool.runs[0]?.finish();
  expect(await answers).toEqual([1, 2]);
});

test("while the instance is busy the queue fills up, and what finds no room is refused", async () => {
  const first = [1, 2, 3, 4].map((value) => submit(value));
  await settle();
  const second = [5, 6, 7, 8].map((value) => submit(value));
  expect(await submit(9)).toBe("overloaded");
  pool.runs[0]?.finish();
  expect(await Promise.all(first)).toEqual([1, 2, 3, 4]);
  await settle();
  expect(valuesOf(pool.runs[1]?.inputs)).toEqual([5, 6, 7, 8]);
  pool.runs[1]?.finish();
  expect(await Promise.all(second)).toEqual([5, 6, 7, 8]);
});

test("a failed batch is halved until only the poison request fails", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  await settle();
  for (let run = 0; run < 5; run += 1) {
    const values = valuesOf(pool.runs[run]?.inputs) ?? [];
    if (values.includes(3)) pool.runs[run]?.fail(new ServiceError("internal", "poison"));
    else pool.runs[run]?.finish();
    await settle();
  }
  expect(await answers).toEqual([1, 2, "internal", 4]);
  expect(pool.runs.map(({ inputs }) => valuesOf(inputs))).toEqual([
    [1, 2, 3, 4],
    [1, 2],
    [3, 4],
    [3],
    [4],
  ]);
});

test("the requests of a lost instance are refused and not run again", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  await settle();
  pool.runs[0]?.fail(new ServiceError("dependencyDown", "lost"));
  expect(await answers).toEqual(Array.from({ length: 4 }, () => "dependencyDown"));
  time.advance(100);
  expect(pool.runs).toHaveLength(1);
});

test("what waits past its time is refused then, and not when the instance is free", async () => {
  const running = [1, 2, 3, 4].map((value) => submit(value));
  await settle();
  const late = submit(5, within(40));
  time.advance(40);
  expect(await late).toBe("deadlineExceeded");
  pool.runs[0]?.finish();
  expect(await Promise.all(running)).toEqual([1, 2, 3, 4]);
  expect(pool.runs).toHaveLength(1);
});

test("what would be late is refused at once: hopeless anywhere, or only too busy here", async () => {
  const running = submit(1);
  await settle();
  expect(await submit(2, within(5))).toBe("deadlineExceeded");
  expect(await submit(3, within(13))).toBe("overloaded");
  const kept = submit(4, within(60));
  pool.runs[0]?.finish();
  await settle();
  pool.runs[1]?.finish();
  expect(await Promise.all([running, kept])).toEqual([1, 4]);
});

test("a caller that goes away takes its request out of the queue", async () => {
  const caller = new AbortController();
  const gone = submit(1, { signal: caller.signal });
  const other = submit(2);
  caller.abort();
  expect(await gone).toBe("cancelled");
  await settle();
  expect(valuesOf(pool.runs[0]?.inputs)).toEqual([2]);
  pool.runs[0]?.finish();
  expect(await other).toBe(2);
});

test("a caller that goes away while its batch runs is not run again when the batch fails", async () => {
  const caller = new AbortController();
  const gone = submit(1, { signal: caller.signal });
  const other = submit(2);
  await settle();
  caller.abort();
  pool.runs[0]?.fail(new ServiceError("internal", "poison"));
  expect(await gone).toBe("cancelled");
  await settle();
  expect(valuesOf(pool.runs[1]?.inputs)).toEqual([2]);
  pool.runs[1]?.finish();
  expect(await other).toBe(2);
});

test("while instances restart requests wait; when they cannot, all are refused", async () => {
  pool.become("restarting");
  const waiting = submit(1);
  await settle();
  pool.become("down");
  expect(await waiting).toBe("notReady");
  expect(await submit(2)).toBe("notReady");
  pool.become("ready");
  const served = submit(3);
  await settle();
  pool.runs[0]?.finish();
  expect(await served).toBe(3);
});

test("an instance that answers too few requests fails them and not the process", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  await settle();
  for (let run = 0; run < 7; run += 1) {
    pool.runs[run]?.finish([]);
    await settle();
  }
  expect(await answers).toEqual(Array.from({ length: 4 }, () => "internal"));
});

test("of requests that were tried before, three run at a time and then a fifth", async () => {
  const retries = [1, 2, 3].map((value) => submit(value, { isRetry: true }));
  expect(await submit(4, { isRetry: true })).toBe("overloaded");
  expect(pool.runs).toHaveLength(0);
  await settle();
  pool.runs[0]?.finish();
  expect(await Promise.all(retries)).toEqual([1, 2, 3]);
  const again = submit(5, { isRetry: true });
  await settle();
  pool.runs[1]?.finish();
  expect(await again).toBe(5);
});

test("idle() resolves when everything that waits and runs is answered", async () => {
  const answer = submit(1);
  let isIdle = false;
  const idle = runner.idle().then(() => (isIdle = true));
  await settle();
  expect(isIdle).toBe(false);
  pool.runs[0]?.finish();
  await Promise.all([answer, idle]);
  await runner.idle();
});

type Run = FakePool["runs"][number];
const finish = (run: Run) => {
  run.finish();
};
const failAs = (code: "internal" | "dependencyDown") => (run: Run) => {
  run.fail(new ServiceError(code, ""));
};

test("every request is answered exactly once, whatever fails, expires or is cancelled", async () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("submit" as const),
      deadline: fc.option(fc.nat(60), { nil: Infinity }),
      tenant: fc.constantFrom("", "a", "b"),
      priority: fc.nat(3),
      isRetry: fc.boolean(),
    }),
    fc.record({ kind: fc.constantFrom("finish" as const, "fail" as const, "lose" as const) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(20) }),
    fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(10) }),
  );
  const actions = fc.array(action, { maxLength: 40 });
  const profiles = fc.constantFrom([], PROFILE);
  await fc.assert(
    fc.asyncProperty(actions, profiles, async (steps, profile) => {
      time = new FakeTime();
      pool = new FakePool(2);
      runner = makeRunner(pool, 6, profile);
      const callers: AbortController[] = [];
      const answers: Promise<unknown>[] = [];
      let ended = 0;
      const end = (how: (run: Run) => void) => {
        const run = pool.runs[ended];
        if (run === undefined) return;
        ended += 1;
        how(run);
      };
      for (const each of steps) {
        if (each.kind === "submit") {
          const caller = new AbortController();
          callers.push(caller);
          const { tenant, priority, isRetry } = each;
          const facts = { tenant, priority, isRetry, signal: caller.signal };
          answers.push(submit(answers.length, { ...facts, ...within(each.deadline) }));
        } else if (each.kind === "advance") time.advance(each.ms);
        else if (each.kind === "cancel") callers[each.which]?.abort();
        else if (each.kind === "finish") end(finish);
        else if (each.kind === "fail") end(failAs("internal"));
        else end(failAs("dependencyDown"));
        await settle();
      }
      for (let step = 0; step < 200 && ended < pool.runs.length + 1; step += 1) {
        time.advance(30);
        end(finish);
        await settle();
      }
      await runner.idle();
      const codes = ["overloaded", "deadlineExceeded", "cancelled", "internal", "dependencyDown"];
      (await Promise.all(answers)).forEach((answer, index) => {
        expect([index, ...codes]).toContain(answer);
      });
    }),
    { numRuns: 60 },
  );
});
