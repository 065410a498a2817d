import type { TrueLatency } from "./profile.js";
import { exponential, normal, seeded } from "./random.js";

export type Arrival = {
  readonly atMs: number;
  readonly length: number;
  readonly tenant: string;
  /** From arrival to when the answer is worthless. */
  readonly budgetMs: number;
};

export type Trace = { readonly name: string; readonly arrivals: readonly Arrival[] };

type World = {
  readonly latency: TrueLatency;
  readonly sloMs: number;
  readonly count: number;
  readonly instances: number;
  readonly seed: number;
};

/**
 * Requests of one item; the load at a time is in units of what all instances serve in batches of the
 * best size.
 */
function trace(
  name: string,
  { latency, sloMs, count, instances, seed }: World,
  options: {
    readonly loadAt: (share: number, atMs: number) => number;
    readonly length?: (random: () => number) => number;
    readonly tenant?: (random: () => number) => string;
  },
): Trace {
  const random = seeded(seed);
  const { loadAt, length = () => latency.lengths[0] ?? 1, tenant = () => "" } = options;
  // Of the mean length, so that a load of 1 is what can be served of this mix.
  const lengths = Array.from({ length: 2000 }, () => length(random));
  const costMs = lengths.reduce((sum, each) => sum + 1 / latency.itemsPerMs(each), 0);
  const meanCostMs = costMs / lengths.length / instances;
  const arrivals: Arrival[] = [];
  let atMs = 0;
  for (let index = 0; index < count; index += 1) {
    atMs += (exponential(random) * meanCostMs) / loadAt(index / count, atMs);
    arrivals.push({ atMs, length: length(random), tenant: tenant(random), budgetMs: sloMs });
  }
  return { name, arrivals };
}

export const poisson = (world: World, load: number) =>
  trace(`poisson, load ${load}`, world, { loadAt: () => load });

/** A Markov-modulated process: calm, and bursts of twice what can be served, ten objectives long. */
export function bursts(world: World): Trace {
  const random = seeded(world.seed + 1);
  let [load, untilMs] = [0.4, 0];
  const loadAt = (_share: number, atMs: number) => {
    if (atMs >= untilMs) {
      load = load === 0.4 ? 2 : 0.4;
      untilMs = atMs + exponential(random) * 10 * world.sloMs * (load === 0.4 ? 2 : 1);
    }
    return load;
  };
  return trace("bursts, 0.4 and 2", world, { loadAt });
}

/** Three days, from night to a noon that is more than can be served. */
export const diurnal = (world: World) =>
  trace("diurnal, 0.2 to 1.4", world, {
    loadAt: (share) => 0.8 - 0.6 * Math.cos(2 * Math.PI * 3 * share),
  });

/** Log-normal lengths, on a grid of 32 as clients send them. */
export const lengths = (world: World, load: number) => {
  const shortest = world.latency.lengths[0] ?? 1;
  const longest = world.latency.lengths.at(-1) ?? 1;
  return trace(`heavy-tailed lengths, load ${load}`, world, {
    loadAt: () => load,
    length: (random) => {
      const drawn = 2.5 * shortest * Math.exp(0.8 * normal(random));
      return Math.min(longest, Math.max(shortest, Math.round(drawn / 32) * 32));
    },
  });
};

/** Tenant a sends ten times what b sends, and b less than half of what can be served. */
export const tenants = (world: World) =>
  trace("two tenants 10:1, load 2", world, {
    loadAt: () => 2,
    tenant: (random) => (random() < 10 / 11 ? "a" : "b"),
  });
