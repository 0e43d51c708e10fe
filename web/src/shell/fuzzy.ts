// Fuzzy matching for the palette: letters in order, runs of letters and starts of words first.

/** How well `query` fits `text`; 0 when it does not. Higher is better. */
export function fit(query: string, text: string): number {
  const wanted = query.trim().toLowerCase().replace(/\s+/g, " ");
  if (wanted === "") return 1;
  const given = text.toLowerCase();
  const whole = given.indexOf(wanted);
  if (whole >= 0) return 1000 - whole - given.length / 100 + (startsWord(given, whole) ? 500 : 0);
  let score = 0;
  let from = 0;
  let before = -2;
  for (const letter of wanted.replaceAll(" ", "")) {
    const at = given.indexOf(letter, from);
    if (at < 0) return 0;
    score += at === before + 1 ? 5 : startsWord(given, at) ? 4 : 1;
    before = at;
    from = at + 1;
  }
  // Letters strewn over a long text are no match that a person meant.
  return score >= 2 * wanted.length ? score : 0;
}

const startsWord = (text: string, at: number): boolean => at === 0 || /[^a-z0-9]/.test(text[at - 1] ?? "");

/** The best `most` items, best first; of equal ones the earlier. */
export function best<T>(items: T[], query: string, text: (item: T) => string, most: number): T[] {
  return items
    .map((item, place) => ({ item, place, score: fit(query, text(item)) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.place - b.place)
    .slice(0, most)
    .map(({ item }) => item);
}
