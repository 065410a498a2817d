import { status as grpcStatus } from "@grpc/grpc-js";
import type { ServerStream, StreamListener } from "./stream.js";

/**
 * Listens for a method that takes one message, and refuses none and a second one with the code that
 * gRPC has for it (grpc/doc/statuscodes.md, "request cardinality violation").
 *
 * @param take  is given the message
 */
export function oneMessage(
  stream: ServerStream,
  take: (bytes: Buffer) => void,
  closed: () => void = () => undefined,
): StreamListener {
  let isTaken = false;
  const refuse = () => {
    const remedy = "send one, and end the stream";
    const came = isTaken ? "a second message came" : "no message came";
    stream.fail(grpcStatus.UNIMPLEMENTED, `${came}, and this method takes one: ${remedy}`);
  };
  return {
    message: (bytes) => {
      if (isTaken) refuse();
      else {
        isTaken = true;
        take(bytes);
      }
    },
    halfClosed: () => {
      if (!isTaken) refuse();
    },
    closed,
  };
}
