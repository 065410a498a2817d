import type { CallerSignal } from "../../app/call-facts.js";
import type { Infer } from "../../app/infer.js";
import { ServiceError } from "../../core/error.js";
import { Caller } from "../caller.js";
import type { ByteLease } from "../../core/serving/byte-budget.js";
import type { AcceptTimed, TimedStream } from "../grpc/http2/service.js";
import type { StreamListener } from "../grpc/stream.js";
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
  readonly streams: OpenStreams;
};

export const modelInfer = (parts: InferMethodParts): AcceptTimed =>
  unaryBytes(parts, (bytes, { context, caller }) =>
    answerRequest(parts, decodeInferRequest(bytes), context, caller, encodeInferResponse),
  );

/** Runs one request; `encode` writes its answer. */
function answerRequest(
  { infer, clock }: InferMethodParts,
  request: WireRequest,
  { mesh, deadlineAtMs }: CallContext,
  signal: CallerSignal,
  encode: (response: InferResponse) => Buffer,
): Promise<Buffer> {
  const receivedAtMs = clock.monotonicMs();
  const leftMs = deadlineAtMs - receivedAtMs;
  return infer({
    mesh,
    timeoutMs: leftMs === Infinity ? undefined : Math.max(0, Math.round(leftMs)),
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

/**
 * Triton's stream of requests: each is answered once, in the order they came, and one that fails is
 * answered with its error while the stream goes on. With the metadata `triton_grpc_error: true` the
 * first failure ends the stream with its status.
 */
export const modelStreamInfer =
  (parts: InferMethodParts): AcceptTimed =>
  (stream) =>
    new InferStream(parts, stream);

class InferStream implements StreamListener {
  readonly #parts: InferMethodParts;
  readonly #stream: TimedStream;
  readonly #context: CallContext;
  readonly #caller = new Caller();
  readonly #isStrict: boolean;
  /** The answers so far, in the order of their requests. */
  #written = Promise.resolve();
  #takesMore = true;

  constructor(parts: InferMethodParts, stream: TimedStream) {
    this.#parts = parts;
    this.#stream = stream;
    this.#context = contextOf(stream, parts.clock);
    this.#isStrict = stream.metadata.values("triton_grpc_error")[0] === "true";
    parts.streams.add(this, () => {
      this.#finish(new ServiceError("notReady", ENDING));
    });
  }

  message(bytes: Buffer): void {
    if (!this.#takesMore) return;
    const answer = answerInStream(this.#parts, bytes, this.#context, this.#caller);
    this.#written = this.#written
      .then(() => answer)
      .then(({ bytes: answered, error, lease }) => {
        lease.release();
        if (error !== undefined && this.#isStrict) this.#fail(error);
        else this.#stream.send(answered);
      });
  }

  halfClosed(): void {
    this.#finish();
  }

  closed(): void {
    this.#takesMore = false;
    this.#caller.leave();
    this.#parts.streams.delete(this);
  }

  /** Behind the answers to what has come. */
  #finish(error?: ServiceError): void {
    this.#takesMore = false;
    void this.#written.then(() => {
      if (error !== undefined) this.#fail(error);
      else this.#stream.end(withLoad(this.#stream.metadata, this.#parts.loadNow));
    });
  }

  #fail(error: unknown): void {
    this.#takesMore = false;
    const { code, details, trailers } = statusOf(error, this.#parts.logger);
    const { metadata } = this.#stream;
    this.#stream.fail(code, details, withLoad(metadata, this.#parts.loadNow, trailers));
  }
}

const ENDING = "this process is about to end: open the stream anew";

type Outcome = {
  readonly bytes: Buffer;
  readonly error?: unknown;
  /** Of the answer, while those before it are not out. */
  readonly lease: ByteLease;
};

/** Never rejects. */
async function answerInStream(
  parts: InferMethodParts,
  bytes: Buffer,
  context: CallContext,
  signal: CallerSignal,
): Promise<Outcome> {
  const lease = parts.budget.open();
  let request: WireRequest | undefined;
  try {
    lease.take(bytes.length);
    request = decodeInferRequest(bytes);
    const answer = await answerRequest(parts, request, context, signal, encodeStreamResponse);
    lease.take(answer.length - bytes.length);
    return { bytes: answer, lease };
  } catch (thrown) {
    const { details } = statusOf(thrown, parts.logger);
    const { model = "", version = "", id = "" } = request ?? {};
    const failed = { model, version, id, outputs: new Map(), raw: false };
    return { bytes: encodeStreamResponse(failed, details), error: thrown, lease };
  }
}
