// The branches of a text: a row each, one position for all.

import { el, figure, running, slider, table } from "./dom.js";
import { drawn } from "./picture.js";
import { kept } from "./plot.js";
import { measure } from "./text.js";

const ROWS = 8;
const TALL = 20;

export class Timeline {
	constructor(go) {
		this.canvas = drawn("Branches of the text");
		this.position = slider("Position", 1, (k) => go([this.tree.root, ...this.tree.at.end().path()][k]));
		this.box = el("div", {}, this.canvas, this.position.wrap);
		this.redraw = kept(this.canvas, 76, (context, width, tall, light) => this.paint(context, width, tall, light));
		this.canvas.addEventListener("click", (event) => {
			const box = this.canvas.getBoundingClientRect();
			const [x, y] = [event.clientX - box.left, event.clientY - box.top];
			let best = null;
			for (const place of this.places || []) {
				const far = (place.x - x) ** 2 + 4 * (place.y - y) ** 2;
				if (!best || far < best.far) best = { far, node: place.node };
			}
			if (best) go(best.node);
		});
	}

	show(tree, pinned) {
		this.tree = tree;
		this.pinned = pinned;
		const { control } = this.position;
		control.max = String(Math.max(1, tree.at.end().depth));
		control.value = String(tree.at.depth);
		control.setAttribute("aria-valuetext", `token ${tree.at.depth} of ${tree.at.end().depth}`);
		this.redraw();
	}

	/** Branches as rows: [first node, nodes]; the first row is the longest way from the beginning. */
	rows() {
		const { tree } = this;
		const ends = tree.ends();
		const mine = tree.at.end();
		const chosen = ends.length > ROWS ? [...new Set([...ends.slice(0, ROWS - 1), mine])] : ends;
		const seen = new Set();
		return chosen.map((end) => {
			const own = [];
			let node = end;
			while (node.parent && !seen.has(node)) {
				own.push(node);
				seen.add(node);
				node = node.parent;
			}
			return { end, from: node, nodes: own.reverse(), mine: end === mine };
		});
	}

	paint(context, width, tall, light) {
		if (!this.tree) return;
		const rows = this.rows();
		const longest = Math.max(1, ...rows.map((row) => row.end.depth));
		const apart = Math.min(TALL, (tall - 14) / Math.max(1, rows.length));
		const place = new Map([[this.tree.root, 0]]);
		const x = (node) => 10 + (node.depth / longest) * (width - 20);
		const step = (width - 20) / longest;
		this.places = [{ x: 10, y: 12, node: this.tree.root }];
		const line = new Set(this.tree.at.end().path());
		rows.forEach((row, k) => {
			const y = 12 + k * apart;
			const before = 12 + (place.get(row.from) ?? 0) * apart;
			context.strokeStyle = row.mine ? light.get("accent") : light.get("edge");
			context.lineWidth = row.mine ? 2.5 : 1.5;
			context.beginPath();
			context.moveTo(x(row.from), before);
			context.lineTo(x(row.from), y);
			context.lineTo(x(row.end), y);
			context.stroke();
			for (const node of row.nodes) {
				place.set(node, k);
				this.places.push({ x: x(node), y, node });
				if (step < 5 && node !== row.end) continue;
				context.fillStyle = line.has(node) ? light.get("accent") : light.get("edge");
				context.beginPath();
				context.arc(x(node), y, Math.min(3.5, step / 2.5 + 1), 0, 7);
				context.fill();
			}
			if (this.pinned && row.end === this.pinned.end()) {
				context.fillStyle = light.get("ink");
				context.fillRect(x(row.end) - 4, y - 4, 8, 8);
			}
		});
		const y = 12 + (place.get(this.tree.at) ?? 0) * apart;
		context.strokeStyle = light.get("ink");
		context.lineWidth = 2;
		context.beginPath();
		context.arc(x(this.tree.at), y, 6.5, 0, 7);
		context.stroke();
	}

	numbers() {
		const rows = this.rows().map((row) => [
			figure(row.end.depth), figure(row.from.depth),
			row.nodes.slice(0, 40).map((node) => running(node.text)).join("").replaceAll("\n", ""),
			measure(row.nodes).perCharacter,
		]);
		return table("Branches", ["Tokens", "Leaves at", "Begins with", "Bits a character"], rows);
	}
}
