import { DeadlineBatcher } from "../core/batching/deadline-batcher.js";
import { BatchRunner } from "./batch-runner.js";
import type { Waiting } from "./batch-runner.js";
import type { LoadedVersion, ServingMetrics, Timer } from "./model-ports.js";
import type { Clock } from "./ports.js";
import { ResponseCache } from "./response-cache.js";
import { SequencedQueue } from "./sequenced-queue.js";
import type { Submit } from "./submit.js";
import { submitInParts } from "./submit-in-parts.js";
import { submitOnce } from "./submit-once.js";

/** The queue of one version, as requests meet it. */
export type ServedQueue = {
  readonly submit: Submit;
  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void>;
  /** The last decisions of the batcher, and what it knows of the model. */
  explain(): object;
};

type Parts = { readonly clock: Clock; readonly timer: Timer; readonly metrics: ServingMetrics };

export function servedQueue(loaded: LoadedVersion, parts: Parts): ServedQueue {
  const { spec, instances, maxQueued, maxQueueDelayMs, profile, coalesce, cacheBytes } = loaded;
  const { maxBatchSize, name: model, version, padding } = spec;
  const maxPaddingShare = padding?.maxShare ?? 0;
  const settings = { maxBatchSize, maxQueued, maxQueueDelayMs, maxPaddingShare, profile };
  const batcher = new DeadlineBatcher<Waiting>(settings);
  const versionName = { model, version };
  const runner = new BatchRunner({ ...parts, version: versionName, batcher, instances, maxQueued });
  const whole: Submit = (request) => runner.submit(request);
  const explain = () => ({ ...versionName, ...batcher.explain(parts.clock.monotonicMs()) });
  if (spec.sequence !== undefined) {
    const sequences = new SequencedQueue(spec.sequence, parts.clock, whole);
    return {
      submit: (request) => sequences.submit(request),
      idle: () => sequences.idle(),
      explain: () => ({ ...explain(), sequences: sequences.explain() }),
    };
  }
  const inParts = maxBatchSize === 1 ? whole : submitInParts(whole, { maxBatchSize, maxQueued });
  const cache = cacheBytes === undefined ? undefined : new ResponseCache(cacheBytes);
  return {
    submit: coalesce || cache !== undefined ? submitOnce(inParts, cache) : inParts,
    idle: () => runner.idle(),
    explain: () => (cache === undefined ? explain() : { ...explain(), cache: cache.explain() }),
  };
}
