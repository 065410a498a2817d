// CommonJS that Node cannot see named exports in: only the default import works outside of tests.
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Struct } from "../../gen/google/protobuf/Struct.js";
import type { Value } from "../../gen/google/protobuf/Value.js";
import { structType } from "./protocol.js";

/** A text that is absent is left out. */
export type Texts = Readonly<Record<string, string | undefined>>;

/** By hand: a dozen texts take google-protobuf 20 us, by way of bytes. */
export function structOf(texts: Texts): Struct {
  const fields: Record<string, Value> = {};
  for (const [key, text] of Object.entries(texts)) {
    if (text !== undefined) fields[key] = { stringValue: text };
  }
  return { fields };
}

/**
 * google-protobuf knows how a Struct maps to plain values; the bytes carry it from proto-loader. A
 * Value of no kind, which it refuses, is null.
 */
export function plainOf(struct: Struct): Record<string, JavaScriptValue> {
  return structPb.Struct.deserializeBinary(structType.serialize(whole(struct))).toJavaScript();
}

const whole = ({ fields }: Struct): Struct => ({
  fields: Object.fromEntries(
    Object.entries(fields ?? {}).map(([name, value]) => [name, wholeValue(value)]),
  ),
});

function wholeValue(value: Value): Value {
  if (value.structValue != null) return { structValue: whole(value.structValue) };
  if (value.listValue != null) {
    return { listValue: { values: (value.listValue.values ?? []).map(wholeValue) } };
  }
  return isEmpty(value) ? { nullValue: "NULL_VALUE" } : value;
}

const isEmpty = ({ nullValue, numberValue, stringValue, boolValue }: Value) =>
  [nullValue, numberValue, stringValue, boolValue].every((kind) => kind === undefined);
