// Pictures on canvases. They are drawn again when their size or the light changes.

import { css, palette } from "./colour.js";
import { figure as shown, later } from "./dom.js";

const drawings = new Set();
/** Draw every picture again, as when the light changes. */
export function redraw() {
	for (const drawing of drawings) {
		if (drawing.canvas.isConnected) drawing.draw();
		else drawings.delete(drawing);
	}
}

/** Let something be drawn again when the light changes: {canvas, draw}. */
export function keepDrawn(drawing) {
	drawings.add(drawing);
}

const held = new WeakMap();

/** Keep a canvas drawn: `paint(context, width, height, palette)` in CSS pixels. Drawn when it is
 *  shown first, and whenever what this returns is called. */
export function kept(canvas, height, paint) {
	const known = held.get(canvas);
	if (known) {
		Object.assign(known, { height, paint });
		known.draw();
		return known.draw;
	}
	const drawing = { canvas, height, paint, width: 0 };
	drawing.draw = () => {
		const width = canvas.clientWidth;
		if (!width) return;
		const tall = typeof drawing.height === "function" ? drawing.height(width) : drawing.height;
		const scale = Math.min(3, window.devicePixelRatio || 1);
		canvas.style.height = `${tall}px`;
		canvas.width = Math.round(width * scale);
		canvas.height = Math.round(tall * scale);
		const context = canvas.getContext("2d");
		context.setTransform(scale, 0, 0, scale, 0, 0);
		drawing.paint(context, width, tall, palette());
	};
	held.set(canvas, drawing);
	keepDrawn(drawing);
	canvas.style.height = `${typeof height === "function" ? 100 : height}px`;
	new ResizeObserver(later(() => {
		if (canvas.clientWidth === drawing.width || !canvas.isConnected) return;
		drawing.width = canvas.clientWidth;
		drawing.draw();
	})).observe(canvas);
	return drawing.draw;
}

/** Round numbers between two, some five. */
export function ticks(low, high, count = 5) {
	const step = 10 ** Math.floor(Math.log10((high - low) / count || 1));
	const fit = [1, 2, 5, 10].map((k) => k * step).find((s) => (high - low) / s <= count) || step;
	const found = [];
	for (let x = Math.ceil(low / fit - 1e-9) * fit; x <= high + fit * 1e-9; x += fit) found.push(Math.abs(x) < fit / 1e6 ? 0 : x);
	return found;
}

/** Lines of a chart; each {name, x, y, colour, dash, width}; bands {x, low, high, colour}.
 *  `log`: the y axis is logarithmic. `mark`: an x with a vertical line. */
export function chart(canvas, { lines, bands = [], xLabel, yLabel, height = 240, log = false, mark = null, zero = false }) {
	const good = (y) => Number.isFinite(y) && (!log || y > 0);
	return kept(canvas, height, (context, width, tall, light) => {
		const all = [...lines.flatMap((line) => line.y), ...bands.flatMap((band) => [...band.low, ...band.high])].filter(good);
		const xs = [...lines, ...bands].flatMap((line) => line.x);
		context.font = "12px system-ui, sans-serif";
		context.fillStyle = light.get("muted");
		if (!all.length) {
			context.fillText("Nothing to draw yet.", 12, 24);
			return;
		}
		const f = log ? Math.log10 : (y) => y;
		let [low, high] = [f(least(all)), f(most(all))];
		if (zero && !log) low = Math.min(0, low);
		if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
		const [left, right] = [least(xs), Math.max(most(xs), least(xs) + 1e-9)];
		const box = { x: 52, y: 22, w: width - 64, h: tall - 62 };
		const px = (x) => box.x + ((x - left) / (right - left)) * box.w;
		const py = (y) => box.y + box.h - ((f(y) - low) / (high - low)) * box.h;
		context.strokeStyle = light.get("line");
		context.lineWidth = 1;
		context.textAlign = "right";
		context.textBaseline = "middle";
		const marks = log ? ticks(low, high, 4).map((e) => 10 ** e) : ticks(low, high, Math.max(2, Math.floor(box.h / 40)));
		for (const y of marks) {
			context.beginPath();
			context.moveTo(box.x, py(y));
			context.lineTo(box.x + box.w, py(y));
			context.stroke();
			context.fillText(log ? y.toExponential(0).replace("e", "·10^").replace("1·", "") : shown(y), box.x - 6, py(y));
		}
		context.textAlign = "center";
		context.textBaseline = "top";
		for (const x of ticks(left, right, Math.max(2, Math.floor(box.w / 90)))) context.fillText(shown(x), px(x), box.y + box.h + 6);
		context.fillText(xLabel, box.x + box.w / 2, tall - 18);
		context.textAlign = "left";
		context.fillText(yLabel, 4, 2);
		for (const band of bands) {
			context.fillStyle = light.get(band.colour);
			context.globalAlpha = band.alpha ?? 0.2;
			context.beginPath();
			band.x.forEach((x, k) => (k ? context.lineTo(px(x), py(band.high[k])) : context.moveTo(px(x), py(band.high[k]))));
			for (let k = band.x.length - 1; k >= 0; k -= 1) context.lineTo(px(band.x[k]), py(band.low[k]));
			context.fill();
			context.globalAlpha = 1;
		}
		for (const line of lines) {
			context.strokeStyle = light.get(line.colour);
			context.lineWidth = line.width || 1.75;
			context.setLineDash(line.dash || []);
			context.beginPath();
			let pen = false;
			line.x.forEach((x, k) => {
				if (!good(line.y[k])) pen = false;
				else if (pen) context.lineTo(px(x), py(line.y[k]));
				else {
					context.moveTo(px(x), py(line.y[k]));
					pen = true;
				}
			});
			context.stroke();
			context.setLineDash([]);
		}
		if (mark !== null && mark >= left && mark <= right) {
			context.strokeStyle = light.get("ink");
			context.setLineDash([3, 3]);
			context.beginPath();
			context.moveTo(px(mark), box.y);
			context.lineTo(px(mark), box.y + box.h);
			context.stroke();
			context.setLineDash([]);
		}
		const named = lines.filter((line) => line.name && !line.quiet);
		if (named.length < 2) return;
		let at = box.x + box.w;
		context.textAlign = "right";
		for (const line of [...named].reverse()) {
			context.fillStyle = light.get("ink");
			context.fillText(line.name, at, 2);
			at -= context.measureText(line.name).width + 6;
			context.strokeStyle = light.get(line.colour);
			context.lineWidth = 2.5;
			context.setLineDash(line.dash || []);
			context.beginPath();
			context.moveTo(at - 22, 8);
			context.lineTo(at, 8);
			context.stroke();
			context.setLineDash([]);
			at -= 36;
		}
	});
}

/** A matrix (rows × columns, numbers in 0 … 1 by `table` of 256 pixels), drawn through one image. */
export function heat(canvas, { rows, columns, at, table, height, cross = null, onPick = null }) {
	let image = null;
	const paint = (context, width, tall, light) => {
		image = document.createElement("canvas");
		image.width = columns;
		image.height = rows;
		const part = image.getContext("2d");
		const data = part.createImageData(columns, rows);
		const pixels = new Uint32Array(data.data.buffer);
		const colours = typeof table === "function" ? table() : table;
		for (let r = 0, k = 0; r < rows; r += 1) {
			for (let c = 0; c < columns; c += 1, k += 1) pixels[k] = colours[Math.max(0, Math.min(255, Math.round(at(r, c) * 255)))];
		}
		part.putImageData(data, 0, 0);
		context.imageSmoothingEnabled = columns > 2 * width || rows > 2 * tall;
		context.drawImage(image, 0, 0, width, tall);
		const here = cross?.();
		if (here) {
			context.strokeStyle = light.get("accent");
			context.lineWidth = 2;
			const [w, h] = [width / columns, tall / rows];
			context.strokeRect(0, here[0] * h - 1, width, Math.max(h, 1) + 2);
			context.strokeRect(here[1] * w - 1, 0, Math.max(w, 1) + 2, tall);
		}
	};
	if (onPick) {
		canvas.onclick = (event) => {
			const box = canvas.getBoundingClientRect();
			const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
			const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
			onPick(Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column)));
		};
	}
	return kept(canvas, height, paint);
}

/** The strip that says what colours mean. */
export function strip(canvas, scale) {
	return kept(canvas, 11, (context, width, tall) => {
		for (let x = 0; x < width; x += 1) {
			context.fillStyle = css(scale(x / (width - 1)));
			context.fillRect(x, 0, 1.5, tall);
		}
	});
}

const least = (values) => values.reduce((a, b) => (b < a ? b : a), Infinity);
const most = (values) => values.reduce((a, b) => (b > a ? b : a), -Infinity);
