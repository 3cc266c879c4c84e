// One scale for amounts (cividis, which colour-blind eyes read as others do) and one for signs.

// Every 16th of cividis: Nuñez, Anderton and Renslow 2018.
const STOPS = [
	[0, 34, 78], [0, 45, 100], [16, 56, 112], [41, 66, 109], [58, 76, 108], [73, 87, 108], [87, 97, 110],
	[100, 108, 113], [113, 118, 117], [128, 130, 121], [143, 141, 119], [158, 153, 116], [174, 165, 111],
	[191, 178, 103], [208, 191, 92], [226, 204, 78], [254, 232, 56],
];
const LEFT = [33, 102, 172];
const RIGHT = [202, 95, 14];

const mix = (a, b, t) => [0, 1, 2].map((k) => Math.round(a[k] + (b[k] - a[k]) * t));

/** The colour of a share in 0 … 1. */
export function amount(share) {
	const x = Math.min(1, Math.max(0, share)) * (STOPS.length - 1);
	const k = Math.min(STOPS.length - 2, Math.floor(x));
	return mix(STOPS[k], STOPS[k + 1], x - k);
}

/** The colour of a value in -1 … 1: blue below nought, orange above, the page's own at nought. */
export function signed(value, middle) {
	const x = Math.min(1, Math.max(-1, value || 0));
	return mix(middle, x < 0 ? LEFT : RIGHT, Math.abs(x) ** 0.8);
}

/** The page's colour to a strong one, for text that is shaded by an amount. */
export function shade(share, low) {
	return mix(low, RIGHT, Math.min(1, Math.max(0, share || 0)) ** 0.9);
}

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

/** Black or white, whichever is read better on a colour: at least 4.58 to 1. */
export function inkOn(colour) {
	const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
	return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/** The page's colours as they are now: names of custom properties to values. */
export function palette() {
	const style = getComputedStyle(document.documentElement);
	const get = (name) => style.getPropertyValue(`--${name}`).trim();
	const rgb = (name) => [1, 3, 5].map((at) => Number.parseInt(get(name).slice(at, at + 2), 16));
	return { get, rgb, low: rgb("low") };
}

/** Tables of 256 colours as 32-bit pixels, for pictures drawn pixel by pixel. */
export function pixels(scale) {
	const found = new Uint32Array(256);
	const bytes = new Uint8ClampedArray(found.buffer);
	for (let k = 0; k < 256; k += 1) bytes.set([...scale(k / 255), 255], 4 * k);
	return found;
}
