// A trained convolutional network in plain JavaScript: what Keras computes, without Keras.
//
// A layer's values are called maps: { rows, columns, channels, values }. The values stand in one
// Float32Array, row by row, in a row column by column, and for each position channel by channel:
//
//     value(row, column, channel) = values[(row * columns + column) * channels + channel]
//
// `load` reads the exported network, `predict` computes every layer for one image, and
// `receptiveField` and `terms` say where a value comes from.

var CourseNetwork = (() => {
  "use strict";

  function emptyMaps(rows, columns, channels) {
    return { rows, columns, channels, values: new Float32Array(rows * columns * channels) };
  }

  // ---- Reading the exported network ---------------------------------------------------------

  function bytesOf(base64) {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  }

  // A number in 16 bits: one for the sign, five for the exponent, ten for the fraction.
  function fromHalf(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  }

  function array({ type, data }) {
    const { buffer } = bytesOf(data);
    if (type === "float32") return new Float32Array(buffer);
    return Float32Array.from(new Uint16Array(buffer), fromHalf);
  }

  // Layers as they were exported, with their numbers as arrays.
  function load(exported) {
    const layers = exported.layers.map((layer) => {
      const numbers = Object.entries(layer.weights ?? {}).map(([key, each]) => [key, array(each)]);
      return { ...layer, ...Object.fromEntries(numbers) };
    });
    return { ...exported, layers };
  }

  // ---- Windows ------------------------------------------------------------------------------

  // Windows along one direction: how many there are, and where the first one starts. With "same"
  // padding it may start before the image, where all values are zero.
  function windows(length, size, stride, padding) {
    if (padding === "valid") return { count: Math.floor((length - size) / stride) + 1, start: 0 };
    const count = Math.ceil(length / stride);
    const added = Math.max((count - 1) * stride + size - length, 0);
    return { count, start: -Math.floor(added / 2) };
  }

  function grid(layer, input) {
    return {
      down: windows(input.rows, layer.size[0], layer.strides[0], layer.padding),
      across: windows(input.columns, layer.size[1], layer.strides[1], layer.padding),
    };
  }

  // ---- Layers: each takes maps and returns maps ---------------------------------------------

  function convolution(layer, input) {
    const { size: [height, width], strides: [stepDown, stepAcross], filters, kernel } = layer;
    const { down, across } = grid(layer, input);
    const output = emptyMaps(down.count, across.count, filters);
    const sums = new Float64Array(filters); // one for each filter
    let place = 0;
    for (let row = 0; row < down.count; row++) {
      for (let column = 0; column < across.count; column++) {
        sums.set(layer.bias);
        for (let u = 0; u < height; u++) {
          const y = row * stepDown + down.start + u;
          if (y < 0 || y >= input.rows) continue; // zeros around the image add nothing
          for (let v = 0; v < width; v++) {
            const x = column * stepAcross + across.start + v;
            if (x < 0 || x >= input.columns) continue;
            const pixel = (y * input.columns + x) * input.channels;
            let weight = (u * width + v) * input.channels * filters;
            for (let c = 0; c < input.channels; c++, weight += filters) {
              const value = input.values[pixel + c];
              if (value === 0) continue; // as many are after ReLU
              for (let k = 0; k < filters; k++) sums[k] += value * kernel[weight + k];
            }
          }
        }
        output.values.set(sums, place);
        place += filters;
      }
    }
    return output;
  }

  function dense(layer, input) {
    const output = emptyMaps(1, 1, layer.filters);
    const sums = Float64Array.from(layer.bias);
    input.values.forEach((value, i) => {
      if (value === 0) return;
      const weight = i * layer.filters;
      for (let k = 0; k < layer.filters; k++) sums[k] += value * layer.kernel[weight + k];
    });
    output.values.set(sums);
    return output;
  }

  // The largest value of each window, or the mean of those that are not outside the image.
  function pooling(layer, input) {
    const { down, across } = grid(layer, input);
    const output = emptyMaps(down.count, across.count, input.channels);
    let place = 0;
    for (let row = 0; row < down.count; row++) {
      for (let column = 0; column < across.count; column++) {
        const { top, bottom, left, right } = windowOf(layer, input, row, column);
        for (let c = 0; c < input.channels; c++) {
          let largest = -Infinity, sum = 0;
          for (let y = top; y <= bottom; y++) {
            for (let x = left; x <= right; x++) {
              const value = input.values[(y * input.columns + x) * input.channels + c];
              largest = Math.max(largest, value);
              sum += value;
            }
          }
          const count = (bottom - top + 1) * (right - left + 1);
          output.values[place++] = layer.average ? sum / count : largest;
        }
      }
    }
    return output;
  }

  // Batch normalisation after training, and rescaling: one factor and one number to add for each
  // channel.
  function scaling(layer, input) {
    const output = emptyMaps(input.rows, input.columns, input.channels);
    output.values.set(input.values.map((value, i) => {
      const c = i % input.channels;
      return value * layer.scale[c] + layer.shift[c];
    }));
    return output;
  }

  function flatten(layer, input) {
    return { rows: 1, columns: 1, channels: input.values.length, values: input.values };
  }

  const unchanged = (layer, input) => input; // dropout and noise, which only training uses

  const compute = {
    convolution, dense, pooling, scaling, flatten, unchanged, activation: unchanged,
  };

  // ---- Activations --------------------------------------------------------------------------

  const activations = {
    linear: (x) => x,
    relu: (x) => Math.max(x, 0),
    leaky_relu: (x, slope) => (x < 0 ? slope * x : x),
    elu: (x, slope) => (x < 0 ? slope * (Math.exp(x) - 1) : x),
    selu: (x) => 1.05070098 * (x < 0 ? 1.67326324 * (Math.exp(x) - 1) : x),
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    silu: (x) => x / (1 + Math.exp(-x)),
    softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    tanh: Math.tanh,
  };

  // Softmax makes the values of one position positive, and their sum 1.
  function softmax(maps) {
    const { channels, values } = maps;
    for (let from = 0; from < values.length; from += channels) {
      const some = values.subarray(from, from + channels);
      const largest = some.reduce((a, b) => Math.max(a, b)); // so that no exponential overflows
      const powers = some.map((value) => Math.exp(value - largest));
      const sum = powers.reduce((a, b) => a + b);
      some.set(powers.map((power) => power / sum));
    }
    return maps;
  }

  function activate(layer, maps) {
    const { activation = "linear", slope } = layer;
    if (activation === "linear") return maps;
    const output = { ...maps, values: maps.values.slice() };
    if (activation === "softmax") return softmax(output);
    output.values = output.values.map((value) => activations[activation](value, slope));
    return output;
  }

  // ---- The whole network --------------------------------------------------------------------

  // All maps, from the image to the answer: layer i turns maps[i] into maps[i + 1].
  function predict(network, pixels) {
    const [rows, columns, channels] = network.input;
    const all = [{ rows, columns, channels, values: Float32Array.from(pixels) }];
    network.layers.forEach((layer, i) => {
      all.push(activate(layer, compute[layer.kind](layer, all[i])));
    });
    return all;
  }

  // ---- Where a value comes from -------------------------------------------------------------

  // The part of a layer's input that one value, or a box of values, is computed from.
  function seenBy(layer, input, box) {
    const whole = { top: 0, left: 0, bottom: input.rows - 1, right: input.columns - 1 };
    if (layer.kind === "dense" || layer.kind === "flatten") return whole;
    if (!layer.size) return box;
    const { down, across } = grid(layer, input);
    const first = (place, stride, start) => Math.max(place * stride + start, 0);
    const last = (place, stride, start, size) => place * stride + start + size - 1;
    return {
      top: first(box.top, layer.strides[0], down.start),
      left: first(box.left, layer.strides[1], across.start),
      bottom: Math.min(last(box.bottom, layer.strides[0], down.start, layer.size[0]), whole.bottom),
      right: Math.min(last(box.right, layer.strides[1], across.start, layer.size[1]), whole.right),
    };
  }

  function windowOf(layer, input, row, column) {
    return seenBy(layer, input, { top: row, left: column, bottom: row, right: column });
  }

  // The pixels that can influence a value of maps[depth]: back through all layers, to the image.
  function receptiveField(network, maps, depth, row, column) {
    let box = { top: row, left: column, bottom: row, right: column };
    for (let i = depth - 1; i >= 0; i--) box = seenBy(network.layers[i], maps[i], box);
    return box;
  }

  // What a convolution or a dense layer multiplies for one value, and the sum of the products.
  function terms(layer, input, row, column, filter) {
    const isDense = layer.kind === "dense";
    const [height, width] = isDense ? [input.rows, input.columns] : layer.size;
    const origin = { y: 0, x: 0 };
    if (!isDense) {
      const { down, across } = grid(layer, input);
      origin.y = row * layer.strides[0] + down.start;
      origin.x = column * layer.strides[1] + across.start;
    }
    const [values, weights, products] = [1, 2, 3].map(() => emptyMaps(height, width, input.channels));
    let sum = layer.bias[filter];
    for (let i = 0; i < values.values.length; i++) {
      const c = i % input.channels;
      const y = origin.y + Math.floor(i / input.channels / width);
      const x = origin.x + Math.floor(i / input.channels) % width;
      const inside = y >= 0 && x >= 0 && y < input.rows && x < input.columns;
      values.values[i] = inside ? input.values[(y * input.columns + x) * input.channels + c] : 0;
      weights.values[i] = layer.kernel[i * layer.filters + filter];
      products.values[i] = values.values[i] * weights.values[i];
      sum += products.values[i];
    }
    return { values, weights, products, bias: layer.bias[filter], sum };
  }

  return { bytesOf, load, predict, receptiveField, windowOf, terms };
})();
