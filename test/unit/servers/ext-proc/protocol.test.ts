import { describe, expect, test } from "vitest";
import {
  PROCESS_PATH,
  processingRequestType,
  processingResponseType,
} from "../../../../src/servers/ext-proc/protocol.js";
import {
  comparable,
  declaredIn,
  missingMessages,
  publishedDescriptors,
  publishedFields,
} from "../../../support/descriptors.js";

const published = publishedDescriptors("envoy-ext-proc");
const ours = declaredIn(
  "envoy/service/ext_proc/v3/external_processor.proto",
  "envoy.service.ext_proc.v3.ProcessingRequest",
);
const envoyOnly = (name: string) => name.startsWith("envoy.");

describe("our .proto files against Envoy's published descriptors", () => {
  test.each([...ours.messages.keys()].filter(envoyOnly))("%s has the published fields", (name) => {
    expect(comparable(ours.messages.get(name))).toEqual(
      comparable(publishedFields(published, name)),
    );
  });

  test("no published ext_proc message is missing", () => {
    expect(missingMessages(published, ours)).toEqual([]);
  });

  test.each([...ours.enums.keys()].filter(envoyOnly))("%s has published values", (name) => {
    expect(published.enums[name]).toMatchObject(ours.enums.get(name) ?? {});
  });

  test("the method has the published path and shape", () => {
    expect(published.methods).toMatchObject([
      { path: PROCESS_PATH, requestStream: true, responseStream: true },
    ]);
  });
});

describe("what the wire may bring", () => {
  test("a oneof member newer than our protos decodes to no kind", () => {
    const field90 = Buffer.from([0xd2, 0x05, 0x02, 0x08, 0x01]);
    expect(processingRequestType.deserialize(field90).request).toBeUndefined();
  });

  test("a status code that the enum does not list keeps its number", () => {
    const bytes = processingResponseType.serialize({
      immediateResponse: { status: { code: 451 as number as 429 } },
    });
    expect(processingResponseType.deserialize(bytes).immediateResponse?.status?.code).toBe(451);
  });
});
