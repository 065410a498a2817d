import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../../../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import { factsOf } from "../../../../../src/servers/ext-proc/facts.js";
import { processingRequestType } from "../../../../../src/servers/ext-proc/protocol.js";
import { readDirectly } from "../../../../../src/servers/ext-proc/wire/read-directly.js";
import {
  readRequest,
  readWhole,
  type ReadRequest,
} from "../../../../../src/servers/ext-proc/wire/read-request.js";
import { aStruct } from "../a-struct.js";

const FILTER = "envoy.filters.http.ext_proc";
const SAN = "connection.uri_san_peer_certificate";

/** All that anybody reads of a request, in plain values. */
function plain(read: ReadRequest | undefined) {
  if (read === undefined) return undefined;
  const { kind, isObserved, modes, headers } = read;
  const { method, path, host, principal } = factsOf(read, new Set());
  const names = headers.namesThat(() => true);
  return {
    ...{ kind, isObserved, modes: modes === undefined ? undefined : { ...modes } },
    ...{ method, path, host, principal },
    ...{ names, values: names.map((name) => [name, headers.pseudo(name), headers.values(name)]) },
  };
}

/** The law: what is read directly is what the protobuf decoder reads, and bytes it refuses are not. */
function expectAgreement(bytes: Buffer): void {
  const direct = readDirectly(bytes);
  if (direct !== undefined) expect(plain(direct)).toEqual(plain(readWhole(bytes)));
}

const name = fc.oneof(
  fc.constantFrom(":method", ":path", ":authority", "x-user-id", "X-Weir-Version", "", "cookie"),
  fc.string({ unit: "grapheme", maxLength: 12 }),
);
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const header = fc.record(
  { key: name, value: fc.string({ maxLength: 8 }), rawValue: bytes },
  { requiredKeys: [] },
);
const headers = fc.record(
  {
    headers: fc.record({ headers: fc.array(header, { maxLength: 6 }) }, { requiredKeys: [] }),
    endOfStream: fc.boolean(),
  },
  { requiredKeys: [] },
);
const attribute = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.boolean(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constant(null),
  fc.constant([1, "x"]),
);
const attributes = fc
  .array(
    fc.tuple(
      fc.constantFrom(FILTER, "other"),
      fc.dictionary(fc.constantFrom(SAN, "connection.mtls", "request.id"), attribute),
    ),
    { maxLength: 2 },
  )
  .map((entries) => Object.fromEntries(entries.map(([key, plain]) => [key, aStruct(plain)])));
const mode = fc.constantFrom("NONE" as const, "FULL_DUPLEX_STREAMED" as const);
const message: fc.Arbitrary<ProcessingRequest> = fc.record(
  {
    requestHeaders: headers,
    responseHeaders: fc.constant({}),
    requestBody: fc.record({ body: bytes }),
    metadataContext: fc.constantFrom({}, { filterMetadata: { weir: aStruct({ a: 1 }) } }),
    attributes,
    observabilityMode: fc.boolean(),
    protocolConfig: fc.record({ requestBodyMode: mode }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);
const encoded = message.map((one) => processingRequestType.serialize(one));

describe("law: read directly or by the protobuf decoder, a message says the same", () => {
  test("whole messages, and two joined into one: a member of the oneof that comes again wins", () => {
    fc.assert(
      fc.property(encoded, fc.option(encoded), (first, second) => {
        expectAgreement(second === null ? first : Buffer.concat([first, second]));
      }),
      { numRuns: 2000 },
    );
  });

  test("messages of which a byte was changed, left out or put in, and cut ones", () => {
    const damage = fc.record({
      at: fc.nat(),
      remove: fc.nat(2),
      insert: fc.uint8Array({ maxLength: 2 }),
      cut: fc.boolean(),
    });
    fc.assert(
      fc.property(encoded, fc.array(damage, { minLength: 1, maxLength: 3 }), (whole, damages) => {
        let damaged = whole;
        for (const { at, remove, insert, cut } of damages) {
          const from = damaged.length === 0 ? 0 : at % damaged.length;
          const rest = cut ? Buffer.alloc(0) : damaged.subarray(from + remove);
          damaged = Buffer.concat([damaged.subarray(0, from), insert, rest]);
        }
        expectAgreement(damaged);
      }),
      { numRuns: 5000 },
    );
  });

  test("bytes of chance, drawn from those that messages are made of", () => {
    const byte = fc.oneof(
      fc.constantFrom(0x0a, 0x12, 0x1a, 0x18, 0x42, 0x4a, 0x50, 0x5a, 0, 1, 2, 3, 4, 5, 0x80, 0xff),
      fc.nat(255),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 40 }), (array) => {
        expectAgreement(Buffer.from(array));
      }),
      { numRuns: 20_000 },
    );
  });
});

describe("what Envoy sends is read directly", () => {
  /** Of Envoy 1.40: raw values, empty metadata_context and protocol_config. */
  const first: ProcessingRequest = {
    requestHeaders: {
      headers: {
        headers: [
          { key: ":method", rawValue: Buffer.from("POST") },
          { key: ":path", rawValue: Buffer.from("/v2/models/magika/infer") },
          { key: "x-user-id", rawValue: Buffer.from("u1") },
        ],
      },
    },
    metadataContext: {},
    protocolConfig: {},
  };

  test.each([
    { name: "the first message", message: first },
    {
      name: "without a body",
      message: { requestHeaders: { ...first.requestHeaders, endOfStream: true } },
    },
    {
      name: "with the caller's identity",
      message: { ...first, attributes: { [FILTER]: aStruct({ [SAN]: "spiffe://a", mtls: true }) } },
    },
    { name: "to an observer", message: { ...first, observabilityMode: true } },
  ])("$name", ({ message }) => {
    const bytes = processingRequestType.serialize(message);
    expect(readDirectly(bytes)).toBeDefined();
    expectAgreement(bytes);
  });

  test.each([
    { name: "truncated", bytes: [0x12, 0x05, 0x0a] },
    { name: "a varint without an end", bytes: [0x12, 0x80, 0x80, 0x80, 0x80, 0x80] },
    { name: "an overlong varint", bytes: [0x12, 0x80, 0x80, 0x80, 0x80, 0x00] },
    { name: "the wrong wire type", bytes: [0x10, 0x01] },
    { name: "an unknown field", bytes: [0x12, 0x02, 0x0a, 0x00, 0xd2, 0x05, 0x02, 0x08, 0x01] },
    { name: "two members of the oneof", bytes: [0x12, 0x02, 0x0a, 0x00, 0x1a, 0x00] },
    { name: "the same member twice", bytes: [0x12, 0x02, 0x0a, 0x00, 0x12, 0x02, 0x0a, 0x00] },
    { name: "a header longer than its map", bytes: [0x12, 0x04, 0x0a, 0x02, 0x0a, 0x09] },
    { name: "another kind", bytes: [0x1a, 0x00] },
    { name: "nothing", bytes: [] },
  ])("$name is left to the protobuf decoder", ({ bytes }) => {
    expect(readDirectly(Buffer.from(bytes))).toBeUndefined();
    expect(plain(readRequest(Buffer.from(bytes)))).toEqual(plain(readWhole(Buffer.from(bytes))));
  });
});
