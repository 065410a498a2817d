import fc from "fast-check";
import { expect, test } from "vitest";
import { HeaderNames } from "../../../../../src/servers/ext-proc/wire/header-names.js";

test("law: a name reads as its bytes decode, whatever was read before", () => {
  const name = fc.oneof(
    fc.constantFrom("x-user-id", "X-User-Id", ":path", "", "\u00fc", "\ufffd", "K"),
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.constantFrom("utf8", "latin1"))), (written) => {
      const names = new HeaderNames();
      for (const [text, encoding] of [...written, ...written]) {
        const bytes = Buffer.from(`<${text}>`, encoding);
        const end = bytes.length - 1;
        expect(names.read(bytes, 1, end)).toBe(bytes.toString("utf8", 1, end).toLowerCase());
      }
    }),
  );
});

test("a name that came before is the same string", () => {
  const names = new HeaderNames();
  const bytes = Buffer.from("x-tenant");
  expect(names.read(bytes, 0, bytes.length)).toBe("x-tenant");
  expect(names.read(bytes, 2, bytes.length)).toBe("tenant");
  expect(names.read(bytes, 0, bytes.length)).toBe("x-tenant");
});
