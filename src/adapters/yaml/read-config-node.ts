import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import {
  plainScalar,
  type ConfigMap,
  type ConfigNode,
} from "../../core/rate-limit/import/config-node.js";

export type ConfigText = {
  readonly root: ConfigNode;
  /** What makes it no YAML, each with its position. */
  readonly issues: readonly string[];
  /** `file:line:column` */
  readonly locate: (offset: number) => string;
};

const STRING_TAG = "tag:yaml.org,2002:str";
/** Aliases may make a short text large. */
const MAX_NODES = 200_000;

/** The first document of a text, as envoyproxy/ratelimit's parser has it. */
export function readConfigNode(file: string, text: string): ConfigText {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    // Every scalar stays a text: what it is, is that parser's business.
    ...{ lineCounter: lines, prettyErrors: false, schema: "failsafe", uniqueKeys: false },
  });
  const locate = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const document = "empty" in documents ? undefined : documents[0];
  const issues = (document?.errors ?? []).map(
    ({ pos: [offset], message }) => `${locate(offset)} ${message}`,
  );
  const nothing = plainScalar("", 0);
  if (document === undefined || issues.length > 0) return { root: nothing, issues, locate };
  try {
    return { root: nodeReader()(document.contents), issues, locate };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { root: nothing, issues: [`${locate(0)} ${error.message}: write it out`], locate };
  }
}

function nodeReader(): (node: unknown) => ConfigNode {
  const anchors = new Map<string, unknown>();
  let count = 0;
  const read = (node: unknown): ConfigNode => {
    if (++count > MAX_NODES) throw new RangeError(`aliases stand for over ${MAX_NODES} values`);
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined)
        throw new RangeError(`*${node.source} stands for nothing before it`);
      return read(target);
    }
    const found = readPlainly(node);
    // Behind its end: what holds itself stands for nothing.
    if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
    return found;
  };
  const readPlainly = (node: unknown): ConfigNode => {
    const offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    if (isMap(node)) return { kind: "map", entries: node.items.flatMap(entriesOf), offset };
    if (isSeq(node)) return { kind: "list", items: node.items.map(read), offset };
    if (!isScalar(node)) return plainScalar("", 0);
    const text = typeof node.value === "string" ? node.value : "";
    const isPlain = node.type === "PLAIN" && node.tag !== STRING_TAG;
    return isPlain ? plainScalar(text, offset) : { kind: "string", text, value: text, offset };
  };
  const entriesOf = ({ key, value }: { key: unknown; value: unknown }): ConfigMap["entries"] => {
    const entry = { key: read(key), value: read(value) };
    const isMerge = isScalar(key) && key.type === "PLAIN" && key.value === "<<";
    if (!isMerge) return [entry];
    const merged = entry.value.kind === "list" ? entry.value.items : [entry.value];
    return merged.flatMap((one) => (one.kind === "map" ? one.entries : [entry]));
  };
  return read;
}
