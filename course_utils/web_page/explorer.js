// The page around a network: the reader changes the image, and sees what every layer makes of it.
//
// `exploreNetwork(root)` finds the exported network and the images as JSON in the element `root`,
// and fills it. Everything is computed in the page by network.js; nothing is loaded or sent.

var exploreNetwork = (() => {
  "use strict";

  const { bytesOf, load, predict, receptiveField, windowOf, terms } = CourseNetwork;

  const SQUARE = 8; // side of the grey square, in pixels
  const GREY = 128;
  const PAINT = ["#000000", "#ffffff", "#808080", "#7a4a21", "#d32f2f", "#f9c80e", "#2e8b3d",
    "#4fa3e0"];
  const ARROWS = {
    ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowRight: [0, 1],
  };
  const ACTIVATIONS = { relu: "ReLU", leaky_relu: "leaky ReLU", elu: "ELU", selu: "SELU",
    silu: "SiLU", linear: "" };

  // ---- Elements, numbers and colours --------------------------------------------------------

  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  const withMinus = (text) => text.replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");

  function written(x) {
    return withMinus(x.toFixed(Math.abs(x) < 10 ? 2 : Math.abs(x) < 100 ? 1 : 0));
  }

  // The same in three or four characters.
  function inCell(x) {
    const size = Math.abs(x);
    const text = withMinus(x.toFixed(size < 0.995 ? 2 : size < 9.95 ? 1 : 0));
    return text.replace(/^(−?)0\./, "$1.");
  }

  const percent = (x) => `${(100 * x).toFixed(1)}%`;

  const activationName = ({ activation }) => ACTIVATIONS[activation] ?? activation ?? "";

  // Zero is dark. Positive values become blue, then white; negative ones orange, then white. The
  // power makes small values easier to tell from zero.
  const POSITIVE = [[32, 39, 52], [0, 122, 194], [238, 248, 255]];
  const NEGATIVE = [[32, 39, 52], [213, 94, 0], [255, 245, 220]];
  const SHADES = Array.from({ length: 513 }, (_, i) => {
    const t = 2 * (Math.abs(i - 256) / 256) ** 0.65;
    const shades = i < 256 ? NEGATIVE : POSITIVE;
    const from = Math.min(Math.floor(t), 1);
    return shades[from].map((c, k) => Math.round(c + (t - from) * (shades[from + 1][k] - c)));
  });
  const shadeNumber = (value, largest) => Math.round(256 * (1 + clamp(value / largest, -1, 1)));
  const PACKED = Uint32Array.from(SHADES, ([r, g, b]) => 0xff000000 | (b << 16) | (g << 8) | r);

  function largestOf(maps) {
    return maps.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  }

  function oneMap(maps, channel) {
    const values = maps.values.filter((_, i) => i % maps.channels === channel);
    return { ...maps, channels: 1, values };
  }

  // ---- Mosaic: maps side by side, one square for each value ---------------------------------

  // The reader points at a value with the mouse, a finger or the arrow keys, which go from value
  // to value or, with `byMap`, from map to map.
  function mosaic({ label, byMap = false, point, pick, leave }) {
    const canvas = make("canvas", { width: 1, height: 1 });
    const frame = make("i", { class: "outline frame", hidden: true });
    const cell = make("i", { class: "outline cell", hidden: true });
    const numbers = make("div", { class: "numbers", "aria-hidden": "true" });
    const element = make("div", { class: "mosaic", tabIndex: 0, role: "application",
      "aria-label": label }, canvas, numbers, frame, cell);
    let maps, scale, perRow, gap, at = null;

    const pitch = (length) => length * scale + gap;

    function corner({ channel, row, column }) {
      return {
        x: (channel % perRow) * pitch(maps.columns) + column * scale,
        y: Math.floor(channel / perRow) * pitch(maps.rows) + row * scale,
      };
    }

    function draw(newMaps, { width, square, largest = largestOf(newMaps), withNumbers = false }) {
      [maps, scale, gap] = [newMaps, square, newMaps.columns > 1 ? Math.min(square, 6) : 1];
      const { rows, columns, channels } = maps;
      const fit = Math.max(Math.floor((width + gap) / pitch(columns)), 1);
      perRow = Math.ceil(channels / Math.ceil(channels / fit));
      canvas.width = perRow * pitch(columns) - gap;
      canvas.height = Math.ceil(channels / perRow) * pitch(rows) - gap;
      const context = canvas.getContext("2d");
      const image = context.createImageData(canvas.width, canvas.height);
      const pixels = new Uint32Array(image.data.buffer);
      for (let channel = 0; channel < channels; channel++) {
        const { x, y } = corner({ channel, row: 0, column: 0 });
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < columns; column++) {
            const value = maps.values[(row * columns + column) * channels + channel];
            const packed = PACKED[shadeNumber(value, largest)];
            for (let line = 0; line < scale; line++) {
              const from = (y + row * scale + line) * canvas.width + x + column * scale;
              pixels.fill(packed, from, from + scale);
            }
          }
        }
      }
      context.putImageData(image, 0, 0);
      numbers.replaceChildren(...(withNumbers ? allNumbers(largest) : []));
      select(at);
    }

    function allNumbers(largest) {
      return Array.from(maps.values, (value, i) => {
        const channel = i % maps.channels;
        const place = Math.floor(i / maps.channels);
        const { x, y } = corner({ channel, row: Math.floor(place / maps.columns),
          column: place % maps.columns });
        const bright = Math.abs(value) > 0.45 * largest;
        const text = make("span", { class: bright ? "on-bright" : "" }, inCell(value));
        Object.assign(text.style, { left: `${x}px`, top: `${y}px`, width: `${scale}px`,
          lineHeight: `${scale}px`, fontSize: `${Math.round(0.4 * scale)}px` });
        return text;
      });
    }

    function outline(mark, { x, y }, width, height) {
      mark.hidden = false;
      Object.assign(mark.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`,
        height: `${height}px` });
    }

    function select(place) {
      at = place;
      frame.hidden = cell.hidden = true;
      if (!at || !maps) return;
      outline(cell, corner(at), scale, scale);
      if (maps.channels > 1 && maps.columns > 1) {
        outline(frame, corner({ ...at, row: 0, column: 0 }), maps.columns * scale,
          maps.rows * scale);
      }
    }

    function placeOf(event) {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const [right, down] = [Math.floor(x / pitch(maps.columns)), Math.floor(y / pitch(maps.rows))];
      const channel = clamp(down, 0, Infinity) * perRow + clamp(right, 0, perRow - 1);
      const inside = (length, count) => clamp(Math.floor(length / scale), 0, count - 1);
      return channel < maps.channels && {
        channel,
        row: inside(y - down * pitch(maps.rows), maps.rows),
        column: inside(x - right * pitch(maps.columns), maps.columns),
      };
    }

    // The place further on, in the table of all values of all maps.
    function moved([down, right]) {
      const { rows, columns, channels } = maps;
      if (!at) return { channel: 0, row: rows >> 1, column: columns >> 1 };
      const y = Math.floor(at.channel / perRow) * rows + at.row + down * (byMap ? rows : 1);
      const x = (at.channel % perRow) * columns + at.column + right * (byMap ? columns : 1);
      const channel = Math.floor(y / rows) * perRow + Math.floor(x / columns);
      const exists = y >= 0 && x >= 0 && x < perRow * columns && channel < channels;
      return exists ? { channel, row: y % rows, column: x % columns } : at;
    }

    function go(place) {
      if (!place) return;
      select(place);
      point?.(place);
    }

    element.onpointermove = (event) => go(placeOf(event));
    element.onclick = (event) => {
      const place = placeOf(event);
      go(place);
      if (place) pick?.(place);
    };
    element.onpointerleave = element.onblur = () => leave?.();
    element.onkeydown = (event) => {
      if (event.key in ARROWS) {
        event.preventDefault();
        go(moved(ARROWS[event.key]));
      } else if (at && pick && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        pick(at, true);
      }
    };
    return { element, draw, select };
  }

  // ---- Layers in words ----------------------------------------------------------------------

  const times = ([height, width]) => `${height} × ${width}`;

  function described(layer) {
    const parts = {
      convolution: () => [`${layer.filters} filters of ${times(layer.size)}`,
        layer.padding === "same" ? "zeros around the maps" : "",
        Math.max(...layer.strides) > 1 ? `stride ${layer.strides[0]}` : ""],
      dense: () => [`${layer.filters} units, each connected to all values before it`],
      pooling: () => [`the ${layer.average ? "mean" : "largest"} of ${times(layer.size)} values`],
      scaling: () => ["every channel times a factor, plus a number"],
      flatten: () => ["the same values in one row"],
      unchanged: () => ["active only during training"],
      activation: () => [],
    };
    return [...parts[layer.kind](), activationName(layer)].filter(Boolean).join(", ");
  }

  const hasOwnMaps = (layer) => !["flatten", "unchanged"].includes(layer.kind);

  // The side of a value's square in the overview: small maps may be larger.
  function overviewSquare({ rows }) {
    return rows >= 20 ? 2 : rows >= 8 ? 3 : rows >= 3 ? 7 : rows === 2 ? 9 : 13;
  }

  // ---- The explorer -------------------------------------------------------------------------

  return function exploreNetwork(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const program = root.querySelectorAll("script")[1].textContent;
    const network = load(data.network);
    const [rows, columns, channels] = network.input;
    const pixelCount = rows * columns * channels;
    const images = bytesOf(data.images);
    const imageNumber = (n) => images.slice(n * pixelCount, (n + 1) * pixelCount);

    let picture, caption; // the image as it was chosen, and what it is
    let shift, square, brush; // what the reader does to it; square and brush may be null
    let maps, undisturbed; // all maps; the probabilities without shift and square
    let opened = null; // { depth, channel, row, column } of the value that is explained

    // -- The image

    const view = make("canvas", { width: columns, height: rows });
    const fieldMark = make("i", { class: "outline field", hidden: true });
    const brushMark = make("i", { class: "outline", hidden: true });
    const stage = make("div", { class: "stage", tabIndex: 0, role: "application", "aria-label":
      "The image. Arrow keys shift it. With the Shift key, they move a grey square." },
    view, fieldMark, brushMark);
    const video = make("video", { hidden: true, muted: true, playsInline: true });
    const captionLine = make("p", { class: "about-image" });
    const pointedLine = make("p", { class: "pointed" });

    function seenPixels() {
      const pixels = new Uint8Array(pixelCount);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const y = clamp(row - shift[0], 0, rows - 1); // the border repeats itself
          const x = clamp(column - shift[1], 0, columns - 1);
          const covered = square && row >= square[0] && row < square[0] + SQUARE
            && column >= square[1] && column < square[1] + SQUARE;
          for (let c = 0; c < channels; c++) {
            pixels[(row * columns + column) * channels + c] =
              covered ? GREY : picture[(y * columns + x) * channels + c];
          }
        }
      }
      return pixels;
    }

    function drawPixels(canvas, pixels) {
      const context = canvas.getContext("2d");
      const image = context.createImageData(columns, rows);
      for (let i = 0; i < rows * columns; i++) {
        for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + c % channels];
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    }

    function markPixels(mark, box) {
      mark.hidden = !box;
      if (!box) return;
      const part = (length, of) => `${(100 * length) / of}%`;
      Object.assign(mark.style, {
        left: part(box.left, columns), width: part(box.right - box.left + 1, columns),
        top: part(box.top, rows), height: part(box.bottom - box.top + 1, rows),
      });
    }

    function usePicture(pixels, text) {
      [picture, caption, shift, square] = [pixels, text, [0, 0], null];
      undisturbed = null;
      changed();
    }

    function shiftBy([down, right]) {
      shift = [clamp(shift[0] + down, -rows, rows), clamp(shift[1] + right, -columns, columns)];
      changed();
    }

    function coverFrom(row, column) {
      const within = (place, length) => clamp(place, -SQUARE / 2, length - SQUARE / 2);
      square = [within(row, rows), within(column, columns)];
      changed();
    }

    const middle = [(rows - SQUARE) >> 1, (columns - SQUARE) >> 1];

    function moveSquare([down, right]) {
      const [row, column] = square ?? middle;
      coverFrom(row + down, column + right);
    }

    // -- Drawing

    const palette = make("div", { class: "palette", role: "group", "aria-label": "Paint",
      hidden: true });
    let paint = PAINT[4];
    for (const colour of PAINT) {
      const swatch = make("button", { type: "button", "aria-label": `Paint with ${colour}`,
        onclick: () => { paint = colour; } });
      swatch.style.background = colour;
      palette.append(swatch);
    }

    function startDrawing() {
      const starts = !brush;
      brush = starts ? [rows >> 1, columns >> 1] : null;
      palette.hidden = brushMark.hidden = !starts;
      drawButton.setAttribute("aria-pressed", starts);
      if (starts) {
        usePicture(new Uint8Array(pixelCount).fill(255), "Your drawing.");
        showBrush();
        stage.focus();
      }
    }

    function showBrush() {
      const [row, column] = brush;
      markPixels(brushMark, { top: row - 1, bottom: row + 1, left: column - 1, right: column + 1 });
    }

    // Three by three pixels around the brush.
    function paintHere() {
      const colour = [1, 3, 5].map((i) => parseInt(paint.slice(i, i + 2), 16));
      const grey = colour.reduce((a, b) => a + b) / 3;
      for (let row = brush[0] - 1; row <= brush[0] + 1; row++) {
        for (let column = brush[1] - 1; column <= brush[1] + 1; column++) {
          if (row < 0 || column < 0 || row >= rows || column >= columns) continue;
          const at = (row * columns + column) * channels;
          for (let c = 0; c < channels; c++) picture[at + c] = channels === 1 ? grey : colour[c];
        }
      }
      undisturbed = null;
      changed();
    }

    function moveBrush(row, column) {
      brush = [clamp(row, 0, rows - 1), clamp(column, 0, columns - 1)];
      showBrush();
    }

    function dragTo(event) {
      const box = view.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
      const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
      if (brush) {
        moveBrush(row, column);
        paintHere();
      } else {
        coverFrom(row - SQUARE / 2, column - SQUARE / 2);
      }
    }

    stage.onpointerdown = (event) => {
      stage.setPointerCapture(event.pointerId);
      dragTo(event);
    };
    stage.onpointermove = (event) => event.buttons && dragTo(event);
    stage.onkeydown = (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow && !(brush && event.key === " ")) return;
      event.preventDefault();
      if (brush && arrow) moveBrush(brush[0] + arrow[0], brush[1] + arrow[1]);
      else if (brush) paintHere();
      else if (event.shiftKey) moveSquare(arrow);
      else shiftBy(arrow);
    };

    // -- Images of the reader's own: they stay in this page

    // The largest part in the middle of an image or a video that has the network's proportions.
    function useSource(source, width, height, text) {
      const side = Math.min(width / columns, height / rows);
      const [w, h] = [side * columns, side * rows];
      const context = make("canvas", { width: columns, height: rows }).getContext("2d");
      context.fillStyle = "white";
      context.fillRect(0, 0, columns, rows);
      context.imageSmoothingQuality = "high";
      context.drawImage(source, (width - w) / 2, (height - h) / 2, w, h, 0, 0, columns, rows);
      const { data: rgba } = context.getImageData(0, 0, columns, rows);
      const pixels = Uint8Array.from({ length: pixelCount }, (_, i) => {
        const at = 4 * Math.floor(i / channels);
        return channels === 3 ? rgba[at + (i % 3)] : (rgba[at] + rgba[at + 1] + rgba[at + 2]) / 3;
      });
      if (brush) startDrawing(); // ends it
      usePicture(pixels, text);
    }

    async function openFile(file) {
      if (!file) return;
      try {
        const bitmap = await createImageBitmap(file);
        useSource(bitmap, bitmap.width, bitmap.height, "Your image.");
      } catch {
        captionLine.textContent = "This file is not an image that the browser can read.";
      }
    }

    const fileInput = make("input", { type: "file", accept: "image/*", hidden: true,
      onchange: () => openFile(fileInput.files[0]) });
    const photoInput = make("input", { type: "file", accept: "image/*", capture: "environment",
      hidden: true, onchange: () => openFile(photoInput.files[0]) });

    // The first press starts the camera, the second one takes the photo. Without a camera that the
    // page may use, a phone opens its own.
    async function takePhoto() {
      if (video.srcObject) {
        useSource(video, video.videoWidth, video.videoHeight, "Your photo.");
        stopCamera();
        return;
      }
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
        video.hidden = false;
        await video.play();
        photoButton.textContent = "Take it";
      } catch {
        stopCamera();
        photoInput.click();
      }
    }

    function stopCamera() {
      video.srcObject?.getTracks().forEach((track) => track.stop());
      video.srcObject = null;
      video.hidden = true;
      photoButton.textContent = "Photo";
    }

    root.ondragover = (event) => event.preventDefault();
    root.ondrop = (event) => {
      event.preventDefault();
      openFile(event.dataTransfer.files[0]);
    };

    // -- Buttons, and the images to choose from

    const button = (text, label, onclick) =>
      make("button", { type: "button", "aria-label": label, title: label, onclick }, text);
    const drawButton = button("Draw", "Draw an image", startDrawing);
    const photoButton = button("Photo", "Take a photo", takePhoto);
    const ownImage = make("div", { class: "buttons" }, drawButton,
      button("Open …", "Open an image from this device, or drop one here",
        () => fileInput.click()), photoButton, fileInput, photoInput);
    const shiftButtons = Object.entries({ ArrowLeft: ["←", "left"], ArrowUp: ["↑", "up"],
      ArrowDown: ["↓", "down"], ArrowRight: ["→", "right"] }).map(([key, [sign, word]]) =>
      button(sign, `Shift the image ${word} by a pixel`, () => shiftBy(ARROWS[key])));
    const disturb = make("div", { class: "buttons" },
      button("Square", "Put a grey square on the image", () => coverFrom(...middle)),
      ...shiftButtons,
      button("↺", "Take away the square and the shift", () => {
        [shift, square] = [[0, 0], null];
        changed();
      }));

    const group = `image-${Math.random()}`; // radio buttons with the same name are one group
    const choices = make("div", { class: "choices", role: "radiogroup", "aria-label":
      `Test images of ${data.source}` });
    data.labels.forEach((label, n) => {
      const thumbnail = make("canvas", { width: columns, height: rows });
      drawPixels(thumbnail, imageNumber(n));
      const name = data.classes[label];
      const radio = make("input", { type: "radio", name: group, "aria-label": `${name}, image ${n + 1}`,
        onchange: () => {
          if (brush) startDrawing(); // ends it
          usePicture(imageNumber(n), `Test image of the class ${name}.`);
        } });
      choices.append(make("label", { title: name }, radio, thumbnail));
    });

    // -- The answer

    const bars = data.classes.map((name) => {
      const bar = make("b", {});
      const mark = make("i", { title: "before the change" });
      const value = make("span", { class: "percent" });
      const change = make("span", { class: "change" });
      const line = make("li", {}, make("span", { class: "class" }, name),
        make("span", { class: "bar" }, bar, mark), value, change);
      return { bar, mark, value, change, line };
    });
    const lines = program.trim().split("\n").length;
    const summary = make("summary", {});
    let shortest = Infinity; // the first computation takes longer: the browser still compiles it
    const verdict = make("p", { class: "verdict", "aria-live": "polite" });
    const answer = make("ol", { class: "answer", "aria-label": "Probabilities of the classes" },
      ...bars.map(({ line }) => line));

    function drawAnswer(milliseconds) {
      const probabilities = Array.from(maps.at(-1).values);
      undisturbed ??= probabilities;
      const isChanged = square || shift.some(Boolean);
      const best = probabilities.indexOf(Math.max(...probabilities));
      probabilities.forEach((probability, i) => {
        const { bar, mark, value, change, line } = bars[i];
        const points = 100 * (probability - undisturbed[i]);
        bar.style.width = percent(probability);
        mark.style.left = percent(undisturbed[i]);
        mark.hidden = !isChanged;
        value.textContent = percent(probability);
        const noticeable = isChanged && Math.abs(points) >= 0.05;
        change.textContent = noticeable ? (points > 0 ? "+" : "") + withMinus(points.toFixed(1)) : "";
        line.className = i === best ? "best" : "";
      });
      verdict.textContent = `The network says: ${data.classes[best]}.`;
      shortest = Math.min(shortest, milliseconds);
      summary.textContent = `${lines} lines of JavaScript compute this, here in `
        + `${shortest.toFixed(0)} ms: read them`;
      captionLine.textContent = caption;
    }

    // -- The layers

    const hint = make("p", { class: "hint" }, "Point at a value: the frame in the image shows the "
      + "pixels that it depends on. Click a map to look closer. Dark means zero, blue positive, "
      + "orange negative; the brighter, the larger.");

    function whichValue({ depth, channel, row, column }) {
      const { rows: r, columns: c, channels: n, values } = maps[depth];
      const value = written(values[(row * c + column) * n + channel]);
      if (r * c === 1) return `unit ${channel + 1}: ${value}`;
      return `map ${channel + 1}, row ${row + 1}, column ${column + 1}: ${value}`;
    }

    const fieldOf = ({ depth, row, column }) => receptiveField(network, maps, depth, row, column);

    // The frame around the pixels behind a value, and the value in words.
    function showField(place) {
      markPixels(fieldMark, place && fieldOf(place));
      pointedLine.textContent = place ? `${network.layers[place.depth - 1].type}, `
        + `${whichValue(place)}` : "";
    }

    const sections = network.layers.map((layer, i) => {
      const depth = i + 1;
      const shape = make("span", { class: "shape" });
      const head = make("p", { class: "layer-name" }, make("b", {}, layer.type), " ",
        described(layer), " ", shape);
      const element = make("section", {}, head);
      const overview = hasOwnMaps(layer) && mosaic({
        label: `Maps of ${layer.type} ${layer.name ?? ""}. Arrow keys go from map to map, Enter looks closer.`,
        byMap: true,
        point: (place) => showField({ depth, ...place }),
        pick: (place, byKey) => openDetail({ depth, ...place }, byKey),
        leave: () => {
          overview.select(opened?.depth === depth ? opened : null);
          showField(opened);
        },
      });
      if (overview) element.append(overview.element);
      return { element, overview, shape, depth };
    });
    const layers = make("div", { class: "layers" }, hint, ...sections.map(({ element }) => element));

    function drawLayers(width) {
      for (const { overview, shape, depth } of sections) {
        const { rows: r, columns: c, channels: n } = maps[depth];
        shape.textContent = r * c === 1 ? `${n} values` : `${r} × ${c} × ${n}`;
        overview?.draw?.(maps[depth], { width, square: overviewSquare(maps[depth]) });
      }
    }

    // -- The closer look: one map, one value, one multiplication

    const detail = {
      title: make("p", { class: "detail-title" }),
      map: mosaic({
        label: "One map. Arrow keys go from value to value.",
        point: ({ row, column }) => {
          opened = { ...opened, row, column };
          drawDetail();
        },
      }),
      view: make("canvas", { width: columns, height: rows }),
      fieldMark: make("i", { class: "outline field", hidden: true }),
      calculation: make("div", { class: "calculation" }),
      product: make("p", { class: "product", "aria-live": "polite" }),
      sum: make("p", { class: "sum" }),
    };
    const factors = ["values", "weights", "products"].map((name) => {
      const each = mosaic({
        label: `The ${name}. Arrow keys go from one to the next.`,
        point: (place) => showProduct(place),
      });
      return { name, ...each };
    });
    let shownTerms = null;
    detail.element = make("div", { class: "detail" },
      make("div", { class: "detail-head" }, detail.title,
        button("×", "Close the closer look", () => openDetail(null))),
      make("div", { class: "detail-body" },
        make("div", { class: "pair" },
          make("div", { class: "part" }, make("p", { class: "part-name" }, "the map; point at a value"),
            detail.map.element),
          make("div", { class: "part copy" }, make("p", { class: "part-name" }, "the pixels behind the value"),
            make("div", { class: "stage small" }, detail.view, detail.fieldMark))),
        detail.calculation));

    function openDetail(place, byKey) {
      const before = opened;
      opened = place;
      shownTerms = null;
      if (before) sections[before.depth - 1].overview.select(null);
      if (!place) {
        detail.element.remove();
        showField(null);
        sections[before.depth - 1].overview.element.focus();
        return;
      }
      sections[place.depth - 1].element.append(detail.element);
      drawDetail();
      detail.element.scrollIntoView({ block: "nearest" });
      if (byKey) detail.map.element.focus();
    }

    function drawDetail() {
      if (!opened) return;
      const { depth, channel, row, column } = opened;
      const [layer, input, output] = [network.layers[depth - 1], maps[depth - 1], maps[depth]];
      const width = detail.calculation.clientWidth;
      const field = fieldOf(opened);
      const pixels = times([field.bottom - field.top + 1, field.right - field.left + 1]);
      detail.title.textContent = `${layer.type}, ${whichValue(opened)}. It depends on `
        + `${pixels} pixels of the image.`;
      detail.map.draw(oneMap(output, channel), { width, largest: largestOf(output),
        square: clamp(Math.floor(224 / output.columns), 1, 40) });
      detail.map.select({ channel: 0, row, column });
      sections[depth - 1].overview.select(opened);
      showField(opened);
      markPixels(detail.fieldMark, field);
      const kinds = { convolution: explainSum, dense: explainSum, pooling: explainPooling,
        scaling: explainScaling, activation: explainActivation };
      detail.calculation.replaceChildren(...kinds[layer.kind](layer, input, output, width));
    }

    const valueAt = (from, { channel, row, column }) =>
      from.values[(row * from.columns + column) * from.channels + channel];

    function explainSum(layer, input, output, width) {
      const { row, column, channel } = opened;
      shownTerms = terms(layer, input, row, column, channel);
      const count = shownTerms.products.values.length;
      const withNumbers = count <= 100 && shownTerms.products.rows > 1;
      const { columns: across, channels: n } = shownTerms.products;
      const square = withNumbers ? clamp(Math.floor((width - 18) / (across * n)), 21, 27) : 8;
      const colours = readsColours(opened.depth) ? ", for red, green and blue" : "";
      const captions = { values: `values under the filter${colours}`,
        weights: "× weights of the filter", products: "= products" };
      const parts = factors.map((each) => {
        each.draw(shownTerms[each.name], { width, square, withNumbers });
        return make("div", { class: "part" },
          make("p", { class: "part-name" }, captions[each.name]), each.element);
      });
      const after = activationName(layer);
      detail.sum.textContent = `The ${count.toLocaleString("en")} products add up to `
        + `${written(shownTerms.sum - shownTerms.bias)}; with the bias `
        + `${written(shownTerms.bias)} this is ${written(shownTerms.sum)}`
        + (after ? `; ${after} turns it into ${written(valueAt(output, opened))}.` : ".");
      const sizes = Array.from(shownTerms.products.values, Math.abs);
      const place = sizes.indexOf(Math.max(...sizes));
      showProduct({ channel: place % n, row: Math.floor(place / n / across),
        column: Math.floor(place / n) % across });
      return [...parts, detail.product, detail.sum];
    }

    // The inputs of the first layer with weights are the colours of the image.
    const readsColours = (depth) => channels === 3 && network.layers.slice(0, depth - 1)
      .every(({ kind }) => kind === "scaling" || kind === "unchanged");

    function showProduct(place) {
      factors.forEach((each) => each.select(place));
      const { values, weights, products } = shownTerms;
      const from = readsColours(opened.depth) ? ["red", "green", "blue"][place.channel]
        : `map ${place.channel + 1}`;
      const where = values.rows * values.columns === 1 ? `value ${place.channel + 1}`
        : `${from}, row ${place.row + 1}, column ${place.column + 1}`;
      const [value, weight, product] = [values, weights, products]
        .map((each) => withMinus(valueAt(each, place).toFixed(3)));
      detail.product.replaceChildren(make("span", {}, `${where}: `),
        make("b", {}, `${value} × ${weight} = ${product}`));
    }

    function explainPooling(layer, input, output, width) {
      const { row, column, channel } = opened;
      const { top, bottom, left, right } = windowOf(layer, input, row, column);
      const part = { rows: bottom - top + 1, columns: right - left + 1, channels: 1, values: [] };
      for (let y = top; y <= bottom; y++) {
        for (let x = left; x <= right; x++) {
          part.values.push(valueAt(input, { channel, row: y, column: x }));
        }
      }
      const small = mosaic({ label: "The values in the window" });
      small.draw(part, { width, largest: largestOf(input), withNumbers: part.columns < 8,
        square: part.columns < 8 ? 30 : 8 });
      detail.sum.textContent = `The ${layer.average ? "mean" : "largest"} of these `
        + `${part.values.length} values is ${written(valueAt(output, opened))}.`;
      return [make("div", { class: "part" }, make("p", { class: "part-name" }, "values in the window"), small.element),
        detail.sum];
    }

    function explainScaling(layer, input, output) {
      const [scale, shiftedBy] = [layer.scale[opened.channel], layer.shift[opened.channel]]
        .map((x) => withMinus(String(Number(x.toPrecision(3)))));
      detail.product.replaceChildren(make("b", {}, `${written(valueAt(input, opened))} × ${scale} + `
        + `${shiftedBy} = ${written(valueAt(output, opened))}`));
      return [detail.product];
    }

    function explainActivation(layer, input, output) {
      detail.sum.textContent = `${activationName(layer)} turns ${written(valueAt(input, opened))} `
        + `into ${written(valueAt(output, opened))}.`;
      return [detail.sum];
    }

    // -- Everything together

    function update() {
      const pixels = seenPixels();
      undisturbed ??= square || shift.some(Boolean)
        ? Array.from(predict(network, picture).at(-1).values) : null;
      const started = performance.now();
      maps = predict(network, pixels);
      const milliseconds = performance.now() - started;
      drawPixels(view, pixels);
      drawPixels(detail.view, pixels);
      drawAnswer(milliseconds);
      drawAll();
    }

    function drawAll() {
      drawLayers(layers.clientWidth);
      drawDetail();
    }

    let frame = null; // several changes before the browser draws are one
    function changed() {
      frame ??= requestAnimationFrame(() => {
        frame = null;
        update();
      });
    }

    root.append(
      choices,
      make("div", { class: "columns" },
        make("div", { class: "image" }, ownImage, make("div", { class: "screen" }, stage, video),
          palette, disturb, captionLine, verdict, answer, pointedLine),
        layers),
      make("details", { class: "program" },
        summary, make("pre", { tabIndex: 0 }, program.trim())),
    );
    root.querySelector("p").remove(); // the sentence for readers without scripts
    (choices.querySelectorAll("input")[8] ?? choices.querySelector("input")).click();
    let width = 0;
    new ResizeObserver(() => {
      if (maps && layers.clientWidth !== width) drawAll();
      width = layers.clientWidth;
    }).observe(layers);
  };
})();
