import type { Model } from "../model.js";
import type { Item, PolicyParts } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";
import { modelsByMatch } from "./models-by-match.js";

export function modelRules({ models }: PolicyParts): Issues {
  const { hiding, sharing } = modelsByMatch(models.map(({ value }) => value));
  return models.flatMap((model, at) => {
    const same = sharing(at);
    const hidden = same === undefined ? hiding(at) : undefined;
    const { name } = model.value;
    return [
      ...versionRules(model),
      ...(hidden === undefined
        ? []
        : [
            issue(
              model,
              ["match"],
              `model ${quoted(name)} never matches: ${quoted(hidden.name)} has the same pathPrefix, wider hosts, and comes first; move it below`,
            ),
          ]),
      ...(same === undefined
        ? []
        : [
            issue(
              model,
              ["match"],
              `models ${quoted(same.name)} and ${quoted(name)} match the same host and pathPrefix: a request can have one model`,
            ),
          ]),
    ];
  });
}

/** Versions have unique names, and those that serve by default are among them. */
function versionRules(model: Item<Model>): Issues {
  const { value } = model;
  const names = new Set<string>();
  const twice = value.versions.flatMap(({ name }, at) => {
    if (!names.has(name)) {
      names.add(name);
      return [];
    }
    const message = `version ${quoted(name)} is there twice: rename or remove one`;
    return [issue(model, ["versions", at, "name"], message)];
  });
  const known = (path: "default" | "fallback", name: string | undefined) =>
    name === undefined || names.has(name)
      ? []
      : [
          issue(
            model,
            [path],
            `unknown version ${quoted(name)}: it must be one of ${listed(names)}`,
          ),
        ];
  return [...known("default", value.default), ...known("fallback", value.fallback), ...twice];
}
