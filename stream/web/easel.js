/** Input on the canvas: pointers (mouse, pen with pressure, fingers), keyboard, zoom and pan. */

const ZOOM_STEP = 1.25;
const ZOOM_LIMITS = [0.1, 16];

export class Easel {
  #pointers = new Map(); // id -> {x, y} on the screen
  #pinch = null;
  #pan = null;
  #painting = null; // id of the pointer that draws
  #cursor = null; // {x, y} in the picture, moved by keys
  #penDown = false;
  #spaceHeld = false;
  view = { scale: 1, x: 0, y: 0 };

  /**
   * @param {HTMLElement} frame what clips the canvas
   * @param {HTMLElement} ring shows the brush
   * @param {import("./painter.js").Painter} painter
   * @param {object} brush live settings: {tool, colour, size_px, softness, opacity, picking}
   * @param {{onPick: function(string), onZoom: function(number), onSize: function(number), say: function(string)}} calls
   */
  constructor(frame, ring, painter, brush, calls) {
    Object.assign(this, { frame, ring, painter, brush, calls });
    const canvas = painter.canvas;
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      frame.addEventListener(kind, (event) => this.#up(event));
    }
    frame.addEventListener("pointerleave", () => (this.ring.hidden = this.#cursor === null));
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("keyup", (event) => {
      if (event.key === " ") this.#spaceHeld = false;
    });
    canvas.addEventListener("blur", () => this.#lift());
    new ResizeObserver(() => this.fit()).observe(frame);
  }

  /** Show the whole picture, centred. */
  fit() {
    const { width, height } = this.painter;
    const { clientWidth, clientHeight } = this.frame;
    if (!this.painter.ready || clientWidth === 0) return;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    this.view = { scale, x: (clientWidth - width * scale) / 2, y: (clientHeight - height * scale) / 2 };
    this.#place();
  }

  /** Zoom by a factor about a point of the frame (its middle where none is given). */
  zoomBy(factor, x = this.frame.clientWidth / 2, y = this.frame.clientHeight / 2) {
    const scale = Math.min(ZOOM_LIMITS[1], Math.max(ZOOM_LIMITS[0], this.view.scale * factor));
    const ratio = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio };
    this.#place();
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  #place() {
    const { scale, x, y } = this.view;
    const { canvas, width, height } = this.painter;
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    canvas.style.transform = `translate(${x}px, ${y}px)`;
    canvas.classList.toggle("pixels", scale > 3);
    this.calls.onZoom(scale);
    this.#ringAtCursor();
  }

  #toFrame(event) {
    const box = this.frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #toPicture({ x, y }) {
    return { x: (x - this.view.x) / this.view.scale - 0.5, y: (y - this.view.y) / this.view.scale - 0.5 };
  }

  #point(event) {
    const pressure = event.pointerType === "pen" ? 0.2 + 0.8 * event.pressure : 1;
    return { ...this.#toPicture(this.#toFrame(event)), radius: (this.brush.size_px / 2) * pressure };
  }

  #down(event) {
    if (!this.painter.ready) return;
    this.painter.canvas.focus({ preventScroll: true });
    event.preventDefault();
    this.frame.setPointerCapture(event.pointerId);
    this.#cursor = null;
    this.#lift();
    this.#pointers.set(event.pointerId, this.#toFrame(event));
    if (this.#pointers.size === 2) {
      this.#startPinch();
    } else if (event.button === 1 || this.#spaceHeld) {
      this.#pan = { ...this.#toFrame(event), from: { ...this.view } };
    } else if (event.button === 0 && (this.brush.picking || event.altKey)) {
      const { x, y } = this.#point(event);
      const colour = this.painter.colourAt(x, y);
      if (colour) this.calls.onPick(colour);
    } else if (event.button === 0 && this.#pointers.size === 1) {
      this.#painting = event.pointerId;
      this.painter.begin(this.#point(event), this.brush);
    }
  }

  #move(event) {
    const at = this.#toFrame(event);
    this.#showRing(at);
    if (this.#pointers.has(event.pointerId)) this.#pointers.set(event.pointerId, at);
    if (this.#pinch) {
      this.#movePinch();
    } else if (this.#pan) {
      const { from, x, y } = this.#pan;
      this.view = { ...this.view, x: from.x + at.x - x, y: from.y + at.y - y };
      this.#place();
    } else if (this.#painting === event.pointerId) {
      const way = event.getCoalescedEvents?.() ?? [];
      for (const each of way.length > 0 ? way : [event]) this.painter.move(this.#point(each));
    }
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    this.#pan = null;
    if (this.#pointers.size < 2) this.#pinch = null;
    if (this.#painting !== event.pointerId) return;
    this.#painting = null;
    this.painter.end();
  }

  #startPinch() {
    if (this.#painting !== null) this.painter.cancel();
    this.#painting = null;
    const [a, b] = [...this.#pointers.values()];
    this.#pinch = { a, b };
  }

  #movePinch() {
    const [a, b] = [...this.#pointers.values()];
    const { a: a0, b: b0 } = this.#pinch;
    const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    const was = { x: (a0.x + b0.x) / 2, y: (a0.y + b0.y) / 2 };
    this.view = { ...this.view, x: this.view.x + middle.x - was.x, y: this.view.y + middle.y - was.y };
    const spread = Math.hypot(a.x - b.x, a.y - b.y) / Math.max(1, Math.hypot(a0.x - b0.x, a0.y - b0.y));
    this.#pinch = { a, b };
    this.zoomBy(spread, middle.x, middle.y);
  }

  #wheel(event) {
    if (!this.painter.ready) return;
    event.preventDefault();
    const { x, y } = this.#toFrame(event);
    this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), x, y);
  }

  #key(event) {
    if (!this.painter.ready) return;
    const act = this.#action(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  #action(event) {
    const { key, shiftKey } = event;
    if (event.ctrlKey || event.metaKey) {
      if (key.toLowerCase() === "z") return () => (shiftKey ? this.painter.redo() : this.painter.undo());
      return key.toLowerCase() === "y" ? () => this.painter.redo() : null;
    }
    const step_px = shiftKey ? 24 : 4;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (arrows[key]) return () => this.#moveCursor(arrows[key][0] * step_px, arrows[key][1] * step_px);
    const others = {
      " ": () => this.#space(event.repeat),
      Escape: () => this.#lift(),
      "+": () => this.zoomIn(),
      "=": () => this.zoomIn(),
      "-": () => this.zoomOut(),
      0: () => this.fit(),
      "[": () => this.calls.onSize(this.brush.size_px / 1.15 - 1),
      "]": () => this.calls.onSize(this.brush.size_px * 1.15 + 1),
    };
    return others[key] ?? null;
  }

  #cursorPoint() {
    return { ...this.#cursor, radius: this.brush.size_px / 2 };
  }

  #moveCursor(dx, dy) {
    const { width, height } = this.painter;
    this.#cursor ??= { x: width / 2, y: height / 2 };
    this.#cursor.x = Math.min(width - 1, Math.max(0, this.#cursor.x + dx));
    this.#cursor.y = Math.min(height - 1, Math.max(0, this.#cursor.y + dy));
    if (this.#penDown) this.painter.move(this.#cursorPoint());
    this.#ringAtCursor();
  }

  #space(repeat) {
    if (repeat) return;
    if (this.#cursor === null) {
      this.#spaceHeld = true; // with a pointer: drag to pan
      if (this.ring.hidden) this.#moveCursor(0, 0);
      return;
    }
    if (this.#penDown) {
      this.#lift();
      return;
    }
    this.#penDown = true;
    this.painter.begin(this.#cursorPoint(), this.brush);
    this.calls.say("Brush down.");
  }

  #lift() {
    if (!this.#penDown) return;
    this.#penDown = false;
    this.painter.end();
    this.calls.say("Brush up.");
  }

  #ringAtCursor() {
    if (!this.#cursor) return;
    const { scale, x, y } = this.view;
    this.#showRing({ x: x + (this.#cursor.x + 0.5) * scale, y: y + (this.#cursor.y + 0.5) * scale });
  }

  #showRing({ x, y }) {
    const size = Math.max(4, this.brush.size_px * this.view.scale);
    this.ring.hidden = !this.painter.ready;
    this.ring.style.width = this.ring.style.height = `${size}px`;
    this.ring.style.transform = `translate(${x - size / 2}px, ${y - size / 2}px)`;
  }
}
