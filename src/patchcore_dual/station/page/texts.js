// The page's texts, all from texts/LANGUAGE.json, with {name} where a value goes.
// A text with a number has two forms, "KEY.one" and "KEY.other" (more where a language has more).

let texts = {};
let plural = new Intl.PluralRules("en");

/** Load the texts of the language that index.html names. */
export async function loadTexts() {
  const language = document.documentElement.lang || "en";
  const answer = await fetch(`/page/texts/${language}.json`);
  if (!answer.ok) throw new Error(`texts/${language}.json: ${answer.status}`);
  texts = await answer.json();
  plural = new Intl.PluralRules(language);
}

/** A text by its key; `n` among the values chooses the plural form. */
export function t(key, values = {}) {
  const form = "n" in values ? `${key}.${plural.select(Number(values.n))}` : key;
  const text = texts[form] ?? texts[`${key}.other`] ?? texts[key];
  if (text === undefined) return key; // seen at once, and found by the tests
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** Whether there is such a text. */
export function hasText(key) {
  return key in texts;
}
