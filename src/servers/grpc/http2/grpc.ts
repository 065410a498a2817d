import type { Trailers } from "../stream.js";
import type { RequestHead } from "./request-head.js";
import { fieldOf } from "./request-head.js";

/** The parts of gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md) that are no frames. */

export const STATUS = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const;

/** For what is no gRPC, and has no gRPC status therefore. */
export const HTTP_STATUS = {
  methodNotAllowed: 405,
  unsupportedMediaType: 415,
  headersTooLarge: 431,
} as const;

/** What messages may be compressed by, beside identity. */
const ENCODINGS = ["gzip", "deflate"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** Length-Prefixed-Message: a flag, four bytes of length, the message. */
export const PREFIX_BYTES = 5;

/** @param bytes  undefined: it is not known how many more than the limit */
export const tooLarge = (maxBytes: number, bytes?: number) => ({
  code: STATUS.resourceExhausted,
  details: `a message${bytes === undefined ? ", inflated," : ` of ${bytes} bytes`} is over ${maxBytes} bytes`,
});

export const NO_ROOM = {
  code: STATUS.resourceExhausted,
  details: "there is no room for more messages that have not come whole",
} as const;

export const NO_ROOM_FOR_ANSWER = {
  code: STATUS.resourceExhausted,
  details: "there is no room for more answers that their callers do not take",
} as const;

/** Literals without indexing, so that every stream's block is the same and depends on none before it. */
const literal = (name: string, value: string) =>
  Buffer.concat([Buffer.of(0), ...[name, value].map(lengthAndText)]);

/** Seven bits of length, and more bytes when these are all ones (RFC 7541, 5.1 and 5.2). */
function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const length: number[] = [Math.min(bytes.length, 127)];
  for (let rest = bytes.length - 127; rest >= 0; rest = rest < 128 ? -1 : rest >>> 7) {
    length.push(rest < 128 ? rest : (rest & 127) | 128);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** `:status: 200` is index 8 of the static table. */
export const RESPONSE_HEAD = Buffer.concat([
  Buffer.of(0x80 | 8),
  literal("content-type", "application/grpc"),
]);
const OK_TRAILERS = literal("grpc-status", "0");
const ACCEPTED_ENCODINGS = literal("grpc-accept-encoding", ["identity", ...ENCODINGS].join(","));
/** A peer may bound the fields of a block; nobody reads a longer one. */
const MAX_DETAILS_BYTES = 2000;

export function trailersOf(code: number, details: string, more?: Trailers): Buffer {
  const isOk = code === STATUS.ok;
  if (isOk && more === undefined) return OK_TRAILERS;
  return Buffer.concat([
    literal("grpc-status", String(code)),
    ...(isOk ? [] : [literal("grpc-message", percentEncoded(details))]),
    ...(code === STATUS.unimplemented ? [ACCEPTED_ENCODINGS] : []),
    ...Array.from(more ?? [], ([name, value]) => literal(name, textOf(value))),
  ]);
}

/** Bytes travel in base64, without padding as gRPC would have it. */
const textOf = (value: string | Buffer) =>
  typeof value === "string" ? value : value.toString("base64").replace(/=+$/, "");

/** Printable ASCII stays as it is, other bytes of the UTF-8 become %XX. */
const percentEncoded = (text: string) =>
  Array.from(beginningOf(text), (byte) =>
    byte >= 0x20 && byte <= 0x7e && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");

/** As many bytes as fit, without half a character: peers refuse what is no UTF-8. */
function beginningOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, MAX_DETAILS_BYTES);
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

/** For what is no gRPC: an HTTP status and no body. */
export const plainStatus = (status: number) => literal(":status", String(status));

const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ H: 3_600_000, M: 60_000, S: 1000 },
  ...{ m: 1, u: 1e-3, n: 1e-6 },
};
/** setTimeout takes 31 bits; a stream of 24 days has no deadline. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Milliseconds until the peer gives up; undefined: it does not, or says it in no form we know. */
export function timeoutMsOf(head: RequestHead): number | undefined {
  const text = fieldOf(head, "grpc-timeout");
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const timeoutMs = Number(digits) * (UNIT_MS[unit] ?? Number.NaN);
  return timeoutMs <= MAX_TIMEOUT_MS ? timeoutMs : undefined;
}

/** What a stream is refused with before anybody reads it; undefined: it is a call we may know. */
export function refusalOf(
  head: RequestHead,
):
  | { readonly httpStatus: number }
  | { readonly code: number; readonly details: string }
  | undefined {
  if (head.method !== "POST") return { httpStatus: HTTP_STATUS.methodNotAllowed };
  if (fieldOf(head, "content-type")?.startsWith("application/grpc") !== true) {
    return { httpStatus: HTTP_STATUS.unsupportedMediaType };
  }
  if (encodingOf(head) !== undefined) return undefined;
  const encoding = String(fieldOf(head, "grpc-encoding"));
  const details = `grpc-encoding ${encoding} is not supported; send identity, ${ENCODINGS.join(" or ")}`;
  return { code: STATUS.unimplemented, details };
}

/** Of those messages whose flag says that they are compressed; undefined: one that we do not know. */
export function encodingOf(head: RequestHead): Encoding | "identity" | undefined {
  const encoding = fieldOf(head, "grpc-encoding") ?? "identity";
  return encoding === "identity" ? encoding : ENCODINGS.find((known) => known === encoding);
}
