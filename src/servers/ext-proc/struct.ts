// CommonJS that Node cannot see named exports in: only the default import works outside of tests.
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Struct, Struct__Output } from "../../gen/google/protobuf/Struct.js";
import { structType } from "./protocol.js";

/** google-protobuf knows how plain values map to a Struct; the bytes carry them to proto-loader. */
export function structOf(plain: Record<string, JavaScriptValue>): Struct__Output {
  return structType.deserialize(
    Buffer.from(structPb.Struct.fromJavaScript(plain).serializeBinary()),
  );
}

export function plainOf(struct: Struct): Record<string, JavaScriptValue> {
  return structPb.Struct.deserializeBinary(structType.serialize(struct)).toJavaScript();
}
