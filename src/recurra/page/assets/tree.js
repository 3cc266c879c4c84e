// A text with all of its branches: a node is a token, the way to it is the text before it.

let made = 0;

/** The number of the node that was made last. */
export const newest = () => made;

/** A token at its place. `next` is what the model expects behind it; `state` its id on the server. */
export class Node {
	constructor(parent, id, text, nats = null) {
		Object.assign(this, { parent, id, text, nats, children: [], next: null, state: null, sha: null });
		this.on = null; // the child that is shown behind it
		this.depth = parent ? parent.depth + 1 : 0;
		this.order = made += 1;
	}

	/** The nodes from the first token to this one. */
	path() {
		const found = [];
		for (let node = this; node.parent; node = node.parent) found.push(node);
		return found.reverse();
	}

	/** The end of the branch that is shown behind this node. */
	end() {
		let node = this;
		while (node.on) node = node.on;
		return node;
	}

	/** The tokens from an ancestor, which is not among them, to this one. */
	since(ancestor) {
		const found = [];
		for (let node = this; node !== ancestor; node = node.parent) found.push(node);
		return found.reverse();
	}
}

export class Tree {
	constructor() {
		this.root = new Node(null, -1, "");
		this.at = this.root;
	}

	/** The child of a node with an id: the one that is there, or a new one. It is shown from now on. */
	add(parent, id, text, nats = null) {
		let child = parent.children.find((one) => one.id === id);
		if (!child) {
			child = new Node(parent, id, text, nats);
			parent.children.push(child);
		}
		if (child.nats === null) child.nats = nats;
		parent.on = child;
		return child;
	}

	/** Go to a node: the branch that leads to it is the one that is shown. */
	go(node) {
		for (let one = node; one.parent; one = one.parent) one.parent.on = one;
		this.at = node;
	}

	/** Take away a node that leads nowhere, with ancestors that then lead nowhere, down to `stop`;
	 *  those that were made before number `made` stay. */
	prune(node, stop, made = 0) {
		while (node !== stop && node.parent && !node.children.length && node !== this.at && node.order > made) {
			const parent = node.parent;
			parent.children = parent.children.filter((one) => one !== node);
			if (parent.on === node) parent.on = parent.children.at(-1) || null;
			node = parent;
		}
	}

	/** The ends of all branches, from the first on. */
	ends() {
		const found = [];
		const waiting = [this.root];
		while (waiting.length) {
			const node = waiting.pop();
			if (!node.children.length && node.parent) found.push(node);
			for (let k = node.children.length - 1; k >= 0; k -= 1) waiting.push(node.children[k]);
		}
		return found;
	}

	/** Branches as [number of the node they leave, ids]; nodes are numbered as they are written. */
	pack() {
		const numbers = new Map([[this.root, 0]]);
		const branches = [];
		const waiting = this.root.children.map((child) => [this.root, child]).reverse();
		while (waiting.length) {
			const [from, first] = waiting.pop();
			const ids = [];
			const start = numbers.get(from);
			for (let node = first; node; node = node.children[0]) {
				ids.push(node.id);
				numbers.set(node, numbers.size);
				for (const other of node.children.slice(1)) waiting.push([node, other]);
			}
			branches.push([start, ids]);
		}
		return { branches, at: numbers.get(this.at) };
	}

	/** Forget all states: they have left the server. */
	forget() {
		const waiting = [this.root];
		while (waiting.length) {
			const node = waiting.pop();
			node.state = null;
			waiting.push(...node.children);
		}
	}
}
