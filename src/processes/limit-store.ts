import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { memoryLimitStore } from "../adapters/memory/limit-store.js";
import { prometheusLimitStoreMetrics } from "../adapters/prometheus/limit-store-metrics.js";
import { redisLimitStore } from "../adapters/redis/limit-store.js";
import type { RedisTarget } from "../adapters/redis/redis-url.js";
import { systemClock } from "../adapters/system/clock.js";
import type { LimitStore, Random } from "../app/ports.js";

/** How long a start waits to hear whether Redis answers. */
const START_MS = 1500;
/** How long a stop waits for Redis to take unused leases back. */
const GIVE_BACK_MS = 1000;

export type RedisOptions = { readonly target: RedisTarget; readonly ca: string | undefined };

export type OpenedLimitStore = LimitStore & { readonly close: () => Promise<void> };

/** In memory, or shared through Redis; a Redis that is away does not hold a start up. */
export async function openLimitStore(options: {
  readonly redis: RedisOptions | undefined;
  readonly limitKeys: number;
  readonly namespace: string;
  readonly random: Random;
  readonly registry: Registry;
  readonly logger: Logger;
}): Promise<OpenedLimitStore> {
  const { redis, limitKeys, logger, registry } = options;
  if (redis === undefined) {
    return { ...memoryLimitStore(limitKeys), close: () => Promise.resolve() };
  }
  const metrics = prometheusLimitStoreMetrics(registry, () => store.replicas());
  const store = redisLimitStore({
    ...{ ...redis, namespace: options.namespace, maxKeys: limitKeys },
    ...{ clock: systemClock, random: options.random },
    events: {
      ...metrics,
      changed: (isUp, replicas, because) => {
        metrics.changed(isUp);
        if (isUp) logger.info({ replicas }, "limits are shared through Redis");
        else logger.warn({ replicas, because }, "Redis is away, onStoreFailure decides");
      },
    },
  });
  await store.ready(START_MS);
  return { ...store, close: () => store.close(GIVE_BACK_MS) };
}
