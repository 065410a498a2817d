import { openJsonlLog } from "../../src/adapters/event-log/jsonl-log.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { meshFactsOf } from "../../src/app/call-facts.js";
import { PREDICTION_SCHEMA, type PredictionEvent } from "../../src/schema/events.js";
import {
  startEchoUpstream,
  type EchoAnswer,
  type EchoUpstream,
  type ReceivedRequest,
} from "./echo-upstream.js";

export type PodOptions = {
  readonly model: string;
  readonly version: string;
  readonly http2?: boolean;
};

/** An upstream that logs its answers as `weir serve` does, so that exposures can be derived. */
export type LoggingPod = Pick<EchoUpstream, "port" | "received" | "answerWith" | "close">;

/** Answers its name until it is told otherwise. Closing writes what is still buffered. */
export async function startLoggingPod(
  name: string,
  { model, version, http2 = false }: PodOptions,
  logDirectory: string,
): Promise<LoggingPod> {
  const upstream = await startEchoUpstream({ http2, name });
  const lost = (what: unknown) => {
    throw new Error(`pod ${name} cannot log its predictions: ${String(what)}`);
  };
  const log = openJsonlLog<PredictionEvent>({
    ...{ directory: logDirectory, prefix: `predictions-${name}`, clock: systemClock },
    ...{ onWritten: () => undefined, onDrop: lost, onError: lost },
  });
  const answerWith = (answer: EchoAnswer) => {
    upstream.answerWith(async (request) => {
      const reply = await answer(request);
      log.append(predictionOf(request, reply.status ?? 200, { model, version }));
      return reply;
    });
  };
  answerWith(() => ({ body: name }));
  return {
    port: upstream.port,
    received: upstream.received,
    answerWith,
    close: async () => {
      await upstream.close();
      await log.close();
    },
  };
}

/**
 * Makes a pod answer its name, and tell what it is sent instead of keeping it: hundreds of thousands
 * of requests are too much to keep.
 */
export function answerUnkept(
  name: string,
  pod: Pick<LoggingPod, "received" | "answerWith">,
  onRequest: (request: ReceivedRequest) => void = () => undefined,
): void {
  pod.answerWith((request) => {
    pod.received.length = 0;
    onRequest(request);
    return { body: name };
  });
}

function predictionOf(
  { headers }: ReceivedRequest,
  status: number,
  { model, version }: PodOptions,
): PredictionEvent {
  const { decision, policy, arms, attempt, requestId, shadow } = meshFactsOf((name) =>
    headers[name]?.toString(),
  );
  return {
    schema: PREDICTION_SCHEMA,
    at: new Date(systemClock.nowMs()).toISOString(),
    ...{ decision, policy, arms, attempt, requestId, model, version, status },
    role: shadow ? "shadow" : "primary",
    ...{ durationMs: 0, queueMs: 0, batchSize: 1, outputs: {} },
  };
}
