import { type LeaseState, type LeaseReport, renewLease } from "../../../../src/core/limit/lease.js";
import { LeasedQuota } from "../../../../src/core/limit/leased-quota.js";
import { admit, type Quota } from "../../../../src/core/limit/gcra.js";

export type Arrival = { readonly atMs: number; readonly replica: number; readonly cost: number };
export type Admitted = Arrival;

type World = {
  readonly quota: Quota & { readonly overshoot: number };
  readonly replicas: number;
  readonly arrivals: readonly Arrival[];
  /** One way, drawn for every message. */
  readonly latencyMs: () => number;
  /** A replica that ends then, with all it holds. */
  readonly deaths?: ReadonlyMap<number, number>;
};

const TICK_MS = 25;

/** Replicas, a store and the network between them in virtual time; answers what was admitted. */
export function simulateLeases(world: World): {
  readonly admitted: readonly Admitted[];
  readonly reports: number;
  readonly state: LeaseState | undefined;
} {
  const { quota, replicas, arrivals, latencyMs, deaths = new Map<number, number>() } = world;
  const queue = eventQueue();
  const admitted: Admitted[] = [];
  let stored: LeaseState | undefined;
  let reports = 0;
  const means = { replicas, roundTripMs: 2 };
  const endMs = (arrivals.at(-1)?.atMs ?? 0) + 3000;
  const isDead = (replica: number, nowMs: number) => nowMs >= (deaths.get(replica) ?? Infinity);
  const nodes = Array.from({ length: replicas }, () => new LeasedQuota("k", quota, 0, 0));

  const ask = (node: LeasedQuota, replica: number, nowMs: number) => {
    if (!node.isDue(nowMs, means)) return;
    reports += 1;
    const report = node.report(nowMs, means, { replica: `r${replica}`, sequence: reports });
    queue.add(nowMs + latencyMs(), (atMs) => {
      serve(node, replica, report, atMs);
    });
  };
  const serve = (node: LeasedQuota, replica: number, report: LeaseReport, nowMs: number) => {
    const renewed = renewLease(stored, report, quota, nowMs);
    if (renewed === undefined) throw new Error("one connection keeps the order of reports");
    stored = renewed.state;
    queue.add(nowMs + latencyMs(), (atMs) => {
      if (isDead(replica, atMs)) return;
      node.answered(renewed.answer, atMs);
      ask(node, replica, atMs);
    });
  };
  for (const arrival of arrivals) {
    queue.add(arrival.atMs, (nowMs) => {
      const node = nodes[arrival.replica];
      if (node === undefined || isDead(arrival.replica, nowMs)) return;
      const { kind } = node.ask(arrival.cost, nowMs, means);
      node.noteDemand(arrival.cost, nowMs);
      if (kind === "admitted") {
        node.take(arrival.cost, nowMs);
        admitted.push(arrival);
      }
      ask(node, arrival.replica, nowMs);
    });
  }
  nodes.forEach((node, replica) => {
    const tick = (nowMs: number) => {
      if (isDead(replica, nowMs) || nowMs > endMs) return;
      ask(node, replica, nowMs);
      queue.add(nowMs + TICK_MS, tick);
    };
    queue.add(replica, tick);
  });
  queue.run();
  return { admitted, reports, state: stored };
}

/** What one GCRA that sees every arrival at once admits. */
export function oracle(quota: Quota, arrivals: readonly Arrival[]): readonly Admitted[] {
  let tatMs = 0;
  return arrivals.filter(({ atMs, cost }) => {
    const admission = admit(tatMs, quota, cost, atMs);
    if (admission.kind === "admitted") tatMs = admission.tatMs;
    return admission.kind === "admitted";
  });
}

/** The most that was admitted beyond `burst + rate * t`, over every span of time. */
export function worstExcess(quota: Quota, admitted: readonly Admitted[]): number {
  // The level of a bucket without a top, which leaks at the rate, is the worst span that ends now.
  let level = 0;
  let atMs = 0;
  let worst = 0;
  for (const { atMs: nowMs, cost } of admitted) {
    level = Math.max(0, level - ((nowMs - atMs) * quota.requests) / quota.periodMs) + cost;
    atMs = nowMs;
    worst = Math.max(worst, level - quota.burst);
  }
  return worst;
}

type Act = (nowMs: number) => void;

/** Acts in the order of their times; those of one time in the order they were added. */
function eventQueue() {
  const heap: { readonly atMs: number; readonly order: number; readonly act: Act }[] = [];
  let added = 0;
  const isBefore = (a: number, b: number) => {
    const [left, right] = [heap[a], heap[b]];
    if (left === undefined || right === undefined) return left !== undefined;
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
  };
  const swap = (a: number, b: number) => {
    const [left, right] = [heap[a], heap[b]];
    if (left === undefined || right === undefined) return;
    heap[a] = right;
    heap[b] = left;
  };
  const rise = (at: number) => {
    const parent = (at - 1) >> 1;
    if (at === 0 || !isBefore(at, parent)) return;
    swap(at, parent);
    rise(parent);
  };
  const sink = (at: number) => {
    const left = 2 * at + 1;
    if (left >= heap.length) return;
    const child = left + 1 < heap.length && isBefore(left + 1, left) ? left + 1 : left;
    if (!isBefore(child, at)) return;
    swap(at, child);
    sink(child);
  };
  return {
    add: (atMs: number, act: Act) => {
      heap.push({ atMs, order: added++, act });
      rise(heap.length - 1);
    },
    run: () => {
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        swap(0, heap.length - 1);
        heap.pop();
        sink(0);
        first.act(first.atMs);
      }
    },
  };
}
