/**
 * The hashes that put units in buckets. All work on JavaScript strings and give an unsigned
 * 32-bit integer; the encoding is part of the algorithm, since other SDKs differ exactly there.
 */

import { charCodeOf } from "../char-code.js";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * FNV-1a, 32 bit, over the UTF-8 bytes of `text` (draft-eastlake-fnv).
 * `state` continues a hash: `fnv1a32("b", fnv1a32("a")) === fnv1a32("ab")`.
 * A lone surrogate hashes as U+FFFD, as every UTF-8 encoder writes it.
 */
export function fnv1a32(text: string, state: number = FNV_OFFSET): number {
  const { length } = text;
  let hash = state;
  for (let at = 0; at < length; at++) {
    const code = charCodeOf(text, at);
    if (code < 0x80) {
      hash = Math.imul(hash ^ code, FNV_PRIME);
      continue;
    }
    const point = codePointAt(text, at);
    if (point > 0xffff) at++;
    hash = fnvCodePoint(hash, point);
  }
  return hash >>> 0;
}

function fnvCodePoint(state: number, point: number): number {
  let hash = state;
  const byte = (value: number) => {
    hash = Math.imul(hash ^ value, FNV_PRIME);
  };
  if (point < 0x800) {
    byte(0xc0 | (point >> 6));
  } else {
    if (point > 0xffff) {
      byte(0xf0 | (point >> 18));
      byte(0x80 | ((point >> 12) & 0x3f));
    } else {
      byte(0xe0 | (point >> 12));
    }
    byte(0x80 | ((point >> 6) & 0x3f));
  }
  byte(0x80 | (point & 0x3f));
  return hash;
}

/** FNV-1a over UTF-16 code units, each xor-ed whole: GrowthBook's, equal to fnv1a32 on ASCII only. */
export function fnv1a32Utf16(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ charCodeOf(text, at), FNV_PRIME);
  }
  return hash >>> 0;
}

/** The finalizer of MurmurHash3 x86_32: every input bit changes every output bit (Appleby, SMHasher). */
export function fmix32(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** MurmurHash3 x86_32 over UTF-8 bytes (Appleby, SMHasher). */
export function murmur3(text: string, seed = 0): number {
  const bytes = utf8Bytes(text);
  const blockEnd = bytes.length & ~3;
  let hash = seed | 0;
  for (let at = 0; at < blockEnd; at += 4) {
    hash ^= murmurBlock(littleEndian(bytes, at, 4));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (blockEnd < bytes.length) {
    hash ^= murmurBlock(littleEndian(bytes, blockEnd, bytes.length - blockEnd));
  }
  return fmix32(hash ^ bytes.length);
}

function murmurBlock(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function littleEndian(bytes: readonly number[], from: number, count: number): number {
  let word = 0;
  for (let at = count - 1; at >= 0; at--) word = (word << 8) | (bytes[from + at] ?? 0);
  return word;
}

/** UTF-8 bytes of a string; `core` has no TextEncoder. */
export function utf8Bytes(text: string): readonly number[] {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const point = codePointAt(text, at);
    if (point > 0xffff) at++;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x10000) {
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    } else {
      bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f));
      bytes.push(0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    }
  }
  return bytes;
}

function codePointAt(text: string, at: number): number {
  const point = text.codePointAt(at) ?? 0xfffd;
  return point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
}
