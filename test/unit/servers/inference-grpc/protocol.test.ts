import type { ServiceDefinition } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import {
  INFERENCE_SERVICE,
  inferenceDefinition,
} from "../../../../src/servers/inference-grpc/protocol.js";
import {
  comparable,
  declaredDescriptors,
  missingMessages,
  publishedDescriptors,
  publishedFields,
  scopeOf,
  typeKey,
  type Field,
} from "../../../support/descriptors.js";

const published = publishedDescriptors("triton-inference");
const ours = declaredDescriptors(inferenceDefinition["inference.ModelInferRequest"]);
/** Of these we declare what we send. */
const IN_PART =
  /^inference\.Model(Config|Input|Output|InstanceGroup|DynamicBatching|SequenceBatching|SequenceBatching\.State|Ensembling|Ensembling\.Step)$/;
/** Of the Open Inference Protocol itself, and not of Triton's files. */
const isProtocolOnly = (name: string, field: Field) =>
  name === "inference.ModelMetadataResponse" && field.name === "properties" && field.number === 6;

describe("our .proto files against Triton's published descriptors", () => {
  const names = [...ours.messages.keys()].filter((name) => !typeKey(name).includes("properties"));

  test.each(names)("%s has the published fields", (name) => {
    const fields = (ours.messages.get(name) ?? []).filter((field) => !isProtocolOnly(name, field));
    const numbers = new Set(fields.map(({ number }) => number));
    const known = publishedFields(published, name)?.filter(
      ({ number }) => !IN_PART.test(name) || numbers.has(number),
    );
    expect(comparable(fields)).toEqual(comparable(known));
  });

  test("no published message is missing", () => {
    const missing = missingMessages(published, ours);
    expect(missing.filter((name) => !IN_PART.test(scopeOf(name)))).toEqual([]);
  });

  test.each([...ours.enums])("%s has the published values", (name, values) => {
    expect(values).toEqual(published.enums[name]);
  });

  test("the methods have the published paths and shapes", () => {
    const served = Object.values(
      inferenceDefinition[INFERENCE_SERVICE] as unknown as ServiceDefinition,
    );
    const missing = published.methods
      .filter(({ path }) => !served.some((each) => each.path === path))
      .map(({ path }) => path.split("/").at(-1));
    expect(missing).toEqual([
      ...["SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"],
      ...["CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"],
      ...["TraceSetting", "LogSettings"],
    ]);
    for (const { path, requestStream, responseStream } of served) {
      expect(published.methods).toContainEqual(
        expect.objectContaining({ path, requestStream, responseStream }),
      );
    }
  });
});
