import { Metadata } from "@grpc/grpc-js";
import type { Deadline } from "@grpc/grpc-js";
import { meshFactsOf } from "../../app/call-facts.js";
import type { MeshFacts } from "../../app/call-facts.js";
import type { Clock } from "../../app/ports.js";
import type { LoadNow } from "../../app/metered-load.js";
import { LOAD_FORMAT_HEADER, loadHeader } from "../load-headers.js";

/** What a call says beside its messages, and when it must be over. */
export type CallContext = {
  readonly facts: Omit<MeshFacts, "meshTimeoutMs">;
  /** Monotonic; Infinity: never. The lesser of grpc-timeout and the mesh's. */
  readonly deadlineAtMs: number;
};

type Call = { readonly metadata: Metadata; getDeadline(): Deadline };

export function contextOf(call: Call, clock: Clock): CallContext {
  const { meshTimeoutMs = Infinity, ...facts } = meshFactsOf((name) => textOf(call.metadata, name));
  const leftMs = Number(call.getDeadline()) - clock.nowMs();
  return { facts, deadlineAtMs: clock.monotonicMs() + Math.min(meshTimeoutMs, leftMs) };
}

function textOf(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  return values.length === 0 ? undefined : values.join(", ");
}

/** The trailers, with the load report where the call asks for it. */
export function withLoad(
  asked: Metadata,
  loadNow: LoadNow,
  trailers?: Metadata,
): Metadata | undefined {
  const header = loadHeader(textOf(asked, LOAD_FORMAT_HEADER), loadNow);
  if (header === undefined) return trailers;
  const metadata = trailers ?? new Metadata();
  metadata.set(header.name, header.value);
  return metadata;
}
