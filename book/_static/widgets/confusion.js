// A confusion matrix whose cells open: the test images behind each number, most certain first.
{
  const { add, make, picture, shape, words, fixed, count, predictions } = CourseWidgets;

  const WIDTH = 32, HEIGHT = 24; // of a cell
  const TILE = 64; // side of an image

  const found = predictions();
  const classes = found?.classes ?? [];
  const all = classes.map((_, index) => index);
  // Room for the names of the classes, to the left and above, and beside them for a title.
  const ROOM = 26 + 6.2 * Math.max(...classes.map((name) => name.length));

  function countPairs({ labels, predicted }) {
    const counts = all.map(() => all.map(() => 0));
    labels.forEach((label, i) => { counts[label][predicted[i]] += 1; });
    return counts;
  }

  const counts = found && countPairs(found.test);

  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const percent = (part, whole) => (whole ? `${fixed((100 * part) / whole, 1)}%` : "none");
  const imagesOf = (number) => `${count(number)} ${number === 1 ? "image" : "images"}`;

  function matrix(chosen, change) {
    const cells = all.flatMap((row) => all.map((column) => {
      const [x, y] = [ROOM + column * WIDTH, ROOM + row * HEIGHT];
      const share = counts[row][column] / Math.max(sum(counts[row]), 1);
      const cell = shape("g", { class: "widget-cell is-output" },
        shape("rect", { x, y, width: WIDTH, height: HEIGHT }),
        words(counts[row][column], x + WIDTH / 2, y + HEIGHT / 2 + 4));
      cell.firstChild.style.fill = "var(--widget-first)";
      cell.firstChild.style.fillOpacity = (0.4 * Math.sqrt(share)).toFixed(3);
      cell.addEventListener("click", () => change({ row, column }));
      return cell;
    }));
    const names = all.flatMap((index) => {
      const [x, y] = [ROOM + (index + 0.5) * WIDTH + 4, ROOM + (index + 0.5) * HEIGHT + 4];
      return [
        words(classes[index], ROOM - 6, y, "widget-end"),
        shape("text", { class: "widget-start",
          transform: `translate(${x} ${ROOM - 6}) rotate(-90)` }, classes[index]),
      ];
    });
    const [width, height] = [all.length * WIDTH, all.length * HEIGHT];
    const numbers = counts.map((row, index) => `${classes[index]}: ${row.join(", ")}`);
    return picture(ROOM + width + 2, ROOM + height + 2,
      `Confusion matrix, a row for each true class. ${numbers.join("; ")}`,
      ...cells, ...names,
      words("predicted class", ROOM + width / 2, 12),
      shape("text", { transform: `translate(12 ${ROOM + height / 2}) rotate(-90)` }, "true class"),
      shape("rect", { class: "widget-frame", width: WIDTH, height: HEIGHT,
        x: ROOM + chosen.column * WIDTH, y: ROOM + chosen.row * HEIGHT }));
  }

  // One image of the picture that contains all of them.
  function tile(index, confidence, alt) {
    const { picture: href, columns, size: [height, width], places } = found.images;
    const [x, y] = [(index % columns) * width, Math.floor(index / columns) * height];
    const rows = Math.ceil(places.length / columns);
    const whole = { href, width: columns * width, height: rows * height };
    const image = shape("svg", { viewBox: `${x} ${y} ${width} ${height}`, width: TILE, height: TILE,
      role: "img", "aria-label": alt }, shape("image", whole));
    return make("div", {}, image, make("p", {}, confidence));
  }

  function images({ row, column }, number) {
    const { labels, predicted, logarithms } = found.test;
    const tiles = [];
    found.images.places.forEach((place, index) => {
      if (labels[place] !== row || predicted[place] !== column) return;
      const p = Math.exp(logarithms[place * classes.length + column]);
      const alt = `Test image ${place}: ${classes[row]}, predicted as ${classes[column]}`;
      tiles.push(tile(index, percent(p, 1), alt));
    });
    const title = tiles.length === number ? imagesOf(number)
      : `the ${tiles.length} of ${imagesOf(number)} of which the network was most certain`;
    return make("div", { class: "widget-images" },
      make("p", {}, `${classes[row]}, predicted as ${classes[column]}: ${title}`),
      make("div", { class: "widget-row" }, ...tiles));
  }

  function draw({ row, column }, change) {
    const here = counts[row][column];
    const [ofRow, ofColumn] = [sum(counts[row]), sum(counts.map((each) => each[column]))];
    const [truth, guess] = [classes[row], classes[column]];
    const isRight = row === column;
    return {
      picture: [matrix({ row, column }, change), images({ row, column }, here)],
      sentences: [
        `Of ${imagesOf(ofRow)} of the class ${truth}, the network predicts ${guess} for `
          + `${count(here)}: ${percent(here, ofRow)}`
          + `${isRight ? ", the recall of this class" : ""}.`,
        `Of ${imagesOf(ofColumn)} predicted as ${guess}, ${count(here)} are of the class ${truth}: `
          + `${percent(here, ofColumn)}${isRight ? ", the precision of this class" : ""}.`,
        ...(isRight ? [] : [
          `The other way round, it predicts ${truth} for ${imagesOf(counts[column][row])} of the `
            + `class ${guess}.`]),
      ],
    };
  }

  if (found) {
    add("confusion", {
      controls: {
        row: { label: "true class", options: classes, value: 3 },
        column: { label: "predicted class", options: classes, value: 5 },
      },
      draw,
    });
  }
}
