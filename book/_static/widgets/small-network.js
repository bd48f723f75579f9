// A small network that learns to separate two classes of points in the plane, while the reader
// chooses its width, its dropout rate and the noise in the points.
{
  const { add, plot, line, dot, shape, words, fixed, uniform, normal } = CourseWidgets;

  const TRAINING = 40, VALIDATION = 100; // points; every other one belongs to the second class
  const RATE = 0.1, MOMENTUM = 0.9;
  const MOST_STEPS = 500, MORE_STEPS = 20;
  const ACROSS = 2.4, UP = 1.8; // half the width and height of the picture
  const SHADES = [24, 18]; // columns and rows
  const MOST_LOSS = 2;
  const CLEAR = 0.01; // a smaller rise of the loss is not called one

  // Two half moons that face each other, then noise.
  function makePoints(count, noise, random) {
    const scatter = normal(random);
    return Array.from({ length: count }, (_, i) => {
      const label = i % 2, angle = Math.PI * random(), sign = 1 - 2 * label;
      const x = [sign * (Math.cos(angle) - 0.5), sign * (Math.sin(angle) - 0.25)];
      return { x: Float64Array.from(x, (each) => each + noise * scatter()), label };
    });
  }

  // ---- The network: two hidden layers with ReLU, then the logit of the second class -----------

  const numbers = (length) => new Float64Array(length);

  // weights[j][i] leads from value i of the layer before to unit j.
  function makeLayer(inputs, units, random) {
    const scale = Math.sqrt(2 / inputs); // He initialisation
    const row = () => numbers(inputs).map(() => scale * random());
    return { weights: Array.from({ length: units }, row), biases: numbers(units) };
  }

  const zeros = ({ weights, biases }) => ({
    weights: weights.map((row) => numbers(row.length)), biases: numbers(biases.length),
  });

  function product(row, values) {
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i] * values[i];
    return sum;
  }

  // The values of all layers, from the point to the logit. `keep` says by what a hidden value is
  // multiplied: 0 where it is dropped.
  function forward(network, x, keep = () => 1) {
    const all = [x];
    network.forEach(({ weights, biases }, depth) => {
      const sums = biases.map((bias, j) => product(weights[j], all[depth]) + bias);
      const isLast = depth === network.length - 1;
      all.push(isLast ? sums : sums.map((sum) => Math.max(sum, 0) * keep()));
    });
    return all;
  }

  const logit = (network, x) => forward(network, x).at(-1)[0];
  const probability = (z) => 1 / (1 + Math.exp(-z));
  // Minus the logarithm of the true class's probability, also for logits of any size.
  const loss = (z, label) => Math.max(z, 0) - label * z + Math.log1p(Math.exp(-Math.abs(z)));

  // Add one point's part to the gradient, from the last layer to the first.
  function backward(network, all, label, share, gradients, scale) {
    let errors = numbers(1).fill(share * (probability(all.at(-1)[0]) - label));
    for (let depth = network.length - 1; depth >= 0; depth--) {
      const values = all[depth], { weights } = network[depth];
      const before = numbers(values.length);
      errors.forEach((error, j) => {
        gradients[depth].biases[j] += error;
        const row = gradients[depth].weights[j];
        for (let i = 0; i < row.length; i++) {
          row[i] += error * values[i];
          // A value that ReLU or dropout has made 0 passes nothing on.
          if (values[i] > 0) before[i] += scale * error * weights[j][i];
        }
      });
      errors = before;
    }
  }

  // v = momentum * v - rate * gradient, then w = w + v: the numbers of a list.
  function move(values, velocities, gradients) {
    for (let i = 0; i < values.length; i++) {
      velocities[i] = MOMENTUM * velocities[i] - RATE * gradients[i];
      values[i] += velocities[i];
    }
  }

  function trainOneStep(network, velocities, points, dropout, random) {
    const scale = 1 / (1 - dropout);
    const keep = dropout ? () => (random() >= dropout ? scale : 0) : () => 1;
    const gradients = network.map(zeros);
    for (const { x, label } of points) {
      backward(network, forward(network, x, keep), label, 1 / points.length, gradients, scale);
    }
    network.forEach(({ weights, biases }, depth) => {
      const velocity = velocities[depth], gradient = gradients[depth];
      weights.forEach((row, j) => move(row, velocity.weights[j], gradient.weights[j]));
      move(biases, velocity.biases, gradient.biases);
    });
  }

  // ---- A run is continued where it stands, and begins anew with other settings ----------------

  const measure = (network, points) => {
    const logits = points.map(({ x }) => logit(network, x));
    return {
      loss: logits.reduce((sum, z, i) => sum + loss(z, points[i].label), 0) / points.length,
      right: logits.filter((z, i) => (z > 0) === (points[i].label === 1)).length,
    };
  };

  function begin({ noise, width, dropout, seed }) {
    const data = uniform(seed), initial = normal(uniform(seed + 100));
    const run = {
      training: makePoints(TRAINING, noise, data),
      validation: makePoints(VALIDATION, noise, data),
      network: [[2, width], [width, width], [width, 1]].map((size) => makeLayer(...size, initial)),
      masks: uniform(seed + 200),
      dropout,
      history: [],
    };
    run.velocities = run.network.map(zeros);
    record(run);
    return run;
  }

  const record = (run) => run.history.push({
    training: measure(run.network, run.training),
    validation: measure(run.network, run.validation),
  });

  let last = {};

  function runUntil(steps, settings) {
    const key = JSON.stringify(settings);
    if (last.key !== key || last.run.history.length > steps + 1) {
      last = { key, run: begin(settings) };
    }
    const { run } = last;
    while (run.history.length <= steps) {
      trainOneStep(run.network, run.velocities, run.training, run.dropout, run.masks);
      record(run);
    }
    return run;
  }

  // ---- What the reader sees -------------------------------------------------------------------

  function plane({ network, training }) {
    const { svg, inside, at } = plot({
      alt: "The training points, and behind them the class that the network predicts.",
      x: { label: "first coordinate", low: -ACROSS, high: ACROSS, ticks: [-2, -1, 0, 1, 2] },
      y: { label: "second coordinate", low: -UP, high: UP, ticks: [-1, 0, 1] },
      height: 270,
    });
    const [columns, rows] = SHADES;
    const size = [(2 * ACROSS) / columns, (2 * UP) / rows];
    for (let i = 0; i < rows * columns; i++) {
      const left = -ACROSS + (i % columns) * size[0];
      const top = UP - Math.floor(i / columns) * size[1];
      const p = probability(logit(network, [left + size[0] / 2, top - size[1] / 2]));
      const [x, y] = at(left, top), [right, bottom] = at(left + size[0], top - size[1]);
      inside.append(shape("rect", { class: p > 0.5 ? "is-second" : "is-first", x, y,
        width: right - x, height: bottom - y, opacity: (0.7 * Math.abs(p - 0.5)).toFixed(2) }));
    }
    for (const { x, label } of training) {
      inside.append(label ? dot(at(...x), "is-hollow", 4) : dot(at(...x), "is-first", 4));
    }
    return svg;
  }

  function curves(history) {
    const { svg, inside, at } = plot({
      alt: "The loss on training and validation points after each step.",
      x: { label: "step", low: 0, high: MOST_STEPS, ticks: [0, 100, 200, 300, 400, 500] },
      y: { label: "loss", low: 0, high: MOST_LOSS, ticks: [0, 1, 2] },
      height: 270,
    });
    ["training", "validation"].forEach((name, i) => {
      const type = i ? "is-second" : "is-first";
      const points = history.map((each, step) => at(step, each[name].loss));
      const [x, y] = at(0.97 * MOST_STEPS, MOST_LOSS * (0.94 - 0.07 * i));
      inside.append(line(points, type), dot(points.at(-1), type, 4),
        words(`${name} loss`, x, y, `widget-end ${type}`));
    });
    return svg;
  }

  function verdict(history) {
    const losses = history.map((each) => each.validation.loss);
    const best = losses.indexOf(Math.min(...losses)), now = history.at(-1);
    const rise = now.validation.loss - losses[best];
    if (best === history.length - 1) return "The validation loss has never been lower.";
    if (rise < CLEAR) {
      return `The validation loss is within ${CLEAR} of its lowest value, `
        + `${fixed(losses[best], 3)} after ${stepsOf(best)}.`;
    }
    const since = now.training.loss - history[best].training.loss;
    const moved = `${since < 0 ? "fallen" : "risen"} by ${fixed(Math.abs(since), 3)}`;
    return `The validation loss was lowest after ${stepsOf(best)}: ${fixed(losses[best], 3)}. `
      + `Since then it has risen by ${fixed(rise, 3)}, while the training loss has ${moved}`
      + `${since < 0 ? ": the network overfits." : "."}`;
  }

  const stepsOf = (count) => `${count} ${count === 1 ? "step" : "steps"}`;

  function draw({ steps, exponent, ...settings }) {
    const width = 2 ** exponent;
    const run = runUntil(steps, { width, ...settings });
    const { training, validation } = run.history.at(-1);
    const parameters = run.network.reduce((sum, { weights, biases }) => (
      sum + weights.length * weights[0].length + biases.length), 0);
    return {
      picture: [plane(run), curves(run.history)],
      sentences: [
        `After ${stepsOf(steps)} the network classifies ${training.right} of ${TRAINING} training `
          + `points and ${validation.right} of ${VALIDATION} validation points correctly. The `
          + `losses are ${fixed(training.loss, 3)} and ${fixed(validation.loss, 3)}.`,
        verdict(run.history),
        `It has two hidden layers of ${width} ${width === 1 ? "unit" : "units"}, and `
          + `${parameters} parameters for ${TRAINING} training points.`,
      ],
    };
  }

  add("small-network", {
    controls: {
      noise: { label: "noise", min: 0, max: 0.5, step: 0.05, value: 0.35,
        show: (noise) => fixed(noise, 2) },
      exponent: { label: "units per layer", min: 0, max: 4, value: 4, show: (k) => String(2 ** k) },
      dropout: { label: "dropout rate", min: 0, max: 0.7, step: 0.1, value: 0,
        show: (rate) => fixed(rate, 1) },
      seed: { label: "random seed", min: 1, max: 20, value: 2 },
      steps: { label: "steps", min: 0, max: MOST_STEPS, value: 20 },
      more: {
        label: `${MORE_STEPS} steps more`,
        change: ({ steps }) => ({ steps: Math.min(steps + MORE_STEPS, MOST_STEPS) }),
      },
    },
    draw,
  });
}
