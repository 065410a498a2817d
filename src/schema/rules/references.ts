import type { PolicyParts, Item } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

export function uniqueNames(parts: PolicyParts): Issues {
  const lists = ["models", "layers", "holdouts", "experiments", "shadows", "limits"] as const;
  return lists.flatMap((list) => {
    const items: readonly Item<{ readonly name: string }>[] = parts[list];
    return items
      .filter(({ value }, at) => items.findIndex((other) => other.value.name === value.name) < at)
      .map((item) =>
        issue(
          item,
          ["name"],
          `${list} has another ${quoted(item.value.name)}: names must be unique, rename one`,
        ),
      );
  });
}

/** Units, models, layers and versions that are named must exist. */
export function references(parts: PolicyParts): Issues {
  const models = parts.names("models");
  const unit = (item: Item<{ readonly unit: string }>) =>
    parts.units.has(item.value.unit)
      ? []
      : [
          issue(
            item,
            ["unit"],
            `unknown unit ${quoted(item.value.unit)}: declare it under units (there: ${listed(parts.units)})`,
          ),
        ];
  const model = (item: Item<unknown>, path: readonly (string | number)[], name: string) =>
    models.has(name)
      ? []
      : [
          issue(
            item,
            path,
            `unknown model ${quoted(name)}: declare it under models (there: ${listed(models)})`,
          ),
        ];
  const version = (
    item: Item<unknown>,
    path: readonly (string | number)[],
    of: string,
    name: string | undefined,
  ) => {
    const versions = parts.models
      .find(({ value }) => value.name === of)
      ?.value.versions.map((one) => one.name);
    return name === undefined || versions === undefined || versions.includes(name)
      ? []
      : [
          issue(
            item,
            path,
            `unknown version ${quoted(name)} of model ${quoted(of)}: declare it under its versions (there: ${listed(versions)})`,
          ),
        ];
  };
  return [
    ...[...parts.layers, ...parts.holdouts, ...parts.experiments, ...parts.shadows].flatMap(unit),
    ...[...parts.holdouts, ...parts.limits].flatMap((item) =>
      (item.value.models ?? []).flatMap((name, at) => model(item, ["models", at], name)),
    ),
    ...[...parts.experiments, ...parts.shadows].flatMap((item) =>
      model(item, ["model"], item.value.model),
    ),
    ...parts.experiments.flatMap((item) =>
      item.value.arms.flatMap((arm, at) =>
        version(item, ["arms", at, "version"], item.value.model, arm.version),
      ),
    ),
    ...parts.shadows.flatMap((item) =>
      version(item, ["version"], item.value.model, item.value.version),
    ),
  ];
}
