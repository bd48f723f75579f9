// Batch normalisation's averages: the statistics of minibatches scatter around the true values, and
// the moving averages follow them, quickly or steadily. The values are independent and normal.
{
  const { add, plot, line, dot, fixed, uniform, normal } = CourseWidgets;

  const TRUE_MEAN = 2, TRUE_DEVIATION = 2, TRUE_VARIANCE = TRUE_DEVIATION ** 2;
  const INITIAL = { mean: 0, variance: 1 }; // as in Keras
  const MOMENTA = [0, 0.5, 0.75, 0.9, 0.99, 0.999];
  const MOST_BATCHES = 300;

  const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function statistics(values) {
    const mean = meanOf(values);
    return { mean, variance: meanOf(values.map((value) => (value - mean) ** 2)) };
  }

  // Initial value first, then the average after each minibatch.
  function movingAverage(initial, values, momentum) {
    const path = [initial];
    for (const value of values) path.push(momentum * path.at(-1) + (1 - momentum) * value);
    return path;
  }

  function follow(name, truth, axis, values, path) {
    const { svg, inside, at } = plot({
      alt: `The ${name} of each minibatch as a dot, its moving average as a line.`,
      x: { label: "minibatch", low: 0, high: MOST_BATCHES, ticks: [0, 100, 200, 300] },
      y: { label: name, ...axis },
    });
    inside.append(
      ...values.map((value, i) => dot(at(i + 1, value), "is-first")),
      line(path.map((value, i) => at(i, value)), "is-second"),
      line([at(0, truth), at(MOST_BATCHES, truth)], "is-true"));
    return svg;
  }

  function draw({ exponent, chosen, count, seed }) {
    const size = 2 ** exponent, momentum = MOMENTA[chosen], random = normal(uniform(seed));
    const value = () => TRUE_MEAN + TRUE_DEVIATION * random();
    const batches = Array.from({ length: count }, () => (
      statistics(Array.from({ length: size }, value))));
    const means = batches.map((batch) => batch.mean);
    const variances = batches.map((batch) => batch.variance);
    const movingMean = movingAverage(INITIAL.mean, means, momentum);
    const movingVariance = movingAverage(INITIAL.variance, variances, momentum);
    return {
      picture: [
        follow("mean", TRUE_MEAN, { low: -4, high: 8, ticks: [-4, 0, 4, 8] }, means, movingMean),
        follow("variance", TRUE_VARIANCE, { low: 0, high: 20, ticks: [0, 5, 10, 15, 20] },
          variances, movingVariance),
      ],
      sentences: [
        `After ${count} minibatches of ${size}, the moving mean is ${fixed(movingMean.at(-1), 2)} `
          + `(true: ${TRUE_MEAN}) and the moving variance ${fixed(movingVariance.at(-1), 2)} `
          + `(true: ${TRUE_VARIANCE}).`,
        `The initial values, ${INITIAL.mean} and ${INITIAL.variance}, still have a weight of `
          + `${fixed(100 * momentum ** count, 1)}%.`,
        `The means of the minibatches have a standard deviation of `
          + `${fixed(Math.sqrt(statistics(means).variance), 2)}; in theory it is `
          + `${TRUE_DEVIATION} / √${size} = ${fixed(TRUE_DEVIATION / Math.sqrt(size), 2)}. `
          + `Their variances are ${fixed(meanOf(variances), 2)} on average; in theory `
          + `${TRUE_VARIANCE} · (1 − 1/${size}) = ${fixed(TRUE_VARIANCE * (1 - 1 / size), 2)}.`,
      ],
    };
  }

  add("batch-statistics", {
    controls: {
      exponent: { label: "minibatch size", min: 0, max: 8, value: 2, show: (k) => String(2 ** k) },
      chosen: { label: "momentum p", min: 0, max: MOMENTA.length - 1, value: 4,
        show: (index) => String(MOMENTA[index]) },
      count: { label: "minibatches", min: 10, max: MOST_BATCHES, step: 10, value: 200 },
      seed: { label: "random seed", min: 1, max: 20, value: 1 },
    },
    draw,
  });
}
