import { Struct as PbStruct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb.js";
import type { Struct, Struct__Output } from "../../gen/google/protobuf/Struct.js";
import { structType } from "./protocol.js";

/** google-protobuf knows how plain values map to a Struct; the bytes carry them to proto-loader. */
export function structOf(plain: Record<string, JavaScriptValue>): Struct__Output {
  return structType.deserialize(Buffer.from(PbStruct.fromJavaScript(plain).serializeBinary()));
}

export function plainOf(struct: Struct): Record<string, JavaScriptValue> {
  return PbStruct.deserializeBinary(structType.serialize(struct)).toJavaScript();
}
