import type { ProcessingRequest__Output } from "../../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type { MessageKind } from "../metrics.js";
import { processingRequestType } from "../protocol.js";
import type { BodyModes } from "../respond.js";
import { headersOf, type WireHeaders } from "./headers.js";
import { readDirectly } from "./read-directly.js";

/** What we read of one ProcessingRequest. */
export type ReadRequest = {
  readonly kind: MessageKind;
  /** Of the request; empty in messages of other kinds. */
  readonly headers: WireHeaders;
  /** The sender observes, and takes no answer. */
  readonly isObserved: boolean;
  /** Only in the first message of a stream. */
  readonly modes: BodyModes | undefined;
  /** SPIFFE id of the caller, if a message says it that `message` was not needed for. */
  readonly principal: string | undefined;
  /** The whole message, if more than request headers had to be read. */
  readonly message: ProcessingRequest__Output | undefined;
};

/** Undefined: the bytes are no ProcessingRequest. */
export function readRequest(bytes: Buffer): ReadRequest | undefined {
  return readDirectly(bytes) ?? readWhole(bytes);
}

/** By the protobuf decoder, which knows every shape and makes an object of each part. */
export function readWhole(bytes: Buffer): ReadRequest | undefined {
  const message = decoded(bytes);
  return (
    message && {
      kind: message.request ?? "unknown",
      headers: headersOf(message.requestHeaders?.headers?.headers ?? []),
      isObserved: message.observabilityMode === true,
      modes: message.protocolConfig,
      principal: undefined,
      message,
    }
  );
}

function decoded(bytes: Buffer): ProcessingRequest__Output | undefined {
  try {
    return processingRequestType.deserialize(bytes);
  } catch {
    // Not a message: the caller ends the stream with an error, the one thing left to say.
    return undefined;
  }
}
