// Calibration: is a network right as often as it is sure? And what a temperature does about it.
{
  const { add, plot, line, dot, shape, fixed, count, predictions } = CourseWidgets;

  const BINS = 10;
  const COLDEST = 0.5, HOTTEST = 3, STEP = 0.05;
  const SETS = ["validation", "test"];

  const found = predictions();
  const classes = found?.classes.length ?? 0;

  // Divide the logits by the temperature. Logarithms of probabilities will do for logits, because
  // softmax gives the same for both. Returns, for each image, the largest probability, whether
  // that class is the true one, and the loss.
  function judge({ labels, predicted, logarithms }, temperature) {
    const judged = { confidence: [], isRight: [], loss: [] };
    labels.forEach((label, i) => {
      const logits = logarithms.subarray(i * classes, (i + 1) * classes);
      const largest = logits[predicted[i]];
      let sum = 0;
      for (const logit of logits) sum += Math.exp((logit - largest) / temperature);
      judged.confidence.push(1 / sum);
      judged.isRight.push(predicted[i] === label);
      judged.loss.push(Math.log(sum) - (logits[label] - largest) / temperature);
    });
    return judged;
  }

  const mean = (numbers) => numbers.reduce((sum, each) => sum + Number(each), 0) / numbers.length;

  // The images by their confidence: from 0 to 10%, from 10 to 20%, and so on.
  function bin({ confidence, isRight }) {
    const bins = Array.from({ length: BINS }, () => ({ confidence: [], isRight: [] }));
    confidence.forEach((each, i) => {
      const place = bins[Math.min(Math.floor(each * BINS), BINS - 1)];
      place.confidence.push(each);
      place.isRight.push(isRight[i]);
    });
    return bins.map((each) => ({
      images: each.confidence.length,
      confidence: mean(each.confidence),
      accuracy: mean(each.isRight),
    }));
  }

  const calibrationError = (bins, images) => bins.filter((each) => each.images).reduce(
    (sum, each) => sum + (each.images / images) * Math.abs(each.confidence - each.accuracy), 0);

  function bestTemperature() {
    const length = Math.round((HOTTEST - COLDEST) / STEP) + 1;
    const all = Array.from({ length }, (_, i) => COLDEST + i * STEP);
    const losses = all.map((each) => mean(judge(found.validation, each).loss));
    return all[losses.indexOf(Math.min(...losses))];
  }

  const TICKS = [0, 25, 50, 75, 100].map((each) => [each / 100, each]);
  const PERCENT = { low: 0, high: 1, ticks: TICKS };
  const confidenceAxis = { label: "confidence (%)", ...PERCENT };

  function reliability(bins) {
    const { svg, inside, at } = plot({
      alt: "The accuracy of images with similar confidence, against their mean confidence.",
      x: confidenceAxis,
      y: { label: "accuracy (%)", ...PERCENT },
      height: 270,
    });
    const points = bins.filter((each) => each.images)
      .map(({ confidence, accuracy }) => at(confidence, accuracy));
    inside.append(line([at(0, 0), at(1, 1)], "is-true"), line(points, "is-first"),
      ...points.map((each) => dot(each, "is-first", 4)));
    return svg;
  }

  function histogram(bins, images) {
    const { svg, inside, at } = plot({
      alt: "How many of the images have which confidence.",
      x: confidenceAxis,
      y: { label: "images (%)", ...PERCENT },
      height: 270,
    });
    inside.append(...bins.map((each, i) => {
      const [x, y] = at(i / BINS, each.images / images), [right, bottom] = at((i + 1) / BINS, 0);
      return shape("rect", { class: "is-first", x: Number(x) + 1, y, width: right - x - 2,
        height: bottom - y });
    }));
    return svg;
  }

  const percent = (fraction) => `${fixed(100 * fraction, 1)}%`;

  function draw({ set, temperature }) {
    const judged = judge(found[SETS[set]], temperature);
    const images = judged.loss.length, bins = bin(judged);
    const confidence = mean(judged.confidence), accuracy = mean(judged.isRight);
    const excess = Math.abs(confidence - accuracy), points = fixed(100 * excess, 1);
    // Half of the accuracy's 95% interval.
    const chance = 1.96 * Math.sqrt((accuracy * (1 - accuracy)) / images);
    const verdict = excess < chance ? `they differ by ${points} points, no more than by chance`
      : `the network is ${confidence > accuracy ? "over" : "under"}confident by ${points} points`;
    return {
      picture: [reliability(bins), histogram(bins, images)],
      sentences: [
        `At T = ${fixed(temperature, 2)} the mean confidence on ${count(images)} ${SETS[set]} `
          + `images is ${percent(confidence)}, and the accuracy ${percent(accuracy)}: ${verdict}.`,
        `The expected calibration error is ${percent(calibrationError(bins, images))}, and the `
          + `cross-entropy ${fixed(mean(judged.loss), 3)}.`,
        `On the validation images the cross-entropy is lowest at T = ${fixed(best, 2)}.`,
      ],
    };
  }

  const best = found && bestTemperature();
  if (found) {
    add("calibration", {
      controls: {
        temperature: { label: "temperature T", min: COLDEST, max: HOTTEST, step: STEP, value: 1,
          show: (temperature) => fixed(temperature, 2) },
        set: { label: "images", options: SETS, value: 0 },
      },
      draw,
    });
  }
}
