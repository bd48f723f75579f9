// Convolution, one window at a time: the products, their sum, the size of the output and the number
// of parameters. The numbers are small and whole, so that readers can check them.
{
  const { add, make, picture, shape, words, fixed } = CourseWidgets;

  const SIZE = 6; // of the image: rows and columns
  const CELL = 24; // height of a cell, and its width unless it holds large numbers
  const WIDE_CELL = 32;
  const BIAS = 1;
  // Pixels of three channels, one digit each.
  const IMAGE = [
    ["112899", "112899", "123899", "112789", "012899", "112898"],
    ["111111", "222222", "345543", "788887", "999999", "899998"],
    ["000000", "077770", "079970", "079970", "077770", "000000"],
  ];
  const CHANNEL_WEIGHTS = [1, -1, 2];

  const pixel = (row, column, channel) => Number(IMAGE[channel][row]?.[column] ?? 0);

  // Minus on the left, plus on the right, and twice as much in the middle row: for a kernel of 3,
  // the Sobel filter.
  function weight(row, column, channel, size) {
    const middle = (size - 1) / 2;
    const side = size === 1 ? 1 : Math.sign(column - middle);
    return side * (row === middle ? 2 : 1) * CHANNEL_WEIGHTS[channel];
  }

  const room = ({ kernel, padding }) => SIZE + 2 * padding - kernel;
  const outputSize = (values) => Math.floor(room(values) / values.stride) + 1;
  const lastStep = (values) => outputSize(values) ** 2;

  const list = (length, at) => Array.from({ length }, (_, i) => at(i));
  const square = (size, at) => list(size, (row) => list(size, (column) => at(row, column)));

  // The products of one channel, at one position of the output.
  function products({ kernel, stride, padding }, row, column, channel) {
    const top = row * stride - padding, left = column * stride - padding;
    return square(kernel, (u, v) => (
      weight(u, v, channel, kernel) * pixel(top + u, left + v, channel)));
  }

  function sumOfProducts(values, row, column) {
    const all = list(values.channels, (channel) => products(values, row, column, channel));
    return all.flat(2).reduce((sum, product) => sum + product, 0);
  }

  // A square table of numbers with a title. `cell` says what is at a row and a column; `framed` is
  // the row and the column where a frame begins, and its size in cells.
  function grid(title, size, cell, { width = CELL, framed } = {}) {
    const box = (row, column, count) => ({ x: column * width + 1, y: row * CELL + 1,
      width: count * width, height: count * CELL });
    const rows = square(size, cell);
    const drawCell = ({ value, type = "", fill, click }, row, column) => {
      const place = box(row, column, 1);
      const element = shape("g", { class: `widget-cell ${type}` }, shape("rect", place),
        words(fixed(value, 0), place.x + width / 2, place.y + CELL / 2 + 4));
      if (fill) element.firstChild.style.fill = fill;
      if (click) element.addEventListener("click", click);
      return element;
    };
    const drawn = square(size, (row, column) => drawCell(rows[row][column], row, column)).flat();
    if (framed) drawn.push(shape("rect", { class: "widget-frame", ...box(...framed) }));
    const numbers = rows.map((cells) => cells.map(({ value }) => fixed(value, 0)).join(", "));
    const alt = `${title}: ${numbers.join("; ")}`;
    return make("div", {}, make("p", {}, title),
      picture(size * width + 2, size * CELL + 2, alt, ...drawn));
  }

  function input(values, row, column, channel) {
    const { kernel, stride, padding } = values;
    const cell = (y, x) => {
      const [above, left] = [y - padding, x - padding];
      if (above < 0 || left < 0 || above >= SIZE || left >= SIZE) {
        return { value: 0, type: "is-padding" };
      }
      const value = pixel(above, left, channel);
      const grey = Math.round((value / 9) * 255);
      const fill = `rgb(${grey}, ${grey}, ${grey})`;
      return { value, type: value > 4 ? "is-bright" : "is-dark", fill };
    };
    return grid(`input, channel ${channel + 1}`, SIZE + 2 * padding, cell,
      { framed: [row * stride, column * stride, kernel] });
  }

  function draw(values, change) {
    const { kernel, stride, padding, channels, filters, step } = values;
    const size = outputSize(values);
    const row = Math.floor((step - 1) / size), column = (step - 1) % size;
    const sum = sumOfProducts(values, row, column);
    const parts = list(channels, (channel) => {
      const all = products(values, row, column, channel);
      return make("div", { class: "widget-row" },
        input(values, row, column, channel),
        make("div", { class: "widget-row" },
          grid("weights", kernel, (u, v) => ({ value: weight(u, v, channel, kernel) })),
          grid("products", kernel, (u, v) => ({ value: all[u][v] }))));
    });
    const output = grid("output of this filter", size, (y, x) => ({
      value: sumOfProducts(values, y, x) + BIAS,
      type: "is-output",
      click: () => change({ step: y * size + x + 1 }),
    }), { width: WIDE_CELL, framed: [row, column, 1] });
    const left = room(values) % stride;
    const rest = left === 1 ? "row and column" : `${left} rows and columns`;
    return {
      picture: [...parts, output],
      sentences: [
        `Step ${step} of ${size * size}: the products add up to ${fixed(sum, 0)}. With the bias, `
          + `${BIAS}, the output in row ${row + 1}, column ${column + 1} is ${fixed(sum + BIAS, 0)}.`,
        `Output size: ⌊(${SIZE} + 2 · ${padding} − ${kernel}) / ${stride}⌋ + 1 = ${size}, `
          + "so the output of all filters has the shape "
          + `${[size, size, filters].join("\u00a0×\u00a0")}.`
          + (left ? ` No window reaches the last ${rest} of the padded image.` : ""),
        `Parameters: (${kernel} · ${kernel} · ${channels} + 1) · ${filters} = `
          + `${(kernel * kernel * channels + 1) * filters}.`,
      ],
    };
  }

  add("convolution-stepper", {
    controls: {
      kernel: { label: "kernel size", min: 1, max: 5, value: 3 },
      stride: { label: "stride", min: 1, max: 3, value: 1 },
      padding: { label: "padding", min: 0, max: 2, value: 0 },
      channels: { label: "input channels", min: 1, max: 3, value: 1 },
      filters: { label: "filters", min: 1, max: 64, value: 8 },
      step: { label: "step", min: 1, max: lastStep, value: 1 },
      next: {
        label: "Next step",
        change: (values) => ({ step: (values.step % lastStep(values)) + 1 }),
      },
    },
    draw,
  });
}
