import { ByteBudget } from "../../../core/serving/byte-budget.js";
import { SETTING } from "./frames.js";

/** What one connection may ask for. */
export type Limits = {
  /** Of one message, and of what a compressed one becomes. grpc-js and grpc-go take 4 MiB too. */
  readonly maxMessageBytes: number;
  /** Open at a time. */
  readonly maxStreams: number;
  /** For its messages that have not come whole, and for answers that it does not take. */
  readonly heldBytes: () => ByteBudget;
  /** How long the rest of a message may take, and an answer of which nothing is taken may wait. */
  readonly wholeMs: number;
};

/** For messages that are answered when they are read, so that streams only wait. */
export const LIMITS: Limits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxStreams: 100_000,
  heldBytes: () => new ByteBudget(64 * 1024 * 1024),
  wholeMs: 30_000,
};

/** What all connections may hold open together: a stream takes about a kilobyte. */
export const MAX_STREAMS_TOGETHER = 200_000;
/** Of the fields that open a stream, counted as in RFC 9113, 6.5.2. */
export const MAX_FIELD_BYTES = 65_536;
export const STREAM_WINDOW = 1024 * 1024;
export const CONNECTION_WINDOW = 16 * 1024 * 1024;

export const settingsOf = ({
  maxStreams,
}: Limits): readonly (readonly [setting: number, value: number])[] => [
  [SETTING.maxConcurrentStreams, maxStreams],
  [SETTING.initialWindowSize, STREAM_WINDOW],
  [SETTING.maxHeaderListSize, MAX_FIELD_BYTES],
];
