import { createHash } from "node:crypto";
import { ServiceError } from "../core/error.js";
import type { BatchAnswer, BatchRequest } from "./batch-runner.js";
import type { CallerSignal } from "./call-facts.js";
import type { ModelInput } from "./model-ports.js";
import type { ResponseCache } from "./response-cache.js";
import type { Submit } from "./submit.js";
import { tensorBytes } from "./tensor-bytes.js";

type Flight = { readonly answer: Promise<BatchAnswer>; readonly deadlineAtMs: number };

/**
 * Runs requests with equal inputs that are under way together once: retries, hedges and mirrors ask
 * twice. A request joins only what will be answered by its own deadline; whatever of the other's
 * fate is not its own (it was refused, or its caller left) it does not share. With a cache, what was
 * answered before is not run again at all.
 */
export function submitOnce(submit: Submit, cache?: ResponseCache): Submit {
  const flights = new Map<string, Flight>();
  const begin = async (key: string, request: BatchRequest) => {
    const answer = submit(request);
    const flight = { answer, deadlineAtMs: request.deadlineAtMs };
    flights.set(key, flight);
    try {
      const answered = await answer;
      cache?.set(key, answered.outputs);
      return answered;
    } finally {
      if (flights.get(key) === flight) flights.delete(key);
    }
  };
  return async (request) => {
    const key = digestOf(request.input);
    const outputs = cache?.get(key);
    if (outputs !== undefined) return { outputs, queueMs: 0, batchSize: 0 };
    for (;;) {
      const flight = flights.get(key);
      if (flight === undefined || flight.deadlineAtMs > request.deadlineAtMs) {
        return begin(key, request);
      }
      try {
        return await unlessGone(flight.answer, request.signal);
      } catch (error) {
        const { code } = ServiceError.from(error);
        const isGone = request.signal?.aborted === true;
        if (isGone || code === "internal" || code === "badRequest") throw error;
      }
    }
  };
}

/** The answer, or at once the end of waiting for it when the caller is gone. */
async function unlessGone(
  answer: Promise<BatchAnswer>,
  signal: CallerSignal | undefined,
): Promise<BatchAnswer> {
  if (signal === undefined) return answer;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(new ServiceError("cancelled", "the caller closed the request"));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    void answer.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", onAbort);
    });
  });
}

function digestOf(input: ModelInput): string {
  const hash = createHash("sha256");
  if (input.kind === "raw") return hash.update("raw\n").update(input.body).digest("base64");
  for (const [name, tensor] of input.tensors) {
    const { datatype, shape } = tensor;
    hash.update(`${JSON.stringify(name)} ${datatype} ${shape.join(",")}\n`);
    hash.update(tensorBytes(tensor));
  }
  return hash.digest("base64");
}
