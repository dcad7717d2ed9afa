// Proves a witness with snarkjs so many times; prints seconds and processor seconds of each proof as JSON.
//
//     node benches/peers/snarkjs.cjs KEY.zkey WITNESS.wtns REPEAT
"use strict";

const snarkjs = require("snarkjs");

async function main([key, witness, repeat]) {
  const found = { prove: [], cpu: [], verify: [], valid: true };
  const verifying = await snarkjs.zKey.exportVerificationKey(key);
  for (let run = 0; run <= Number(repeat); run += 1) {
    const before = process.cpuUsage();
    const started = performance.now();
    const { proof, publicSignals } = await snarkjs.groth16.prove(key, witness);
    const seconds = (performance.now() - started) / 1000;
    const used = process.cpuUsage(before);
    const checked = performance.now();
    found.valid = (await snarkjs.groth16.verify(verifying, publicSignals, proof)) && found.valid;
    if (run > 0) {
      found.prove.push(seconds);
      found.cpu.push((used.user + used.system) / 1e6);
      found.verify.push((performance.now() - checked) / 1000);
    }
  }
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
