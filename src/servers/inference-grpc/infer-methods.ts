import type { handleBidiStreamingCall, handleUnaryCall, ServerDuplexStream } from "@grpc/grpc-js";
import { once, setMaxListeners } from "node:events";
import type { EventEmitter } from "node:events";
import type { CallerSignal } from "../../app/call-facts.js";
import type { Infer } from "../../app/infer.js";
import type { Clock } from "../../app/ports.js";
import { ServiceError } from "../../core/error.js";
import { Caller } from "../caller.js";
import { contextOf, withLoad } from "./call-metadata.js";
import type { CallContext } from "./call-metadata.js";
import { decodeInferRequest, toInferRequest } from "./infer-request.js";
import type { WireRequest } from "./infer-request.js";
import { encodeInferResponse, encodeStreamResponse } from "./infer-response.js";
import type { InferResponse } from "./infer-response.js";
import type { OpenStreams } from "./open-streams.js";
import { statusOf } from "./status.js";
import { unaryBytes } from "./unary.js";
import type { CallParts } from "./unary.js";

export type InferMethodParts = CallParts & {
  readonly infer: Infer;
  readonly clock: Clock;
  readonly streams: OpenStreams;
};

export function modelInfer(parts: InferMethodParts): handleUnaryCall<Buffer, Buffer> {
  return unaryBytes(parts, (bytes, call) => {
    const context = contextOf(call, parts.clock);
    const request = decodeInferRequest(bytes);
    const caller = new Caller();
    call.once("cancelled", () => {
      caller.leave();
    });
    return answerRequest(parts, request, context, caller, encodeInferResponse);
  });
}

/** Runs one request; `encode` writes its answer. */
function answerRequest(
  { infer, clock }: InferMethodParts,
  request: WireRequest,
  { facts, deadlineAtMs }: CallContext,
  signal: CallerSignal,
  encode: (response: InferResponse) => Buffer,
): Promise<Buffer> {
  const receivedAtMs = clock.monotonicMs();
  const leftMs = deadlineAtMs - receivedAtMs;
  return infer({
    ...facts,
    meshTimeoutMs: leftMs === Infinity ? undefined : Math.max(0, Math.round(leftMs)),
    model: request.model,
    version: request.version === "" ? undefined : request.version,
    receivedAtMs,
    signal,
    read: (spec) => toInferRequest(spec, request),
    write: ({ name, version }, outputs) => {
      return encode({ model: name, version, id: request.id, outputs, raw: request.raw.length > 0 });
    },
  });
}

/** Aborts at the end of the call: by then it is answered, or nobody waits for the answer. */
function cancelSignal(call: EventEmitter): AbortSignal {
  const controller = new AbortController();
  call.once("cancelled", () => {
    controller.abort();
  });
  return controller.signal;
}

type Stream = ServerDuplexStream<Buffer, Buffer>;

/**
 * Triton's stream of requests: each is answered once, in the order they came, and one that fails is
 * answered with its error while the stream goes on. With the metadata `triton_grpc_error: true` the
 * first failure ends the stream with its status.
 */
export function modelStreamInfer(parts: InferMethodParts): handleBidiStreamingCall<Buffer, Buffer> {
  return (call: Stream) => {
    const context = contextOf(call, parts.clock);
    const signal = cancelSignal(call);
    setMaxListeners(0, signal);
    const isStrict = call.metadata.get("triton_grpc_error")[0] === "true";
    let isOver = false;
    let written = Promise.resolve();
    const endWith = (error: unknown) => {
      isOver = true;
      const { metadata, ...status } = statusOf(error, parts.logger);
      const trailers = withLoad(call.metadata, parts.loadNow, metadata);
      call.emit("error", { ...status, metadata: trailers });
    };
    const end = (error?: ServiceError) => {
      void written.then(() => {
        if (isOver) return;
        if (error !== undefined) endWith(error);
        else call.end(withLoad(call.metadata, parts.loadNow));
      });
    };
    call.on("data", (bytes: Buffer) => {
      if (isOver) return;
      const answer = answerInStream(parts, bytes, context, signal);
      written = written
        .then(() => answer)
        .then(async (outcome) => {
          if (isOver) return;
          if (outcome.error !== undefined && isStrict) endWith(outcome.error);
          else if (!call.write(outcome.bytes)) await drained(call, signal);
        });
    });
    call.on("end", () => {
      end();
    });
    call.once("cancelled", () => {
      isOver = true;
    });
    parts.streams.add(call, () => {
      call.pause();
      end(new ServiceError("notReady", "this process is about to end: open the stream anew"));
    });
  };
}

type Outcome = { readonly bytes: Buffer; readonly error?: unknown };

/** Never rejects. */
async function answerInStream(
  parts: InferMethodParts,
  bytes: Buffer,
  context: CallContext,
  signal: AbortSignal,
): Promise<Outcome> {
  const lease = parts.budget.open();
  let request: WireRequest | undefined;
  try {
    lease.take(bytes.length);
    request = decodeInferRequest(bytes);
    const answer = await answerRequest(parts, request, context, signal, encodeStreamResponse);
    return { bytes: answer };
  } catch (thrown) {
    const { details } = statusOf(thrown, parts.logger);
    const { model = "", version = "", id = "" } = request ?? {};
    const failed = { model, version, id, outputs: new Map(), raw: false };
    return { bytes: encodeStreamResponse(failed, details), error: thrown };
  } finally {
    lease.release();
  }
}

/** A peer that does not read its answers shall not send more. */
async function drained(call: Stream, signal: AbortSignal): Promise<void> {
  call.pause();
  await once(call, "drain", { signal }).catch(() => undefined);
  call.resume();
}
