/** The messages of the protocol's statistics extension; durations are cumulative. */
type Timed = { count: number; ns: number };

type BatchStatistics = {
  readonly batch_size: number;
  readonly compute_input: Timed;
  readonly compute_infer: Timed;
  readonly compute_output: Timed;
};

export type ModelStatistics = {
  readonly name: string;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly last_inference: number;
  /** Items that were answered. */
  readonly inference_count: number;
  /** Runs of the model. */
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<Stage, Timed>>;
  readonly response_stats: Readonly<Record<string, never>>;
  readonly batch_stats: readonly BatchStatistics[];
  readonly memory_usage: readonly never[];
};

/** perf_analyzer asks for all eight, also of a server without a cache. */
const STAGES = [
  "success",
  "fail",
  "queue",
  "compute_input",
  "compute_infer",
  "compute_output",
  "cache_hit",
  "cache_miss",
] as const;
type Stage = (typeof STAGES)[number];

/** Triton's names for why a request failed. */
export type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER";

export type VersionName = { readonly model: string; readonly version: string };

type Answer = VersionName & {
  readonly status: number;
  readonly seconds: number;
  readonly items: number;
  readonly atMs: number;
  readonly stages?:
    | {
        readonly inputSeconds: number;
        readonly queueSeconds: number;
        readonly inferSeconds: number;
        readonly outputSeconds: number;
        readonly cache: "hit" | "miss" | "none";
      }
    | undefined;
};

type Counts = {
  readonly stages: Readonly<Record<Stage, Timed>>;
  readonly batches: Map<number, Timed>;
  readonly failures: Record<FailureReason, number>;
  lastInferenceMs: number;
  items: number;
  runs: number;
  queued: number;
};

export type VersionCounts = Readonly<Counts>;

/** What each version did since the process started. A version that is loaded again counts on. */
export class ServingStatistics {
  readonly #versions = new Map<string, Counts>();

  answered(answer: Answer): void {
    const counts = this.#countsOf(answer);
    counts.lastInferenceMs = answer.atMs;
    const { stages, status } = answer;
    if (stages === undefined) {
      add(counts.stages.fail, answer.seconds);
      counts.failures[reasonOf(status)] += 1;
      return;
    }
    add(counts.stages.success, answer.seconds);
    add(counts.stages.queue, stages.queueSeconds);
    // As Triton counts: what was in the cache was no inference.
    if (stages.cache === "hit") {
      add(counts.stages.cache_hit, stages.inferSeconds);
      return;
    }
    if (stages.cache === "miss") add(counts.stages.cache_miss, stages.inferSeconds);
    counts.items += answer.items;
    add(counts.stages.compute_input, stages.inputSeconds);
    add(counts.stages.compute_infer, stages.inferSeconds);
    add(counts.stages.compute_output, stages.outputSeconds);
  }

  ran(version: VersionName, items: number, seconds: number): void {
    const counts = this.#countsOf(version);
    counts.runs += 1;
    const batch = counts.batches.get(items) ?? { count: 0, ns: 0 };
    add(batch, seconds);
    counts.batches.set(items, batch);
  }

  queued(version: VersionName, items: number): void {
    this.#countsOf(version).queued = items;
  }

  countsOf(version: VersionName): VersionCounts {
    return this.#countsOf(version);
  }

  of(version: VersionName): ModelStatistics {
    const { stages, batches, lastInferenceMs, items, runs } = this.#countsOf(version);
    const sizes = [...batches].sort(([a], [b]) => a - b);
    return {
      ...{ name: version.model, version: version.version, last_inference: lastInferenceMs },
      ...{ inference_count: items, execution_count: runs, inference_stats: stages },
      response_stats: {},
      // Stacking and cutting are part of the run, which happens on another thread.
      batch_stats: sizes.map(([batch_size, run]) => ({
        batch_size,
        compute_input: { count: run.count, ns: 0 },
        compute_infer: run,
        compute_output: { count: run.count, ns: 0 },
      })),
      memory_usage: [],
    };
  }

  #countsOf({ model, version }: VersionName): Counts {
    const key = `${model}/${version}`;
    const known = this.#versions.get(key);
    if (known !== undefined) return known;
    const created: Counts = {
      stages: noStages(),
      batches: new Map(),
      failures: { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 },
      ...{ lastInferenceMs: 0, items: 0, runs: 0, queued: 0 },
    };
    this.#versions.set(key, created);
    return created;
  }
}

const noStages = () =>
  Object.fromEntries(STAGES.map((stage) => [stage, { count: 0, ns: 0 }])) as Record<Stage, Timed>;

function add(timed: Timed, seconds: number): void {
  timed.count += 1;
  timed.ns += Math.round(seconds * 1e9);
}

/** By the HTTP status of the answer. */
function reasonOf(status: number): FailureReason {
  if (status === 503 || status === 504) return "REJECTED";
  if (status === 499) return "CANCELED";
  return status === 500 ? "BACKEND" : "OTHER";
}
