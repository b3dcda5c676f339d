// The mask of a defect: painted and corrected by brush and eraser, with undo, by pointer or by keys.
// What is painted is kept as strokes over a proposed region, so that undo costs no memory.

import { h, svg } from "../dom.js";

const COLOUR = "#00d7ff"; // far from the heat map's and from most parts' colours
const KEY_STEP = 4; // pixels of the screen; ten times as many with Shift
const PAINTS = ["brush", "box"];

export class Painter {
  /** @param {import("./viewer.js").Viewer} viewer whose image it paints on */
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = h("canvas", { class: "viewer-mask" });
    this.ring = svg("circle", { class: "brush-ring", r: 1 });
    this.overlay = svg("svg", { class: "viewer-brush", "aria-hidden": "true" }, this.ring);
    this.layer = h("div", { class: "viewer-paint" }, this.canvas, this.overlay);
    this.tool = "brush"; // "brush" | "eraser" | "box" | "move"
    this.size = 24; // diameter in pixels of the image
    this.onchange = () => {};
    viewer.painter = this;
    viewer.addLayer(this.layer);
    viewer.stage.addEventListener("pointerleave", () => this.ring.classList.remove("is-shown"));
    viewer.stage.addEventListener("blur", () => { this.isDown = false; });
    this.reset(1, 1);
  }

  /** Begin anew on an image of this size. */
  reset(width, height) {
    Object.assign(this.canvas, { width, height });
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.strokes = [];
    this.base = null;
    this.stroke = null;
    this.at = { x: width / 2, y: height / 2 };
    this.size = Math.max(3, Math.round(Math.min(width, height) / 16));
    this.isDown = false;
    this.changed();
  }

  /** Whether anything is marked. */
  get isEmpty() {
    return !this.base && !this.lasting.some((stroke) => PAINTS.includes(stroke.tool));
  }

  /** The strokes since all was cleared. */
  get lasting() {
    return this.strokes.slice(this.strokes.findLastIndex((stroke) => stroke.tool === "clear") + 1);
  }

  /** Whether there is a stroke to take back. */
  get canUndo() {
    return this.strokes.length > 0;
  }

  choose(tool) {
    this.tool = tool;
    this.isDown = false;
    this.onchange();
  }

  resize(factor) {
    const most = Math.max(this.canvas.width, this.canvas.height) / 2;
    const next = Math.round(this.size * factor);
    this.size = Math.max(1, Math.min(most, next === this.size ? this.size + Math.sign(factor - 1) : next));
    this.hover(this.at);
    this.onchange();
  }

  undo() {
    const last = this.strokes.pop();
    if (last?.tool === "clear") this.base = last.base;
    this.redraw();
  }

  clear() {
    if (this.isEmpty) return;
    this.strokes.push({ tool: "clear", base: this.base, points: [] });
    this.base = null;
    this.redraw();
  }

  /** Put a mask in place, as a PNG in base64, from which painting goes on. */
  async propose(base64) {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const mask = document.createElement("canvas");
    Object.assign(mask, { width: this.canvas.width, height: this.canvas.height });
    const context = mask.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, mask.width, mask.height);
    const pixels = context.getImageData(0, 0, mask.width, mask.height);
    const [red, green, blue] = [0, 215, 255];
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data.set([red, green, blue, pixels.data[i] ? 255 : 0], i);
    }
    context.putImageData(pixels, 0, 0);
    this.base = mask;
    this.strokes = [];
    this.redraw();
  }

  /** The mask as a PNG in base64, white on black; null where nothing is marked. */
  png() {
    const { width, height } = this.canvas;
    const source = this.canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
    let isEmpty = true;
    for (let i = 0; i < source.data.length; i += 4) {
      const value = source.data[i + 3] > 127 ? 255 : 0;
      if (value) isEmpty = false;
      source.data.set([value, value, value, 255], i);
    }
    if (isEmpty) return null;
    const mask = document.createElement("canvas");
    Object.assign(mask, { width, height });
    mask.getContext("2d").putImageData(source, 0, 0);
    return mask.toDataURL("image/png").split(",")[1];
  }

  redraw() {
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.base) context.drawImage(this.base, 0, 0);
    for (const stroke of this.lasting) drawStroke(context, stroke);
    this.changed();
  }

  changed() {
    this.onchange();
  }

  // What the viewer tells of the pointer.

  start(event, point) {
    if (!this.isOn || this.tool === "move" || event.button !== 0 || event.shiftKey) return false;
    this.begin(point);
    return true;
  }

  begin(point) {
    this.stroke = { tool: this.tool, size: this.size, points: [point] };
    this.strokes.push(this.stroke);
    this.redraw();
  }

  go(event, point) {
    if (!this.stroke) return false;
    if (this.stroke.tool === "box") {
      this.stroke.points[1] = point;
      this.redraw();
      this.hover(point);
      return true;
    }
    const samples = event.getCoalescedEvents?.() ?? [];
    this.stroke.points.push(...samples.map((one) => this.viewer.pointOf(one)), point);
    drawStroke(this.canvas.getContext("2d", { willReadFrequently: true }), { ...this.stroke, points: this.stroke.points.slice(-samples.length - 2) });
    this.hover(point);
    return true;
  }

  end() {
    if (!this.stroke) return;
    this.stroke = null;
    this.changed();
  }

  cancel() {
    if (!this.stroke) return;
    this.strokes.pop();
    this.stroke = null;
    this.redraw();
  }

  hover(point) {
    if (!this.isOn || this.tool === "move") return;
    this.at = point;
    this.ring.classList.add("is-shown");
    this.ring.setAttribute("cx", point.x);
    this.ring.setAttribute("cy", point.y);
    this.ring.setAttribute("r", this.tool === "box" ? 2 / this.viewer.scale : this.size / 2);
  }

  /** Keys while the image has the focus: arrows move the brush, Space sets it down and lifts it. */
  key(event) {
    if (!this.isOn || this.tool === "move") return false;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      this.isDown = !this.isDown;
      if (this.isDown) this.begin({ ...this.at });
      else this.end();
    } else if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      const step = Math.max(1, ((event.shiftKey ? 10 : 1) * KEY_STEP) / this.viewer.scale);
      const { width, height } = this.canvas;
      const bounded = (value, most) => Math.min(most, Math.max(0, value));
      this.at = { x: bounded(this.at.x + dx * step, width), y: bounded(this.at.y + dy * step, height) };
      if (this.isDown && this.stroke) {
        if (this.stroke.tool === "box") this.stroke.points[1] = { ...this.at };
        else this.stroke.points.push({ ...this.at });
        this.redraw();
      }
    } else {
      return false;
    }
    this.hover(this.at);
    this.ring.classList.toggle("is-down", this.isDown);
    return true;
  }
}

function drawStroke(context, { tool, size, points }) {
  if (tool === "clear") return;
  context.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = COLOUR;
  context.lineWidth = size;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  if (tool === "box") {
    const [from, to = from] = points;
    context.fillRect(from.x, from.y, to.x - from.x, to.y - from.y);
  } else if (points.length === 1) {
    context.arc(points[0].x, points[0].y, size / 2, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.moveTo(points[0].x, points[0].y);
    for (const point of points.slice(1)) context.lineTo(point.x, point.y);
    context.stroke();
  }
  context.globalCompositeOperation = "source-over";
}
