import type { Experiment } from "../experiment.js";
import type { Item, PolicyParts } from "../policy-parts.js";
import { BUCKET_COUNT } from "../values.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

export function layerRules(parts: PolicyParts): Issues {
  return [...layerReferences(parts), ...slotRules(parts.experiments)];
}

/** An experiment's layer exists, and draws by the same unit. */
function layerReferences(parts: PolicyParts): Issues {
  const layers = parts.names("layers");
  const units = new Map(
    parts.layers.toReversed().map(({ value }) => [value.name, value.unit] as const),
  );
  return parts.experiments.flatMap((item) => {
    const { layer, unit } = item.value;
    if (layer === undefined) return [];
    if (!layers.has(layer.name)) {
      return [
        issue(
          item,
          ["layer", "name"],
          `unknown layer ${quoted(layer.name)}: declare it under layers (there: ${listed(layers)})`,
        ),
      ];
    }
    const declared = units.get(layer.name);
    return declared === undefined || declared === unit || !parts.units.has(unit)
      ? []
      : [
          issue(
            item,
            ["unit"],
            `layer ${quoted(layer.name)} draws by unit ${quoted(declared)}, this experiment by ${quoted(unit)}: they must be the same`,
          ),
        ];
  });
}

/** One range of slots that an experiment takes in its layer. */
type Range = {
  readonly item: Item<Experiment>;
  readonly at: number;
  readonly from: number;
  readonly to: number;
};

function slotRules(experiments: PolicyParts["experiments"]): Issues {
  const byLayer = new Map<string, Range[]>();
  for (const item of experiments) {
    const { layer } = item.value;
    if (layer === undefined) continue;
    const ranges = byLayer.get(layer.name) ?? [];
    byLayer.set(layer.name, ranges);
    layer.slots.forEach(([from, to], at) => ranges.push({ item, at, from, to }));
  }
  // One table for all layers: a layer has 10,000 slots, and a policy may have 1,000 layers.
  const takenBy = new Int32Array(BUCKET_COUNT);
  return [...byLayer].flatMap(([layer, ranges]) => rangeRules(layer, ranges, takenBy.fill(NOBODY)));
}

const NOBODY = -1;

/** `takenBy` keeps for each slot the first range that takes it. */
function rangeRules(layer: string, ranges: readonly Range[], takenBy: Int32Array): Issues {
  return ranges.flatMap(({ item, at, from, to }, index) => {
    const path = ["layer", "slots", at];
    if (from >= to) {
      const message = `slots [${from}, ${to}] are empty: a range is [from, to) with from < to`;
      return [issue(item, path, message)];
    }
    let first = index;
    for (let slot = from; slot < to; slot++) {
      const taken = takenBy[slot] ?? NOBODY;
      if (taken === NOBODY) takenBy[slot] = index;
      else if (taken < first) first = taken;
    }
    const other = first < index ? ranges[first] : undefined;
    return other === undefined
      ? []
      : [
          issue(
            item,
            path,
            `slots [${from}, ${to}) of layer ${quoted(layer)} overlap [${other.from}, ${other.to}) of experiment ${quoted(other.item.value.name)}: experiments in one layer never share a slot`,
          ),
        ];
  });
}
