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
  const lead = leadOf(first.waiting, costs, limits, nowMs);
  invariant(lead !== undefined, "a tenant is forgotten when nothing of it waits");
  const batch = new GrowingBatch(lead, costs, limits, nowMs);
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

class GrowingBatch<Request extends QueuedRequest> implements Batch<Request> {
  readonly requests: Request[];
  items: number;
  length: number;
  readonly #costs: LatencyModel;
  readonly #limits: BatchLimits;
  readonly #nowMs: number;
  #elements: number;
  #deadlineAtMs: number;

  constructor(lead: Request, costs: LatencyModel, limits: BatchLimits, nowMs: number) {
    this.requests = [lead];
    this.items = lead.items;
    this.length = lead.length;
    this.#elements = lead.items * lead.length;
    this.#deadlineAtMs = lead.deadlineAtMs;
    this.#costs = costs;
    this.#limits = limits;
    this.#nowMs = nowMs;
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
    const deadlineAtMs = Math.min(this.#deadlineAtMs, request.deadlineAtMs);
    const isTimely =
      deadlineAtMs === Infinity || this.#nowMs + this.#costs.meanMs(items, length) <= deadlineAtMs;
    if (!isTimely) return false;
    this.requests.push(request);
    this.items = items;
    this.length = length;
    this.#elements = elements;
    this.#deadlineAtMs = deadlineAtMs;
    return true;
  }
}

/**
 * The first in line, as a rule. But one whose time suffices only for a small batch is set aside when
 * that batch would make more others late than it saves: nothing is refused for it, and it runs as
 * soon as it harms fewer (compare the early drop of Nexus, SOSP 2019).
 */
function leadOf<Request extends QueuedRequest>(
  waiting: readonly Request[],
  costs: LatencyModel,
  { targetSize }: BatchLimits,
  nowMs: number,
): Request | undefined {
  const [first] = waiting;
  if (first === undefined || first.deadlineAtMs === Infinity) return first;
  const { length, shapeKey } = first;
  const target = targetSize(length);
  const fullMs = costs.meanMs(target, length);
  const leftMs = first.deadlineAtMs - nowMs;
  if (leftMs >= fullMs) return first;
  const smallMs = costs.meanMs(Math.max(1, costs.sizeWithin(leftMs, target, length)), length);
  let next: Request | undefined;
  let [saved, lost] = [0, 0];
  for (const request of waiting) {
    if (request.shapeKey !== shapeKey) continue;
    const untilMs = request.deadlineAtMs - nowMs;
    if (untilMs < fullMs) {
      saved += request.items;
      continue;
    }
    next ??= request;
    if (untilMs >= smallMs + fullMs || lost >= target) break;
    lost += request.items;
  }
  return lost > Math.min(saved, costs.sizeWithin(leftMs, target, length)) ? next : first;
}
