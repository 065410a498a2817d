import type { BodyModes } from "../respond.js";
import { FILTER_NAME, PEER_SAN } from "./attributes.js";
import { HeaderNames } from "./header-names.js";
import { WireHeaders } from "./headers.js";
import type { ReadRequest } from "./read-request.js";

/** Tags of the fields that are read: number * 8, and 2 for bytes or 0 for an integer. */
const TAG = {
  request: {
    ...{ headers: 0x12, metadataContext: 0x42, attributes: 0x4a },
    ...{ observabilityMode: 0x50, protocolConfig: 0x5a },
  },
  httpHeaders: { headers: 0x0a, endOfStream: 0x18 },
  headerMap: { header: 0x0a },
  header: { key: 0x0a, value: 0x12, rawValue: 0x1a },
  entry: { key: 0x0a, value: 0x12 },
  struct: { field: 0x0a },
  value: { number: 0x11, text: 0x1a, bool: 0x20 },
} as const;

const NO_MODES: BodyModes = {};
const names = new HeaderNames();

/**
 * Reads what Envoy sends for every request, request headers and few fields beside them, with
 * nothing made per header but its name. Undefined for anything else: a kind or field that is not
 * read here, one that comes twice, a length that does not fit. Then the protobuf decoder reads it,
 * so what is not foreseen costs time and nothing else.
 */
export function readDirectly(bytes: Buffer): ReadRequest | undefined {
  const reader = new Reader(bytes);
  let headers: WireHeaders | undefined;
  let principal: string | undefined;
  let hasAttributes = false;
  let isObserved = false;
  let modes: BodyModes | undefined;
  while (reader.at < bytes.length) {
    const tag = reader.tag();
    if (tag === TAG.request.headers && headers === undefined) {
      headers = readHttpHeaders(reader, reader.end(bytes.length));
      if (headers === undefined) return undefined;
    } else if (tag === TAG.request.attributes && !hasAttributes) {
      hasAttributes = true;
      principal = readAttributes(reader, reader.end(bytes.length));
    } else if (tag === TAG.request.observabilityMode) {
      isObserved = reader.bool();
    } else if (tag === TAG.request.metadataContext || tag === TAG.request.protocolConfig) {
      // Envoy sends both, and they are empty but for streams that we seldom see.
      if (reader.end(bytes.length) !== reader.at) return undefined;
      if (tag === TAG.request.protocolConfig) modes = NO_MODES;
    } else return undefined;
    if (reader.isLost) return undefined;
  }
  if (headers === undefined) return undefined;
  return { kind: "requestHeaders", headers, isObserved, modes, principal, message: undefined };
}

function readHttpHeaders(reader: Reader, end: number): WireHeaders | undefined {
  let headers: WireHeaders | undefined;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === TAG.httpHeaders.headers && headers === undefined) {
      headers = readHeaderMap(reader, reader.end(end));
    } else if (tag === TAG.httpHeaders.endOfStream) reader.bool();
    else return undefined;
    if (reader.isLost) return undefined;
  }
  return reader.at === end ? headers : undefined;
}

/** Where each value is; the text is decoded if somebody asks. */
function readHeaderMap(reader: Reader, end: number): WireHeaders {
  const { bytes } = reader;
  const found: string[] = [];
  const spans: number[] = [];
  while (reader.at < end && !reader.isLost) {
    reader.expect(TAG.headerMap.header);
    const headerEnd = reader.end(end);
    let name = "";
    let from = 0;
    let to = 0;
    let last = 0;
    while (reader.at < headerEnd && !reader.isLost) {
      const tag = reader.tag();
      // In order and once, as every encoder writes them.
      if (tag <= last || tag > TAG.header.rawValue) reader.isLost = true;
      last = tag;
      const fieldEnd = reader.end(headerEnd);
      if (tag === TAG.header.key) name = names.read(bytes, reader.at, fieldEnd);
      else if (tag === TAG.header.value || tag === TAG.header.rawValue) {
        // An empty raw_value leaves what value says.
        if (fieldEnd > reader.at) {
          from = reader.at;
          to = fieldEnd;
        }
      } else reader.isLost = true;
      reader.at = fieldEnd;
    }
    found.push(name);
    spans.push(from, to);
  }
  return new WireHeaders(found, (index) =>
    bytes.toString("utf8", spans[2 * index] ?? 0, spans[2 * index + 1] ?? 0),
  );
}

/** One entry of the map, which has to be ours: the caller's identity, if Envoy was asked for it. */
function readAttributes(reader: Reader, end: number): string | undefined {
  reader.expect(TAG.entry.key);
  if (reader.text(end) !== FILTER_NAME) reader.isLost = true;
  reader.expect(TAG.entry.value);
  if (reader.end(end) !== end) reader.isLost = true;
  const seen = new Set<string>();
  let principal: string | undefined;
  while (reader.at < end && !reader.isLost) {
    reader.expect(TAG.struct.field);
    const fieldEnd = reader.end(end);
    reader.expect(TAG.entry.key);
    const name = reader.text(fieldEnd);
    if (seen.has(name)) reader.isLost = true;
    seen.add(name);
    reader.expect(TAG.entry.value);
    if (reader.end(fieldEnd) !== fieldEnd) reader.isLost = true;
    const text = readValue(reader, fieldEnd);
    if (name === PEER_SAN && text !== "") principal = text;
  }
  return principal;
}

/** The text of a google.protobuf.Value; undefined for numbers and booleans. */
function readValue(reader: Reader, end: number): string | undefined {
  let text: string | undefined;
  const tag = reader.tag();
  if (tag === TAG.value.text) text = reader.text(end);
  else if (tag === TAG.value.bool) reader.bool();
  else if (tag === TAG.value.number) reader.at += 8;
  else reader.isLost = true;
  if (reader.at !== end) reader.isLost = true;
  return text;
}

/** A place in the bytes. `isLost`: something was not as expected, and nothing read since counts. */
class Reader {
  readonly bytes: Buffer;
  at = 0;
  isLost = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Of the fields we read, every tag is one byte; others are none of ours. */
  tag(): number {
    return this.bytes[this.at++] ?? 0;
  }

  expect(tag: number): void {
    if (this.tag() !== tag) this.isLost = true;
  }

  bool(): boolean {
    const value = this.bytes[this.at++] ?? 2;
    if (value > 1) this.isLost = true;
    return value === 1;
  }

  /** Where the field ends that begins with its length, which is at most `within`. */
  end(within: number): number {
    let length = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.bytes[this.at++] ?? 0xff;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) {
        const end = this.at + length;
        if (end <= within) return end;
        break;
      }
    }
    this.isLost = true;
    return this.at;
  }

  text(within: number): string {
    const end = this.end(within);
    const text = this.bytes.toString("utf8", this.at, end);
    this.at = end;
    return text;
  }
}
