import { describe, expect, test } from "vitest";
import { FieldDecoder } from "../../../../../src/servers/grpc/http2/hpack.js";

const MAX_BYTES = 65_536;
const decoded = (decoder: FieldDecoder, hex: string) =>
  decoder
    .decode(Buffer.from(hex.replaceAll(" ", ""), "hex"))
    .fields.map(({ name, value }) => `${name}: ${value}`);

/** RFC 7541, appendix C.3 and C.4: three requests on one connection, without and with Huffman. */
const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [
    ":method: GET",
    ":scheme: http",
    ":path: /",
    ":authority: www.example.com",
    "cache-control: no-cache",
  ],
  [
    ...[":method: GET", ":scheme: https", ":path: /index.html"],
    ...[":authority: www.example.com", "custom-key: custom-value"],
  ],
];

describe("the requests of RFC 7541, appendix C", () => {
  test.each([
    {
      name: "C.3, without Huffman",
      blocks: [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    },
    {
      name: "C.4, with Huffman",
      blocks: [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    },
  ])("$name", ({ blocks }) => {
    const decoder = new FieldDecoder(MAX_BYTES);
    expect(blocks.map((block) => decoded(decoder, block))).toEqual(REQUESTS);
  });

  test.each([
    {
      name: "C.2.1",
      block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      expected: "custom-key: custom-header",
    },
    { name: "C.2.2", block: "040c 2f73 616d 706c 652f 7061 7468", expected: ":path: /sample/path" },
    {
      name: "C.2.3",
      block: "1008 7061 7373 776f 7264 0673 6563 7265 74",
      expected: "password: secret",
    },
    { name: "C.2.4", block: "82", expected: ":method: GET" },
  ])("$name", ({ block, expected }) => {
    expect(decoded(new FieldDecoder(MAX_BYTES), block)).toEqual([expected]);
  });
});

describe("the table", () => {
  const entry = (length: number) =>
    `40 01 61 ${length.toString(16).padStart(2, "0")} ${"62".repeat(length)}`;

  test("forgets the oldest when it is full, and indexes count from the newest", () => {
    const decoder = new FieldDecoder(MAX_BYTES);
    // 4096 bytes hold 41 fields of 1 + 66 + 32.
    for (let n = 0; n < 100; n += 1) decoded(decoder, entry(66));
    expect(decoded(decoder, "be")).toEqual([`a: ${"b".repeat(66)}`]);
    const last = 0x80 | (61 + 41);
    expect(decoded(decoder, last.toString(16))).toHaveLength(1);
    expect(() => decoded(decoder, (last + 1).toString(16))).toThrow("no field has index 103");
  });

  test("a size of 0 empties it, and a larger one lets it fill again", () => {
    const decoder = new FieldDecoder(MAX_BYTES);
    decoded(decoder, entry(1));
    expect(() => decoded(decoder, "20 be")).toThrow("no field has index 62");
    decoded(decoder, `3f e1 1f ${entry(2)}`);
    expect(decoded(decoder, "be")).toEqual(["a: bb"]);
  });

  test("a field that is larger than the table empties it and is no mistake", () => {
    const decoder = new FieldDecoder(MAX_BYTES);
    decoded(decoder, entry(1));
    const bytes = Buffer.concat([
      Buffer.from("4001617f a11f".replace(" ", ""), "hex"),
      Buffer.alloc(4128, "b"),
    ]);
    expect(decoder.decode(bytes).fields).toHaveLength(1);
    expect(() => decoded(decoder, "be")).toThrow("no field has index 62");
  });

  test("fields over the bound are dropped, and the table keeps step", () => {
    const decoder = new FieldDecoder(100);
    const block = decoder.decode(
      Buffer.from(`${entry(40)}${entry(41)}`.replaceAll(" ", ""), "hex"),
    );
    expect(block.isTooLarge).toBe(true);
    expect(block.fields).toHaveLength(1);
    expect(decoded(decoder, "be")).toEqual([`a: ${"b".repeat(41)}`]);
  });
});
