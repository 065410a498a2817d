import fc from "fast-check";
import { expect, test } from "vitest";
import { LineBuffer } from "../../../../src/adapters/event-log/line-buffer.js";

const textOfAll = (buffer: LineBuffer): string => {
  let text = "";
  buffer.seal();
  for (let chunk = buffer.first(); chunk !== undefined; chunk = buffer.first()) {
    text += chunk.bytes.toString("utf8");
    buffer.drop();
  }
  return text;
};

test("what is pushed comes out once, in order, whatever the chunk size", () => {
  const line = fc.string({ unit: "binary", maxLength: 60 });
  fc.assert(
    fc.property(fc.array(line), fc.integer({ min: 1, max: 100 }), (lines, chunkBytes) => {
      const buffer = new LineBuffer({ chunkBytes, maxBytes: 1_000_000 });
      const texts = lines.map((each) => JSON.stringify(each));
      expect(texts.every((text) => buffer.push(text))).toBe(true);
      expect(buffer.lines).toBe(lines.length);
      expect(textOfAll(buffer)).toBe(texts.map((text) => `${text}\n`).join(""));
      expect(buffer.lines).toBe(0);
    }),
  );
});

test("it never holds more bytes than its bound, and takes lines again once some have left", () => {
  const buffer = new LineBuffer({ chunkBytes: 8, maxBytes: 12 });
  expect([buffer.push("12345"), buffer.push("12345"), buffer.push("")]).toEqual([
    true,
    true,
    false,
  ]);
  buffer.seal();
  expect(buffer.push("6")).toBe(false);
  buffer.drop();
  expect(buffer.push("67")).toBe(true);
  expect(textOfAll(buffer)).toBe("12345\n67\n");
});

test("a chunk never holds part of a line", () => {
  const buffer = new LineBuffer({ chunkBytes: 4, maxBytes: 100 });
  for (const text of ["ü", "ab", "longer than a chunk", "c"]) buffer.push(text);
  const chunks: string[] = [];
  buffer.seal();
  for (let chunk = buffer.first(); chunk !== undefined; chunk = buffer.first()) {
    chunks.push(chunk.bytes.toString("utf8"));
    buffer.drop();
  }
  expect(chunks).toEqual(["ü\n", "ab\n", "longer than a chunk\n", "c\n"]);
});
