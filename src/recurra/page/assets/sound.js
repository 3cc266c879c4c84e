// Sound: samples of a wav file, and their spectrogram.

/** The samples of a wav file, mixed to one channel, in -1 … 1: {rate, samples}. */
export function readWav(buffer) {
	const view = new DataView(buffer);
	const tag = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
	if (view.byteLength < 44 || tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new Error("Expected a wav file.");
	let format = null;
	for (let at = 12; at + 8 <= view.byteLength; ) {
		const size = view.getUint32(at + 4, true);
		if (tag(at) === "fmt " && at + 24 <= view.byteLength) {
			const kind = view.getUint16(at + 8, true);
			format = { kind, channels: view.getUint16(at + 10, true), rate: view.getUint32(at + 12, true), bits: view.getUint16(at + 22, true) };
		} else if (tag(at) === "data" && format) {
			const read = { 16: (p) => view.getInt16(p, true) / 32768, 32: (p) => (format.kind === 3 ? view.getFloat32(p, true) : view.getInt32(p, true) / 2147483648) }[format.bits];
			if (!read || !format.channels || !format.rate) break;
			const width = format.bits / 8;
			const count = Math.floor(Math.min(size, view.byteLength - at - 8) / width / format.channels);
			const samples = new Float32Array(count);
			for (let t = 0; t < count; t += 1) {
				let sum = 0;
				for (let c = 0; c < format.channels; c += 1) sum += read(at + 8 + (t * format.channels + c) * width);
				samples[t] = sum / format.channels;
			}
			return { rate: format.rate, samples };
		}
		at += 8 + size + (size % 2);
	}
	throw new Error("This kind of wav file is not drawn here: use PCM of 16 or 32 bits.");
}

/** Decibels below the loudest, in 0 … 1 (0: 70 dB below): {rows, columns, values}; row 0 is highest. */
export function spectrogram(samples, columns = 400, size = 512) {
	const rows = 96;
	const values = new Float32Array(rows * columns);
	const window = Float64Array.from({ length: size }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / size));
	let loudest = 1e-9;
	for (let c = 0; c < columns; c += 1) {
		const from = Math.round((c / columns) * Math.max(0, samples.length - size));
		const [re, im] = [new Float64Array(size), new Float64Array(size)];
		for (let k = 0; k < size; k += 1) re[k] = (samples[from + k] ?? 0) * window[k];
		transform(re, im);
		for (let r = 0; r < rows; r += 1) {
			const low = Math.floor((r / rows) * (size / 2));
			const high = Math.max(low + 1, Math.floor(((r + 1) / rows) * (size / 2)));
			let power = 0;
			for (let k = low; k < high; k += 1) power = Math.max(power, re[k] ** 2 + im[k] ** 2);
			values[(rows - 1 - r) * columns + c] = power;
			loudest = Math.max(loudest, power);
		}
	}
	for (let k = 0; k < values.length; k += 1) values[k] = Math.max(0, 1 + (10 * Math.log10(values[k] / loudest + 1e-12)) / 70);
	return { rows, columns, values };
}

/** The Fourier transform of 2^n numbers, in place (Cooley and Tukey 1965). */
function transform(re, im) {
	const n = re.length;
	for (let i = 1, j = 0; i < n; i += 1) {
		let bit = n >> 1;
		for (; j & bit; bit >>= 1) j ^= bit;
		j ^= bit;
		if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
	}
	for (let half = 1; half < n; half *= 2) {
		for (let k = 0; k < half; k += 1) {
			const [c, s] = [Math.cos((-Math.PI * k) / half), Math.sin((-Math.PI * k) / half)];
			for (let i = k; i < n; i += 2 * half) {
				const j = i + half;
				const [x, y] = [c * re[j] - s * im[j], c * im[j] + s * re[j]];
				[re[j], im[j], re[i], im[i]] = [re[i] - x, im[i] - y, re[i] + x, im[i] + y];
			}
		}
	}
}
