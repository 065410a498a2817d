import {
  Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  visit,
  type Node,
  type Pair,
} from "yaml";
import type { Comment, RenderedDocument } from "../../core/render/rendered-document.js";

const LINE_WIDTH = 100;
/** A collection whose compact text is at most this long, and fits, stands on one line. */
const MAX_FLOW_LENGTH = 84;

/** Writes a rendered document as YAML; the same document always gives the same text. */
export function writeYaml(rendered: RenderedDocument): string {
  return textOf(rendered, new Document(rendered.root, { aliasDuplicateObjects: false }));
}

/**
 * Writes documents for the parser of kubectl and istioctl, which reads YAML 1.1: there `no` is a
 * boolean, and a plain text may not begin with a colon.
 */
export function writeKubernetesYaml(documents: readonly RenderedDocument[]): string {
  return documents.map(kubernetesYaml).join("---\n");
}

function kubernetesYaml(rendered: RenderedDocument): string {
  const document = new Document(rendered.root, { aliasDuplicateObjects: false, version: "1.1" });
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === "string" && node.value.startsWith(":")) node.type = "QUOTE_DOUBLE";
    },
  });
  return textOf(rendered, document);
}

function textOf({ header, comments }: RenderedDocument, document: Document): string {
  for (const comment of comments) placeComment(document, comment);
  compact(document);
  const lines = header.map((line) => `# ${line}`.trimEnd());
  const style = {
    lineWidth: LINE_WIDTH,
    flowCollectionPadding: true,
    blockQuote: "literal",
  } as const;
  return [...lines, document.toString(style)].join("\n");
}

function placeComment(document: Document, { path, text }: Comment): void {
  const parent: unknown = document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  const target = isMap(parent)
    ? parent.items.find((pair: Pair) => isScalar(pair.key) && pair.key.value === last)?.key
    : isSeq(parent) && typeof last === "number"
      ? parent.items[last]
      : document.contents;
  if (isNode(target)) target.commentBefore = wrapped(text, LINE_WIDTH - 2 * path.length - 2);
}

/** Puts small collections on one line; one that holds a comment stays as it is. */
function compact(document: Document): void {
  visit(document, {
    Collection(_, node, path) {
      if (hasComment(node)) return;
      const room = LINE_WIDTH - path.filter((parent) => isPair(parent) || isSeq(parent)).length * 2;
      const length = JSON.stringify(node.toJS(document)).length;
      if (length <= Math.min(MAX_FLOW_LENGTH, room)) node.flow = true;
    },
  });
}

function hasComment(root: Node): boolean {
  let found = false;
  visit(root, {
    Node(_, node) {
      if (node === root || node.commentBefore == null) return undefined;
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function wrapped(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.map((line) => ` ${line}`).join("\n");
}
