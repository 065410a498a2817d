import { DeadlineBatcher } from "../core/batching/deadline-batcher.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type { EnsembleStep } from "../schema/model-manifest.js";
import { BatchRunner } from "./batch-runner.js";
import type { BatchAnswer, Waiting } from "./batch-runner.js";
import type { LoadedVersion, ServingMetrics, Timer } from "./model-ports.js";
import type { Clock } from "./ports.js";
import { ResponseCache } from "./response-cache.js";
import { SequencedQueue } from "./sequenced-queue.js";
import type { Submit } from "./submit.js";
import { submitInParts } from "./submit-in-parts.js";
import { submitInSteps } from "./submit-in-steps.js";
import type { FindStep } from "./submit-in-steps.js";
import { submitOnce } from "./submit-once.js";

/** The queue of one version, as requests meet it. */
export type ServedQueue = {
  readonly submit: Submit;
  /** Resolves when nothing waits and nothing runs. */
  readonly idle: () => Promise<void>;
  /** How long a request that came now is expected to wait. */
  readonly predictedWaitMs: () => number;
  /** The last decisions of the batcher, and what it knows of the model. */
  readonly explain: () => object;
};

type Parts = {
  readonly clock: Clock;
  readonly timer: Timer;
  readonly metrics: ServingMetrics;
  readonly findStep: FindStep;
};

export function servedQueue(loaded: LoadedVersion, parts: Parts): ServedQueue {
  const { spec, coalesce, cacheBytes } = loaded;
  const queue =
    spec.steps === undefined
      ? modelQueue(loaded, parts)
      : ensembleQueue(spec, spec.steps, parts.findStep);
  if (!coalesce && cacheBytes === undefined) return queue;
  const cache = cacheBytes === undefined ? undefined : new ResponseCache(cacheBytes);
  return {
    ...queue,
    submit: submitOnce(queue.submit, cache),
    explain: () => ({ ...queue.explain(), ...(cache && { cache: cache.explain() }) }),
  };
}

function modelQueue(loaded: LoadedVersion, parts: Parts): ServedQueue {
  const { spec, instances, maxQueued, maxQueueDelayMs, profile } = loaded;
  const { maxBatchSize, name: model, version, padding } = spec;
  const maxPaddingShare = padding?.maxShare ?? 0;
  const settings = { maxBatchSize, maxQueued, maxQueueDelayMs, maxPaddingShare, profile };
  const batcher = new DeadlineBatcher<Waiting>(settings);
  const versionName = { model, version };
  const runner = new BatchRunner({ ...parts, version: versionName, batcher, instances, maxQueued });
  const whole: Submit = (request) => runner.submit(request);
  const explain = () => ({ ...versionName, ...batcher.explain(parts.clock.monotonicMs()) });
  const predictedWaitMs = () =>
    batcher.predictedWaitMs(instances.idle(), parts.clock.monotonicMs());
  if (spec.sequence !== undefined) {
    const sequences = new SequencedQueue(spec.sequence, parts.clock, whole);
    return {
      submit: (request) => sequences.submit(request),
      idle: () => sequences.idle(),
      predictedWaitMs,
      explain: () => ({ ...explain(), sequences: sequences.explain() }),
    };
  }
  const inParts = maxBatchSize === 1 ? whole : submitInParts(whole, { maxBatchSize, maxQueued });
  return { submit: inParts, idle: () => runner.idle(), predictedWaitMs, explain };
}

function ensembleQueue(
  { name: model, version, outputs }: ModelSpec,
  steps: readonly EnsembleStep[],
  findStep: FindStep,
): ServedQueue {
  const submit = submitInSteps({ outputs, steps }, findStep);
  const running = new Set<Promise<BatchAnswer>>();
  return {
    submit: async (request) => {
      const answer = submit(request);
      running.add(answer);
      try {
        return await answer;
      } finally {
        running.delete(answer);
      }
    },
    idle: async () => {
      await Promise.allSettled(running);
    },
    // Its steps wait in the queues of their models.
    predictedWaitMs: () => 0,
    explain: () => ({ model, version, steps: steps.map((step) => step.model) }),
  };
}
