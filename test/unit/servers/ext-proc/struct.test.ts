import fc from "fast-check";
import { Struct as PbStruct } from "google-protobuf/google/protobuf/struct_pb.js";
import { expect, test } from "vitest";
import { structType } from "../../../../src/servers/ext-proc/protocol.js";
import { plainOf, structOf } from "../../../../src/servers/ext-proc/struct.js";

const text = fc.string({ unit: "grapheme" });
const plain = fc.dictionary(
  text.filter((key) => key !== "__proto__"),
  fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null), fc.array(text)),
);

test("a plain object survives the way to proto-loader's Struct and back", () => {
  fc.assert(
    fc.property(plain, (object) => {
      expect(plainOf(structOf(object))).toEqual({ ...object });
    }),
  );
});

test("google-protobuf reads the bytes that proto-loader writes", () => {
  const bytes = structType.serialize(structOf({ weir: { arms: "a=b", nested: [1, true, null] } }));
  expect(PbStruct.deserializeBinary(bytes).toJavaScript()).toEqual({
    weir: { arms: "a=b", nested: [1, true, null] },
  });
});
