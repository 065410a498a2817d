import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApiServer } from "./api-server.js";

type Schema = { readonly [key: string]: unknown };
type GroupVersionKind = { readonly group: string; readonly version: string; readonly kind: string };

/**
 * Writes what the API server publishes of each kind (OpenAPI v3) as strict JSON Schemas for
 * kubeconform.
 *
 * @returns kubeconform's -schema-location
 */
export async function writeSchemas({ ask }: ApiServer, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const { body } = await ask("GET", "/openapi/v3");
  const paths = body["paths"] as Readonly<Record<string, { readonly serverRelativeURL: string }>>;
  for (const [path, { serverRelativeURL }] of Object.entries(paths)) {
    if (!/^apis?\/.*v\d/.test(path)) continue;
    const document = await ask("GET", serverRelativeURL);
    const components = document.body["components"] as Readonly<Record<string, unknown>> | undefined;
    const schemas = (components?.["schemas"] ?? {}) as Readonly<Record<string, Schema>>;
    const strict = strictly(schemas) as Readonly<Record<string, Schema>>;
    for (const [name, schema] of Object.entries(schemas)) {
      const kinds = (schema["x-kubernetes-group-version-kind"] ?? []) as GroupVersionKind[];
      // What all groups share, such as DeleteOptions, is of many kinds.
      if (kinds.length !== 1) continue;
      const { group, version, kind } = kinds[0]!;
      // To kubeconform the group of core kinds is v1.
      const file = [kind.toLowerCase(), group === "" ? version : group, version].join("_");
      const root = { $ref: `#/components/schemas/${name}`, components: { schemas: strict } };
      await writeFile(join(folder, `${file}.json`), JSON.stringify(root));
    }
  }
  return join(folder, "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json");
}

/** No fields but those that are named, where any are. */
function strictly(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strictly);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => [key, strictly(value)]);
  const copy = Object.fromEntries(entries) as Record<string, unknown>;
  const isClosed =
    "properties" in copy &&
    !("additionalProperties" in copy) &&
    copy["x-kubernetes-preserve-unknown-fields"] !== true;
  return isClosed ? { ...copy, additionalProperties: false } : copy;
}
