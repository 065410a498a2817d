import fc from "fast-check";
import { Struct as PbStruct } from "google-protobuf/google/protobuf/struct_pb.js";
import { expect, test } from "vitest";
import { structType } from "../../../../src/servers/ext-proc/protocol.js";
import { plainOf, structOf } from "../../../../src/servers/ext-proc/struct.js";
import { aStruct } from "./a-struct.js";

const text = fc.string({ unit: "grapheme" });
const key = text.filter((name) => name !== "__proto__");
const plain = fc.dictionary(
  key,
  fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null), fc.array(text)),
);

test("a plain object survives the way to proto-loader's Struct and back", () => {
  fc.assert(
    fc.property(plain, (object) => {
      expect(plainOf(aStruct(object))).toEqual({ ...object });
    }),
  );
});

test("google-protobuf reads the bytes that proto-loader writes", () => {
  const bytes = structType.serialize(aStruct({ weir: { arms: "a=b", nested: [1, true, null] } }));
  expect(PbStruct.deserializeBinary(bytes).toJavaScript()).toEqual({
    weir: { arms: "a=b", nested: [1, true, null] },
  });
});

test("texts make the Struct that google-protobuf makes of them", () => {
  fc.assert(
    fc.property(fc.dictionary(key, text), (texts) => {
      const decoded = structType.deserialize(structType.serialize(structOf(texts)));
      expect(decoded).toEqual(aStruct({ ...texts }));
    }),
  );
});

test("a text that is absent is left out, an empty one is not", () => {
  expect(plainOf(structOf({ shadow: "", ratelimit: undefined }))).toEqual({ shadow: "" });
});

test("a Value of no kind is null, wherever it stands", () => {
  const struct = {
    fields: {
      empty: {},
      deep: { structValue: { fields: { empty: {} } } },
      list: { listValue: { values: [{}, { stringValue: "x" }] } },
    },
  };
  expect(plainOf(structType.deserialize(structType.serialize(struct)))).toEqual({
    ...{ empty: null, deep: { empty: null }, list: [null, "x"] },
  });
});
