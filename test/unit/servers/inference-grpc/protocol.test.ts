import { readFileSync } from "node:fs";
import {
  FieldDescriptorProto,
  FileDescriptorProto,
} from "google-protobuf/google/protobuf/descriptor_pb.js";
import type { DescriptorProto } from "google-protobuf/google/protobuf/descriptor_pb.js";
import { describe, expect, test } from "vitest";
import {
  inferenceDefinition,
  inferenceService,
} from "../../../../src/servers/inference-grpc/protocol.js";

type Field = {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly typeName: string | null;
  readonly label: string;
  readonly oneof: string | null;
};
type Enum = Readonly<Record<string, number>>;
type Method = Readonly<Record<"path" | "requestType" | "responseType", string>> &
  Readonly<Record<"requestStream" | "responseStream", boolean>>;
type Published = {
  readonly methods: readonly Method[];
  readonly messages: Readonly<Record<string, readonly Field[]>>;
  readonly enums: Readonly<Record<string, Enum>>;
};

const published = JSON.parse(
  readFileSync(
    new URL("../../../vectors/triton-inference-descriptors.json", import.meta.url),
    "utf8",
  ),
) as Published;

const keyOf = (names: object, value: number | undefined) =>
  Object.entries(names).find(([, number]) => number === value)?.[0] ?? "none";

/** Our files as descriptors, read by google-protobuf, which did not parse the .proto text. */
function declared() {
  const messages = new Map<string, readonly Field[]>();
  const enums = new Map<string, Enum>();
  const addEnums = (scope: string, types: ReturnType<DescriptorProto["getEnumTypeList"]>) => {
    for (const type of types) {
      const values = type.getValueList().map((each) => [each.getName(), each.getNumber()] as const);
      enums.set(`${scope}.${type.getName() ?? ""}`, Object.fromEntries(values) as Enum);
    }
  };
  const addMessage = (scope: string, type: DescriptorProto) => {
    const name = `${scope}.${type.getName() ?? ""}`;
    const oneofs = type.getOneofDeclList().map((oneof) => oneof.getName() ?? "");
    const fields = type.getFieldList().map((field) => ({
      name: field.getName() ?? "",
      number: field.getNumber() ?? -1,
      type: keyOf(FieldDescriptorProto.Type, field.getType()),
      typeName: field.hasTypeName() ? (field.getTypeName() ?? null) : null,
      label: keyOf(FieldDescriptorProto.Label, field.getLabel()),
      oneof: field.hasOneofIndex() ? (oneofs[field.getOneofIndex() ?? -1] ?? null) : null,
    }));
    messages.set(name, fields);
    for (const nested of type.getNestedTypeList()) addMessage(name, nested);
    addEnums(name, type.getEnumTypeList());
  };
  const any = inferenceDefinition["inference.ModelInferRequest"] as unknown as {
    readonly fileDescriptorProtos: readonly Buffer[];
  };
  for (const bytes of any.fileDescriptorProtos) {
    const file = FileDescriptorProto.deserializeBinary(bytes);
    for (const type of file.getMessageTypeList()) addMessage(file.getPackage() ?? "", type);
    addEnums(file.getPackage() ?? "", file.getEnumTypeList());
  }
  return { messages, enums };
}

/** proto-loader writes type names relative to where they stand, and calls map entries otherwise. */
const typeKey = (name: string) =>
  (name.split(".").at(-1) ?? "")
    .replace(/Entry$/, "")
    .replaceAll("_", "")
    .toLowerCase();
const comparable = (fields: readonly Field[]) =>
  [...fields]
    .sort((a, b) => a.number - b.number)
    .map((field) => ({ ...field, typeName: field.typeName && typeKey(field.typeName) }));
const scopeOf = (name: string) => name.split(".").slice(0, -1).join(".");
const publishedFields = (name: string) =>
  Object.entries(published.messages).find(
    ([other]) => scopeOf(other) === scopeOf(name) && typeKey(other) === typeKey(name),
  )?.[1] ?? [];

const ours = declared();
/** Of these we declare what we send. */
const IN_PART = /^inference\.Model(Config|Input|Output|InstanceGroup|DynamicBatching)$/;
/** Of the Open Inference Protocol itself, and not of Triton's files. */
const isProtocolOnly = (name: string, field: Field) =>
  name === "inference.ModelMetadataResponse" && field.name === "properties" && field.number === 6;

describe("our .proto files against Triton's published descriptors", () => {
  const names = [...ours.messages.keys()].filter((name) => !typeKey(name).includes("properties"));

  test.each(names)("%s has the published fields", (name) => {
    const fields = (ours.messages.get(name) ?? []).filter((field) => !isProtocolOnly(name, field));
    const numbers = new Set(fields.map(({ number }) => number));
    const known = publishedFields(name).filter(
      ({ number }) => !IN_PART.test(name) || numbers.has(number),
    );
    expect(comparable(fields)).toEqual(comparable(known));
  });

  test("no published message is missing", () => {
    const known = new Set(
      [...ours.messages.keys()].map((name) => `${scopeOf(name)}.${typeKey(name)}`),
    );
    const missing = Object.keys(published.messages).filter(
      (name) => !known.has(`${scopeOf(name)}.${typeKey(name)}`) && !IN_PART.test(scopeOf(name)),
    );
    expect(missing).toEqual([]);
  });

  test.each([...ours.enums])("%s has the published values", (name, values) => {
    expect(values).toEqual(published.enums[name]);
  });

  test("the methods have the published paths and shapes", () => {
    const served = Object.values(inferenceService());
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
