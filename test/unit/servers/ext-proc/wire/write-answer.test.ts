import fc from "fast-check";
import { expect, test } from "vitest";
import type { ProcessingResponse } from "../../../../../src/gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import type { HeadersAnswer } from "../../../../../src/servers/ext-proc/answer.js";
import { inNamespace } from "../../../../../src/servers/ext-proc/decision-metadata.js";
import { setHeadersOf } from "../../../../../src/servers/ext-proc/header-mutation.js";
import { processingResponseType } from "../../../../../src/servers/ext-proc/protocol.js";
import { writeAnswer } from "../../../../../src/servers/ext-proc/wire/write-answer.js";

/** The same answer as a message, for the protobuf encoder. */
function messageOf({ remove, set, metadata }: HeadersAnswer): ProcessingResponse {
  const headerMutation = {
    ...(set.length > 0 ? { setHeaders: setHeadersOf([...set]) } : {}),
    ...(remove.length > 0 ? { removeHeaders: [...remove] } : {}),
  };
  const isEmpty = set.length + remove.length === 0;
  return {
    requestHeaders: { response: isEmpty ? {} : { headerMutation, clearRouteCache: true } },
    ...(metadata === undefined ? {} : { dynamicMetadata: inNamespace(metadata) }),
  };
}

const ascii = fc.string({ unit: "binary-ascii", maxLength: 300 });
const name = fc.string({ maxLength: 40 });
/** A lone surrogate has no UTF-8; encoders differ in what they write for it. */
const text = fc.string({ unit: "grapheme", maxLength: 200 });
const answer: fc.Arbitrary<HeadersAnswer> = fc.record({
  remove: fc.array(text, { maxLength: 5 }),
  set: fc.array(fc.tuple(name, ascii), { maxLength: 8 }),
  metadata: fc.option(
    fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      fc.option(text, { nil: undefined }),
    ),
    { nil: undefined },
  ),
});

test("law: the protobuf decoder reads of our bytes what it reads of the encoder's", () => {
  fc.assert(
    fc.property(answer, (one) => {
      const expected = processingResponseType.deserialize(
        processingResponseType.serialize(messageOf(one)),
      );
      expect(processingResponseType.deserialize(writeAnswer(one))).toEqual(expected);
    }),
    { numRuns: 2000 },
  );
});

test("thousands of headers, far more than the buffer begins with, are written whole", () => {
  const remove = Array.from({ length: 5000 }, (_, n) => `x-weir-${n}`);
  const one: HeadersAnswer = { remove, set: [["x", "y".repeat(8192)]], metadata: { a: "ž" } };
  const read = processingResponseType.deserialize(writeAnswer(one));
  expect(read).toEqual(
    processingResponseType.deserialize(processingResponseType.serialize(messageOf(one))),
  );
});
