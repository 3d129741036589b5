// Runs a program for wasm32-unknown-unknown or wasm32-wasip1 in node; fails if the program does.
"use strict";
const fs = require("fs");
const { WASI } = require("wasi");

async function run(file) {
    const module = await WebAssembly.compile(fs.readFileSync(file));
    if (WebAssembly.Module.imports(module).some((item) => item.module === "wasi_snapshot_preview1")) {
        const wasi = new WASI({ version: "preview1", args: [file], returnOnExit: true });
        const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
        return wasi.start(instance);
    }
    let memory;
    const print = (text, length) => fs.writeSync(1, new Uint8Array(memory.buffer, text, length));
    const instance = await WebAssembly.instantiate(module, { host: { print } });
    memory = instance.exports.memory;
    return instance.exports.main(0, 0);
}

run(process.argv[2]).then(
    (code) => (process.exitCode = code),
    (error) => {
        console.error(error);
        process.exitCode = 1;
    },
);
