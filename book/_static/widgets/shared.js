// Interactive figures: a picture and sentences that follow some controls.
//
// A figure's own file calls `CourseWidgets.add(name, { controls, draw })`. Controls have names;
// each is a slider, a choice (with `options`) or a button (with `change`). `draw` gets their values
// by name, and returns what the reader sees:
//
//     picture    elements, made with `make` (HTML), `shape` (SVG) or `plot`
//     sentences  what the picture shows; a screen reader reads the first one aloud
//
// Everything is drawn again after each change. Nothing moves by itself, is loaded or is sent.

var CourseWidgets = (() => {
  "use strict";

  const PAUSE = 500; // milliseconds without a change, before a screen reader is told
  const FAR = 10_000; // a position far outside every picture

  // ---- Elements -----------------------------------------------------------------------------

  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function shape(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function picture(width, height, alt, ...children) {
    const viewBox = `0 0 ${width} ${height}`;
    return shape("svg", { viewBox, width, height, role: "img", "aria-label": alt }, ...children);
  }

  const words = (text, x, y, type = "") => shape("text", { x, y, class: type }, text);

  // ---- Numbers ------------------------------------------------------------------------------

  // With a real minus sign, and without one before a zero.
  function fixed(x, digits) {
    const text = x.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
  }

  const count = (number) => number.toLocaleString("en"); // 1,234

  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const powerOfTen = (exponent) => "10" + String(exponent)
    .replace("-", "⁻").replace(/\d/g, (digit) => SUPERSCRIPTS[digit]);

  // Three digits that count, for numbers of any size.
  function significant(x) {
    const [digits, exponent] = x.toExponential(2).split("e").map(Number);
    if (exponent < -2 || exponent > 3) return `${fixed(digits, 2)} · ${powerOfTen(exponent)}`;
    return fixed(x, Math.max(2 - exponent, 0));
  }

  // Mulberry32, a small generator of random numbers between 0 and 1. The same seed gives the same
  // numbers.
  function uniform(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  // Standard normal random numbers from uniform ones, by Box and Muller's formula.
  const normal = (random) => () => (
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));

  // ---- Plots --------------------------------------------------------------------------------

  // An empty plot. Each axis is { label, low, high, ticks }, and a tick a value or [value, text].
  // `at(x, y)` says where a point is; what `inside` contains ends at the frame.
  function plot({ alt, x, y, width = 360, height = 190 }) {
    const [left, right, top, bottom] = [46, width - 14, 8, height - 34];
    const along = ({ low, high }, start, end) => (value) => {
      const place = start + ((value - low) / (high - low)) * (end - start);
      return Math.min(Math.max(place, -FAR), FAR).toFixed(1);
    };
    const across = along(x, left, right), up = along(y, bottom, top);
    const inside = shape("svg", { x: left, y: top, width: right - left, height: bottom - top,
      viewBox: `${left} ${top} ${right - left} ${bottom - top}` });
    const ticks = (axis, draw) => axis.ticks.map((tick) => {
      const [value, text] = Array.isArray(tick) ? tick : [tick, fixed(tick, 0)];
      return draw(value, text);
    });
    const svg = picture(width, height, alt,
      ...ticks(x, (value, text) => words(text, across(value), bottom + 14)),
      ...ticks(y, (value, text) => words(text, left - 5, Number(up(value)) + 4, "widget-end")),
      words(x.label, (left + right) / 2, height - 4),
      shape("text", { transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)` }, y.label),
      inside,
      shape("path", { class: "widget-axes", d: `M${left} ${top}V${bottom}H${right}` }));
    svg.classList.add("widget-plot");
    return { svg, inside, at: (a, b) => [across(a), up(b)] };
  }

  function line(points, type) {
    return shape("polyline", { class: `widget-line ${type}`, points: points.join(" ") });
  }

  function dot([cx, cy], type, r = 2) {
    return shape("circle", { class: `widget-dot ${type}`, cx, cy, r });
  }

  // ---- Controls: each writes its values into the page and reads them back -------------------

  function slider({ label, min, max, step = 1, show = String }) {
    const input = make("input", { type: "range", min, step, "aria-label": label });
    const output = make("output", { "aria-live": "off" });
    return {
      element: make("label", {}, make("span", {}, label), input, output),
      read: () => Number(input.value),
      write(value, values) {
        input.max = typeof max === "function" ? max(values) : max; // may depend on other controls
        input.value = value; // or the nearest value that is allowed
        output.textContent = show(Number(input.value));
        input.setAttribute("aria-valuetext", output.textContent);
      },
    };
  }

  function choice({ label, options }) {
    const all = options.map((text, value) => make("option", { value }, text));
    const select = make("select", { "aria-label": label }, ...all);
    return {
      element: make("label", {}, make("span", {}, label), select),
      read: () => Number(select.value),
      write(value) { select.value = value; },
    };
  }

  // ---- Predictions that a chapter's run has put into the page ---------------------------------

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

  // Null where the chapter was not run. Each set has `labels`, `predicted`, and `logarithms`: of
  // the probabilities, those of all classes for one image after the other. All figures of a page
  // share what is read once.
  let known;
  const predictions = () => (known ??= readPredictions());

  function readPredictions() {
    const script = document.querySelector("script.course-predictions");
    if (!script) return null;
    const found = JSON.parse(script.textContent);
    for (const set of [found.validation, found.test]) {
      set.labels = bytes(set.labels);
      set.predicted = bytes(set.predicted);
      const stored = new Uint16Array(bytes(set.logarithms).buffer);
      set.logarithms = Float64Array.from(stored, (number) => -number / 1024);
    }
    return found;
  }

  // ---- The figure ---------------------------------------------------------------------------

  function fill(figure, controls, draw) {
    const values = {}, inputs = {};
    const panel = make("div", { class: "widget-controls" });
    const pictures = make("div", { class: "widget-pictures" });
    const text = make("div", { class: "widget-text" });
    const status = make("p", { class: "visually-hidden", role: "status" });
    let waiting;

    function redraw() {
      for (const [name, input] of Object.entries(inputs)) {
        input.write(values[name], values);
        values[name] = input.read();
      }
      const { picture, sentences } = draw(values, change);
      pictures.replaceChildren(...picture);
      text.replaceChildren(...sentences.map((sentence) => make("p", {}, sentence)));
      return sentences[0];
    }

    function change(changed) {
      Object.assign(values, changed);
      const sentence = redraw();
      clearTimeout(waiting);
      waiting = setTimeout(() => { status.textContent = sentence; }, PAUSE);
    }

    for (const [name, control] of Object.entries(controls)) {
      if (control.change) {
        const press = () => change(control.change(values));
        panel.append(make("button", { type: "button", onclick: press }, control.label));
        continue;
      }
      const input = control.options ? choice(control) : slider(control);
      input.element.addEventListener("input", () => change({ [name]: input.read() }));
      panel.append(input.element);
      inputs[name] = input;
      values[name] = control.value;
    }
    redraw();
    figure.prepend(panel, pictures, text, status);
  }

  function add(name, { controls, draw }) {
    for (const figure of document.querySelectorAll(`figure.widget.${name}`)) {
      fill(figure, controls, draw);
    }
  }

  return {
    add, make, shape, picture, words, plot, line, dot,
    fixed, count, significant, powerOfTen, uniform, normal, predictions,
  };
})();
