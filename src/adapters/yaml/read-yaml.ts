import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  parseDocument,
  visit,
} from "yaml";
import type { Alias, Document, Node, YAMLError } from "yaml";
import { shortened } from "../../schema/shape-issues.js";

type Path = readonly (string | number)[];

export type YamlText = {
  /** The document as plain values; undefined when it has issues. */
  readonly value: unknown;
  /** `file:line:column` of what the path names: a map entry at its key, a list item at its start. */
  readonly locate: (path: Path) => string;
  /** An unquoted number as it is written there: 1.0 and 010 are other words than 1 and 10. */
  readonly numberAt: (path: Path) => string | undefined;
  /** What makes the text no valid YAML document, each with its position. */
  readonly issues: readonly string[];
};

/** Aliases may expand to at most this many nodes, so that a short text cannot fill the memory. */
const MAX_ALIAS_COUNT = 100;

export function readYaml(file: string, text: string): YamlText {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  return yamlText(file, text, lineCounter, document);
}

/** Every document of a file, as Kubernetes takes several. */
export function readYamlDocuments(file: string, text: string): readonly YamlText[] {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => yamlText(file, text, lineCounter, document));
}

function yamlText(file: string, text: string, lines: LineCounter, document: Document): YamlText {
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const targets: AliasTargets = new Map();
  const issues = syntaxIssues(document, text, targets).map(
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
  const read = (path: Path) => placeOf(document, targets, path);
  return {
    value,
    issues,
    locate: (path) => at(read(path).offset),
    numberAt: (path) => {
      const { node } = read(path);
      return isScalar(node) && typeof node.value === "number" ? node.source : undefined;
    },
  };
}

/** What each alias stands for. Filled in one walk; the parser would walk the document for each. */
type AliasTargets = Map<Alias, Node>;

type Issue = { readonly offset: number; readonly message: string };

function syntaxIssues(document: Document, text: string, targets: AliasTargets): readonly Issue[] {
  const errors = [...document.errors, ...document.warnings].map((error) => ({
    offset: error.pos[0],
    message: messageOf(error, text),
  }));
  // The parser reports every level that it could not leave.
  const tooDeep = errors.findLast(({ message }) => message.includes("call stack"));
  if (tooDeep !== undefined) return [{ ...tooDeep, message: "nested too deeply to be read" }];
  return errors.length > 0 ? errors : nodeIssues(document, targets);
}

function messageOf({ code, message, pos }: YAMLError, text: string): string {
  if (code === "DUPLICATE_KEY") {
    const [key = ""] = /^("[^"]*"|'[^']*'|[^\s:,{}]+)/.exec(text.slice(pos[0])) ?? [];
    return `key ${shortened(key)} is there twice: remove one`;
  }
  if (code === "MULTIPLE_DOCS") return "a second YAML document begins: write one document per file";
  return message;
}

/** What YAML allows and plain values cannot hold. */
function nodeIssues(document: Document, targets: AliasTargets): readonly Issue[] {
  const anchored = new Map<string, Node>();
  const issues: Issue[] = [];
  const report = (node: Node, message: string) =>
    issues.push({ offset: node.range?.[0] ?? 0, message });
  visit(document, {
    Value(_, node) {
      if (node.anchor !== undefined) anchored.set(node.anchor, node);
    },
    Alias(_, alias, ancestors) {
      const target = anchored.get(alias.source);
      if (target !== undefined) targets.set(alias, target);
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

type Place = { readonly offset: number; readonly node: Node | undefined };

/** A path that leads nowhere is located at its nearest existing ancestor, and has no node. */
function placeOf(document: Document, targets: AliasTargets, path: Path): Place {
  let node = resolved(targets, document.contents);
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    const entry = childOf(node, step);
    if (entry === undefined) return { offset, node: undefined };
    offset = entry.offset ?? offset;
    node = resolved(targets, entry.value);
  }
  return { offset, node };
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

function resolved(targets: AliasTargets, node: unknown): Node | undefined {
  if (isAlias(node)) return targets.get(node);
  return (node ?? undefined) as Node | undefined;
}
