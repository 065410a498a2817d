import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import type { ModelInput, ModelOutput, Timer } from "../../app/model-ports.js";
import { ServiceError } from "../../core/error.js";
import { invariant } from "../../core/invariant.js";
import { packTensors, unpackTensors, wholeBuffers } from "./packed-tensors.js";
import type {
  BatchInput,
  FromWorker,
  SessionDefinition,
  SessionSpecs,
  ToWorker,
} from "./worker-messages.js";

const WORKER_FILE = new URL("./session-worker.js", import.meta.url);
const FIRST_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 30_000;
/** Of a worker's JavaScript, which is its pipeline: weights and tensors lie elsewhere. */
const MAX_HEAP_MB = 512;
/** Large models take minutes to load; one that is not there by then hangs. */
const START_TIMEOUT_MS = 600_000;

type Pending = {
  readonly resolve: (outputs: readonly ModelOutput[]) => void;
  readonly reject: (error: ServiceError) => void;
};

export type InstanceParts = {
  readonly definition: SessionDefinition;
  /** A run that takes longer is given up. */
  readonly maxRunMs: number;
  /** Throws when the files are no longer those that were checked and loaded. */
  readonly checkUnchanged: () => Promise<void>;
  readonly timer: Timer;
  readonly logger: Logger;
  readonly onChange: () => void;
};

/**
 * One session in its worker, and the worker's supervisor. A worker that ends or hangs is replaced,
 * after growing delays if its replacements end too; the requests it was running are refused once,
 * and not run again: one may be what ended the worker. Those in the queue wait for the replacement.
 */
export class SessionInstance {
  readonly #parts: InstanceParts;
  #worker: Worker | undefined;
  #pending: Pending | undefined;
  #state: "ready" | "restarting" | "down" = "restarting";
  #closed = false;
  #cancelRestart: () => void = () => undefined;
  #cancelRunTimeout: () => void = () => undefined;

  constructor(parts: InstanceParts) {
    this.#parts = parts;
  }

  get state(): "ready" | "restarting" | "down" {
    return this.#state;
  }

  get isIdle(): boolean {
    return this.#state === "ready" && this.#pending === undefined;
  }

  /** Loads and warms up; rejects with the reason when the model cannot be served. */
  start(): Promise<SessionSpecs> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(WORKER_FILE, {
        workerData: this.#parts.definition,
        // Flags such as --input-type or --inspect are for the main thread only.
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
      });
      this.#worker = worker;
      const cancelTimeout = this.#parts.timer(START_TIMEOUT_MS, () => {
        reject(new Error(`it was not ready after ${START_TIMEOUT_MS / 1000} s`));
        void worker.terminate();
      });
      worker.on("message", (message: FromWorker) => {
        if (this.#worker !== worker) return;
        if (message.kind === "ready" || message.kind === "unfit") cancelTimeout();
        if (message.kind === "ready") {
          this.#state = "ready";
          resolve(message);
          this.#parts.onChange();
        } else if (message.kind === "unfit") {
          reject(new Error(message.because));
          void worker.terminate();
        } else this.#answered(message);
      });
      let lastError: unknown;
      worker.on("error", (error) => {
        lastError = error;
      });
      worker.on("exit", (exitCode) => {
        cancelTimeout();
        const because = lastError instanceof Error ? `: ${lastError.message}` : "";
        reject(new Error(`its worker ended with code ${exitCode}${because}`));
        if (this.#worker === worker) this.#ended("ended", { exitCode, err: lastError });
      });
    });
  }

  run(inputs: readonly ModelInput[]): Promise<readonly ModelOutput[]> {
    return new Promise((resolve, reject) => {
      invariant(this.isIdle, "an instance runs one batch at a time");
      const [input, moved] = toMessage(inputs);
      const message: ToWorker = { kind: "run", input };
      this.#worker?.postMessage(message, moved);
      this.#pending = { resolve, reject };
      const { maxRunMs, timer } = this.#parts;
      this.#cancelRunTimeout = timer(maxRunMs, () => {
        this.#giveUp();
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart();
    await this.#worker?.terminate();
  }

  #answered(message: Exclude<FromWorker, { readonly kind: "ready" | "unfit" }>): void {
    this.#settle(({ resolve, reject }) => {
      switch (message.kind) {
        case "ran":
          resolve(unpackTensors(message.packed));
          return;
        case "answered":
          resolve(message.outputs);
          return;
        case "failed":
          reject(new ServiceError(message.code, message.message));
      }
    });
  }

  #settle(answer: (pending: Pending) => void): void {
    this.#cancelRunTimeout();
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) answer(pending);
    this.#parts.onChange();
  }

  /** Ends JavaScript that loops. The runtime cannot be interrupted, but nobody waits for it. */
  #giveUp(): void {
    void this.#worker?.terminate();
    this.#ended(`took over ${this.#parts.maxRunMs} ms (maxRunMs)`, {});
  }

  #ended(how: string, facts: Readonly<Record<string, unknown>>): void {
    const { definition, logger } = this.#parts;
    const { model, version } = definition;
    const wasReady = this.#state === "ready";
    this.#worker = undefined;
    if (!this.#closed && wasReady) {
      logger.error({ model, version, how, ...facts }, "worker of a session is replaced");
      this.#state = "restarting";
      this.#restart(FIRST_RESTART_DELAY_MS);
    }
    this.#settle(({ reject }) => {
      const message = `the instance of model ${model}/${version} that ran this request ${how}; it is being replaced`;
      reject(new ServiceError("dependencyDown", message, { retryAfterMs: 1000 }));
    });
  }

  #restart(nextDelayMs: number): void {
    this.#startUnchanged().catch((err: unknown) => {
      if (this.#closed) return;
      const { definition, logger, timer, onChange } = this.#parts;
      const { model, version } = definition;
      logger.error({ model, version, err, nextDelayMs }, "session could not be restarted");
      this.#state = "down";
      this.#cancelRestart = timer(nextDelayMs, () => {
        this.#restart(Math.min(nextDelayMs * 2, MAX_RESTART_DELAY_MS));
      });
      onChange();
    });
  }

  async #startUnchanged(): Promise<void> {
    await this.#parts.checkUnchanged();
    if (!this.#closed) await this.start();
  }
}

/**
 * The batch as a message. Memory of a request that runs alone is moved to the worker and not copied;
 * that of others is needed again should their batch fail.
 */
function toMessage(inputs: readonly ModelInput[]): readonly [BatchInput, readonly ArrayBuffer[]] {
  const bodies = inputs.flatMap((input) => (input.kind === "raw" ? [input.body] : []));
  if (bodies.length > 0) {
    invariant(bodies.length === inputs.length, "a batch is of one kind");
    const [{ buffer }] = bodies as [Uint8Array];
    const isAlone = bodies.length === 1 && buffer instanceof ArrayBuffer;
    return [{ kind: "raw", bodies }, isAlone ? [buffer] : []];
  }
  const items = inputs.flatMap((input) => (input.kind === "tensors" ? [input.tensors] : []));
  const packed = packTensors(items);
  return [{ kind: "tensors", packed }, wholeBuffers(packed)];
}
