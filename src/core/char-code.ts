// eslint-disable-next-line @typescript-eslint/unbound-method -- called with its text below
const { charCodeAt } = String.prototype;

/**
 * `text.charCodeAt(at)`, for the loops of the request path. There V8 has met more kinds of strings
 * (sliced, joined, internalized) than it keeps apart, and looks the method up for every character.
 */
export const charCodeOf = (text: string, at: number): number => charCodeAt.call(text, at);
