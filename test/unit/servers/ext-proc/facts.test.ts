import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import { factsOf } from "../../../../src/servers/ext-proc/facts.js";
import { processingRequestType } from "../../../../src/servers/ext-proc/protocol.js";
import { readRequest } from "../../../../src/servers/ext-proc/wire/read-request.js";
import { aStruct } from "./a-struct.js";
import { requestHeaders } from "../../../support/ext-proc-client.js";

const NONE: ReadonlySet<string> = new Set();

/** Through the wire, so that what is tested is what a decoder gives. */
function factsFrom(message: ProcessingRequest) {
  const read = readRequest(processingRequestType.serialize(message));
  if (read === undefined) throw new Error("the message is not read");
  return factsOf(read, NONE);
}

describe("header values", () => {
  test.each([
    { name: "raw_value", header: { key: "x", rawValue: Buffer.from("raw") }, expected: "raw" },
    { name: "value, from an older sender", header: { key: "x", value: "old" }, expected: "old" },
    {
      name: "raw_value before value",
      header: { key: "x", value: "old", rawValue: Buffer.from("raw") },
      expected: "raw",
    },
    { name: "an empty value is present", header: { key: "x" }, expected: "" },
    {
      name: "UTF-8 as it is",
      header: { key: "x", rawValue: Buffer.from("žluť") },
      expected: "žluť",
    },
    {
      name: "bytes that are not UTF-8 become U+FFFD",
      header: { key: "x", rawValue: Buffer.from([0x61, 0xff, 0x62]) },
      expected: "a\ufffdb",
    },
    { name: "upper-case names are found", header: { key: "X", value: "v" }, expected: "v" },
  ])("$name", ({ header, expected }) => {
    const { headers } = factsFrom({ requestHeaders: { headers: { headers: [header] } } });
    expect(headers.values("x")).toEqual([expected]);
  });

  test("a repeated header keeps its values in wire order", () => {
    const { headers } = factsFrom(
      requestHeaders([
        ["x-user-id", "first"],
        ["cookie", "a=1"],
        ["x-user-id", "second"],
      ]),
    );
    expect(headers.values("x-user-id")).toEqual(["first", "second"]);
    expect(headers.values("absent")).toEqual([]);
  });

  test("pseudo-headers are method, path and host, and no headers", () => {
    const facts = factsFrom(requestHeaders([["x-a", "1"]]));
    expect(facts).toMatchObject({
      method: "POST",
      path: "/v2/models/magika/infer",
      host: "models.example",
    });
    expect([...facts.headers.names()]).toEqual(["x-a"]);
    expect(facts.headers.values(":path")).toEqual([]);
  });

  test("a message without headers gives empty facts", () => {
    const facts = factsFrom({ requestHeaders: {} });
    expect(facts).toMatchObject({ method: "", path: "", host: "", principal: undefined });
    expect([...facts.headers.names()]).toEqual([]);
  });
});

describe("the peer's principal", () => {
  const SPIFFE = "spiffe://cluster.local/ns/qa/sa/tester";
  const FILTER = "envoy.filters.http.ext_proc";
  const SAN = "connection.uri_san_peer_certificate";
  test.each([
    {
      name: "comes from the filter's attributes",
      attributes: { [FILTER]: aStruct({ [SAN]: SPIFFE }) },
      expected: SPIFFE,
    },
    {
      name: "is not read under another filter's name",
      attributes: { other: aStruct({ [SAN]: SPIFFE }) },
      expected: undefined,
    },
    {
      name: "is absent without mTLS",
      attributes: { [FILTER]: aStruct({ "connection.mtls": false }) },
      expected: undefined,
    },
    {
      name: "is absent when empty",
      attributes: { [FILTER]: aStruct({ [SAN]: "" }) },
      expected: undefined,
    },
    {
      name: "is absent when it is no string",
      attributes: { [FILTER]: aStruct({ [SAN]: [SPIFFE] }) },
      expected: undefined,
    },
    { name: "is absent without attributes", attributes: {}, expected: undefined },
  ])("$name", ({ attributes, expected }) => {
    expect(factsFrom(requestHeaders([], { attributes })).principal).toBe(expected);
  });

  test.each(["x-forwarded-client-cert", SAN, "x-weir-principal"])(
    "is never taken from header %s",
    (name) => {
      expect(factsFrom(requestHeaders([[name, SPIFFE]])).principal).toBeUndefined();
    },
  );
});
