/** How busy this process is, over the last seconds. */
export type Load = {
  /** Of the busiest version: the share of its instances' time that it ran. */
  readonly utilization: number;
  /** Mean of the requests that were dispatched. */
  readonly queueWaitMs: number;
  /** Of the busiest queue: how long a request that comes now is expected to wait in it. */
  readonly predictedWaitMs: number;
  /** Items in all queues now. */
  readonly queuedItems: number;
  readonly requestsPerSecond: number;
  /** Answers that were a fault of this process, or a refusal. */
  readonly errorsPerSecond: number;
};

/** What is older counts less: by half after some 3.5 seconds. */
const TIME_CONSTANT_MS = 5000;

/** A sum that fades with time. */
type Fading = { sum: number; atMs: number };

const nothing = (nowMs: number): Fading => ({ sum: 0, atMs: nowMs });

const add = (fading: Fading, amount: number, nowMs: number): void => {
  fading.sum = faded(fading, nowMs) + amount;
  fading.atMs = nowMs;
};

const faded = ({ sum, atMs }: Fading, nowMs: number): number =>
  sum * Math.exp(Math.min(0, atMs - nowMs) / TIME_CONSTANT_MS);

/** Times are monotonic milliseconds. */
export class LoadMeter {
  readonly #startedAtMs: number;
  readonly #busySeconds = new Map<string, Fading>();
  readonly #queued = new Map<string, number>();
  readonly #waits: Fading;
  readonly #waitedSeconds: Fading;
  readonly #requests: Fading;
  readonly #errors: Fading;

  constructor(nowMs: number) {
    this.#startedAtMs = nowMs;
    this.#waits = nothing(nowMs);
    this.#waitedSeconds = nothing(nowMs);
    this.#requests = nothing(nowMs);
    this.#errors = nothing(nowMs);
  }

  ran(version: string, seconds: number, nowMs: number): void {
    const busy = this.#busySeconds.get(version) ?? nothing(nowMs);
    this.#busySeconds.set(version, busy);
    add(busy, seconds, nowMs);
  }

  waited(seconds: number, nowMs: number): void {
    add(this.#waits, 1, nowMs);
    add(this.#waitedSeconds, seconds, nowMs);
  }

  answered(isError: boolean, nowMs: number): void {
    add(this.#requests, 1, nowMs);
    if (isError) add(this.#errors, 1, nowMs);
  }

  queued(version: string, items: number): void {
    if (items === 0) this.#queued.delete(version);
    else this.#queued.set(version, items);
  }

  /** @param instances of each version that is served now */
  at(nowMs: number, instances: ReadonlyMap<string, number>): Omit<Load, "predictedWaitMs"> {
    const ageMs = Math.max(1, nowMs - this.#startedAtMs);
    // Seconds that the sums speak of; fewer for a process that has just started.
    const window = (TIME_CONSTANT_MS / 1000) * (1 - Math.exp(-ageMs / TIME_CONSTANT_MS));
    const busy = [...instances].map(([version, count]) => {
      const seconds = this.#busySeconds.get(version);
      return seconds === undefined ? 0 : faded(seconds, nowMs) / window / Math.max(1, count);
    });
    const waits = faded(this.#waits, nowMs);
    // What has all but faded says nothing of now.
    const meanWait = waits < 0.01 ? 0 : faded(this.#waitedSeconds, nowMs) / waits;
    return {
      utilization: Math.min(1, Math.max(0, ...busy)),
      queueWaitMs: meanWait * 1000,
      queuedItems: [...this.#queued.values()].reduce((sum, items) => sum + items, 0),
      requestsPerSecond: faded(this.#requests, nowMs) / window,
      errorsPerSecond: faded(this.#errors, nowMs) / window,
    };
  }
}
