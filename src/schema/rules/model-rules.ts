import type { Model } from "../model.js";
import type { PolicyParts } from "../policy-parts.js";
import { issue, listed, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

/** Of two models with the same prefix the first in the file serves. */
function hides(first: Model, second: Model): boolean {
  return (
    first.match.pathPrefix === second.match.pathPrefix &&
    second.match.hosts.every((host) => first.match.hosts.some((pattern) => covers(pattern, host)))
  );
}

function covers(pattern: string, host: string): boolean {
  if (pattern === "*" || pattern === host) return true;
  return pattern.startsWith("*.") && host.replace(/^\*/, "").endsWith(pattern.slice(1));
}

export function modelRules(model: PolicyParts["models"][number], parts: PolicyParts): Issues {
  const { value } = model;
  const names = value.versions.map(({ name }) => name);
  const known = (path: "default" | "fallback", name: string | undefined) =>
    name === undefined || names.includes(name)
      ? []
      : [
          issue(
            model,
            [path],
            `unknown version ${quoted(name)}: it must be one of ${listed(names)}`,
          ),
        ];
  const twice = names.flatMap((name, at) =>
    names.indexOf(name) < at
      ? [
          issue(
            model,
            ["versions", at, "name"],
            `version ${quoted(name)} is there twice: rename or remove one`,
          ),
        ]
      : [],
  );
  const hiding = parts.models
    .slice(0, parts.models.indexOf(model))
    .find(({ value: other }) => hides(other, value));
  const same = parts.models.find(
    ({ value: other }) =>
      other.name < value.name &&
      other.match.pathPrefix === value.match.pathPrefix &&
      other.match.hosts.some((host) => value.match.hosts.includes(host)),
  );
  return [
    ...known("default", value.default),
    ...known("fallback", value.fallback),
    ...twice,
    ...(hiding === undefined || same !== undefined
      ? []
      : [
          issue(
            model,
            ["match"],
            `model ${quoted(value.name)} never matches: ${quoted(hiding.value.name)} has the same pathPrefix, wider hosts, and comes first; move it below`,
          ),
        ]),
    ...(same === undefined
      ? []
      : [
          issue(
            model,
            ["match"],
            `models ${quoted(same.value.name)} and ${quoted(value.name)} match the same host and pathPrefix: a request can have one model`,
          ),
        ]),
  ];
}
