import type { PolicyParts } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

export function layerRules(parts: PolicyParts): Issues {
  const layers = parts.names("layers");
  const placed = parts.experiments.flatMap((item) =>
    (item.value.layer?.slots ?? []).map(([from, to], at) => ({
      item,
      at,
      from,
      to,
      layer: item.value.layer?.name ?? "",
    })),
  );
  return [
    ...parts.experiments.flatMap((item) => {
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
      const declared = parts.layers.find(({ value }) => value.name === layer.name)?.value.unit;
      return declared === undefined || declared === unit || !parts.units.has(unit)
        ? []
        : [
            issue(
              item,
              ["unit"],
              `layer ${quoted(layer.name)} draws by unit ${quoted(declared)}, this experiment by ${quoted(unit)}: they must be the same`,
            ),
          ];
    }),
    ...placed.flatMap(({ item, at, from, to, layer }, index) => {
      const path = ["layer", "slots", at];
      if (from >= to)
        return [
          issue(
            item,
            path,
            `slots [${from}, ${to}] are empty: a range is [from, to) with from < to`,
          ),
        ];
      const other = placed
        .slice(0, index)
        .find((one) => one.layer === layer && from < one.to && one.from < to);
      return other === undefined
        ? []
        : [
            issue(
              item,
              path,
              `slots [${from}, ${to}) of layer ${quoted(layer)} overlap [${other.from}, ${other.to}) of experiment ${quoted(other.item.value.name)}: experiments in one layer never share a slot`,
            ),
          ];
    }),
  ];
}
