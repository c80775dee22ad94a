/** The paint on a picture: strokes, undo, colour picking and export. Knows a canvas, no pointers, no panels. */

import { addCapsule, cut, join, laySheet, layStroke, paste, toHex, toRgb } from "./brush.js";
import { blurred, fillLike, fillPolygon, mirrored } from "./shapes.js";
import { History } from "./history.js";

const INKS = { blur: "copy", lasso: "paint", fill: "paint" }; // what a tool lays on, where it is not its name
const FILL_LEVELS = [6, 60]; // how unlike an area may be that is filled: at least, and more by softness, levels

async function decode(blob, width, height) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(width || bitmap.width, height || bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

export class Painter {
  #context;
  #image = null; // ImageData: what is seen
  #sheet = null; // ImageData: the paint, with straight alpha; what is exported
  #below = null; // Uint8ClampedArray, the picture under the paint
  #reference = null; // Uint8ClampedArray, what the eraser brings back
  #cover = null; // Uint8Array: the stroke under way
  #stroke = null; // {before, box, last, ink, softness}
  #history = new History();
  #waiting = false; // another picture is being fetched
  axis = null; // [x0, y0, x1, y1]: the line between the face's halves; null: the picture's middle

  /**
   * @param {HTMLCanvasElement} canvas its size follows the reference
   * @param {function(): void} onChange after each finished change, and after undo and redo
   */
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
  }

  get ready() {
    return this.#image !== null && !this.#waiting;
  }

  /** Take no strokes while another picture is fetched, which would take their place. */
  wait(on) {
    this.#waiting = on;
  }

  get width() {
    return this.canvas.width;
  }

  get height() {
    return this.canvas.height;
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** Whether there is any paint. */
  get painted() {
    return this.ready && this.#sheet.data.some((value, at) => at % 4 === 3 && value > 0);
  }

  get drawing() {
    return this.#stroke !== null;
  }

  /**
   * Begin with a reference and, where they differ from it or from nothing, the picture under the paint and the
   * paint itself. All are PNG or JPEG blobs.
   */
  async load(reference, below, paint) {
    const base = await decode(reference);
    const { width, height } = base;
    const [under, sheet] = await Promise.all([below, paint].map((blob) => blob && decode(blob, width, height)));
    this.#stroke = null;
    this.#waiting = false;
    this.#history.clear();
    this.#reference = base.data;
    this.#below = under ? under.data : base.data;
    this.#sheet = sheet || new ImageData(width, height);
    this.#image = new ImageData(width, height);
    this.#cover = new Uint8Array(width * height);
    this.canvas.width = width;
    this.canvas.height = height;
    this.#show(this.#all);
    this.onChange();
  }

  get #all() {
    return { x0: 0, y0: 0, x1: this.width, y1: this.height };
  }

  /** Forget the picture. */
  unload() {
    this.#image = this.#sheet = this.#below = this.#reference = this.#cover = this.#stroke = null;
    this.#history.clear();
    this.onChange();
  }

  /**
   * Set the brush down.
   * @param {{x: number, y: number, radius: number}} point in pixels of the picture
   * @param {object} brush
   * @param {string} brush.tool "paint", "tint", "erase", "blur", "lasso" (paints the area that is drawn round)
   *   or "fill" (paints the area that is like the point)
   * @param {string} brush.colour
   * @param {number} brush.softness 0–1; of "fill", how unlike the area may be
   * @param {number} brush.opacity 0–1
   * @param {boolean} brush.mirror whether the other half of the face is painted, too
   */
  begin(point, { tool, colour, softness, opacity, mirror }) {
    const [pixels, reach] = [this.#image.data, Math.max(1, Math.round(point.radius / 3))];
    const ink = { tool: INKS[tool] ?? tool, colour: toRgb(colour), opacity };
    if (tool === "blur") ink.source = blurred(pixels, this.width, this.height, reach);
    this.#stroke = { before: this.#sheet.data.slice(), box: null, last: point, softness, ink, tool, mirror, way: [point] };
    if (tool === "fill") {
      const tolerance = FILL_LEVELS[0] + softness * FILL_LEVELS[1];
      const seen = pixels.slice(); // of before the first side is filled
      this.#onSides((side) => this.#lay(fillLike(this.#cover, seen, this.width, this.height, side(point), tolerance)));
      this.end();
    } else this.move(point);
  }

  /** Call `act` with how a point lies on each side that is painted: as it is, and mirrored over the face. */
  #onSides(act) {
    act((point) => point);
    const axis = this.axis ?? [this.width / 2, 0, this.width / 2, 1];
    if (this.#stroke.mirror) act((point) => mirrored(point, axis));
  }

  #lay(box) {
    if (!box) return;
    const { before, ink } = this.#stroke;
    this.#stroke.box = join(this.#stroke.box, box);
    layStroke(this.#sheet.data, before, this.#below, this.#reference, this.#cover, this.width, box, ink);
    this.#show(box);
  }

  /** Draw on to the next point. */
  move(point) {
    if (!this.drawing) return; // the picture was taken away meanwhile
    const { last, softness, tool, way } = this.#stroke;
    this.#stroke.last = point;
    if (tool === "lasso") {
      way.push(point);
      this.#drawWay();
    } else {
      this.#onSides((side) =>
        this.#lay(addCapsule(this.#cover, this.width, this.height, side(last), side(point), softness)),
      );
    }
  }

  /** Show the way of the lasso, on the canvas alone. */
  #drawWay() {
    const [context, { way }] = [this.#context, this.#stroke];
    context.lineWidth = Math.max(1, this.width / 400);
    for (const [colour, dash] of [["#000", []], ["#fff", [6, 6]]]) {
      context.strokeStyle = colour;
      context.setLineDash(dash);
      context.beginPath();
      for (const { x, y } of way.slice(-2)) context.lineTo(x + 0.5, y + 0.5);
      context.stroke();
    }
  }

  /** Lift the brush: the stroke becomes one step of the history. */
  end() {
    if (!this.drawing) return;
    const { tool, way } = this.#stroke;
    if (tool === "lasso") {
      this.#show(this.#all);
      this.#onSides((side) => this.#lay(fillPolygon(this.#cover, this.width, this.height, way.map(side))));
    }
    const { before, box } = this.#stroke;
    this.#stroke = null;
    if (!box) return;
    this.#cover.fill(0);
    this.#remember(before, box);
  }

  /** Take back the stroke under way (a second finger came down). */
  cancel() {
    if (!this.drawing) return;
    const { before, box } = this.#stroke;
    this.#stroke = null;
    this.#show(this.#all); // without a lasso's way
    if (!box) return;
    this.#cover.fill(0);
    this.#sheet.data.set(before);
    this.#show(box);
  }

  /** Take all paint away, as one step that can be undone. */
  restore() {
    const before = this.#sheet.data.slice();
    this.#sheet.data.fill(0);
    this.#show(this.#all);
    this.#remember(before, this.#all);
  }

  undo() {
    this.#step(this.#history.undo(), "before");
  }

  redo() {
    this.#step(this.#history.redo(), "after");
  }

  /** Colour "#rrggbb" at a point of the picture, or null outside. */
  colourAt(x, y) {
    const column = Math.round(x);
    const row = Math.round(y);
    if (!this.ready || column < 0 || row < 0 || column >= this.width || row >= this.height) return null;
    const at = (row * this.width + column) * 4;
    return toHex([...this.#image.data.subarray(at, at + 3)]);
  }

  /** A canvas of the paint alone, with alpha. */
  sheet() {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height;
    canvas.getContext("2d").putImageData(this.#sheet, 0, 0);
    return canvas;
  }

  /** The paint as PNG, with alpha. */
  async toBlob() {
    return new Promise((resolve, reject) => {
      const done = (blob) => (blob ? resolve(blob) : reject(new Error("the browser could not write a PNG")));
      this.sheet().toBlob(done, "image/png");
    });
  }

  #remember(before, box) {
    const step = { box, before: cut(before, this.width, box), after: cut(this.#sheet.data, this.width, box) };
    this.#history.add(step);
    this.onChange();
  }

  #step(step, side) {
    if (!step) return;
    paste(this.#sheet.data, this.width, step.box, step[side]);
    this.#show(step.box);
    this.onChange();
  }

  #show(box) {
    const { x0, y0, x1, y1 } = box;
    laySheet(this.#image.data, this.#below, this.#sheet.data, this.width, box);
    this.#context.putImageData(this.#image, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }
}
