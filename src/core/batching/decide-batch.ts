/** A request in the queue, as far as a decision may depend on it. */
export type QueuedRequest = {
  /** Rows it adds to a batch; batches are counted in items, never in requests. */
  readonly items: number;
  /** Only requests with equal keys can share a batch. */
  readonly shapeKey: string;
  readonly enqueuedAtMs: number;
  /** When its answer is worthless. */
  readonly deadlineAtMs?: number | undefined;
  /** 1 is the most urgent; 0 is unset. */
  readonly priority: number;
  readonly tenant: string;
  /** Its batch failed before: it runs by itself, and waits for nobody. */
  readonly alone: boolean;
};

export type QueueView<Request extends QueuedRequest> = {
  /** In order of arrival. */
  readonly waiting: readonly Request[];
  /** Instances that could take a batch now. */
  readonly idleInstances: number;
};

export type Refusal<Request> = {
  readonly request: Request;
  readonly code: "deadlineExceeded" | "overloaded";
};

export type BatchDecision<Request> = {
  /** These leave the queue without running. */
  readonly refuse: readonly Refusal<Request>[];
  readonly next:
    | { readonly kind: "run"; readonly requests: readonly Request[] }
    | { readonly kind: "wait"; readonly untilMs: number }
    /** Nothing to do before something arrives or an instance becomes idle. */
    | { readonly kind: "idle" };
};

/** Asked again after every run, arrival, and when a wait is over, until it says wait or idle. */
export type DecideBatch = <Request extends QueuedRequest>(
  queue: QueueView<Request>,
  nowMs: number,
) => BatchDecision<Request>;

export type BatchLimits = { readonly maxBatchSize: number; readonly maxQueueDelayMs: number };

/**
 * Size and window: a batch goes when it is full or when its oldest request has waited long enough.
 * Requests of other shapes neither join nor block it. Reads no priority and no tenant.
 */
export function sizeAndWindow(limits: BatchLimits): DecideBatch {
  return (queue, nowMs) => {
    const expired = queue.waiting.filter((request) => deadlineOf(request) <= nowMs);
    const refuse = expired.map((request) => ({ request, code: "deadlineExceeded" as const }));
    const live = queue.waiting.filter((request) => deadlineOf(request) > nowMs);
    const firstDeadlineMs = live.reduce(
      (first, request) => Math.min(first, deadlineOf(request)),
      Infinity,
    );
    if (queue.idleInstances === 0) return { refuse, next: waitUntil(firstDeadlineMs) };
    let dueAtMs = firstDeadlineMs;
    for (const group of groupsByShape(live)) {
      const { requests, closed } = fill(group, limits.maxBatchSize);
      const windowEndsAtMs = (group[0]?.enqueuedAtMs ?? nowMs) + limits.maxQueueDelayMs;
      if (closed || group[0]?.alone === true || windowEndsAtMs <= nowMs)
        return { refuse, next: { kind: "run", requests } };
      dueAtMs = Math.min(dueAtMs, windowEndsAtMs);
    }
    return { refuse, next: waitUntil(dueAtMs) };
  };
}

const deadlineOf = (request: QueuedRequest) => request.deadlineAtMs ?? Infinity;

function waitUntil(untilMs: number) {
  return untilMs === Infinity ? ({ kind: "idle" } as const) : ({ kind: "wait", untilMs } as const);
}

/** Groups in order of their oldest request, so that no shape can starve another. */
function groupsByShape<Request extends QueuedRequest>(requests: readonly Request[]): Request[][] {
  const groups: Request[][] = [];
  const byShape = new Map<string, Request[]>();
  for (const request of requests) {
    const group = request.alone ? undefined : byShape.get(request.shapeKey);
    if (group !== undefined) {
      group.push(request);
      continue;
    }
    const started = [request];
    groups.push(started);
    if (!request.alone) byShape.set(request.shapeKey, started);
  }
  return groups;
}

/** The longest prefix that fits. A request too big for an empty batch runs alone. */
function fill<Request extends QueuedRequest>(group: readonly Request[], maxBatchSize: number) {
  let items = 0;
  let count = 0;
  for (const request of group) {
    if (count > 0 && items + request.items > maxBatchSize) break;
    items += request.items;
    count += 1;
  }
  return { requests: group.slice(0, count), closed: count < group.length || items >= maxBatchSize };
}
