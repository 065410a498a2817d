import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node } from "yaml";

export type YamlText = {
  /** The document as plain values; undefined when it has issues. */
  readonly value: unknown;
  /** `file:line:column` of what the path names: a map entry at its key, a list item at its start. */
  locate(path: readonly (string | number)[]): string;
  /** What makes the text no valid YAML document, each with its position. */
  readonly issues: readonly string[];
};

/** Aliases may expand to at most this many nodes, so that a short text cannot fill the memory. */
const MAX_ALIAS_COUNT = 100;

export function readYaml(file: string, text: string): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const issues = [...document.errors, ...document.warnings].map(
    ({ pos, message }) => `${at(pos[0])} ${message}`,
  );
  let value: unknown;
  if (issues.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIAS_COUNT });
    } catch (error) {
      issues.push(`${at(0)} ${error instanceof Error ? error.message : "cannot be read"}`);
    }
  }
  return { value, issues, locate: (path) => at(offsetOf(document, path)) };
}

/** A path that leads nowhere is located at its nearest existing ancestor. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node = resolved(document, document.contents);
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    const entry = childOf(node, step);
    if (entry === undefined) return offset;
    offset = entry.offset ?? offset;
    node = resolved(document, entry.value);
  }
  return offset;
}

type Child = { readonly offset: number | undefined; readonly value: unknown };

function childOf(node: Node | undefined, step: string | number): Child | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
    const key = isScalar(pair?.key) ? pair.key : undefined;
    return pair === undefined ? undefined : { offset: key?.range?.[0], value: pair.value };
  }
  if (!isSeq(node) || typeof step !== "number") return undefined;
  const item = node.items[step];
  return item === undefined ? undefined : { offset: (item as Node).range?.[0], value: item };
}

function resolved(document: Document, node: unknown): Node | undefined {
  if (isAlias(node)) return node.resolve(document);
  return (node ?? undefined) as Node | undefined;
}
