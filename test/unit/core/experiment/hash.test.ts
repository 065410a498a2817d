import { readFileSync } from "node:fs";
import fc from "fast-check";
import murmurhash from "murmurhash";
import { describe, expect, test } from "vitest";
import { fmix32, fnv1a32, fnv1a32Utf16, murmur3 } from "../../../../src/core/experiment/hash.js";

type Json<T> = { readonly vectors: readonly T[] };
const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}.json`, import.meta.url), "utf8"));

/** The definition of FNV-1a over bytes, as an oracle in big integers. */
function fnvOfBytes(bytes: Iterable<number>): number {
  let hash = 0x811c9dc5n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x01000193n) & 0xffffffffn;
  return Number(hash);
}

/** `666f6f` or `00*16`: hexadecimal bytes, perhaps repeated. */
function bytesOf(text: string): Buffer {
  const [hex = "", times] = text.split("*");
  const bytes = Buffer.from(hex, "hex");
  return times === undefined ? bytes : Buffer.concat(Array<Buffer>(Number(times)).fill(bytes));
}

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.string(),
);

describe("FNV-1a", () => {
  const noll = (vectors("fnv1a32_noll") as Json<readonly [string, string]>).vectors;
  const texts = noll.filter(([input]) => {
    const bytes = bytesOf(input);
    return Buffer.from(bytes.toString("utf8"), "utf8").equals(bytes);
  });

  test("gives the published hash of every vector that is text", () => {
    const wrong = texts.filter(
      ([input, hex]) => fnv1a32(bytesOf(input).toString("utf8")) !== Number.parseInt(hex, 16),
    );
    expect(wrong).toEqual([]);
    expect(texts.length).toBeGreaterThan(180);
  });

  test("the oracle gives the published hash of every vector, text or not", () => {
    const wrong = noll.filter(
      ([input, hex]) => fnvOfBytes(bytesOf(input)) !== Number.parseInt(hex, 16),
    );
    expect(wrong).toEqual([]);
    expect(noll).toHaveLength(203);
  });

  test("gives the hashes of Go's hash/fnv", () => {
    type Go = { readonly go_hash_fnv: Json<readonly [string, string]> };
    const wrong = (vectors("other_sdks") as Go).go_hash_fnv.vectors.filter(
      ([text, hex]) => fnv1a32(text) !== Number.parseInt(hex, 16),
    );
    expect(wrong).toEqual([]);
  });

  test("hashes the UTF-8 bytes of any text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(fnv1a32(text)).toBe(fnvOfBytes(Buffer.from(text, "utf8")));
      }),
    );
  });

  test("continues where another hash ended", () => {
    fc.assert(
      fc.property(anyText, anyText, (left, right) => {
        expect(fnv1a32(right, fnv1a32(left))).toBe(
          fnvOfBytes([...Buffer.from(left, "utf8"), ...Buffer.from(right, "utf8")]),
        );
      }),
    );
  });

  test.each([
    { name: "a high surrogate alone", text: "a\ud83dz" },
    { name: "a low surrogate alone", text: "a\ude00z" },
    { name: "surrogates in the wrong order", text: "\ude00\ud83d" },
    { name: "a high surrogate at the end", text: "a\ud83d" },
  ])("$name hashes as U+FFFD, as an encoder writes it", ({ text }) => {
    expect(fnv1a32(text)).toBe(fnvOfBytes(Buffer.from(text, "utf8")));
    expect(murmur3(text)).toBe(murmurhash.v3(Buffer.from(text, "utf8"), 0));
  });

  test("over UTF-16 it agrees with UTF-8 on ASCII, and on nothing else", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(fnv1a32Utf16(text)).toBe(fnv1a32(text));
      }),
    );
    for (const text of ["ğ", "日本", "😀"]) expect(fnv1a32Utf16(text)).not.toBe(fnv1a32(text));
  });
});

describe("MurmurHash3", () => {
  type Murmur = { readonly murmur3_x86_32: Json<readonly [string, number, number]> };
  type Flagd = { readonly vectors: Readonly<Record<string, Readonly<Record<string, number>>>> };

  test.each((vectors("other_sdks") as Murmur).murmur3_x86_32.vectors)(
    "gives the published hash of %j with seed %d",
    (text, seed, hash) => {
      expect(murmur3(text, seed)).toBe(hash);
    },
  );

  test.each(
    Object.entries(
      (vectors("flagd_fractional") as Flagd).vectors["edge keys: murmur3_x86_32 seed0 exact"] ?? {},
    ),
  )("gives flagd's edge key %j the hash %d", (text, hash) => {
    expect(murmur3(text)).toBe(hash);
  });

  test("equals an independent implementation over UTF-8, for any text and seed", () => {
    fc.assert(
      fc.property(anyText, fc.nat(0xffffffff), (text, seed) => {
        expect(murmur3(text, seed)).toBe(murmurhash.v3(Buffer.from(text, "utf8"), seed));
      }),
    );
  });

  test("the published buckets of Optimizely and Unleash follow from it", () => {
    type Sdks = {
      readonly optimizely: Json<readonly [string, string, number]>;
      readonly unleash: Json<readonly [string, string, number]>;
    };
    const { optimizely, unleash } = vectors("other_sdks") as Sdks;
    for (const [id, experiment, bucket] of optimizely.vectors) {
      expect(Math.floor((murmur3(id + experiment, 1) / 2 ** 32) * 10_000)).toBe(bucket);
    }
    for (const [id, group, bucket] of unleash.vectors) {
      expect((murmur3(`${group}:${id}`) % 100) + 1).toBe(bucket);
    }
  });
});

test("fmix32 maps no two values to one, and one flipped bit to half of the output", () => {
  let changedBits = 0;
  let flips = 0;
  for (let value = 0; value < 2000; value++) {
    for (let bit = 0; bit < 32; bit++) {
      const changed = (fmix32(value) ^ fmix32(value ^ (1 << bit))) >>> 0;
      changedBits += changed.toString(2).replaceAll("0", "").length;
      flips++;
    }
  }
  expect(changedBits / flips).toBeCloseTo(16, 1);
  expect(new Set(Array.from({ length: 50_000 }, (_, at) => fmix32(at))).size).toBe(50_000);
});
