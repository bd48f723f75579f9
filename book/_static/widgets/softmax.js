// Softmax and cross-entropy: what three logits mean for the probabilities, the loss and its
// gradient.
{
  const { add, picture, shape, words, fixed } = CourseWidgets;

  const CLASSES = ["class A", "class B", "class C"];
  const [WIDTH, ROW, TOP] = [360, 32, 22];
  const BAR = { start: 88, length: 86 }; // of a probability, from 0 to 1
  const GRADIENT = { zero: 290, length: 64 }; // of p - y, from -1 to 1

  // The largest logit is subtracted first, so that no exponential overflows.
  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = logits.map((z) => Math.exp(z - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  // The same as -ln p of the true class, but exact where p is tiny.
  function crossEntropy(logits, label) {
    const largest = Math.max(...logits);
    const sum = logits.reduce((total, z) => total + Math.exp(z - largest), 0);
    return Math.log(sum) + largest - logits[label];
  }

  function answer(logits, label) {
    const largest = Math.max(...logits);
    const best = CLASSES.filter((_, k) => logits[k] === largest);
    if (best.length > 1) return `The most probable classes are ${best.join(" and ")}: a tie.`;
    const verdict = best[0] === CLASSES[label] ? "the right answer" : "a wrong answer";
    return `The most probable class is ${best[0].slice(-1)}: ${verdict}.`;
  }

  function row(k, p, isTrue) {
    const gradient = p - (isTrue ? 1 : 0);
    const y = TOP + k * ROW, middle = y + ROW / 2;
    const length = Math.abs(gradient) * GRADIENT.length;
    const start = gradient < 0 ? GRADIENT.zero - length : GRADIENT.zero;
    const height = ROW - 14, top = y + 7;
    const opposite = gradient < 0 ? GRADIENT.zero + 6 : GRADIENT.zero - 6;
    return shape("g", { class: isTrue ? "is-true" : "" },
      words(CLASSES[k] + (isTrue ? " (true)" : ""), 0, middle + 4, "widget-start"),
      shape("rect", { class: "widget-ground", x: BAR.start, y: top, width: BAR.length, height }),
      shape("rect", { class: "is-first", x: BAR.start, y: top, width: p * BAR.length, height }),
      words(fixed(p, 3), BAR.start + BAR.length + 5, middle + 4, "widget-start"),
      shape("rect", { class: gradient < 0 ? "is-first" : "is-second", x: start, y: top,
        width: length, height }),
      words(fixed(gradient, 3), opposite, middle + 4,
        gradient < 0 ? "widget-start" : "widget-end"));
  }

  function draw({ label, ...named }) {
    const logits = Object.values(named);
    const probabilities = softmax(logits);
    const bottom = TOP + CLASSES.length * ROW;
    const alt = CLASSES.map((name, k) => `${name}: p ${fixed(probabilities[k], 3)}`).join(", ");
    const svg = picture(WIDTH, bottom + 4, `Probabilities and p − y. ${alt}.`,
      words("probability p", BAR.start, 14, "widget-start"),
      words("gradient p − y", GRADIENT.zero, 14),
      ...probabilities.map((p, k) => row(k, p, k === label)),
      shape("path", { class: "widget-axes", d: `M${GRADIENT.zero} ${TOP}V${bottom}` }));
    svg.classList.add("widget-plot");
    return {
      picture: [svg],
      sentences: [
        `The loss is −ln p of ${CLASSES[label]}, the true one: `
          + `${fixed(crossEntropy(logits, label), 3)}.`,
        answer(logits, label),
      ],
    };
  }

  const logit = (k, value) => ({ label: `logit of ${CLASSES[k]}`, min: -10, max: 10, step: 0.1,
    value, show: (z) => fixed(z, 1) });

  add("softmax", {
    controls: {
      a: logit(0, 2),
      b: logit(1, 1),
      c: logit(2, -1),
      label: { label: "true class", options: CLASSES, value: 1 },
    },
    draw,
  });
}
