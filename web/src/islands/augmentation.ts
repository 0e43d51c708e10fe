// The preview of the augmentation: drawn anew when a setting that it shows changes, or on request.
import { first } from "../shell/dom.ts";
import { refresh } from "../shell/fragment.ts";

/** Names of the settings that decide what is seen. */
const matters = (name: string): boolean =>
  ["preset", "model", "seed", "augmentation"].includes(name) || name.startsWith("data.");

/** Answers with whether a button asked for a new draw, which is then under way. */
export function mountAugmentation(form: HTMLFormElement): (button: HTMLElement | null) => boolean {
  const box = first("[data-preview]", HTMLElement, form);
  if (!box) return () => false;
  const draw = async () => {
    const fields = [...new FormData(form)]
      .map(([key, value]): [string, string] => [key, String(value)])
      .filter(([key, value]) => matters(key) && value !== "");
    const query = new URLSearchParams([...fields, ["draw", box.dataset["draw"] ?? "0"]]);
    box.dataset["fragment"] = `/fragments/augmentation?${query.toString()}`;
    await refresh(box);
  };
  form.addEventListener("change", (event) => {
    const { target } = event;
    const named = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
    if (!named || matters(target.name)) void draw();
  });
  return (button) => {
    if (!(button instanceof HTMLButtonElement) || button.dataset["draw"] === undefined) return false;
    box.dataset["draw"] = button.value;
    void draw();
    return true;
  };
}
