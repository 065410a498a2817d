import { SETTING } from "./frames.js";

/** What one connection may hold open. Every message is answered at once, so streams only wait. */
export const MAX_STREAMS = 100_000;
/** What all connections may hold open together: a stream takes about a kilobyte. */
export const MAX_STREAMS_TOGETHER = 200_000;
/** Of the fields that open a stream, counted as in RFC 9113, 6.5.2. */
export const MAX_FIELD_BYTES = 65_536;
export const STREAM_WINDOW = 1024 * 1024;
export const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** Beyond it a peer is not read until it reads: it could ask for answers without taking any. */
export const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

export const SETTINGS: readonly (readonly [setting: number, value: number])[] = [
  [SETTING.maxConcurrentStreams, MAX_STREAMS],
  [SETTING.initialWindowSize, STREAM_WINDOW],
  [SETTING.maxHeaderListSize, MAX_FIELD_BYTES],
];
