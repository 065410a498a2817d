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

type Pending = {
  readonly resolve: (outputs: readonly ModelOutput[]) => void;
  readonly reject: (error: ServiceError) => void;
};

export type InstanceParts = {
  readonly definition: SessionDefinition;
  readonly timer: Timer;
  readonly logger: Logger;
  readonly onChange: () => void;
};

/**
 * One session in its worker, and the worker's supervisor. A worker that ends is replaced, after
 * growing delays if its replacements end too; the request it was running is refused once, and
 * not run again: it may be what ended the worker.
 */
export class SessionInstance {
  readonly #parts: InstanceParts;
  #worker: Worker | undefined;
  #pending: Pending | undefined;
  #state: "ready" | "restarting" | "down" = "restarting";
  #closed = false;
  #cancelRestart: () => void = () => undefined;

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
      });
      this.#worker = worker;
      worker.on("message", (message: FromWorker) => {
        switch (message.kind) {
          case "ready":
            this.#state = "ready";
            resolve(message);
            this.#parts.onChange();
            return;
          case "unfit":
            reject(new Error(message.because));
            void worker.terminate();
            return;
          case "ran":
            this.#settle(({ resolve: answer }) => {
              answer(unpackTensors(message.packed));
            });
            return;
          case "answered":
            this.#settle(({ resolve: answer }) => {
              answer(message.outputs);
            });
            return;
          case "failed":
            this.#settle(({ reject: refuse }) => {
              refuse(new ServiceError(message.code, message.message));
            });
        }
      });
      let lastError: unknown;
      worker.on("error", (error) => {
        lastError = error;
      });
      worker.on("exit", (exitCode) => {
        const because = lastError instanceof Error ? `: ${lastError.message}` : "";
        reject(new Error(`its worker ended with code ${exitCode}${because}`));
        if (this.#worker === worker) this.#ended(exitCode, lastError);
      });
    });
  }

  run(inputs: readonly ModelInput[]): Promise<readonly ModelOutput[]> {
    return new Promise((resolve, reject) => {
      invariant(this.isIdle, "an instance runs one batch at a time");
      this.#pending = { resolve, reject };
      const [input, moved] = toMessage(inputs);
      const message: ToWorker = { kind: "run", input };
      this.#worker?.postMessage(message, moved);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart();
    await this.#worker?.terminate();
  }

  #settle(answer: (pending: Pending) => void): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) answer(pending);
    this.#parts.onChange();
  }

  #ended(exitCode: number, err: unknown): void {
    const { definition, logger } = this.#parts;
    const wasReady = this.#state === "ready";
    this.#worker = undefined;
    if (!this.#closed && wasReady) {
      const { model, version } = definition;
      logger.error({ model, version, exitCode, err }, "worker of a session ended");
      this.#state = "restarting";
      this.#restart(FIRST_RESTART_DELAY_MS);
    }
    this.#settle(({ reject }) => {
      const message = `the instance of model ${definition.model}/${definition.version} that ran this request ended; it is being replaced`;
      reject(new ServiceError("dependencyDown", message, { retryAfterMs: 1000 }));
    });
  }

  #restart(nextDelayMs: number): void {
    this.start().catch((err: unknown) => {
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
