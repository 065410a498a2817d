import { createHash } from "node:crypto";
import type { Clock } from "../../app/ports.js";
import { quotaIdOf } from "../../core/limit/quota-key.js";
import type { Moment, SharedQuota } from "../../core/limit/shared-quota.js";
import type { RedisScripts } from "./connect.js";
import { leaseArguments, readLeaseAnswer } from "./lease-script.js";

/** Reports that may be on their way at one time. */
const MAX_OUTSTANDING = 1000;
/** How often leases are looked at that no request looks at. */
const TICK_MS = 25;
const FIRST_ROUND_TRIP_MS = 2;

export type FailureKind = "timeout" | "connection" | "reply";

type RenewalOptions = {
  readonly scripts: RedisScripts;
  readonly namespace: string;
  readonly replica: string;
  readonly clock: Clock;
  readonly moment: () => Moment;
  /** A report was answered: units leased, units that had been borrowed, and how long it took. */
  readonly onRenewed: (granted: number, debt: number, seconds: number) => void;
  readonly onFailed: (kind: FailureKind, error: unknown) => void;
};

/** Sends the reports of the quotas that are in use: those of one turn of the event loop together. */
export class Renewals {
  readonly #options: RenewalOptions;
  readonly #active = new Map<string, SharedQuota>();
  readonly #pending = new Set<SharedQuota>();
  readonly #timer: NodeJS.Timeout;
  #roundTripMs = FIRST_ROUND_TRIP_MS;
  #outstanding = 0;
  #sequence = 0;
  #isEnding = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#tick();
    }, TICK_MS);
    this.#timer.unref();
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** A quota that is watched: it may have been forgotten elsewhere, and still hold units. */
  watched(limitName: string, key: string): SharedQuota | undefined {
    return this.#active.get(quotaIdOf(limitName, key));
  }

  /** Reports it whenever time makes that due. */
  watch(quota: SharedQuota): void {
    quota.isWatched = true;
    this.#active.set(quotaIdOf(quota.limitName, quota.lease.key), quota);
  }

  /** Reports it in this turn of the event loop, if it is still due then. */
  add(quota: SharedQuota): void {
    if (!quota.isWatched) this.watch(quota);
    if (this.#pending.size === 0) {
      setImmediate(() => {
        this.#flush();
      });
    }
    this.#pending.add(quota);
  }

  /** Hands back what is held and reports what is owed, within the deadline. */
  async giveBack(deadlineMs: number): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#timer);
    const endAtMs = this.#options.clock.monotonicMs() + deadlineMs;
    for (;;) {
      const now = this.#options.moment();
      for (const [key, quota] of this.#active) {
        if (quota.lease.isSettled()) this.#active.delete(key);
        else if (!quota.lease.isAsking() && this.#hasRoom()) void this.#send(quota, now);
      }
      const isDone = this.#active.size === 0 && this.#outstanding === 0;
      if (isDone || !now.isUp || now.monotonicMs >= endAtMs) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #hasRoom(): boolean {
    return this.#outstanding < MAX_OUTSTANDING;
  }

  #flush(): void {
    const now = this.#options.moment();
    for (const quota of this.#pending) this.#sendIfDue(quota, now);
    this.#pending.clear();
  }

  #tick(): void {
    const now = this.#options.moment();
    if (!now.isUp) return;
    for (const [key, quota] of this.#active) {
      this.#sendIfDue(quota, now);
      if (quota.isActive(now.monotonicMs)) continue;
      quota.isWatched = false;
      this.#active.delete(key);
    }
  }

  #sendIfDue(quota: SharedQuota, now: Moment): void {
    if (this.#hasRoom() && quota.isDue(now)) void this.#send(quota, now);
  }

  async #send(quota: SharedQuota, now: Moment): Promise<void> {
    const { scripts, namespace, replica, clock, onRenewed, onFailed } = this.#options;
    this.#outstanding += 1;
    this.#sequence += 1;
    const sender = { replica, sequence: this.#sequence, givesUp: this.#isEnding };
    const report = quota.report(now, sender);
    const debt = quota.lease.debtSent();
    try {
      const key = storeKey(namespace, quota);
      const reply = await scripts.renewLease(key, ...leaseArguments(report, quota.lease.quota));
      const answer = readLeaseAnswer(reply);
      if (answer === null) throw new UnreadableReply();
      const tookMs = clock.monotonicMs() - now.monotonicMs;
      this.#roundTripMs += (tookMs - this.#roundTripMs) / 16;
      // Overtaken by a later report of ours: that one was answered.
      if (answer === undefined) quota.lease.failed(clock.monotonicMs());
      else quota.answered(answer, this.#options.moment());
      onRenewed(answer?.granted ?? 0, debt, tookMs / 1000);
    } catch (error) {
      quota.lease.failed(clock.monotonicMs());
      onFailed(kindOf(error), error);
    } finally {
      this.#outstanding -= 1;
    }
  }
}

class UnreadableReply extends Error {
  constructor() {
    super("the store answered what the script never answers: another script, or another server");
    this.name = "ReplyError";
  }
}

function kindOf(error: unknown): FailureKind {
  if (!(error instanceof Error)) return "connection";
  if (error.message === "Command timed out") return "timeout";
  return error.name === "ReplyError" ? "reply" : "connection";
}

/** Whom a quota is for is personal data, and may hold braces, which Redis Cluster would read. */
function storeKey(namespace: string, { limitName, lease }: SharedQuota): string {
  const digest = createHash("sha256").update(lease.key).digest("base64url").slice(0, 22);
  return `weir:${namespace}:${limitName}:${digest}`;
}
