import type { Clock, LimitStore, Random } from "../../app/ports.js";
import { askAll, verdictsOf } from "../../core/limit/charge-all.js";
import type { CompiledLimit } from "../../core/limit/limit.js";
import { RecentKeys } from "../../core/limit/recent-keys.js";
import { SharedQuota, type Moment } from "../../core/limit/shared-quota.js";
import { connectRedis } from "./connect.js";
import { Presence } from "./presence.js";
import type { RedisTarget } from "./redis-url.js";
import { Renewals, type FailureKind } from "./renewals.js";

export type RedisLimitStoreOptions = {
  readonly target: RedisTarget;
  /** PEM certificates to trust, where the system's are not the right ones. */
  readonly ca: string | undefined;
  /** Replicas with the same namespace share their quotas. */
  readonly namespace: string;
  /** Quotas kept in memory; least recently used out. */
  readonly maxKeys: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: LimitStoreEvents;
};

export type LimitStoreEvents = {
  /** The store answers, or does not; `because` is the last error. */
  readonly changed: (isUp: boolean, replicas: number, because: string) => void;
  readonly renewed: (granted: number, debt: number, seconds: number) => void;
  readonly failed: (kind: FailureKind) => void;
};

export type RedisLimitStore = LimitStore & {
  size(): number;
  replicas(): number;
  /** Resolves when it is known whether the store answers, or when the time is up. */
  ready(timeoutMs: number): Promise<void>;
  /** Gives back what is leased, within the deadline, and disconnects. */
  close(deadlineMs: number): Promise<void>;
};

/**
 * Quotas that replicas share through Redis. Charging touches memory alone: leases are renewed in the
 * background, and `onStoreFailure` decides while Redis does not answer. docs/limits.md has the bounds.
 */
export function redisLimitStore(options: RedisLimitStoreOptions): RedisLimitStore {
  const { clock, events, namespace } = options;
  let lastError = "no connection yet";
  const onError = (error: unknown) => {
    lastError = describe(error) ?? lastError;
  };
  const replica = Buffer.from(options.random.bytes(9)).toString("base64url");
  const connection = connectRedis(options.target, { ca: options.ca, onError });
  const presence = new Presence({
    ...{ connection, replica, onError, key: `weir:${namespace}:replicas` },
    onChange: (isUp, replicas) => {
      events.changed(isUp, replicas, lastError);
    },
  });
  const originMs = clock.nowMs();
  const moment = (nowMs = clock.nowMs()): Moment => ({
    // Since the start: a sum of milliseconds since the epoch has no room for a millionth of one.
    nowMs: nowMs - originMs,
    monotonicMs: clock.monotonicMs(),
    isUp: presence.isUp,
    replicas: presence.replicas,
    roundTripMs: renewals.roundTripMs,
  });
  const renewals: Renewals = new Renewals({
    ...{ scripts: connection.scripts, namespace, replica, clock, moment },
    onRenewed: events.renewed,
    onFailed: (kind, error) => {
      onError(error);
      events.failed(kind);
    },
  });
  const quotas = new RecentKeys<SharedQuota>(options.maxKeys);
  const charging = chargeBy(quotas, renewals, moment);
  return {
    ...charging,
    size: () => quotas.size,
    replicas: () => presence.replicas,
    ready: async (timeoutMs) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeoutMs);
      });
      await Promise.race([presence.known, late]);
      clearTimeout(timer);
    },
    close: async (deadlineMs) => {
      await renewals.giveBack(deadlineMs);
      await presence.leave();
      connection.close();
    },
  };
}

function chargeBy(
  quotas: RecentKeys<SharedQuota>,
  renewals: Renewals,
  moment: (nowMs: number) => Moment,
): LimitStore {
  let spent = 0;
  const newQuota = (key: string, limit: CompiledLimit, { monotonicMs }: Moment) =>
    renewals.watched(limit.name, key) ?? new SharedQuota(key, limit, spent, monotonicMs);
  return {
    peek: (charges, limits, nowMs) => {
      const now = moment(nowMs);
      const standings = askAll(charges, limits, ({ key }, limit, cost) => {
        const quota = quotas.get(limit.name, key) ?? newQuota(key, limit, now);
        quota.adopt(limit);
        return quota.ask(cost, now);
      });
      return verdictsOf(charges, limits, standings);
    },
    charge: (charges, limits, nowMs) => {
      const now = moment(nowMs);
      const standings = askAll(charges, limits, ({ key }, limit, cost) => {
        let quota = quotas.touch(limit.name, key);
        if (quota === undefined) {
          quota = newQuota(key, limit, now);
          quotas.use(limit.name, key, quota);
        }
        quota.adopt(limit);
        return quota.ask(cost, now);
      });
      const { each, isCharged } = standings;
      charges.forEach(({ limit, key, cost }, at) => {
        const standing = each[at];
        const quota = quotas.get(limit, key);
        if (standing === undefined || quota === undefined) return;
        const isPassed = standing.kind === "admitted";
        // What another limit refused is no demand for this one.
        if (isPassed && !isCharged) return;
        if (isPassed) spent += quota.take(standing, cost, now);
        quota.lease.noteDemand(cost, now.monotonicMs);
        if (quota.isDue(now)) renewals.add(quota);
        else if (!quota.isWatched && quota.isActive(now.monotonicMs)) renewals.watch(quota);
      });
      return verdictsOf(charges, limits, standings);
    },
  };
}

/**
 * Its message alone: errors of the client also hold the command, and a command may be AUTH.
 *
 * @returns undefined for what only says that there is no connection, and not why
 */
function describe(error: unknown): string | undefined {
  if (!(error instanceof Error)) return String(error);
  if (error.message.startsWith("Stream isn't writeable")) return undefined;
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return error.message === "" ? code : error.message;
}
