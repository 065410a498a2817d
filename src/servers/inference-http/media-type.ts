/** Of no type said, it is JSON. */
export function isJson(contentType: string | undefined): boolean {
  return contentType === undefined || /^application\/([^;]*\+)?json\s*(;|$)/i.test(contentType);
}
