import { readFileSync } from "node:fs";
import { loadSync } from "@grpc/proto-loader";
import {
  FieldDescriptorProto,
  FileDescriptorProto,
  type DescriptorProto,
  type EnumDescriptorProto,
} from "google-protobuf/google/protobuf/descriptor_pb.js";

export type Field = {
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
export type Published = {
  readonly methods: readonly Method[];
  readonly messages: Readonly<Record<string, readonly Field[]>>;
  readonly enums: Readonly<Record<string, Enum>>;
};
export type Declared = {
  readonly messages: ReadonlyMap<string, readonly Field[]>;
  readonly enums: ReadonlyMap<string, Enum>;
};

/** What `test/vectors/descriptors.py` wrote of somebody else's messages. */
export const publishedDescriptors = (name: string) =>
  JSON.parse(
    readFileSync(new URL(`../vectors/${name}-descriptors.json`, import.meta.url), "utf8"),
  ) as Published;

/**
 * Our files as descriptors, read by google-protobuf, which did not parse the .proto text.
 *
 * @param message a message of proto-loader: it carries the files that it needs
 */
export function declaredDescriptors(message: unknown): Declared {
  const { fileDescriptorProtos } = message as { readonly fileDescriptorProtos: readonly Buffer[] };
  const messages = new Map<string, readonly Field[]>();
  const enums = new Map<string, Enum>();
  const addEnum = (scope: string, type: EnumDescriptorProto) => {
    const values = type.getValueList().map((each) => [each.getName(), each.getNumber()] as const);
    enums.set(`${scope}.${type.getName() ?? ""}`, Object.fromEntries(values) as Enum);
  };
  const addMessage = (scope: string, type: DescriptorProto) => {
    const name = `${scope}.${type.getName() ?? ""}`;
    messages.set(name, fieldsOf(type));
    for (const nested of type.getNestedTypeList()) addMessage(name, nested);
    for (const nested of type.getEnumTypeList()) addEnum(name, nested);
  };
  for (const bytes of fileDescriptorProtos) {
    const file = FileDescriptorProto.deserializeBinary(bytes);
    const scope = file.getPackage() ?? "";
    for (const type of file.getMessageTypeList()) addMessage(scope, type);
    for (const type of file.getEnumTypeList()) addEnum(scope, type);
  }
  return { messages, enums };
}

/** Those of a file of ours, and of what it imports, by one of its messages. */
export function declaredIn(file: string, message: string): Declared {
  const definition = loadSync(file, { keepCase: true, includeDirs: ["proto"] });
  return declaredDescriptors(definition[message]);
}

function fieldsOf(type: DescriptorProto): readonly Field[] {
  const oneofs = type.getOneofDeclList().map((oneof) => oneof.getName() ?? "");
  return type.getFieldList().map((field) => ({
    name: field.getName() ?? "",
    number: field.getNumber() ?? -1,
    type: nameOf(FieldDescriptorProto.Type, field.getType()),
    typeName: field.hasTypeName() ? (field.getTypeName() ?? null) : null,
    label: nameOf(FieldDescriptorProto.Label, field.getLabel()),
    oneof: field.hasOneofIndex() ? (oneofs[field.getOneofIndex() ?? -1] ?? null) : null,
  }));
}

const nameOf = (names: object, value: number | undefined) =>
  Object.entries(names).find(([, number]) => number === value)?.[0] ?? "none";

/**
 * proto-loader writes type names as the .proto does, relative to the message they stand in, and
 * calls the entry type of map `x_y` "X_y" where protoc says "XYEntry".
 */
export const typeKey = (name: string) =>
  (name.split(".").at(-1) ?? "")
    .replace(/Entry$/, "")
    .replaceAll("_", "")
    .toLowerCase();

export const scopeOf = (name: string) => name.split(".").slice(0, -1).join(".");

/** In the order of their numbers, with type names as both sides can say them. */
export const comparable = (fields: readonly Field[] | undefined) =>
  [...(fields ?? [])]
    .sort((a, b) => a.number - b.number)
    .map((field) => ({ ...field, typeName: field.typeName && typeKey(field.typeName) }));

export const publishedFields = ({ messages }: Published, name: string) =>
  Object.entries(messages).find(
    ([other]) => scopeOf(other) === scopeOf(name) && typeKey(other) === typeKey(name),
  )?.[1];

/** The published messages that we do not declare. */
export function missingMessages(published: Published, declared: Declared): readonly string[] {
  const keyOf = (name: string) => `${scopeOf(name)}.${typeKey(name)}`;
  const known = new Set([...declared.messages.keys()].map(keyOf));
  return Object.keys(published.messages).filter((name) => !known.has(keyOf(name)));
}
