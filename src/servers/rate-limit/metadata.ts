// CommonJS that Node cannot see named exports in: only the default import works outside of tests.
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb.js";
import type { DescriptorStatus } from "../../app/should-rate-limit.js";
import type { Struct } from "../../gen/google/protobuf/Struct.js";
import { structType } from "../ext-proc/protocol.js";

type Plain = Readonly<Record<string, unknown>>;

/** `metadata` of the rules that a request is within, put together; undefined: there is none. */
export function passedMetadata(statuses: readonly DescriptorStatus[]): Struct | undefined {
  let merged: Plain | undefined;
  for (const { descriptor, verdict, isOver } of statuses) {
    const metadata = descriptor.rule?.metadata;
    if (verdict === undefined || isOver || metadata === undefined) continue;
    merged = merged === undefined ? metadata : mergedOf(merged, metadata);
  }
  if (merged === undefined) return undefined;
  const plain = { metadata: merged } as Record<string, JavaScriptValue>;
  return structType.deserialize(
    Buffer.from(structPb.Struct.fromJavaScript(plain).serializeBinary()),
  );
}

/** The first rule that sets a member keeps it; maps are put together member by member. */
function mergedOf(first: Plain, second: Plain): Plain {
  const merged: Record<string, unknown> = { ...second, ...first };
  for (const [key, value] of Object.entries(first)) {
    const other = second[key];
    if (isMap(value) && isMap(other)) merged[key] = mergedOf(value, other);
  }
  return merged;
}

const isMap = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);
