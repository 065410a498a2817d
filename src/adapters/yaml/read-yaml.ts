import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from "yaml";
import type { Document, Node, YAMLError } from "yaml";

export type YamlText = {
  /** The document as plain values; undefined when it has issues. */
  readonly value: unknown;
  /** `file:line:column` of what the path names: a map entry at its key, a list item at its start. */
  readonly locate: (path: readonly (string | number)[]) => string;
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
  const issues = syntaxIssues(document, text).map(
    ({ offset, message }) => `${at(offset)} ${message}`,
  );
  let value: unknown;
  if (issues.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIAS_COUNT });
    } catch {
      // What is left to go wrong in a document without other issues.
      issues.push(
        `${at(0)} aliases (*name) stand for more than ${MAX_ALIAS_COUNT} values: write them out`,
      );
    }
  }
  return { value, issues, locate: (path) => at(offsetOf(document, path)) };
}

type Issue = { readonly offset: number; readonly message: string };

function syntaxIssues(document: Document, text: string): readonly Issue[] {
  const errors = [...document.errors, ...document.warnings].map((error) => ({
    offset: error.pos[0],
    message: messageOf(error, text),
  }));
  // The parser reports every level that it could not leave.
  const tooDeep = errors.findLast(({ message }) => message.includes("call stack"));
  if (tooDeep !== undefined) return [{ ...tooDeep, message: "nested too deeply to be read" }];
  return errors.length > 0 ? errors : nodeIssues(document);
}

function messageOf({ code, message, pos }: YAMLError, text: string): string {
  if (code === "DUPLICATE_KEY") {
    const [key = ""] = /^("[^"]*"|'[^']*'|[^\s:,{}]+)/.exec(text.slice(pos[0])) ?? [];
    return `key ${key} is there twice: remove one`;
  }
  if (code === "MULTIPLE_DOCS") return "a second YAML document begins: write one document per file";
  return message;
}

/** What YAML allows and plain values cannot hold. */
function nodeIssues(document: Document): readonly Issue[] {
  const issues: Issue[] = [];
  const report = (node: Node, message: string) =>
    issues.push({ offset: node.range?.[0] ?? 0, message });
  visit(document, {
    Alias(_, alias, ancestors) {
      const target = alias.resolve(document);
      if (target === undefined) {
        report(alias, `alias *${alias.source} has no anchor &${alias.source} before it`);
      } else if (ancestors.includes(target)) {
        report(alias, `alias *${alias.source} stands inside its own anchor: write it out`);
      }
    },
    Pair(_, { key }) {
      if (isMap(key) || isSeq(key)) report(key, "a key must be one word, not a list or a map");
      if (isScalar(key) && key.value === "__proto__") report(key, 'key "__proto__" is not allowed');
    },
  });
  return issues;
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
