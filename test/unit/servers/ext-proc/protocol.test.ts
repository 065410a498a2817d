import { readFileSync } from "node:fs";
import { loadSync } from "@grpc/proto-loader";
import {
  FieldDescriptorProto,
  FileDescriptorProto,
  type DescriptorProto,
  type EnumDescriptorProto,
} from "google-protobuf/google/protobuf/descriptor_pb.js";
import { describe, expect, test } from "vitest";
import {
  extProcService,
  processingRequestType,
  processingResponseType,
} from "../../../../src/servers/ext-proc/protocol.js";

type Field = {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly typeName: string | null;
  readonly label: string;
  readonly oneof: string | null;
};
type Published = {
  readonly methods: readonly Readonly<Record<string, string | boolean>>[];
  readonly messages: Readonly<Record<string, readonly Field[]>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
};

const published = JSON.parse(
  readFileSync(
    new URL("../../../vectors/envoy-ext-proc-descriptors.json", import.meta.url),
    "utf8",
  ),
) as Published;

const nameOf = (names: object, value: number | undefined) =>
  Object.entries(names).find(([, number]) => number === value)?.[0] ?? "none";

/** Our files as descriptors, read by google-protobuf, which did not parse the .proto text. */
function declared(): {
  messages: Map<string, Field[]>;
  enums: Map<string, Record<string, number>>;
} {
  const messages = new Map<string, Field[]>();
  const enums = new Map<string, Record<string, number>>();
  const addEnum = (scope: string, type: EnumDescriptorProto) =>
    enums.set(
      `${scope}.${type.getName() ?? ""}`,
      Object.fromEntries(
        type.getValueList().map((v) => [v.getName() ?? "", v.getNumber() ?? -1] as const),
      ),
    );
  const addMessage = (scope: string, type: DescriptorProto) => {
    const name = `${scope}.${type.getName() ?? ""}`;
    const oneofs = type.getOneofDeclList().map((oneof) => oneof.getName() ?? "");
    messages.set(
      name,
      type.getFieldList().map((field) => ({
        name: field.getName() ?? "",
        number: field.getNumber() ?? -1,
        type: nameOf(FieldDescriptorProto.Type, field.getType()),
        typeName: field.hasTypeName() ? (field.getTypeName() ?? null) : null,
        label: nameOf(FieldDescriptorProto.Label, field.getLabel()),
        oneof: field.hasOneofIndex() ? (oneofs[field.getOneofIndex() ?? -1] ?? null) : null,
      })),
    );
    for (const nested of type.getNestedTypeList()) addMessage(name, nested);
    for (const nested of type.getEnumTypeList()) addEnum(name, nested);
  };
  const definition = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
    keepCase: true,
    includeDirs: ["proto"],
  });
  const any = definition["envoy.service.ext_proc.v3.ProcessingRequest"] as unknown as {
    fileDescriptorProtos: Buffer[];
  };
  for (const bytes of any.fileDescriptorProtos) {
    const file = FileDescriptorProto.deserializeBinary(bytes);
    const scope = file.getPackage() ?? "";
    for (const type of file.getMessageTypeList()) addMessage(scope, type);
    for (const type of file.getEnumTypeList()) addEnum(scope, type);
  }
  return { messages, enums };
}

const ours = declared();
/**
 * proto-loader writes type names as the .proto does, relative to the message they stand in, and
 * calls the entry type of map `x_y` "X_y" where protoc says "XYEntry".
 */
const typeKey = (name: string) =>
  (name.split(".").at(-1) ?? "")
    .replace(/Entry$/, "")
    .replaceAll("_", "")
    .toLowerCase();
const comparable = (fields: readonly Field[] | undefined) =>
  [...(fields ?? [])]
    .sort((a, b) => a.number - b.number)
    .map((field) => ({ ...field, typeName: field.typeName && typeKey(field.typeName) }));
const publishedFields = (name: string) =>
  Object.entries(published.messages).find(
    ([candidate]) => scopeOf(candidate) === scopeOf(name) && typeKey(candidate) === typeKey(name),
  )?.[1];
const scopeOf = (name: string) => name.split(".").slice(0, -1).join(".");
const envoyOnly = (name: string) => name.startsWith("envoy.");

describe("our .proto files against Envoy's published descriptors", () => {
  test.each([...ours.messages.keys()].filter(envoyOnly))("%s has the published fields", (name) => {
    expect(comparable(ours.messages.get(name))).toEqual(comparable(publishedFields(name)));
  });

  test("no published ext_proc message is missing", () => {
    const missing = Object.keys(published.messages).filter(
      (name) => !name.endsWith("Entry") && !ours.messages.has(name),
    );
    expect(missing).toEqual([]);
  });

  test.each([...ours.enums.keys()].filter(envoyOnly))("%s has published values", (name) => {
    expect(published.enums[name]).toMatchObject(ours.enums.get(name) ?? {});
  });

  test("the method has the published path and shape", () => {
    const method = extProcService["Process"];
    expect(published.methods).toMatchObject([
      {
        path: method?.path,
        requestStream: method?.requestStream,
        responseStream: method?.responseStream,
      },
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
