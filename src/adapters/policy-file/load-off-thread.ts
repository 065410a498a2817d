import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { compileInSteps } from "../../core/policy/compile-policy.js";
import type { Steps } from "../../core/policy/compile-policy.js";
import { invariant } from "../../core/invariant.js";
import type { Policy } from "../../schema/policy.js";
import { systemClock } from "../system/clock.js";
import type { LoadedPolicy, RefusedPolicy } from "./load-policy.js";
import type { PolicyRead, PolicyReaderInput } from "./policy-reader.js";

const READER_FILE = new URL("./policy-reader.js", import.meta.url);

/** A policy of the largest size takes under 512 MB; a file that takes more is no policy. */
const MAX_READER_MB = 768;
/** A policy of the largest size takes 8 s of CPU time. */
const MAX_READER_MS = 300_000;
/** Longest that requests wait for a part of a load. */
const SLICE_MS = 2;

/**
 * As `loadPolicy`, for a process that answers requests meanwhile: reading and checking happen in a
 * thread of their own, and what is left for this one is done in short slices.
 */
export async function loadPolicyOffThread(
  file: string,
  overrideKeys: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<LoadedPolicy> {
  try {
    const read = await readInThread(file);
    if (read.kind === "refused") return read;
    const source = await inSlices(policyFrom(read));
    const compiled = await inSlices(compileInSteps(source, read.version, overrideKeys));
    invariant("policy" in compiled, `${file} was compiled before, in the thread`);
    return { kind: "loaded", policy: compiled.policy, warnings: read.warnings };
  } catch (error) {
    return cannotBeRead(file, error instanceof Error ? error.message : String(error));
  }
}

const cannotBeRead = (file: string, why: string): RefusedPolicy => ({
  kind: "refused",
  mistakes: [`${file}: cannot be read: ${why}`],
});

/** However the thread ends, there is an answer. */
function readInThread(file: string): Promise<PolicyRead> {
  const worker = new Worker(READER_FILE, {
    workerData: { file } satisfies PolicyReaderInput,
    resourceLimits: { maxOldGenerationSizeMb: MAX_READER_MB },
  });
  return new Promise((resolve) => {
    const fail = (why: string) => {
      resolve(cannotBeRead(file, why));
    };
    const deadline = setTimeout(() => {
      fail(`it takes longer than ${MAX_READER_MS / 1000} s: shorten it`);
      void worker.terminate();
    }, MAX_READER_MS);
    worker.once("message", resolve);
    worker.once("error", (error: NodeJS.ErrnoException) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      fail(
        isMemory ? `it takes more than ${MAX_READER_MB} MB of memory: shorten it` : error.message,
      );
    });
    worker.once("exit", (code) => {
      clearTimeout(deadline);
      fail(`its thread ended with code ${code}`);
    });
  });
}

/** Puts the pieces together again, one per step. */
function* policyFrom({ rest, pieces }: Extract<PolicyRead, { kind: "read" }>): Steps<Policy> {
  // What the thread has validated.
  const policy = JSON.parse(rest) as Policy;
  for (const { list, items } of pieces) {
    (policy[list] as unknown[]).push(...(JSON.parse(items) as readonly unknown[]));
    yield;
  }
  return policy;
}

/** Runs the steps, and lets requests through between slices of them. */
async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const untilMs = systemClock.monotonicMs() + SLICE_MS;
    do {
      const step = steps.next();
      if (step.done === true) return step.value;
    } while (systemClock.monotonicMs() < untilMs);
    await setImmediate();
  }
}
