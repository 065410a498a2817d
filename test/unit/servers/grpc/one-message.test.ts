import { status as grpcStatus } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { headerViewOf } from "../../../../src/core/routing/facts.js";
import { oneMessage } from "../../../../src/servers/grpc/one-message.js";

/** What a method took and what its stream was told, after the peer sent these messages and no more. */
function afterMessages(...messages: readonly string[]) {
  const taken: string[] = [];
  const failures: { readonly code: number; readonly details: string }[] = [];
  const stream = {
    metadata: headerViewOf({}),
    send: () => undefined,
    end: () => undefined,
    fail: (code: number, details: string) => failures.push({ code, details }),
  };
  const listener = oneMessage(stream, (bytes) => taken.push(bytes.toString()));
  for (const message of messages) listener.message(Buffer.from(message));
  listener.halfClosed();
  return { taken, failures };
}

test("one message is taken", () => {
  expect(afterMessages("first")).toEqual({ taken: ["first"], failures: [] });
});

test.each([
  { messages: [], taken: [], because: "no message came" },
  { messages: ["first", "second"], taken: ["first"], because: "a second message came" },
])("$messages.length messages are refused as gRPC says", ({ messages, taken, because }) => {
  const after = afterMessages(...messages);
  expect(after.taken).toEqual(taken);
  const details = expect.stringContaining(because) as string;
  expect(after.failures).toEqual([{ code: grpcStatus.UNIMPLEMENTED, details }]);
});
