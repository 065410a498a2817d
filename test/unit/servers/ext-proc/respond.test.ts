import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import {
  processingRequestType,
  processingResponseType,
} from "../../../../src/servers/ext-proc/protocol.js";
import type { ProcessingResponse } from "../../../../src/gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import { respond, type BodyModes } from "../../../../src/servers/ext-proc/respond.js";
import { readRequest } from "../../../../src/servers/ext-proc/wire/read-request.js";

const HEADERS_ANSWER = { requestHeaders: { response: { clearRouteCache: true } } };

function answersTo(message: ProcessingRequest, modes: BodyModes = {}) {
  const read = readRequest(processingRequestType.serialize(message));
  if (read === undefined) throw new Error("the message is not read");
  return respond(read, modes, () => HEADERS_ANSWER) as readonly ProcessingResponse[];
}
/** Through the wire, as Envoy reads it. */
const kindsOf = (answers: ReturnType<typeof answersTo>) =>
  answers.map(
    (answer) =>
      processingResponseType.deserialize(processingResponseType.serialize(answer)).response,
  );

const EVERY_KIND: readonly (ProcessingRequest & { readonly name: string })[] = [
  { name: "requestHeaders", requestHeaders: {} },
  { name: "responseHeaders", responseHeaders: {} },
  { name: "requestBody", requestBody: { body: Buffer.from("x") } },
  { name: "responseBody", responseBody: { endOfStream: true } },
  { name: "requestTrailers", requestTrailers: {} },
  { name: "responseTrailers", responseTrailers: {} },
];

describe("each message gets one answer of its kind", () => {
  test.each(EVERY_KIND)("$name", ({ name, ...message }) => {
    expect(kindsOf(answersTo(message))).toEqual([name]);
  });

  test.each(["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL"] as const)(
    "a body in mode %s goes on unchanged",
    (mode) => {
      const modes = { requestBodyMode: mode, responseBodyMode: mode };
      expect(answersTo({ requestBody: { body: Buffer.from("x") } }, modes)).toEqual([
        { requestBody: { response: {} } },
      ]);
      expect(answersTo({ responseBody: { body: Buffer.from("x") } }, modes)).toEqual([
        { responseBody: { response: {} } },
      ]);
    },
  );
});

describe("silence", () => {
  test.each(EVERY_KIND)("in observability mode: $name", ({ name: _name, ...message }) => {
    expect(answersTo({ ...message, observabilityMode: true })).toEqual([]);
  });

  test("for a message of no kind we know", () => {
    expect(answersTo({})).toEqual([]);
  });
});

describe("full duplex bodies come back whole", () => {
  const modes: BodyModes = {
    requestBodyMode: "FULL_DUPLEX_STREAMED",
    responseBodyMode: "FULL_DUPLEX_STREAMED",
  };
  const chunksOf = (answers: ReturnType<typeof answersTo>) =>
    answers.map(({ requestBody }) => requestBody?.response?.bodyMutation?.streamedResponse ?? {});

  test("law: the pieces make the chunk, none over 62,000 bytes, and only the last ends the stream", () => {
    fc.assert(
      fc.property(fc.nat(200_000), fc.boolean(), (size, endOfStream) => {
        const body = Buffer.alloc(size, "abcdefg");
        const pieces = chunksOf(answersTo({ requestBody: { body, endOfStream } }, modes));
        const bytes = pieces.map((piece) => Buffer.from(piece.body as Buffer));
        expect(Buffer.concat(bytes).equals(body)).toBe(true);
        expect(Math.max(...bytes.map((piece) => piece.length))).toBeLessThanOrEqual(62_000);
        expect(pieces.map((piece) => piece.endOfStream)).toEqual(
          pieces.map((_, index) => endOfStream && index === pieces.length - 1),
        );
      }),
      { numRuns: 50 },
    );
  });

  test("each direction follows its own mode", () => {
    const half: BodyModes = { ...modes, responseBodyMode: "STREAMED" };
    expect(answersTo({ responseBody: { body: Buffer.from("x") } }, half)).toEqual([
      { responseBody: { response: {} } },
    ]);
  });

  test("a gRPC message keeps its size and its flags", () => {
    const body = Buffer.alloc(100_000, 1);
    const message = { requestBody: { body, endOfStream: true, grpcMessageCompressed: true } };
    expect(chunksOf(answersTo(message, { requestBodyMode: "GRPC" }))).toEqual([
      { body, endOfStream: true, grpcMessageCompressed: true },
    ]);
  });
});
