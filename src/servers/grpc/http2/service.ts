import type { ServerStream, StreamListener } from "../stream.js";
import type { Limits } from "./limits.js";
import type { GrpcStream } from "./stream.js";

/** A stream that also says how long its peer waits. */
export type TimedStream = ServerStream & Pick<GrpcStream, "timeoutMs">;

export type AcceptTimed = (stream: TimedStream) => StreamListener;

export type Service = {
  /** By path. */
  readonly methods: ReadonlyMap<string, AcceptTimed>;
  readonly limits: Limits;
  /** Something threw that may not: its stream, or its connection, ended with an error. */
  readonly onBug: (error: unknown) => void;
};
