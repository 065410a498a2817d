/** One mistake: where in the document, and what to do about it. */
export type PolicyIssue = { readonly path: readonly (string | number)[]; readonly message: string };
