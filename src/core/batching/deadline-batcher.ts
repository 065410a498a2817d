import { ArrivalGaps } from "./arrival-gaps.js";
import { BatchSizes } from "./batch-sizes.js";
import { DecisionLog } from "./decision-log.js";
import type { LoggedRun, RunReason } from "./decision-log.js";
import { formBatch } from "./form-batch.js";
import type { Batch } from "./form-batch.js";
import { LatencyModel } from "./latency-model.js";
import type { ProfilePoint } from "./latency-model.js";
import { QuantileTracker } from "./quantile-tracker.js";
import type { Batcher, Decision, QueuedRequest, Refusal, RefusalReason, Run } from "./request.js";
import { TenantQueues } from "./tenant-queues.js";
import { isWorthWaiting } from "./worth-waiting.js";

export type BatcherSettings = {
  readonly maxBatchSize: number;
  /** Items that may wait. */
  readonly maxQueued: number;
  /** No batch waits longer for company, however much it pays. */
  readonly maxQueueDelayMs: number;
  /** Share of a batch that may be padding, 0..1. */
  readonly maxPaddingShare: number;
  /** What the warm-up measured; empty: nothing is known before the first run. */
  readonly profile: readonly ProfilePoint[];
};

/** A priority less is as if the request had come so much later: it waits, but not for ever. */
const AGEING_MS = 1000;
const USUAL_PRIORITY = 2;
const LEAST_PRIORITY = 10;
/** A model that would refuse everything is asked again after such a silence. */
const PROBE_AFTER_MS = 1000;
/** What is due no time ranks as if it were due so long after it came. */
export const RANKS_AS_DUE_AFTER_MS = 1000;
const LOGGED_DECISIONS = 128;

/**
 * The queue of one model version, in the order of deadlines and fair between tenants. It runs what
 * waits in batches of the size that serves most, as far as deadlines allow; waits for more only when
 * that pays; and refuses at once what is predicted to be late, but nothing else.
 *
 * Predictions err, so a newcomer is refused only when it would be late by the low end of what such
 * predictions came to lately. What then waits in vain is refused when its time is up.
 */
export class DeadlineBatcher<Request extends QueuedRequest> implements Batcher<Request> {
  readonly #settings: BatcherSettings;
  readonly #costs: LatencyModel;
  readonly #sizes: BatchSizes;
  readonly #queues = new TenantQueues<Request>();
  readonly #gaps = new ArrivalGaps();
  readonly #log = new DecisionLog(LOGGED_DECISIONS);
  /** As many as instances. A Map of what comes and goes would keep alive what has gone. */
  readonly #running: { readonly run: Run<Request>; readonly logged: LoggedRun }[] = [];
  /** Of answers that waited: how long it took, over how long was predicted. */
  readonly #error = new QuantileTracker(0.5, 1, 0.02);
  #expiresAtMs = Infinity;
  #probe: Request | undefined;

  constructor(settings: BatcherSettings) {
    this.#settings = settings;
    this.#costs = new LatencyModel(settings.maxBatchSize, settings.profile);
    this.#sizes = new BatchSizes(settings, this.#costs);
  }

  get waitingItems(): number {
    return this.#queues.items;
  }

  enter(request: Request, idleInstances: number, nowMs: number): readonly Refusal<Request>[] {
    const { deadlineAtMs, enqueuedAtMs, items, length } = request;
    this.#gaps.arrived(request.shapeKey, nowMs);
    request.rankMs = rankOf(request);
    request.workMs = this.#costs.workMs(items, length);
    request.predictedMs = this.#forecastMs(request, idleInstances, nowMs);
    const reason = this.#reasonToRefuse(request, idleInstances, nowMs);
    if (reason !== "hopeless") this.#sizes.noteBudget(deadlineAtMs - enqueuedAtMs);
    if (reason !== undefined) return [this.#refuse(request, reason, nowMs)];
    const refused = this.#makeRoom(request, nowMs);
    if (refused.at(-1)?.request === request) return refused;
    this.#queues.add(request);
    this.#expiresAtMs = Math.min(this.#expiresAtMs, this.#latestStartMs(request));
    return refused;
  }

  next(idleInstances: number, nowMs: number): Decision<Request> {
    const refuse = nowMs < this.#expiresAtMs ? [] : this.#expire(nowMs);
    const wait = (untilMs: number) => ({ refuse, next: { kind: "wait", untilMs } as const });
    if (idleInstances === 0 || this.#queues.requests === 0) return wait(this.#expiresAtMs);
    const supply = { waitingItems: this.#queues.items, idleInstances };
    const batch = formBatch(this.#queues, this.#costs, this.#sizes.limits(supply, nowMs), nowMs);
    const target = this.#sizes.target(batch.length, nowMs);
    const isFull = batch.items >= target;
    const isPart = batch.items >= this.#sizes.partOf(supply, target, batch.length);
    const isAll = batch.requests.length === this.#queues.requests;
    if (!isFull) {
      const untilMs = this.#waitUntilMs(batch, idleInstances, nowMs);
      if (untilMs > nowMs) return wait(Math.min(untilMs, this.#expiresAtMs));
    }
    if (isFull) this.#sizes.noteFullBatch();
    this.#queues.serve(batch.requests);
    const because = isAll ? "no wait pays" : isPart ? "the rest runs elsewhere" : "fits no more";
    const run = this.#start(batch, isFull ? "full" : because, nowMs);
    return { refuse, next: { kind: "run", run } };
  }

  leave(request: Request): boolean {
    if (request.isTaken) return false;
    this.#queues.remove([request]);
    return true;
  }

  clear(): readonly Request[] {
    const waiting = [...this.#queues.tenants.values()].flatMap((queue) => queue.waiting);
    this.#queues.remove(waiting);
    return waiting;
  }

  rerun(requests: readonly Request[], nowMs: number): Run<Request> {
    const items = requests.reduce((sum, request) => sum + request.items, 0);
    const length = requests.reduce((longest, request) => Math.max(longest, request.length), 0);
    return this.#start({ requests, items, length }, "part of a failed batch", nowMs);
  }

  ended(run: Run<Request>, nowMs: number): void {
    const tookMs = nowMs - run.startedAtMs;
    const at = this.#running.findIndex((each) => each.run === run);
    const [ended] = at < 0 ? [] : this.#running.splice(at, 1);
    if (ended !== undefined) ended.logged.tookMs = tookMs;
    const [lead] = run.requests;
    if (lead !== undefined && lead.predictedMs > 2 * run.predictedMs) {
      this.#error.add((nowMs - lead.enqueuedAtMs) / lead.predictedMs);
    }
    this.#costs.observe(run.items, run.length, tookMs, nowMs);
  }

  /** How long a request that came now, with time to spare, would wait for its run. */
  predictedWaitMs(idleInstances: number, nowMs: number): number {
    const waiting = [...this.#queues.tenants.values()];
    const aheadMs = waiting.reduce((sum, { workMs }) => sum + workMs, 0);
    const instances = Math.max(1, this.#running.length + idleInstances);
    return (idleInstances > 0 ? 0 : this.#restOfRunMs(nowMs)) + aheadMs / instances;
  }

  /** What it knows and what it did, for people; holds nothing of any input. */
  explain(nowMs: number) {
    const { profile, ...settings } = this.#settings;
    const length = profile[0]?.length ?? 1;
    const { usualBudgetMs } = this.#sizes;
    return {
      settings,
      usualBudgetMs: usualBudgetMs === Infinity ? null : usualBudgetMs,
      waiting: { items: this.#queues.items, tenants: this.#queues.tenants.size },
      running: this.#running.length,
      targetItems: this.#sizes.target(length, nowMs),
      predictedMs: this.#costs.curve(length),
      decisions: this.#log.last(),
    };
  }

  #start(batch: Batch<Request>, because: RunReason, nowMs: number): Run<Request> {
    const { requests, items, length } = batch;
    const predictedMs = this.#costs.meanMs(items, length);
    const run = { requests, items, length, startedAtMs: nowMs, predictedMs };
    const enqueuedAtMs = requests.reduce(
      (first, each) => Math.min(first, each.enqueuedAtMs),
      nowMs,
    );
    const logged: LoggedRun = {
      kind: "run",
      atMs: nowMs,
      because,
      requests: requests.length,
      items,
      predictedMs,
      targetItems: this.#sizes.target(length, nowMs),
      waitingItems: this.#queues.items,
      oldestWaitedMs: nowMs - enqueuedAtMs,
      tookMs: undefined,
    };
    this.#running.push({ run, logged });
    this.#log.add(logged);
    return run;
  }

  #reasonToRefuse(
    request: Request,
    idleInstances: number,
    nowMs: number,
  ): RefusalReason | undefined {
    const leftMs = request.deadlineAtMs - nowMs;
    if (leftMs <= this.#costs.lowMs(request.items, request.length)) {
      const mayProbe = leftMs > 0 && idleInstances > 0 && this.#queues.requests === 0;
      if (!mayProbe || this.#costs.silenceMs(nowMs) < PROBE_AFTER_MS) return "hopeless";
      this.#probe = request;
      return undefined;
    }
    if (idleInstances > 0 && this.#queues.requests === 0) return undefined;
    const error = Math.min(2, Math.max(0.5, this.#error.value));
    return leftMs < request.predictedMs * error ? "busy" : undefined;
  }

  #makeRoom(request: Request, nowMs: number): readonly Refusal<Request>[] {
    if (this.#queues.requests === 0) return [];
    const refused: Refusal<Request>[] = [];
    while (this.#queues.items + request.items > this.#settings.maxQueued) {
      const victim = this.#queues.displaceable(request);
      if (victim === undefined) return [...refused, this.#refuse(request, "full", nowMs)];
      this.#queues.remove([victim]);
      refused.push(this.#refuse(victim, "displaced", nowMs));
    }
    return refused;
  }

  #expire(nowMs: number): readonly Refusal<Request>[] {
    const expired: Request[] = [];
    this.#expiresAtMs = Infinity;
    for (const { waiting } of this.#queues.tenants.values()) {
      for (const request of waiting) {
        const startMs = this.#latestStartMs(request);
        if (startMs <= nowMs) expired.push(request);
        else this.#expiresAtMs = Math.min(this.#expiresAtMs, startMs);
      }
    }
    this.#queues.remove(expired);
    return expired.map((request) => this.#refuse(request, "expired", nowMs));
  }

  #refuse(request: Request, because: RefusalReason, nowMs: number): Refusal<Request> {
    const { enqueuedAtMs, deadlineAtMs, items, length } = request;
    request.isTaken = true;
    const isLate = because === "hopeless" || because === "expired";
    if (because === "busy" || because === "expired") this.#sizes.noteShortage(nowMs);
    const predictedMs = isLate ? this.#costs.meanMs(items, length) : request.predictedMs;
    const leftMs = deadlineAtMs - nowMs;
    const waitedMs = nowMs - enqueuedAtMs;
    const waitingItems = this.#queues.items;
    const figures = { items, waitingItems, waitedMs, predictedMs, leftMs };
    this.#log.add({ kind: "refuse", atMs: nowMs, because, ...figures });
    return { request, reason: because, predictedMs, leftMs };
  }

  /** From now to the answer: what runs, what is ahead, and the batch it would be in. */
  #forecastMs(request: Request, idleInstances: number, nowMs: number): number {
    const { items, length } = request;
    const supply = { waitingItems: this.#queues.items + items, idleInstances };
    const target = this.#sizes.target(length, nowMs);
    const wanted = this.#sizes.partOf(supply, target, length);
    const size = Math.max(items, Math.min(wanted, supply.waitingItems));
    const mates = this.#costs.workMs(size - items, length);
    const aheadMs = Math.max(0, this.#queues.workAheadMs(request) - mates);
    const instances = Math.max(1, this.#running.length + idleInstances);
    const restMs = idleInstances > 0 ? 0 : this.#restOfRunMs(nowMs);
    return restMs + aheadMs / instances + this.#costs.meanMs(size, length);
  }

  /** Until an instance is free. One that is overdue may be done at any moment, for all we know. */
  #restOfRunMs(nowMs: number): number {
    let firstMs = Infinity;
    for (const { run } of this.#running) {
      firstMs = Math.min(firstMs, Math.max(0, run.startedAtMs + run.predictedMs - nowMs));
    }
    return firstMs === Infinity ? 0 : firstMs;
  }

  #latestStartMs(request: Request): number {
    if (request === this.#probe) return request.deadlineAtMs;
    return request.deadlineAtMs - this.#costs.lowMs(request.items, request.length);
  }

  /** Until when a batch that is not full should wait for more; a time that is past: not at all. */
  #waitUntilMs(batch: Batch<Request>, idleInstances: number, nowMs: number): number {
    const { requests, items, length } = batch;
    const shapeKey = requests[0]?.shapeKey ?? "";
    const gapMs = this.#gaps.meanMs(shapeKey);
    const candidate = { requests: requests.length, items, length, gapMs, idleInstances };
    if (!isWorthWaiting(candidate, this.#costs)) return nowMs;
    const laterMs = this.#costs.highMs(items + 1, length);
    let untilMs = this.#gaps.lastAtMs(shapeKey) + 2 * gapMs;
    for (const { enqueuedAtMs, deadlineAtMs } of requests) {
      untilMs = Math.min(untilMs, enqueuedAtMs + this.#settings.maxQueueDelayMs);
      untilMs = Math.min(untilMs, deadlineAtMs - laterMs);
    }
    return untilMs;
  }
}

/** The order of a tenant's requests: earlier deadlines first, shifted by priority. */
function rankOf({ enqueuedAtMs, deadlineAtMs, priority }: QueuedRequest): number {
  const level = priority === 0 ? USUAL_PRIORITY : Math.min(priority, LEAST_PRIORITY);
  const dueAtMs = deadlineAtMs === Infinity ? enqueuedAtMs + RANKS_AS_DUE_AFTER_MS : deadlineAtMs;
  return dueAtMs + (level - USUAL_PRIORITY) * AGEING_MS;
}
