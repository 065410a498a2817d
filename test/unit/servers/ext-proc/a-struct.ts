import {
  Struct as PbStruct,
  type JavaScriptValue,
} from "google-protobuf/google/protobuf/struct_pb.js";
import type { Struct__Output } from "../../../../src/gen/google/protobuf/Struct.js";
import { structType } from "../../../../src/servers/ext-proc/protocol.js";

/** Any plain values as a peer sends them: written by google-protobuf, decoded by us. */
export function aStruct(plain: Record<string, JavaScriptValue>): Struct__Output {
  return structType.deserialize(Buffer.from(PbStruct.fromJavaScript(plain).serializeBinary()));
}
