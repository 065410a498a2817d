import type { PolicyParts, Item } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

type Path = readonly (string | number)[];

export function uniqueNames(parts: PolicyParts): Issues {
  const lists = ["models", "layers", "holdouts", "experiments", "shadows", "limits"] as const;
  return lists.flatMap((list) => {
    const seen = new Set<string>();
    const items: readonly Item<{ readonly name: string }>[] = parts[list];
    return items.flatMap((item) => {
      const { name } = item.value;
      if (!seen.has(name)) {
        seen.add(name);
        return [];
      }
      const message = `${list} has another ${quoted(name)}: names must be unique, rename one`;
      return [issue(item, ["name"], message)];
    });
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
  const model = (item: Item<unknown>, path: Path, name: string) =>
    models.has(name)
      ? []
      : [
          issue(
            item,
            path,
            `unknown model ${quoted(name)}: declare it under models (there: ${listed(models)})`,
          ),
        ];
  const version = versionReferences(parts);
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

function versionReferences({ models }: PolicyParts) {
  const versionsOf = new Map<string, ReadonlySet<string>>();
  for (const { value } of models) {
    if (!versionsOf.has(value.name)) {
      versionsOf.set(value.name, new Set(value.versions.map(({ name }) => name)));
    }
  }
  return (item: Item<unknown>, path: Path, model: string, name: string | undefined): Issues => {
    const versions = versionsOf.get(model);
    return name === undefined || versions === undefined || versions.has(name)
      ? []
      : [
          issue(
            item,
            path,
            `unknown version ${quoted(name)} of model ${quoted(model)}: declare it under its versions (there: ${listed(versions)})`,
          ),
        ];
  };
}
