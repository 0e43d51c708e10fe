// Small drawings in SVG: colours from the page's own properties, so that they follow the theme.
import type { Vector } from "./grouping.ts";

const NS = "http://www.w3.org/2000/svg";
const SIZE = 100;

export type Shape = "circle" | "square" | "triangle" | "diamond" | "cross" | "plus";
const SHAPES: Shape[] = ["circle", "square", "triangle", "diamond"];

/** Shape of a category: colour alone never tells. */
export const shape = (category: number): Shape => SHAPES[category % SHAPES.length] ?? "circle";

const PATHS: Record<Shape, string> = {
  circle: "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
  square: "M-3 -3h6v6h-6z",
  triangle: "M0 -3.8L3.6 2.6H-3.6z",
  diamond: "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
  cross: "M-4 -4L4 4M4 -4L-4 4",
  plus: "M-5 0H5M0 -5V5",
};

export interface Drawing {
  ring(radius: number): void;
  rule(x: number): void;
  line(from: Vector, to: Vector, kind: string): void;
  point(at: Vector, shape: Shape, hue: string): void;
  into(place: HTMLElement): void;
}

/** A drawing around the origin, `height` and `width` in the units of its points. */
export function drawing(label: string, height: number, width = height): Drawing {
  const scale = SIZE;
  const svg = document.createElementNS(NS, "svg");
  const [w, h] = [width * scale, height * scale];
  svg.setAttribute("viewBox", `${-w / 2} ${-h / 2} ${w} ${h}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${label}; the table below has its points`);
  const add = (tag: string, attributes: Record<string, string>) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    svg.append(element);
  };
  const x = (v: Vector) => (v[0] * scale).toFixed(2);
  const y = (v: Vector) => (-v[1] * scale).toFixed(2);
  return {
    ring: (radius) => add("circle", { r: String(radius * scale), class: "learn-ring" }),
    rule: (at) => add("path", { d: `M${at * scale} ${-h / 2}V${h / 2}`, class: "learn-ring" }),
    line: (from, to, kind) => add("path", { d: `M${x(from)} ${y(from)}L${x(to)} ${y(to)}`, class: `learn-${kind}` }),
    point: (at, form, hue) => {
      const transform = `translate(${x(at)} ${y(at)}) scale(${width > height ? 2 : 1.7})`;
      const open = form === "cross" || form === "plus";
      add("path", { d: PATHS[form], transform, class: open ? "learn-mark" : `learn-point learn-${hue}` });
    },
    into: (place) => place.replaceChildren(svg),
  };
}

/** The drawing as a file: what the page's styles say becomes part of it. */
export function copyOf(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const box = svg.viewBox.baseVal;
  copy.setAttribute("xmlns", NS);
  copy.setAttribute("width", String(box.width * 2));
  copy.setAttribute("height", String(box.height * 2));
  const originals = [...svg.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((element, i) => {
    const original = originals[i];
    if (!original) return;
    const seen = getComputedStyle(original);
    for (const name of ["fill", "stroke", "stroke-width", "opacity"]) {
      element.setAttribute(name, seen.getPropertyValue(name));
    }
    element.removeAttribute("class");
  });
  return new XMLSerializer().serializeToString(copy);
}

/** The drawing as a PNG on the page's paper. */
export async function picture(svg: SVGSVGElement): Promise<Blob> {
  const address = URL.createObjectURL(new Blob([copyOf(svg)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser draws no pictures");
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--paper");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Hands a file to the person. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
