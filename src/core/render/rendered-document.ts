/** A configuration document as plain data, with the reason for a setting beside the setting. */
export type Plain =
  null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

export type Comment = { readonly path: readonly (string | number)[]; readonly text: string };

export type RenderedDocument = {
  /** Lines above the document. */
  readonly header: readonly string[];
  readonly root: Plain;
  /** In document order; each stands above the key or list item that its path names. */
  readonly comments: readonly Comment[];
};

const WHY = Symbol("why");
type Explained = { readonly [WHY]: string; readonly value: Tree };

/** What renderers build: plain data in which any value may carry its why; undefined is left out. */
export type Tree =
  | null
  | boolean
  | number
  | string
  | readonly Tree[]
  | { readonly [key: string]: Tree | undefined }
  | Explained;

/** Attaches the reason for a setting, to be printed above it. */
export function why(text: string, value: Tree): Tree {
  return { [WHY]: text, value };
}

/** Parts a tree into plain data and its comments; what was said once is not said again. */
export function renderedDocument(header: readonly string[], tree: Tree): RenderedDocument {
  const comments: Comment[] = [];
  return { header, root: plainOf(tree, [], comments), comments };
}

function plainOf(tree: Tree, path: Comment["path"], comments: Comment[]): Plain {
  if (tree === null || typeof tree !== "object") return tree;
  if (isExplained(tree)) {
    const text = tree[WHY];
    if (!comments.some((comment) => comment.text === text)) comments.push({ path, text });
    return plainOf(tree.value, path, comments);
  }
  if (isList(tree)) return tree.map((item, index) => plainOf(item, [...path, index], comments));
  const fields = Object.entries(tree).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, plainOf(value, [...path, key], comments)] as const],
  );
  return Object.fromEntries(fields);
}

function isExplained(tree: Tree): tree is Explained {
  return tree !== null && typeof tree === "object" && WHY in tree;
}

// Array.isArray does not narrow readonly arrays.
function isList(tree: Tree): tree is readonly Tree[] {
  return Array.isArray(tree);
}
