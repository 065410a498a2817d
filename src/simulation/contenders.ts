import type { Batcher } from "../core/batching/request.js";
import { Aimd, Cork } from "./policies/adaptive.js";
import { FixedWindow, MlServer, Triton } from "./policies/static.js";
import type { SimulatedRequest, World } from "./simulate.js";

export type Contender = {
  readonly name: string;
  readonly make: () => Batcher<SimulatedRequest>;
};

const SHARES_OF_OBJECTIVE = [0, 0.05, 0.2, 0.5];

type Limits = { readonly size: number; readonly delayMs: number };

/** Batching as it is tuned by hand: every size and window, of each policy that has no more. */
export function handTuned(world: World, sloMs: number): readonly Contender[] {
  return everyLimit(world, sloMs).flatMap((limits) => [
    { name: `fixed window (${named(limits)})`, make: () => new FixedWindow(limits) },
    { name: `MLServer (${named(limits)})`, make: () => new MlServer(limits) },
    {
      name: `Triton (${named(limits)})`,
      make: () => new Triton({ ...limits, timeoutMs: Infinity }),
    },
  ]);
}

/** Triton also with every queue timeout: it sheds what has waited too long. */
export function handTunedWithTimeout(world: World, sloMs: number): readonly Contender[] {
  return everyLimit(world, sloMs).flatMap((limits) =>
    [1, 0.9, 0.75, 0.5].map((share) => ({
      name: `Triton (${named(limits)}, timeout ${share * sloMs} ms)`,
      make: () => new Triton({ ...limits, timeoutMs: share * sloMs }),
    })),
  );
}

const named = ({ size, delayMs }: Limits) => `${size}, ${delayMs} ms`;

function everyLimit({ latency }: World, sloMs: number): readonly Limits[] {
  const sizes: number[] = [];
  for (let size = 1; size <= latency.maxBatchSize; size *= 2) sizes.push(size);
  const delays = SHARES_OF_OBJECTIVE.map((share) => share * sloMs);
  return sizes.flatMap((size) => delays.map((delayMs) => ({ size, delayMs })));
}

/** Policies that find their own way, and Triton as it comes. */
export function untuned({ latency }: World, sloMs: number): readonly Contender[] {
  const { maxBatchSize } = latency;
  const length = latency.lengths[0] ?? 1;
  const one = latency.ms(1, length);
  const a = (latency.ms(maxBatchSize, length) - one) / (maxBatchSize - 1);
  const triton = { size: maxBatchSize, delayMs: 0, timeoutMs: Infinity };
  return [
    { name: "Triton as it comes", make: () => new Triton(triton) },
    {
      name: "CORK (BentoML)",
      make: () => new Cork(maxBatchSize, sloMs, { a, b: Math.max(0, one - a) }),
    },
    { name: "AIMD (Clipper)", make: () => new Aimd(sloMs) },
  ];
}
