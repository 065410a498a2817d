import type { Standing } from "./charge-all.js";
import type { LeaseAnswer, LeaseReport } from "./lease.js";
import { LeasedQuota, type LeasedQuotaMeans } from "./leased-quota.js";
import type { CompiledLimit } from "./limit.js";
import { LocalShare } from "./local-share.js";

export type Moment = LeasedQuotaMeans & {
  /** The caller's clock, by which a local share is kept. */
  readonly nowMs: number;
  /** By which leases are kept: no clock that is set moves them. */
  readonly monotonicMs: number;
  /** Whether the store answers at all. */
  readonly isUp: boolean;
};

/** What admits by a share of this replica's own has its `tatMs`; by a lease, neither. */
export type SharedStanding = Standing & {
  readonly tatMs?: number;
  /** Admitted because the store is away: nothing is charged. */
  readonly isFree?: boolean;
};

/** When to come back while a store is away and the limit says to refuse. */
const REFUSED_RETRY_MS = 1000;

/** A quota that replicas share: leased while the store answers, else as `onStoreFailure` says. */
export class SharedQuota {
  readonly lease: LeasedQuota;
  readonly limitName: string;
  /** Whether somebody looks after it when no request does; theirs to set. */
  isWatched = false;
  #share: LocalShare | undefined;
  /** What the share charged, by the last report. */
  #asideReported = 0;
  #limit: CompiledLimit;

  constructor(key: string, limit: CompiledLimit, spentBefore: number, monotonicMs: number) {
    this.lease = new LeasedQuota(key, limit, spentBefore, monotonicMs);
    this.limitName = limit.name;
    this.#limit = limit;
  }

  adopt(limit: CompiledLimit): void {
    if (this.#limit === limit) return;
    this.#limit = limit;
    this.lease.adopt(limit);
  }

  /** Changes nothing. */
  ask(cost: number, now: Moment): SharedStanding {
    if (!this.isFailing(now) || this.lease.covers(cost, now.monotonicMs)) {
      return this.lease.ask(cost, now.monotonicMs, now);
    }
    const { onStoreFailure, burst } = this.#limit;
    switch (onStoreFailure) {
      case "local":
        return this.#shareAt(now).ask(this.#limit, cost, now.nowMs);
      case "admit":
        return { kind: "admitted", remaining: Math.floor(burst), resetAfterMs: 0, isFree: true };
      case "reject":
        return {
          ...{ kind: "limited", remaining: 0, isFree: true },
          ...{ retryAfterMs: REFUSED_RETRY_MS, resetAfterMs: REFUSED_RETRY_MS },
        };
    }
  }

  /** Charges what `ask` admitted; answers how much of it the store has to hear of. */
  take({ isFree, tatMs }: SharedStanding, cost: number, now: Moment): number {
    if (isFree === true) return 0;
    if (tatMs === undefined) {
      this.lease.take(cost, now.monotonicMs);
      this.#share?.raise(this.#limit, cost);
    } else {
      this.#share ??= this.#shareAt(now);
      this.#share.take({ tatMs });
    }
    return cost;
  }

  isFailing({ isUp, monotonicMs }: Moment): boolean {
    return !isUp || this.#share !== undefined || this.lease.isFailing(monotonicMs);
  }

  /** Whether time alone can make a report due. */
  isActive(monotonicMs: number): boolean {
    return this.#share !== undefined || this.lease.isActive(monotonicMs);
  }

  isDue(now: Moment): boolean {
    return now.isUp && this.lease.isDue(now.monotonicMs, now, this.#share !== undefined);
  }

  report(
    now: Moment,
    sender: { readonly replica: string; readonly sequence: number; readonly givesUp?: boolean },
  ): LeaseReport {
    const spentAside = this.#unreported(now);
    this.#asideReported = spentAside;
    return this.lease.report(now.monotonicMs, now, { ...sender, spentAside });
  }

  /** The store answers again: what the share charged since the report is reported next. */
  answered(answer: LeaseAnswer, now: Moment): void {
    const spentSince = this.#unreported(now) - this.#asideReported;
    this.lease.answered(answer, now.monotonicMs);
    this.#share = undefined;
    this.#asideReported = 0;
    if (spentSince > 0) this.lease.takeAside(spentSince);
  }

  #unreported({ monotonicMs, nowMs }: Moment): number {
    return this.#share?.unreported(this.#limit, this.lease.levelAt(monotonicMs), nowMs) ?? 0;
  }

  #shareAt({ replicas, nowMs, monotonicMs }: Moment): LocalShare {
    return (
      this.#share ?? new LocalShare(this.#limit, replicas, this.lease.levelAt(monotonicMs), nowMs)
    );
  }
}
