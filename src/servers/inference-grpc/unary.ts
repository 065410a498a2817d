import type { MessageTypeDefinition } from "@grpc/proto-loader";
import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import type { ByteBudget } from "../../core/serving/byte-budget.js";
import type { LoadNow } from "../../app/metered-load.js";
import type { Clock } from "../../app/ports.js";
import type { ModelConfigRequest__Output as ModelConfigRequest } from "../../gen/inference/ModelConfigRequest.js";
import type { ModelMetadataRequest__Output as ModelMetadataRequest } from "../../gen/inference/ModelMetadataRequest.js";
import type { ModelReadyRequest__Output as ModelReadyRequest } from "../../gen/inference/ModelReadyRequest.js";
import type { ModelStatisticsRequest__Output as ModelStatisticsRequest } from "../../gen/inference/ModelStatisticsRequest.js";
import type { RepositoryIndexRequest__Output as RepositoryIndexRequest } from "../../gen/inference/RepositoryIndexRequest.js";
import type { RepositoryModelLoadRequest__Output as RepositoryModelLoadRequest } from "../../gen/inference/RepositoryModelLoadRequest.js";
import type { RepositoryModelUnloadRequest__Output as RepositoryModelUnloadRequest } from "../../gen/inference/RepositoryModelUnloadRequest.js";
import { Caller } from "../caller.js";
import type { AcceptTimed } from "../grpc/http2/service.js";
import { oneMessage } from "../grpc/one-message.js";
import type { ServerStream } from "../grpc/stream.js";
import { contextOf, withLoad } from "./call-metadata.js";
import type { CallContext } from "./call-metadata.js";
import { messageType } from "./protocol.js";
import { statusOf } from "./status.js";

export type CallParts = {
  readonly logger: Logger;
  /** Bytes of messages that the process may hold. */
  readonly budget: ByteBudget;
  readonly loadNow: LoadNow;
  readonly clock: Clock;
};

type UnaryCall = { readonly caller: Caller; readonly context: CallContext };
type AnswerBytes = (bytes: Buffer, call: UnaryCall) => Promise<Buffer>;

/**
 * A method that takes one message and gives one, both as bytes: bytes that are no such message are
 * the caller's mistake.
 */
export const unaryBytes =
  (parts: CallParts, answer: AnswerBytes): AcceptTimed =>
  (stream) => {
    const caller = new Caller();
    const context = contextOf(stream, parts.clock);
    const take = (bytes: Buffer) =>
      void respond(parts, stream, bytes.length, () => answer(bytes, { caller, context }));
    return oneMessage(stream, take, () => {
      caller.leave();
    });
  };

/** Never rejects: what goes wrong is the answer. */
async function respond(
  { budget, loadNow, logger }: CallParts,
  stream: ServerStream,
  heldBytes: number,
  answer: () => Promise<Buffer>,
): Promise<void> {
  const lease = budget.open();
  try {
    lease.take(heldBytes);
    stream.send(await answer());
    stream.end(withLoad(stream.metadata, loadNow));
  } catch (error) {
    const { code, details, trailers } = statusOf(error, logger);
    stream.fail(code, details, withLoad(stream.metadata, loadNow, trailers));
  } finally {
    lease.release();
  }
}

type Requests = {
  readonly ServerLive: object;
  readonly ServerReady: object;
  readonly ServerMetadata: object;
  readonly ModelReady: ModelReadyRequest;
  readonly ModelMetadata: ModelMetadataRequest;
  readonly ModelConfig: ModelConfigRequest;
  readonly ModelStatistics: ModelStatisticsRequest;
  readonly RepositoryIndex: RepositoryIndexRequest;
  readonly RepositoryModelLoad: RepositoryModelLoadRequest;
  readonly RepositoryModelUnload: RepositoryModelUnloadRequest;
};

/** Of a message without tensors; the parser makes many times as much of it. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A method whose messages proto-loader reads and writes. */
export function unary<Method extends keyof Requests>(
  parts: CallParts,
  method: Method,
  answer: (request: Requests[Method]) => object | Promise<object>,
): AcceptTimed {
  const requestType = messageType<Requests[Method]>(`${method}Request`);
  const replyType = messageType<object>(`${method}Response`);
  return unaryBytes(parts, async (bytes) => {
    const reply = await answer(decode(requestType, bytes));
    return replyType.serialize(reply);
  });
}

function decode<Request>(type: MessageTypeDefinition<object, Request>, bytes: Buffer): Request {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    const message = `the message has ${bytes.length} bytes, the limit without tensors is ${MAX_MESSAGE_BYTES}`;
    throw new ServiceError("tooLarge", message);
  }
  try {
    return type.deserialize(bytes);
  } catch (cause) {
    const message = `${bytes.length} bytes are no message of this method`;
    throw new ServiceError("badRequest", message, { cause });
  }
}
