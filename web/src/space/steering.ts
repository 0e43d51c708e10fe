// Pointer, wheel and keys of one panel.
import type { Place } from "./lasso.ts";
import type { Panel } from "./panel.ts";

const STEP = 48;
const NOTCH = 1.25;
/** A press that moves less than this is a click. */
const CLICK_PIXELS = 4;
const CORNER_PIXELS = 3;

export function steer(panel: Panel): void {
  wheel(panel);
  pointer(panel);
  keys(panel);
}

function wheel(panel: Panel): void {
  const turn = (event: WheelEvent) => {
    event.preventDefault();
    panel.zoom(Math.exp(-event.deltaY * 0.0015), [event.offsetX, event.offsetY]);
  };
  panel.plot.addEventListener("wheel", turn, { passive: false });
  panel.plot.addEventListener("dblclick", () => panel.reset());
}

interface Press {
  left: number;
  top: number;
  moved: number;
  lasso: boolean;
}

function pointer(panel: Panel): void {
  const { plot } = panel;
  const fingers = new Map<number, Place>();
  let press: Press | null = null;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    plot.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    const lasso = panel.host.lassoing() || event.shiftKey;
    press = { left: event.offsetX, top: event.offsetY, moved: 0, lasso };
    if (lasso) panel.lasso = [panel.planeAt(event.offsetX, event.offsetY)];
  });
  plot.addEventListener("pointermove", (event) => {
    const { offsetX: left, offsetY: top } = event;
    if (fingers.size === 2 && fingers.has(event.pointerId)) {
      pinch(panel, fingers, event);
      return;
    }
    fingers.has(event.pointerId) && fingers.set(event.pointerId, [left, top]);
    if (!press) {
      void panel.pointAt(left, top).then((point) => panel.host.hovered(panel, point, left, top));
      return;
    }
    const way = Math.hypot(left - press.left, top - press.top);
    if (press.lasso && way < CORNER_PIXELS) return;
    if (press.lasso) {
      panel.lasso.push(panel.planeAt(left, top));
      panel.redraw();
    } else panel.pan(left - press.left, top - press.top);
    press = { ...press, left, top, moved: press.moved + way };
  });
  const release = (event: PointerEvent) => {
    fingers.delete(event.pointerId);
    const ended = press;
    press = null;
    if (!ended) return;
    if (ended.moved < CLICK_PIXELS) void click(panel, event);
    else if (ended.lasso) panel.host.lassoed(panel, panel.lasso);
  };
  plot.addEventListener("pointerup", release);
  plot.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    press = null;
  });
  plot.addEventListener("pointerleave", () => panel.host.hovered(panel, null, 0, 0));
}

async function click(panel: Panel, event: PointerEvent): Promise<void> {
  panel.lasso = [];
  const point = await panel.pointAt(event.offsetX, event.offsetY);
  panel.host.picked(panel, point === null ? [] : [point], event.ctrlKey || event.metaKey);
}

function pinch(panel: Panel, fingers: Map<number, Place>, event: PointerEvent): void {
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  const before = fingers.get(event.pointerId);
  if (!other || !before) return;
  const now: Place = [event.offsetX, event.offsetY];
  const span = (a: Place) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
  panel.zoom(span(now) / span(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  fingers.set(event.pointerId, now);
}

function keys(panel: Panel): void {
  const moves: Record<string, () => void> = {
    ArrowLeft: () => panel.pan(STEP, 0),
    ArrowRight: () => panel.pan(-STEP, 0),
    ArrowUp: () => panel.pan(0, STEP),
    ArrowDown: () => panel.pan(0, -STEP),
    "+": () => panel.zoom(NOTCH),
    "=": () => panel.zoom(NOTCH),
    "-": () => panel.zoom(1 / NOTCH),
    "0": () => panel.reset(),
    Enter: () => void panel.pickMiddle(false),
    Escape: () => panel.host.picked(panel, [], false),
  };
  panel.plot.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  });
  for (const kind of ["focus", "blur"]) panel.plot.addEventListener(kind, () => panel.redraw());
}
