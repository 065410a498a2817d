import type { PolicyIssue } from "../policy-issue.js";
import type { Item, PolicyParts } from "../policy-parts.js";
import { issue } from "./issue.js";
import type { Issues } from "./issue.js";

/** The text of an unquoted number in the document; undefined for everything else. */
export type NumberAt = (path: PolicyIssue["path"]) => string | undefined;

/** YAML reads 1.0 as 1 and 010 as 10: the version would get another name than was written. */
export function versionsAsWritten(parts: PolicyParts, numberAt: NumberAt): Issues {
  const check = (item: Item<unknown>, path: readonly (string | number)[], name = ""): Issues => {
    if (!/^\d+$/.test(name)) return [];
    const written = numberAt([...item.path, ...path]);
    if (written === undefined || written === name) return [];
    const message = `version ${written} is read as the number ${name}: put it in quotes, "${written}"`;
    return [issue(item, path, message)];
  };
  return [
    ...parts.models.flatMap((item) => [
      ...item.value.versions.flatMap(({ name }, at) => check(item, ["versions", at, "name"], name)),
      ...check(item, ["default"], item.value.default),
      ...check(item, ["fallback"], item.value.fallback),
    ]),
    ...parts.experiments.flatMap((item) =>
      item.value.arms.flatMap(({ version }, at) => check(item, ["arms", at, "version"], version)),
    ),
    ...parts.shadows.flatMap((item) => check(item, ["version"], item.value.version)),
  ];
}
