// Sequences of words, each a number from 1: a trie in one table of numbers, because there are tens of thousands of them.

const FIRST_SIZE = 1 << 10;

export class Trie {
  #nodes = new Int32Array(FIRST_SIZE); // open addressing; a free place has no child
  #words = new Int32Array(FIRST_SIZE);
  #children = new Int32Array(FIRST_SIZE);
  #values = []; // by node; node 0 is the root

  get isEmpty() {
    return this.#values.length === 0;
  }

  // Add one more value at the end of a sequence.
  add(words, value) {
    let node = 0;
    for (const word of words) node = this.child(node, word) || this.#grow(node, word);
    const others = this.#values[node];
    this.#values[node] = others ? [...others, value] : [value]; // nearly always one: a list that grows takes its room
    return node;
  }

  // The node behind a word; 0 if there is none.
  child(node, word) {
    return this.#children[this.#place(node, word)];
  }

  // What was added at a node.
  values(node) {
    return this.#values[node];
  }

  #place(node, word) {
    const last = this.#nodes.length - 1;
    let place = (Math.imul(node, 0x9e3779b1) ^ Math.imul(word, 0x85ebca6b)) >>> 0;
    place = (place ^ (place >>> 15)) & last;
    while (this.#children[place] !== 0 && (this.#nodes[place] !== node || this.#words[place] !== word)) {
      place = (place + 1) & last;
    }
    return place;
  }

  #grow(node, word) {
    if (this.#values.length === 0) this.#values.push(undefined); // the root
    if (this.#values.length * 2 > this.#nodes.length) this.#double();
    const child = this.#values.push(undefined) - 1;
    this.#put(node, word, child);
    return child;
  }

  #put(node, word, child) {
    const place = this.#place(node, word);
    this.#nodes[place] = node;
    this.#words[place] = word;
    this.#children[place] = child;
  }

  #double() {
    const [nodes, words, children] = [this.#nodes, this.#words, this.#children];
    const size = nodes.length * 2;
    this.#nodes = new Int32Array(size);
    this.#words = new Int32Array(size);
    this.#children = new Int32Array(size);
    for (const [place, child] of children.entries()) if (child !== 0) this.#put(nodes[place], words[place], child);
  }
}
