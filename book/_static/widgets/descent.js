// Gradient descent in a long valley: what the learning rate and the momentum do to the path.
{
  const { add, plot, line, dot, shape, fixed, significant, powerOfTen } = CourseWidgets;

  const CURVATURES = [1, 20]; // along the valley and across it
  const START = [-9, 1.5];
  const MOST_STEPS = 100;

  // The same steps as in the chapters: v = momentum * v - rate * gradient, then w = w + v.
  function descend(rate, momentum, steps) {
    let w = START, v = [0, 0];
    const path = [w];
    for (let step = 0; step < steps; step++) {
      const gradient = w.map((each, i) => CURVATURES[i] * each);
      v = v.map((each, i) => momentum * each - rate * gradient[i]);
      w = w.map((each, i) => each + v[i]);
      path.push(w);
    }
    return path;
  }

  const loss = (w) => w.reduce((sum, each, i) => sum + (CURVATURES[i] * each ** 2) / 2, 0);

  // What one step leaves of the distance to the minimum, after many steps: the larger root of
  // r^2 - (1 + momentum - rate * curvature) r + momentum.
  function remains(rate, momentum, curvature) {
    const middle = 1 + momentum - rate * curvature;
    const inside = middle ** 2 - 4 * momentum;
    return inside < 0 ? Math.sqrt(momentum) : (Math.abs(middle) + Math.sqrt(inside)) / 2;
  }

  function verdict(rate, momentum) {
    const product = rate * CURVATURES[1], limit = 2 * (1 + momentum);
    const compared = (word) => (
      `η · ${CURVATURES[1]} = ${fixed(product, 2)} is ${word} 2 (1 + μ) = ${fixed(limit, 2)}`);
    if (Math.abs(product - limit) < 1e-9) {
      return `${compared("exactly the limit,")}: the path swings across the valley for ever.`;
    }
    if (product > limit) {
      return `${compared("above the limit,")}: the path swings more and more widely across the `
        + "valley, and the loss grows without bound.";
    }
    const left = Math.max(...CURVATURES.map((each) => remains(rate, momentum, each)));
    return `${compared("below the limit,")}: the path converges to the minimum. In the long run a `
      + `step leaves ${fixed(100 * left, 1)}% of the distance.`;
  }

  function valley(path) {
    const { svg, inside, at } = plot({
      alt: "The path in the valley, seen from above.",
      x: { label: "first parameter", low: -10, high: 10, ticks: [-10, -5, 0, 5, 10] },
      y: { label: "second parameter", low: -3, high: 3, ticks: [-2, 0, 2] },
    });
    const [x, y] = at(0, 0);
    const levels = [2, 4, 6, 8, 10, 12].map((a) => shape("ellipse", { class: "widget-level",
      cx: x, cy: y, rx: at(a, 0)[0] - x, ry: y - at(0, a / Math.sqrt(CURVATURES[1]))[1] }));
    const points = path.map(([a, b]) => at(a, b));
    const dots = points.map((each) => dot(each, "is-first"));
    inside.append(...levels, line(points, "is-first"), ...dots,
      dot(points[0], "is-hollow", 5), dot(points.at(-1), "is-second", 5));
    return svg;
  }

  function curve(losses) {
    const powers = [-6, -4, -2, 0, 2, 4];
    const { svg, inside, at } = plot({
      alt: "The loss after each step, on a logarithmic axis.",
      x: { label: "step", low: 0, high: MOST_STEPS, ticks: [0, 25, 50, 75, 100] },
      y: { label: "loss (logarithmic)", low: -6.5, high: 4.5,
        ticks: powers.map((power) => [power, powerOfTen(power)]) },
    });
    const points = losses.map((each, step) => at(step, Math.log10(each)));
    inside.append(line(points, "is-first"), dot(points.at(-1), "is-second", 4));
    return svg;
  }

  add("descent", {
    controls: {
      rate: { label: "learning rate η", min: 0.002, max: 0.2, step: 0.002, value: 0.08,
        show: (rate) => fixed(rate, 3) },
      momentum: { label: "momentum μ", min: 0, max: 0.99, step: 0.01, value: 0,
        show: (momentum) => fixed(momentum, 2) },
      steps: { label: "steps", min: 1, max: MOST_STEPS, value: 40 },
    },
    draw({ rate, momentum, steps }) {
      const path = descend(rate, momentum, steps);
      const losses = path.map(loss);
      return {
        picture: [valley(path), curve(losses)],
        sentences: [
          `After ${steps} ${steps === 1 ? "step" : "steps"} the loss is `
            + `${significant(losses.at(-1))}; it began at ${significant(losses[0])}.`,
          verdict(rate, momentum),
        ],
      };
    },
  });
}
