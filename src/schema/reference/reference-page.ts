import type { JsonSchema } from "./json-schema.js";

/** A Markdown page with one table per object of a schema, parents before children. */
export function referencePage(title: string, schema: JsonSchema): string {
  return [
    `# ${title}`,
    "",
    "Generated from the schema; do not edit. Rules across fields are checked by `weir check`.",
    "",
    ...sectionOf("", schema),
    ...Object.entries(schema.$defs ?? {}).flatMap(([name, one]) => sectionOf(name, one)),
  ].join("\n");
}

function sectionOf(path: string, schema: JsonSchema): readonly string[] {
  const rows = Object.entries(schema.properties ?? {}).map(
    ([key, member]) =>
      `| \`${key}\` | ${cell(typeOf(member))} | ${presence(schema, key, member)} | ${cell(member.description ?? member.items?.description ?? "")} |`,
  );
  const heading = path === "" ? "The document" : `\`${path}\``;
  return [
    `## ${heading}`,
    "",
    ...(schema.description === undefined ? [] : [schema.description, ""]),
    "| key | type | default | meaning |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
    ...Object.entries(schema.properties ?? {}).flatMap(([key, member]) =>
      children(path === "" ? key : `${path}.${key}`, member),
    ),
  ];
}

function children(path: string, schema: JsonSchema): readonly string[] {
  if (schema.properties !== undefined) return sectionOf(path, schema);
  if (schema.items !== undefined) return children(`${path}[]`, schema.items);
  return typeof schema.additionalProperties === "object"
    ? children(`${path}.NAME`, schema.additionalProperties)
    : [];
}

function typeOf(schema: JsonSchema): string {
  if (schema.$ref !== undefined)
    return `[${nameIn(schema.$ref)}](#${nameIn(schema.$ref).toLowerCase()})`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (typeof schema.additionalProperties === "object") {
    return `map of name to ${typeOf(schema.additionalProperties)}`;
  }
  if (schema.properties !== undefined) return `{ ${Object.keys(schema.properties).join(", ")} }`;
  return schema.type ?? "any";
}

/** NAME of `#/$defs/NAME`. */
const nameIn = (reference: string) => reference.replace(/^.*\//, "");

function presence(parent: JsonSchema, key: string, member: JsonSchema): string {
  if (parent.required?.includes(key) === true) return "required";
  return member.default === undefined ? "-" : `\`${JSON.stringify(member.default)}\``;
}

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
