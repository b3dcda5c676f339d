// A grey map as a heat map: what is usual is clear, from half its range on (the threshold) it glows.

// Of the colour map inferno, which grows evenly in lightness and is read alike by all eyes.
const RAMP = [[87, 16, 110], [137, 34, 106], [188, 55, 84], [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]];

/** A canvas that shows the map at an address, once it is loaded. */
export function heatCanvas(address) {
  const canvas = document.createElement("canvas");
  const image = new Image();
  image.onload = () => coloured(canvas, image, TABLE);
  image.src = address;
  return canvas;
}

/** Draw a grey picture on a canvas of its size, each grey value as [red, green, blue, alpha] of a table. */
export function coloured(canvas, image, table) {
  canvas.width = image.naturalWidth ?? image.width;
  canvas.height = image.naturalHeight ?? image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = pixels;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue, alpha] = table[data[i]];
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
    data[i + 3] = alpha;
  }
  context.putImageData(pixels, 0, 0);
}

const TABLE = Array.from({ length: 256 }, (_, grey) => {
  const position = (grey / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(position), RAMP.length - 2);
  const part = position - low;
  const colour = [0, 1, 2].map((i) => Math.round(RAMP[low][i] * (1 - part) + RAMP[low + 1][i] * part));
  return [...colour, Math.round(255 * Math.min(1, Math.max(0, (grey - 20) / 110)))];
});
