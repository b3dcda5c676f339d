// An image with its heat map and regions, which is zoomed and moved by mouse, touch and keys.

import { h, replace, svg } from "../dom.js";
import { picture } from "../api.js";
import { t } from "../texts.js";
import { icon } from "./icons.js";
import { heatCanvas } from "./heat.js";

const MOST = 32; // times the size that fits
const STEP = 1.25;
const MOVE = 60; // pixels of the screen for an arrow key

export class Viewer {
  /** @param {{hasHeat?: boolean}} options whether there is a slider for the heat map */
  constructor({ hasHeat = true } = {}) {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.pointers = new Map();
    this.layers = h("div", { class: "viewer-layers" });
    this.stage = h(
      "div",
      { class: "viewer-stage", tabindex: 0, role: "group", "aria-label": t("viewer.label"), "aria-describedby": "viewer-keys" },
      this.layers,
    );
    this.message = h("p", { class: "viewer-message", role: "status", hidden: true });
    this.heatSlider = h("input", { type: "range", min: 0, max: 100, value: 70, oninput: () => this.showHeat(), "aria-label": t("viewer.heat") });
    this.regionBox = h("input", { type: "checkbox", checked: true, onchange: () => this.showRegions() });
    this.tools = h(
      "div",
      { class: "viewer-tools" },
      hasHeat && h("label", { class: "tool-label" }, h("span", {}, t("viewer.heat")), this.heatSlider),
      h("label", { class: "tool-label" }, this.regionBox, h("span", {}, t("viewer.regions"))),
      h("span", { class: "spring" }),
      h("span", { class: "tool-group" },
        toolButton("minus", t("viewer.smaller"), () => this.zoom(1 / STEP)),
        toolButton("plus", t("viewer.larger"), () => this.zoom(STEP)),
        toolButton("fit", t("viewer.fit"), () => this.fit())),
    );
    this.element = h("div", { class: "viewer" }, this.stage, this.message, this.tools,
      h("p", { class: "visually-hidden", id: "viewer-keys" }, t("viewer.keys")));
    this.listen();
  }

  /** Show an inspection. */
  show(inspection) {
    const isOther = this.inspection?.id !== inspection.id;
    this.inspection = inspection;
    if (!isOther) return;
    const { id, width, height } = inspection;
    this.width = width;
    this.height = height;
    this.image = h("img", {
      class: "viewer-image", src: picture(id, "image"), draggable: "false",
      alt: t("viewer.alt", { name: inspection.name || t("part.unnamed"), n: inspection.regions.length }),
      onerror: () => this.say(t("viewer.removed")),
      onload: () => this.say(""),
    });
    this.heat = heatCanvas(picture(id, "map"));
    this.heat.classList.add("viewer-heat");
    this.regions = this.drawRegions(inspection.regions);
    this.layers.style.width = `${width}px`;
    this.layers.style.height = `${height}px`;
    replace(this.layers, this.image, this.heat, this.regions, this.extra ?? null);
    this.showHeat();
    this.showRegions();
    this.fit();
  }

  /** Another layer, over the image: the mask that is painted. */
  addLayer(element) {
    this.extra = element;
    this.layers.append(element);
  }

  say(text) {
    this.message.hidden = !text;
    this.message.textContent = text;
  }

  showHeat() {
    if (this.heat) this.heat.style.opacity = this.heatSlider.value / 100;
  }

  /** Hide the heat map or bring it back. */
  toggleHeat() {
    const isHidden = this.heatSlider.value === "0";
    this.formerHeat = isHidden ? this.formerHeat : this.heatSlider.value;
    this.heatSlider.value = isHidden ? this.formerHeat || "70" : "0";
    this.showHeat();
  }

  showRegions() {
    this.regions?.classList.toggle("is-hidden", !this.regionBox.checked);
  }

  drawRegions(regions) {
    const boxes = regions.map((region, index) => {
      const { x, y, width, height } = region;
      return svg("g", {},
        svg("rect", { x, y, width, height, class: "region-halo" }),
        svg("rect", { x, y, width, height, class: "region" }),
        svg("text", { x, y, class: y < this.height / 10 ? "region-number is-inside" : "region-number" }, String(index + 1)));
    });
    return svg("svg", { class: "viewer-regions", viewBox: `0 0 ${this.width} ${this.height}`, "aria-hidden": "true" }, boxes);
  }

  /** Bring one region into the middle, three times as large as it is. */
  goTo(region) {
    const { clientWidth, clientHeight } = this.stage;
    const wanted = Math.min(clientWidth / (3 * region.width), clientHeight / (3 * region.height));
    this.scale = Math.max(this.least(), Math.min(wanted, MOST * this.least()));
    this.x = clientWidth / 2 - this.scale * (region.x + region.width / 2);
    this.y = clientHeight / 2 - this.scale * (region.y + region.height / 2);
    this.apply();
  }

  least() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min(clientWidth / this.width, clientHeight / this.height) || 1;
  }

  /** The whole image, in the middle. */
  fit() {
    if (!this.width) return;
    this.scale = this.least();
    this.x = (this.stage.clientWidth - this.scale * this.width) / 2;
    this.y = (this.stage.clientHeight - this.scale * this.height) / 2;
    this.isFitted = true;
    this.apply();
  }

  /** Zoom by a factor about a point of the stage, by default its middle. */
  zoom(factor, at = { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 }) {
    if (!this.width) return;
    const least = this.least();
    const scale = Math.max(least, Math.min(this.scale * factor, MOST * least));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    if (scale === least) this.fit();
    else this.apply();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.apply();
  }

  apply() {
    const { clientWidth, clientHeight } = this.stage;
    const clamp = (offset, room, size) =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset));
    this.x = clamp(this.x, clientWidth, this.scale * this.width);
    this.y = clamp(this.y, clientHeight, this.scale * this.height);
    this.isFitted = this.scale <= this.least() * 1.001;
    this.layers.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.layers.classList.toggle("is-magnified", this.scale > 2);
    this.stage.style.setProperty("--pixel", `${1 / this.scale}px`);
    this.onchange?.();
  }

  /** Where on the image a pointer is, in its pixels. */
  pointOf(event) {
    const box = this.stage.getBoundingClientRect();
    return {
      x: (event.clientX - box.left - this.stage.clientLeft - this.x) / this.scale,
      y: (event.clientY - box.top - this.stage.clientTop - this.y) / this.scale,
    };
  }

  listen() {
    const stage = this.stage;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      this.zoom(event.deltaY < 0 ? STEP : 1 / STEP, { x: event.clientX - box.left, y: event.clientY - box.top });
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.release(event));
    }
    stage.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => (this.isFitted ? this.fit() : this.width && this.apply())).observe(stage);
  }

  press(event) {
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.stage.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) this.painter?.cancel(); // two fingers move the image
    else if (this.painter?.start(event, this.pointOf(event))) event.preventDefault();
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.painter?.hover(this.pointOf(event));
    const now = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 1) {
      if (!this.painter?.go(event, this.pointOf(event))) this.move(now.x - before.x, now.y - before.y);
    } else {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      const box = this.stage.getBoundingClientRect();
      const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) || 1;
      this.zoom(apart(now, other) / apart(before, other), { x: (now.x + other.x) / 2 - box.left, y: (now.y + other.y) / 2 - box.top });
      this.move((now.x - before.x) / 2, (now.y - before.y) / 2);
    }
    this.pointers.set(event.pointerId, now);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    this.painter?.end();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.painter?.key(event)) {
      event.preventDefault();
      return;
    }
    const moves = { ArrowLeft: [MOVE, 0], ArrowRight: [-MOVE, 0], ArrowUp: [0, MOVE], ArrowDown: [0, -MOVE] };
    if (event.key in moves && !this.isFitted) this.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}

/** A button with an icon alone; its name is read aloud and shown on hover. */
export function toolButton(name, label, onclick, attributes = {}) {
  return h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}
