/** A request that waits, as far as a decision may depend on it. Times are monotonic milliseconds. */
export type QueuedRequest = {
  /** Rows it adds to a batch; batches are counted in items, never in requests. */
  readonly items: number;
  /** Only requests with equal keys can share a batch. */
  readonly shapeKey: string;
  /** Elements of one item along the axes that may be padded; 1 where none may. */
  readonly length: number;
  readonly enqueuedAtMs: number;
  /** When its answer is worthless; Infinity: never. */
  readonly deadlineAtMs: number;
  /** 1 comes before 2, which is usual, and so on; 0 is unset, and as usual. */
  readonly priority: number;
  /** Who is to get a fair share; callers without a name are one tenant. */
  readonly tenant: string;
  /** What follows is written by the batcher only. Place in the tenant's queue: least first. */
  rankMs: number;
  /** Instance time it costs in a batch of the best size. */
  workMs: number;
  /** From arrival to answer, as predicted at arrival. */
  predictedMs: number;
  isTaken: boolean;
};

/** Why a request leaves without an answer of the model. */
export type RefusalReason =
  /** Not even an idle instance could answer in time. */
  | "hopeless"
  /** What waits before it takes too long. */
  | "busy"
  /** `maxQueued` items wait. */
  | "full"
  /** The queue was full, and its tenant held more of it than the tenant of the newcomer. */
  | "displaced"
  /** It waited, and by now it is hopeless. */
  | "expired";

export type Refusal<Request> = {
  readonly request: Request;
  readonly reason: RefusalReason;
  /** From now to the answer, had it been kept. */
  readonly predictedMs: number;
  /** Until its deadline. */
  readonly leftMs: number;
};

/** One batch on one instance. */
export type Run<Request> = {
  readonly requests: readonly Request[];
  readonly items: number;
  /** The longest of its items: the others are padded to it. */
  readonly length: number;
  readonly startedAtMs: number;
  /** How long it is expected to take. */
  readonly predictedMs: number;
};

export type Decision<Request> = {
  /** These have left the queue without running. */
  readonly refuse: readonly Refusal<Request>[];
  readonly next:
    /** These have left the queue and are to be run now. */
    | { readonly kind: "run"; readonly run: Run<Request> }
    /** Nothing to do before then (Infinity: ever) unless a request comes or an instance is free. */
    | { readonly kind: "wait"; readonly untilMs: number };
};

/** A queue and its policy. The caller owns clock, timers and promises. */
export type Batcher<Request extends QueuedRequest> = {
  /** Items that wait. */
  readonly waitingItems: number;
  /** Takes the request in and refuses nobody, or refuses it, or others in its place. */
  enter(request: Request, idleInstances: number, nowMs: number): readonly Refusal<Request>[];
  /** Asked after arrivals, runs and waits, until it says wait. */
  next(idleInstances: number, nowMs: number): Decision<Request>;
  /** Takes a request that waits out; false: it does not. */
  leave(request: Request): boolean;
  /** Takes out all that waits. */
  clear(): readonly Request[];
  /** A batch that `next` did not choose is run: a part of one that failed. */
  rerun(requests: readonly Request[], nowMs: number): Run<Request>;
  ended(run: Run<Request>, nowMs: number): void;
};
