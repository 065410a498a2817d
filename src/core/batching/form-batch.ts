import { invariant } from "../invariant.js";
import type { LatencyModel } from "./latency-model.js";
import type { QueuedRequest } from "./request.js";
import type { TenantQueue, TenantQueues } from "./tenant-queues.js";

export type Batch<Request> = {
  readonly requests: readonly Request[];
  readonly items: number;
  readonly length: number;
};

export type BatchLimits = {
  /** Items that a batch of this length should have. */
  readonly targetSize: (length: number) => number;
  /** Share of a batch that may be padding, 0..1. */
  readonly maxPaddingShare: number;
  /** Requests are refused for want of time: a small batch costs another its place. */
  readonly isShort: boolean;
};

/** Requests of one tenant that are looked at for one batch. */
const LOOK_AHEAD = 1024;

/**
 * The batch to run next. The tenant that was served least leads with the earliest of its deadlines;
 * tenants take turns to fill the batch with what fits, past what does not. Nothing joins that would
 * make it late for anyone in it, or that it would be late for.
 *
 * @param queues not empty
 */
export function formBatch<Request extends QueuedRequest>(
  queues: TenantQueues<Request>,
  costs: LatencyModel,
  limits: BatchLimits,
  nowMs: number,
): Batch<Request> {
  const turns = [...queues.tenants.values()].map((queue) => new Turn(queue));
  const first = leastServed(turns);
  invariant(first !== undefined, "a batch is formed of what waits");
  const lead = leadOf(first.waiting, queues.items, costs, limits, nowMs);
  invariant(lead !== undefined, "a tenant is forgotten when nothing of it waits");
  const wantedItems = Math.min(limits.targetSize(lead.length), queues.items);
  const wantedMs = costs.highMs(Math.max(lead.items, wantedItems), lead.length);
  const endsByMs = nowMs + Math.min(wantedMs, lead.deadlineAtMs - nowMs);
  const batch = new GrowingBatch(lead, costs, limits, { nowMs, endsByMs });
  first.servedMs += lead.workMs;
  for (;;) {
    const turn = batch.isFull ? undefined : leastServed(turns);
    if (turn === undefined) return batch;
    const taken = turn.take((request) => request !== lead && batch.admit(request));
    if (taken === undefined) turns.splice(turns.indexOf(turn), 1);
  }
}

/** Where one tenant is in the filling of one batch. */
class Turn<Request extends QueuedRequest> {
  readonly waiting: readonly Request[];
  servedMs: number;
  #at = 0;

  constructor({ waiting, servedMs }: TenantQueue<Request>) {
    this.waiting = waiting;
    this.servedMs = servedMs;
  }

  take(admit: (request: Request) => boolean): Request | undefined {
    while (this.#at < Math.min(this.waiting.length, LOOK_AHEAD)) {
      const request = this.waiting[this.#at];
      this.#at += 1;
      if (request === undefined || !admit(request)) continue;
      this.servedMs += request.workMs;
      return request;
    }
    return undefined;
  }
}

function leastServed<Request extends QueuedRequest>(turns: readonly Turn<Request>[]) {
  let least = turns[0];
  for (const turn of turns) if (turn.servedMs < (least?.servedMs ?? 0)) least = turn;
  return least;
}

type Span = {
  readonly nowMs: number;
  /** As long as a batch of the wanted size takes, or until its lead's deadline, if that is sooner. */
  readonly endsByMs: number;
};

class GrowingBatch<Request extends QueuedRequest> implements Batch<Request> {
  readonly requests: Request[];
  items: number;
  length: number;
  readonly #costs: LatencyModel;
  readonly #limits: BatchLimits;
  readonly #span: Span;
  #elements: number;
  #deadlineAtMs: number;
  #ms: number;

  constructor(lead: Request, costs: LatencyModel, limits: BatchLimits, span: Span) {
    this.requests = [lead];
    this.items = lead.items;
    this.length = lead.length;
    this.#elements = lead.items * lead.length;
    this.#deadlineAtMs = lead.deadlineAtMs;
    this.#ms = costs.meanMs(lead.items, lead.length);
    this.#costs = costs;
    this.#limits = limits;
    this.#span = span;
  }

  get isFull(): boolean {
    return this.items >= this.#limits.targetSize(this.length);
  }

  /** False: it does not fit, and nothing has changed. */
  admit(request: Request): boolean {
    if (request.shapeKey !== this.requests[0]?.shapeKey) return false;
    const items = this.items + request.items;
    const length = Math.max(this.length, request.length);
    if (items > this.#limits.targetSize(length)) return false;
    const elements = this.#elements + request.items * request.length;
    if (1 - elements / (items * length) > this.#limits.maxPaddingShare) return false;
    // Padding must not cost more than the request in a batch of its own length.
    const ms = this.#costs.meanMs(items, length);
    const isPadded = length !== this.length || length !== request.length;
    if (isPadded && ms - this.#ms > request.workMs) return false;
    // One that is in more of a hurry than the lead would make the batch small: it leads another.
    if (request.deadlineAtMs < this.#span.endsByMs) return false;
    const deadlineAtMs = Math.min(this.#deadlineAtMs, request.deadlineAtMs);
    const isTimely =
      deadlineAtMs === Infinity ||
      this.#span.nowMs + this.#costs.highMs(items, length) <= deadlineAtMs;
    if (!isTimely) return false;
    this.requests.push(request);
    this.items = items;
    this.length = length;
    this.#elements = elements;
    this.#deadlineAtMs = deadlineAtMs;
    this.#ms = ms;
    return true;
  }
}

/**
 * The first in line, as a rule. But one that may be late even so is set aside when its run would make
 * others late that are safe now. Nothing is refused for that: it runs as soon as it harms nobody. In
 * overload everybody would otherwise be served at the last moment, in small batches and half of them
 * too late (the lazy drop of Nexus, SOSP 2019).
 */
function leadOf<Request extends QueuedRequest>(
  waiting: readonly Request[],
  waitingItems: number,
  costs: LatencyModel,
  { targetSize, isShort }: BatchLimits,
  nowMs: number,
): Request | undefined {
  const [first] = waiting;
  if (first === undefined || first.deadlineAtMs === Infinity) return first;
  const { length } = first;
  const size = Math.max(first.items, Math.min(targetSize(length), waitingItems));
  const safeMs = costs.highMs(size, length);
  const leftMs = first.deadlineAtMs - nowMs;
  if (leftMs >= safeMs) return first;
  const smallSize = Math.max(first.items, costs.sizeWithin(leftMs, size, length));
  const laterMs = costs.meanMs(smallSize, length) + safeMs;
  let next: Request | undefined;
  let [endangered, safe] = [0, 0];
  for (const request of waiting) {
    const untilMs = request.deadlineAtMs - nowMs;
    if (untilMs < safeMs) continue;
    if (isShort) return request;
    next ??= request;
    safe += request.items;
    if (untilMs < laterMs) endangered += request.items;
    if (safe >= size) break;
  }
  if (next !== undefined && endangered > 0) return next;
  return first;
}
