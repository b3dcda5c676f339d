// What this device remembers: the theme, the model that is looked at. Nothing else.

/** A remembered value, or `otherwise`. */
export function read(key, otherwise) {
  try {
    return localStorage.getItem(`patchcore-dual.${key}`) ?? otherwise;
  } catch {
    return otherwise; // storage is turned off
  }
}

/** Remember a value. */
export function write(key, value) {
  try {
    localStorage.setItem(`patchcore-dual.${key}`, value);
  } catch {
    // storage is turned off: it is forgotten with the page
  }
}
