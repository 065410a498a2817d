import type { Standing } from "./charge-all.js";
import type { Quota } from "./gcra.js";
import { UNIT_TOLERANCE, unitsPerMs, type LeaseAnswer, type LeaseReport } from "./lease.js";

/** Demand is averaged over about this long: two requests within it make a key busy. */
const DEMAND_MS = 500;
/** So many mean pauses without a request, and the demand has gone elsewhere. */
const GONE_AFTER_PAUSES = 6;
const GONE_AFTER_MS = 25;
/** A lease is to last for about so many requests, within these bounds. */
const LEASED_REQUESTS = 20;
const MIN_LEASE_MS = 100;
const MAX_LEASE_MS = 1000;
/** A lease is renewed after this part of its time. */
const RENEW_AFTER = 0.7;
/** While a quota is used up, the pause between two reports; less where the burst would fill sooner. */
const MAX_PAUSE_MS = 50;
const MIN_PAUSE_MS = 2;
/** A store that has not answered a report for so long is slow, and counts as failing. */
const SLOW_AFTER_MS = 100;
/** The pause after a report that failed. */
const RETRY_MS = 250;
/** How long the store may wait for a report beyond the lease, so that unused units come back in time. */
const HOLD_MARGIN_MS = 1000;

type SharedQuota = Quota & { readonly overshoot: number };

export type LeasedQuotaMeans = {
  /** Replicas that share the quota, this one included; at least 1. */
  readonly replicas: number;
  /** How long an answer takes. */
  readonly roundTripMs: number;
};

/**
 * One replica's part of a quota that a shared store keeps: leased units, and what may be borrowed
 * before the store has answered. Asking is arithmetic; whoever owns it sends the reports.
 *
 * What is borrowed and not yet settled is at most `overshoot * burst / replicas`, or one request
 * where that is more. All times are monotonic milliseconds.
 */
export class LeasedQuota {
  readonly key: string;
  #quota: SharedQuota;
  /** Leased units, less what was borrowed: below zero is debt. */
  #balance = 0;
  /** Leased units as the store knows them. */
  #heldInStore = 0;
  #leaseEndsAtMs = 0;
  #renewAtMs = 0;
  /** While more than this is left, and the time has not come, no report is due. */
  #lowWater = 0;
  /** Total charged here; starts above every total that an earlier life of the key can have reported. */
  #spent: number;
  #acked: number;
  /** The last lease was less than asked for: until then, borrow no more than one request. */
  #scarceUntilMs = -Infinity;
  #blockedUntilMs = -Infinity;
  #nextReportAtMs = -Infinity;
  /** The level of the whole quota, as far as known here. */
  #level = 0;
  #levelAtMs: number;
  #demand = 0;
  #demandAtMs: number;
  #need = 1;
  #sent:
    { readonly report: LeaseReport; readonly atMs: number; readonly balance: number } | undefined;
  #spentWhenSent = 0;
  #termMs = MIN_LEASE_MS;
  #hasFailed = false;
  /** Charged aside, and not yet in a report. */
  #owesReport = false;

  constructor(key: string, quota: SharedQuota, spentBefore: number, nowMs: number) {
    this.key = key;
    this.#quota = quota;
    this.#spent = spentBefore;
    this.#acked = spentBefore;
    this.#levelAtMs = nowMs;
    this.#demandAtMs = nowMs;
  }

  get quota(): Quota {
    return this.#quota;
  }

  /** The quota as the policy in force has it. */
  adopt(quota: SharedQuota): void {
    this.#quota = quota;
  }

  isAsking(): boolean {
    return this.#sent !== undefined;
  }

  /** What the report on its way owes. */
  debtSent(): number {
    return Math.max(0, -(this.#sent?.balance ?? 0));
  }

  /** Nothing held, nothing owed: forgetting it loses nothing. */
  isSettled(): boolean {
    const isEven = this.#balance === 0 && this.#heldInStore === 0;
    return this.#sent === undefined && isEven && this.#spent === this.#acked;
  }

  /** The store does not answer for this quota. */
  isFailing(nowMs: number): boolean {
    return this.#hasFailed || (this.#sent !== undefined && nowMs - this.#sent.atMs > SLOW_AFTER_MS);
  }

  /** Whether the units leased are enough, whatever became of the store. */
  covers(cost: number, nowMs: number): boolean {
    const tokens = this.#tokens(nowMs);
    return tokens > 0 && cost <= tokens + UNIT_TOLERANCE;
  }

  /** Whether `cost` units may pass now. Changes nothing. */
  ask(cost: number, nowMs: number, means: LeasedQuotaMeans): Standing {
    const emissionMs = 1 / unitsPerMs(this.#quota);
    const level = this.levelAt(nowMs);
    const waitMs = cost === 0 ? 0 : this.#waitMs(cost, nowMs, means);
    if (waitMs > 0) {
      const left = Math.max(0, Math.floor(this.#quota.burst - level + UNIT_TOLERANCE));
      return {
        kind: "limited",
        retryAfterMs: waitMs,
        remaining: Math.min(left, Math.max(0, Math.ceil(cost) - 1)),
        resetAfterMs: level * emissionMs,
      };
    }
    return {
      kind: "admitted",
      remaining: Math.max(0, Math.floor(this.#quota.burst - level - cost + UNIT_TOLERANCE)),
      resetAfterMs: (level + cost) * emissionMs,
    };
  }

  /** Charges what `ask` admitted. */
  take(cost: number, nowMs: number): void {
    this.#balance = this.#tokens(nowMs) - cost;
    this.#spent += cost;
    this.#level = this.levelAt(nowMs) + cost;
    this.#levelAtMs = nowMs;
  }

  /** A request asked for so much, admitted or not. */
  noteDemand(cost: number, nowMs: number): void {
    if (cost === 0) return;
    this.#need = Math.min(cost, this.#quota.burst);
    this.#demand = this.#demandAt(nowMs) + cost / DEMAND_MS;
    this.#demandAtMs = nowMs;
  }

  levelAt(nowMs: number): number {
    return Math.max(0, this.#level - (nowMs - this.#levelAtMs) * unitsPerMs(this.#quota));
  }

  /** Whether a report is due now. */
  isDue(nowMs: number, { roundTripMs }: LeasedQuotaMeans, hasAside = false): boolean {
    // The case of nearly every request comes first.
    if (this.#balance > this.#lowWater && nowMs < this.#renewAtMs && nowMs === this.#demandAtMs) {
      return this.#owesReport && this.#sent === undefined;
    }
    if (this.#sent !== undefined || nowMs < this.#nextReportAtMs) return false;
    if (this.#balance < 0 || this.#hasFailed || this.#owesReport || hasAside) return true;
    const tokens = this.#tokens(nowMs);
    const isBusy = this.#isBusy(nowMs);
    // What was spent leaks out once it is reported; what is not needed is somebody else's.
    if (!isBusy) return !this.isSettled();
    if (this.#balance > 0 && nowMs >= this.#renewAtMs) return true;
    if (nowMs < this.#blockedUntilMs) return false;
    return tokens < this.#lowWaterAt(nowMs, roundTripMs);
  }

  /** Whether time alone can make a report due. */
  isActive(nowMs: number): boolean {
    return !this.isSettled() || this.#hasFailed || this.#isBusy(nowMs);
  }

  /** What to send. The store records it; `answered` or `failed` must follow. */
  report(
    nowMs: number,
    means: LeasedQuotaMeans,
    {
      replica,
      sequence,
      spentAside = 0,
      givesUp = false,
    }: {
      readonly replica: string;
      readonly sequence: number;
      /** Charged here by other rules while the store was away, and still in the bucket. */
      readonly spentAside?: number;
      /** Leases nothing, and hands back what is held. */
      readonly givesUp?: boolean;
    },
  ): LeaseReport {
    const isBusy = !givesUp && this.#isBusy(nowMs);
    this.#balance = isBusy ? this.#tokens(nowMs) : Math.min(this.#balance, 0);
    const demand = this.#demandAt(nowMs);
    this.#termMs = isBusy ? leaseMs((this.#need * LEASED_REQUESTS) / demand) : MIN_LEASE_MS;
    // No replica takes half of what there is for each: others may need it before it comes back.
    const most = Math.max(this.#need, this.#quota.burst / (2 * means.replicas));
    const useful = Math.min(most, demand * (this.#termMs + means.roundTripMs));
    const held = Math.max(0, this.#balance);
    const report = {
      ...{ replica, sequence, spent: this.#spent + spentAside, acked: this.#acked, held },
      want: isBusy ? Math.max(0, useful - held) : 0,
      need: this.#need,
      demand: isBusy ? demand : 0,
      known: Math.max(0, this.levelAt(nowMs) - (this.#spent - this.#acked)),
      holdMs: this.#termMs + HOLD_MARGIN_MS,
    };
    this.#sent = { report, atMs: nowMs, balance: this.#balance };
    this.#spentWhenSent = this.#spent;
    this.#lowWater = this.#lowWaterAt(nowMs, means.roundTripMs);
    this.#owesReport = false;
    return report;
  }

  answered(answer: LeaseAnswer, nowMs: number): void {
    const sent = this.#sent;
    if (sent === undefined) return;
    this.#sent = undefined;
    this.#hasFailed = false;
    const spentSince = this.#spent - this.#spentWhenSent;
    this.#acked = answer.recorded;
    this.#heldInStore = sent.report.held + answer.granted;
    this.#spent = answer.recorded + spentSince;
    this.#balance = this.#tokens(nowMs) + Math.max(0, -sent.balance) + answer.granted;
    this.#leaseEndsAtMs = sent.atMs + this.#termMs;
    this.#renewAtMs = sent.atMs + this.#termMs * RENEW_AFTER;
    const isScarce = answer.granted + UNIT_TOLERANCE < sent.report.want || answer.retryAfterMs > 0;
    this.#blockedUntilMs = nowMs + answer.retryAfterMs;
    this.#scarceUntilMs = isScarce ? this.#blockedUntilMs + MAX_LEASE_MS : -Infinity;
    this.#level = answer.used + answer.heldByOthers + spentSince;
    this.#levelAtMs = nowMs;
    this.#nextReportAtMs = nowMs + (isScarce ? this.#pauseMs() : MIN_PAUSE_MS);
  }

  /** Charges what other rules admitted, to be reported next. */
  takeAside(cost: number): void {
    this.#spent += cost;
    this.#level += cost;
    this.#owesReport = true;
  }

  /** The report was lost, refused, or answered with what is no answer. */
  failed(nowMs: number): void {
    this.#sent = undefined;
    this.#hasFailed = true;
    this.#nextReportAtMs = nowMs + RETRY_MS;
  }

  /** Leased units that may be spent, or what is owed. */
  #tokens(nowMs: number): number {
    return nowMs < this.#leaseEndsAtMs ? this.#balance : Math.min(this.#balance, 0);
  }

  /** What is asked for while a report is on its way and back. */
  #lowWaterAt(nowMs: number, roundTripMs: number): number {
    return Math.max(this.#need, this.#demandAt(nowMs) * (2 * roundTripMs + MIN_PAUSE_MS));
  }

  #demandAt(nowMs: number): number {
    if (nowMs === this.#demandAtMs) return this.#demand;
    return this.#demand * Math.exp((this.#demandAtMs - nowMs) / DEMAND_MS);
  }

  #isBusy(nowMs: number): boolean {
    if (this.#demandAt(nowMs) * DEMAND_MS < 1.5 * this.#need) return false;
    const pauseMs = this.#need / this.#demand;
    return nowMs - this.#demandAtMs < Math.max(GONE_AFTER_MS, GONE_AFTER_PAUSES * pauseMs);
  }

  /** 0: it may pass. */
  #waitMs(cost: number, nowMs: number, { replicas, roundTripMs }: LeasedQuotaMeans): number {
    const tokens = this.#tokens(nowMs);
    if (cost <= tokens + UNIT_TOLERANCE) return 0;
    const { burst, overshoot } = this.#quota;
    if (cost > burst + UNIT_TOLERANCE) return (cost - burst) / unitsPerMs(this.#quota);
    if (nowMs < this.#blockedUntilMs) return this.#blockedUntilMs - nowMs;
    // One request where nothing is owed: a share may be less than a request.
    if (tokens >= 0) return 0;
    const mayBorrow = nowMs < this.#scarceUntilMs ? 0 : (overshoot * burst) / replicas;
    return cost - tokens <= mayBorrow + UNIT_TOLERANCE ? 0 : Math.max(MIN_PAUSE_MS, roundTripMs);
  }

  #pauseMs(): number {
    const fillMs = this.#quota.burst / unitsPerMs(this.#quota);
    return Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, fillMs / 4));
  }
}

const leaseMs = (ms: number) => Math.min(MAX_LEASE_MS, Math.max(MIN_LEASE_MS, ms));
