import type { handleUnaryCall, sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import type { MessageTypeDefinition } from "@grpc/proto-loader";
import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import type { ByteBudget } from "../../core/serving/byte-budget.js";
import type { LoadNow } from "../../app/metered-load.js";
import type { ModelConfigRequest__Output as ModelConfigRequest } from "../../gen/inference/ModelConfigRequest.js";
import type { ModelMetadataRequest__Output as ModelMetadataRequest } from "../../gen/inference/ModelMetadataRequest.js";
import type { ModelReadyRequest__Output as ModelReadyRequest } from "../../gen/inference/ModelReadyRequest.js";
import type { ModelStatisticsRequest__Output as ModelStatisticsRequest } from "../../gen/inference/ModelStatisticsRequest.js";
import type { RepositoryIndexRequest__Output as RepositoryIndexRequest } from "../../gen/inference/RepositoryIndexRequest.js";
import type { RepositoryModelLoadRequest__Output as RepositoryModelLoadRequest } from "../../gen/inference/RepositoryModelLoadRequest.js";
import type { RepositoryModelUnloadRequest__Output as RepositoryModelUnloadRequest } from "../../gen/inference/RepositoryModelUnloadRequest.js";
import { withLoad } from "./call-metadata.js";
import { messageType } from "./protocol.js";
import { statusOf } from "./status.js";

export type CallParts = {
  readonly logger: Logger;
  /** Bytes of messages that the process may hold. */
  readonly budget: ByteBudget;
  readonly loadNow: LoadNow;
};

export type BytesCall = ServerUnaryCall<Buffer, Buffer>;

/**
 * A method that takes one message and gives one, both as bytes: grpc-js would answer INTERNAL to
 * bytes that are no such message, and they are the caller's mistake.
 */
export function unaryBytes(
  { logger, budget, loadNow }: CallParts,
  answer: (bytes: Buffer, call: BytesCall) => Promise<Buffer>,
): handleUnaryCall<Buffer, Buffer> {
  const run = async (call: BytesCall, callback: sendUnaryData<Buffer>) => {
    const lease = budget.open();
    try {
      lease.take(call.request.length);
      callback(null, await answer(call.request, call), withLoad(call.metadata, loadNow));
    } catch (error) {
      const status = statusOf(error, logger);
      callback(status, null, withLoad(call.metadata, loadNow, status.metadata));
    } finally {
      lease.release();
    }
  };
  return (call, callback) => {
    void run(call, callback);
  };
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
): handleUnaryCall<Buffer, Buffer> {
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
