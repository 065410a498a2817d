import { meshFactsOf, meshTimeoutMsOf } from "../../app/call-facts.js";
import type { MeshFacts } from "../../app/call-facts.js";
import type { Clock } from "../../app/ports.js";
import type { LoadNow } from "../../app/metered-load.js";
import type { HeaderView } from "../../core/routing/facts.js";
import type { TimedStream } from "../grpc/http2/service.js";
import type { Trailers } from "../grpc/stream.js";
import { LOAD_FORMAT_HEADER, loadHeader } from "../load-headers.js";

/** What a call says beside its messages, and when it must be over. */
export type CallContext = {
  readonly mesh: MeshFacts;
  /** Monotonic; Infinity: never. The lesser of grpc-timeout and the mesh's. */
  readonly deadlineAtMs: number;
};

/** Of a stream that has just been opened. */
export function contextOf({ metadata, timeoutMs }: TimedStream, clock: Clock): CallContext {
  const header = (name: string) => textOf(metadata, name);
  const leastMs = Math.min(meshTimeoutMsOf(header) ?? Infinity, timeoutMs ?? Infinity);
  return { mesh: meshFactsOf(header), deadlineAtMs: clock.monotonicMs() + leastMs };
}

function textOf(metadata: HeaderView, name: string): string | undefined {
  const values = metadata.values(name);
  return values.length > 1 ? values.join(", ") : values[0];
}

/** The trailers, with the load report where the call asks for it. */
export function withLoad(
  asked: HeaderView,
  loadNow: LoadNow,
  trailers?: Trailers,
): Trailers | undefined {
  const header = loadHeader(textOf(asked, LOAD_FORMAT_HEADER), loadNow);
  if (header === undefined) return trailers;
  return new Map([...(trailers ?? []), [header.name, header.value]]);
}
