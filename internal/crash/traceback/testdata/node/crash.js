// Ends in the way its argument names.
const fail = {
  throw() {
    throw new Error("boom");
  },
  string() {
    throw "only a string";
  },
  object() {
    throw { code: 7, why: "an object" };
  },
  cause() {
    const inner = new TypeError("inner");
    const e = new Error("first line\nsecond line", { cause: inner });
    e.code = "E_TWO";
    throw e;
  },
  rejection() {
    Promise.reject(new Error("not awaited"));
  },
  rejectvalue() {
    Promise.reject(42);
  },
  emitter() {
    const { EventEmitter } = require("events");
    new EventEmitter().emit("error", new Error("nobody listens"));
  },
  module() {
    require("./not-there");
  },
  assert() {
    require("assert").deepStrictEqual({ a: 1, b: [1, 2] }, { a: 1, b: [1, 3] });
  },
  overflow() {
    (function again() {
      again();
    })();
  },
  memory() {
    const held = [];
    for (;;) held.push(new Array(1000).fill(held.length));
  },
  abort() {
    process.abort();
  },
  worker() {
    const { Worker } = require("worker_threads");
    new Worker('throw new Error("in a worker")', { eval: true });
  },
  caught() {
    try {
      fail.throw();
    } catch (e) {
      console.error("ordinary line after: " + e.message);
    }
  },
}[process.argv[2]];
console.error("ordinary line before: Error: is only a word here");
fail();
