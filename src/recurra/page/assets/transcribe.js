// Transcribe: what is said in a recording, and when.

import { amount, pixels } from "./colour.js";
import { el, facts, field, figure, fill, row, table, visible } from "./dom.js";
import { drawn, picture } from "./picture.js";
import { heat, kept } from "./plot.js";
import { readWav, spectrogram } from "./sound.js";

export const transcribe = {
	id: "transcribe",
	title: "Transcribe",
	lead: "Give the model a recording, a wav file: it writes what is said, and each token stands where it was heard.",
	fits: (card) => card.recurra.task === "transcriber",
	keys: [],
	mount: (root, app) => new Transcribe(root, app),
};

class Transcribe {
	constructor(root, app) {
		this.app = app;
		const file = field("Recording", "file", { accept: ".wav,audio/wav" });
		file.control.addEventListener("change", () => file.control.files[0] && this.look(file.control.files[0]));
		this.out = el("div", { class: "stack" });
		root.append(el("div", { class: "card" }, row(file.wrap),
			el("dl", { class: "says" }, el("dt", {}, "Try"), el("dd", {}, "The same words slowly, and with noise."))), this.out);
	}

	async look(file) {
		const { app } = this;
		await app.run(async () => {
			if (file.size > 700_000) throw new Error("Expected a recording of at most 700 kB.");
			const buffer = await file.arrayBuffer();
			const bytes = new Uint8Array(buffer);
			let text = "";
			for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
			const [found] = await app.backend.task("transcribe", app.card.id, [btoa(text)]);
			if (this.out.isConnected) this.show(found, readWav(buffer));
		});
	}

	show(found, { rate, samples }) {
		const seconds = samples.length / rate;
		const spec = spectrogram(samples);
		const canvas = drawn("Spectrogram");
		const words = drawn("Tokens in time");
		fill(this.out,
			facts([[`${figure(seconds)} seconds`, found.text || "nothing was heard"]]),
			picture("What is said, and when", el("div", {}, canvas, words), [
				"Time runs to the right, pitch upwards, bright is loud; below, each token at the time it was written.",
				"The network writes a token or nothing at every step: it is never told where in the sound a letter lies.",
				"Compare where a token stands with where its sound begins.",
			], { canvas, name: "spectrogram", numbers: () => table("Tokens", ["Token", "Seconds"], found.tokens.map((token, k) => [visible(token), found.times[k]])) }));
		heat(canvas, { rows: spec.rows, columns: spec.columns, table: pixels(amount), height: 200, at: (r, c) => spec.values[r * spec.columns + c] });
		kept(words, 44, (context, width, tall, light) => {
			context.font = "13px system-ui, sans-serif";
			context.textAlign = "center";
			let edge = -20;
			found.tokens.forEach((token, k) => {
				const x = (found.times[k] / Math.max(seconds, 1e-9)) * width;
				context.fillStyle = light.get("accent");
				context.fillRect(x - 1, 0, 2, 10);
				if (x < edge) return;
				context.fillStyle = light.get("ink");
				context.fillText(visible(token), x, 28);
				edge = x + 14;
			});
		});
		this.app.announce(`It says: ${found.text || "nothing"}`);
	}
}
