import { CODE, Http2Error } from "./error.js";
import { FLAG, FRAME } from "./frames.js";

const PRIORITY_BYTES = 5;

/** What frames have to look like, whatever state a connection is in (RFC 9113, 6). */
export function requireShape(type: number, flags: number, id: number, payload: Buffer): void {
  switch (type) {
    case FRAME.data:
    case FRAME.continuation:
      requireStream(id, id > 0);
      return;
    case FRAME.headers:
      // A client opens odd ones (5.1.1).
      requireStream(id, id % 2 === 1);
      return;
    case FRAME.rstStream:
      requireStream(id, id > 0);
      requireBytes(payload, payload.length === 4);
      return;
    case FRAME.windowUpdate:
      requireBytes(payload, payload.length === 4);
      return;
    case FRAME.settings:
      requireStream(id, id === 0);
      requireBytes(payload, payload.length % ((flags & FLAG.ack) === 0 ? 6 : Infinity) === 0);
      return;
    case FRAME.ping:
      requireStream(id, id === 0);
      requireBytes(payload, payload.length === 8);
      return;
    case FRAME.goaway:
      requireStream(id, id === 0);
      return;
    case FRAME.priority:
      requireStream(id, id > 0);
      requireBytes(payload, payload.length === PRIORITY_BYTES);
      return;
    case FRAME.pushPromise:
      throw protocolError("a client cannot push");
    default:
      // Unknown frames are for those who know them (5.5).
      return;
  }
}

function requireStream(id: number, isRight: boolean): void {
  if (!isRight) throw protocolError(`a frame of its type cannot be of stream ${id}`);
}

function requireBytes(payload: Buffer, isRight: boolean): void {
  if (!isRight) throw frameSizeError(`a frame of its type cannot have ${payload.length} bytes`);
}

/** The header block of a HEADERS frame. */
export function fragmentOf(payload: Buffer, flags: number): Buffer {
  const fragment = unpadded(payload, flags);
  if ((flags & FLAG.priority) === 0) return fragment;
  if (fragment.length < PRIORITY_BYTES) throw frameSizeError("HEADERS too short for a priority");
  return fragment.subarray(PRIORITY_BYTES);
}

/** A payload without its padding (6.1). */
export function unpadded(payload: Buffer, flags: number): Buffer {
  if ((flags & FLAG.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) {
    throw protocolError("padding is longer than its frame");
  }
  return payload.subarray(1, payload.length - padding);
}

export const protocolError = (message: string) => new Http2Error(CODE.protocolError, message);
export const flowError = (message: string) => new Http2Error(CODE.flowControlError, message);
const frameSizeError = (message: string) => new Http2Error(CODE.frameSizeError, message);
