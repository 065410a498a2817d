import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { BatchRunner } from "../../../src/app/batch-runner.js";
import type { BatchRequest } from "../../../src/app/batch-runner.js";
import type { ModelInput } from "../../../src/app/model-ports.js";
import { sizeAndWindow } from "../../../src/core/batching/decide-batch.js";
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

function makeRunner(instances: FakePool, maxQueued = 4): BatchRunner {
  return new BatchRunner({
    version: { model: "m", version: "1" },
    decide: sizeAndWindow({ maxBatchSize: 4, maxQueueDelayMs: 5 }),
    ...{ instances, maxQueued, clock: time.clock, timer: time.timer, metrics: noMetrics },
  });
}

const inputOf = (value: number): ModelInput => ({
  kind: "tensors",
  tensors: new Map([["x", { datatype: "INT32", shape: [1], data: Int32Array.of(value) }]]),
});

function submit(value: number, over: Partial<BatchRequest> = {}): Promise<unknown> {
  const request = { items: 1, shapeKey: "a", priority: 0, tenant: "", input: inputOf(value) };
  return runner.submit({ ...request, ...over }).then(
    ({ outputs }) => outputs.get("x")?.data[0],
    (error: unknown) => (error instanceof ServiceError ? error.code : error),
  );
}

const valuesOf = (inputs: readonly ModelInput[] | undefined) =>
  inputs?.map((input) => (input.kind === "tensors" ? input.tensors.get("x")?.data[0] : undefined));

/** Lets what was resolved be seen by those who wait for it. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("requests that come within the window run together, and each gets its own output", async () => {
  const answers = Promise.all([submit(1), submit(2)]);
  expect(pool.runs).toHaveLength(0);
  time.advance(5);
  expect(valuesOf(pool.runs[0]?.inputs)).toEqual([1, 2]);
  pool.runs[0]?.finish();
  expect(await answers).toEqual([1, 2]);
});

test("while the instance is busy the queue fills up, and what finds no room is refused", async () => {
  const first = [1, 2, 3, 4].map((value) => submit(value));
  const second = [5, 6, 7, 8].map((value) => submit(value));
  expect(await submit(9)).toBe("overloaded");
  pool.runs[0]?.finish();
  expect(await Promise.all(first)).toEqual([1, 2, 3, 4]);
  await settle();
  expect(valuesOf(pool.runs[1]?.inputs)).toEqual([5, 6, 7, 8]);
  pool.runs[1]?.finish();
  expect(await Promise.all(second)).toEqual([5, 6, 7, 8]);
});

test("a failed batch is run again one by one, and only the poison request fails", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  pool.runs[0]?.fail(new ServiceError("internal", "poison"));
  for (let run = 1; run <= 4; run += 1) {
    await settle();
    expect(pool.runs[run]?.inputs).toHaveLength(1);
    if (valuesOf(pool.runs[run]?.inputs)?.[0] === 3) {
      pool.runs[run]?.fail(new ServiceError("internal", "poison"));
    } else pool.runs[run]?.finish();
    time.advance(5);
  }
  expect(await answers).toEqual([1, 2, "internal", 4]);
  expect(pool.runs).toHaveLength(5);
});

test("the requests of a lost instance are refused and not run again", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  pool.runs[0]?.fail(new ServiceError("dependencyDown", "lost"));
  expect(await answers).toEqual(Array.from({ length: 4 }, () => "dependencyDown"));
  time.advance(100);
  expect(pool.runs).toHaveLength(1);
});

test("a deadline that passes in the queue is refused then, not when the instance is free", async () => {
  const running = [1, 2, 3, 4].map((value) => submit(value));
  const late = submit(5, { deadlineAtMs: time.clock.monotonicMs() + 20 });
  time.advance(20);
  expect(await late).toBe("deadlineExceeded");
  pool.runs[0]?.finish();
  expect(await Promise.all(running)).toEqual([1, 2, 3, 4]);
  expect(pool.runs).toHaveLength(1);
});

test("a caller that goes away takes its request out of the queue", async () => {
  const caller = new AbortController();
  const gone = submit(1, { signal: caller.signal });
  const other = submit(2);
  caller.abort();
  expect(await gone).toBe("cancelled");
  time.advance(5);
  expect(valuesOf(pool.runs[0]?.inputs)).toEqual([2]);
  pool.runs[0]?.finish();
  expect(await other).toBe(2);
});

test("a caller that goes away while its batch runs is not run again when the batch fails", async () => {
  const caller = new AbortController();
  const gone = submit(1, { signal: caller.signal });
  const other = submit(2);
  time.advance(5);
  caller.abort();
  pool.runs[0]?.fail(new ServiceError("internal", "poison"));
  expect(await gone).toBe("cancelled");
  time.advance(5);
  await settle();
  expect(valuesOf(pool.runs[1]?.inputs)).toEqual([2]);
  pool.runs[1]?.finish();
  expect(await other).toBe(2);
});

test("while instances restart requests wait; when they cannot, all are refused", async () => {
  pool.become("restarting");
  const waiting = submit(1);
  time.advance(50);
  pool.become("down");
  expect(await waiting).toBe("notReady");
  expect(await submit(2)).toBe("notReady");
  pool.become("ready");
  const served = submit(3);
  time.advance(5);
  pool.runs[0]?.finish();
  expect(await served).toBe(3);
});

test("an instance that answers too few requests fails them and not the process", async () => {
  const answers = Promise.all([1, 2, 3, 4].map((value) => submit(value)));
  pool.runs[0]?.finish([]);
  for (let run = 1; run <= 4; run += 1) {
    await settle();
    pool.runs[run]?.finish([]);
  }
  expect(await answers).toEqual(Array.from({ length: 4 }, () => "internal"));
});

test("idle() resolves when everything that waits and runs is answered", async () => {
  const answer = submit(1);
  let isIdle = false;
  const idle = runner.idle().then(() => (isIdle = true));
  time.advance(5);
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
    fc.record({ kind: fc.constant("submit" as const), deadline: fc.option(fc.nat(20)) }),
    fc.record({ kind: fc.constantFrom("finish" as const, "fail" as const, "lose" as const) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(10) }),
    fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(10) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      time = new FakeTime();
      pool = new FakePool(2);
      runner = makeRunner(pool, 6);
      const callers: AbortController[] = [];
      const answers: Promise<unknown>[] = [];
      let ended = 0;
      const end = (how: (run: Run) => void) => {
        const run = pool.runs[ended];
        if (run === undefined) return;
        ended += 1;
        how(run);
      };
      for (const each of actions) {
        if (each.kind === "submit") {
          const caller = new AbortController();
          callers.push(caller);
          const deadlineAtMs =
            each.deadline === null ? undefined : time.clock.monotonicMs() + each.deadline;
          answers.push(submit(answers.length, { signal: caller.signal, deadlineAtMs }));
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
