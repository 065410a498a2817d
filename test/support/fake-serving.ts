import type {
  InstancePool,
  LoadedModel,
  ModelInput,
  ModelOutput,
  ModelRuntime,
  ServingMetrics,
  Timer,
} from "../../src/app/model-ports.js";
import type { Clock } from "../../src/app/ports.js";
import type { ModelSpec } from "../../src/core/serving/model-spec.js";

/**
 * A clock that stands still until it is told to advance; timers run then, in order. The end of a
 * turn comes by itself.
 */
export class FakeTime {
  #nowMs = 1000;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  readonly clock: Clock = { nowMs: () => this.#nowMs, monotonicMs: () => this.#nowMs };

  readonly timer: Timer = (afterMs, run) => {
    if (afterMs === 0) {
      const turn = setImmediate(run);
      return () => {
        clearImmediate(turn);
      };
    }
    const entry = { atMs: this.#nowMs + afterMs, run };
    this.#timers.push(entry);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== entry);
    };
  };

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers
        .filter((each) => each.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = untilMs;
  }
}

type Run = {
  readonly inputs: readonly ModelInput[];
  finish(outputs?: readonly ModelOutput[]): void;
  fail(error: unknown): void;
};

/** Instances whose runs end when the test says so, or by `answer` at once. */
export class FakePool implements InstancePool {
  readonly runs: Run[] = [];
  readonly #instances: number;
  readonly #answer: ((inputs: readonly ModelInput[]) => readonly ModelOutput[]) | undefined;
  #busy = 0;
  #state: ReturnType<InstancePool["state"]> = "ready";
  #listeners: (() => void)[] = [];

  constructor(instances = 1, answer?: (inputs: readonly ModelInput[]) => readonly ModelOutput[]) {
    this.#instances = instances;
    this.#answer = answer;
  }

  idle(): number {
    return this.#state === "ready" ? this.#instances - this.#busy : 0;
  }

  state() {
    return this.#state;
  }

  become(state: ReturnType<InstancePool["state"]>): void {
    this.#state = state;
    this.#changed();
  }

  async run(inputs: readonly ModelInput[]): Promise<readonly ModelOutput[]> {
    if (this.idle() < 1) throw new Error("dispatched without an idle instance");
    if (this.#answer !== undefined) return this.#answer(inputs);
    this.#busy += 1;
    try {
      return await new Promise((resolve, reject) => {
        const finish = (outputs?: readonly ModelOutput[]) => {
          resolve(
            outputs ??
              inputs.map((input) => (input.kind === "tensors" ? input.tensors : new Map())),
          );
        };
        this.runs.push({ inputs, finish, fail: reject });
      });
    } finally {
      this.#busy -= 1;
      this.#changed();
    }
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

export const noMetrics: ServingMetrics = {
  answered: () => undefined,
  waited: () => undefined,
  ran: () => undefined,
  queued: () => undefined,
};

/** A model of one version that answers each input as it came. */
export function echoModel(spec: Partial<ModelSpec> & { readonly name: string }): LoadedModel {
  const inputs = [{ name: "x", datatype: "FP32", shape: [-1, 2] }] as const;
  const outputs = spec.inputs ?? inputs;
  const whole = { version: "1", inputs, outputs, maxBatchSize: 8, labels: [] };
  const instances = new FakePool(1, (batch) =>
    batch.map((input) =>
      input.kind === "tensors"
        ? input.tensors
        : new Map([
            ["size", { datatype: "INT32", shape: [1], data: Int32Array.of(input.body.length) }],
          ]),
    ),
  );
  const version = { spec: { ...whole, takesRawBody: false, ...spec }, instances };
  const settings = {
    ...{ sloMs: undefined, maxQueued: 64, maxQueueDelayMs: 0, coalesce: false, profile: [] },
    ...{ instanceCount: 1, fingerprint: "", cacheBytes: undefined },
  };
  return {
    name: spec.name,
    defaultVersion: "1",
    versionLabels: { stable: "1" },
    versions: [{ ...version, ...settings, executionProviders: ["cpu"] }],
  };
}

/** A repository of these models, which are loaded as they are. */
export function fakeRuntime(models: readonly LoadedModel[]): ModelRuntime {
  return {
    load: () => Promise.resolve(models),
    loadModel: (_root, wanted) => {
      const found = models.find(({ name }) => name === wanted);
      return found === undefined ? Promise.reject(new Error(wanted)) : Promise.resolve(found);
    },
    names: () => Promise.resolve(models.map(({ name }) => name)),
  };
}
