import { assertNever } from "../../core/assert-never.js";
import type { HttpBody__Output } from "../../gen/envoy/service/ext_proc/v3/HttpBody.js";
import type { BodyResponse } from "../../gen/envoy/service/ext_proc/v3/BodyResponse.js";
import type { ProtocolConfiguration__Output } from "../../gen/envoy/service/ext_proc/v3/ProtocolConfiguration.js";
import type { Answer } from "./answer.js";
import type { ReadRequest } from "./wire/read-request.js";

/** Envoy takes at most 64 KiB in one streamed_response; the rest is room for framing. */
const MAX_STREAMED_BYTES = 62_000;

/** The body modes a stream announced in its first message. */
export type BodyModes = Pick<ProtocolConfiguration__Output, "requestBodyMode" | "responseBodyMode">;

/**
 * Envoy's rule: one answer of the same kind for each message, in order (one per chunk or more in
 * the full duplex modes). An empty list is silence, which is right in two cases only: the sender
 * observes, or the message is of a kind newer than our protos (1.40 window updates).
 */
export function respond(
  { kind, isObserved, message }: ReadRequest,
  modes: BodyModes,
  answerRequestHeaders: () => Answer,
): readonly Answer[] {
  if (isObserved) return [];
  switch (kind) {
    case "requestHeaders":
      return [answerRequestHeaders()];
    case "responseHeaders":
      return [{ responseHeaders: { response: {} } }];
    case "requestBody":
      return bodyAnswers(message?.requestBody, modes.requestBodyMode).map((requestBody) => ({
        requestBody,
      }));
    case "responseBody":
      return bodyAnswers(message?.responseBody, modes.responseBodyMode).map((responseBody) => ({
        responseBody,
      }));
    case "requestTrailers":
      return [{ requestTrailers: {} }];
    case "responseTrailers":
      return [{ responseTrailers: {} }];
    case "unknown":
      return [];
    default:
      return assertNever(kind);
  }
}

/**
 * We read no body. In the buffered and streamed modes "continue" keeps it as it is; in the full
 * duplex modes what is not sent back is dropped, so every chunk is echoed.
 */
function bodyAnswers(
  body: HttpBody__Output | undefined,
  mode: BodyModes["requestBodyMode"],
): BodyResponse[] {
  if (body === undefined || (mode !== "FULL_DUPLEX_STREAMED" && mode !== "GRPC")) {
    return [{ response: {} }];
  }
  const { body: bytes = Buffer.alloc(0), endOfStream = false, ...grpc } = body;
  // A gRPC message is one unit and keeps its flags; a plain body may be cut anywhere.
  const pieceBytes = mode === "GRPC" ? Math.max(1, bytes.length) : MAX_STREAMED_BYTES;
  const answers: BodyResponse[] = [];
  for (let from = 0; from === 0 || from < bytes.length; from += pieceBytes) {
    const streamedResponse = {
      ...grpc,
      body: bytes.subarray(from, from + pieceBytes),
      endOfStream: endOfStream && from + pieceBytes >= bytes.length,
    };
    answers.push({ response: { bodyMutation: { streamedResponse } } });
  }
  return answers;
}
