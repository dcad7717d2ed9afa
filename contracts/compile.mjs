// Compiles the contracts with the pinned npm compiler and writes the artifacts that the Python package ships.
//
//   node contracts/compile.mjs            write every artifact
//   node contracts/compile.mjs NAME...    write only these contracts
//   node contracts/compile.mjs --check    write nothing; exit 1 when an artifact is not what the sources give
//
// Each contract is compiled on its own, so that an artifact depends on its own sources and settings alone.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const SHIPPED = "python/fedproof/ledger/artifacts";
const FOR_TESTS = "tests/contracts/artifacts";
const DEFAULT_RUNS = 10_000;
const MAX_DEPLOYED_BYTES = 24_576; // EIP-170
const TRANSIENT_STORAGE = "2394"; // a reminder to clear it, which OpenZeppelin's reentrancy guard does

// One row for each contract that is deployed. `runs` weighs the price of a call against the size of the code.
const CONTRACTS = [
  { source: "contracts/AccessToken.sol" },
  { source: "contracts/DatasetRegistry.sol", viaIR: true, runs: 1_000 },
  { source: "contracts/DatasetSales.sol" },
  { source: "contracts/Committee.sol", viaIR: true, runs: 3_800 }, // the federation deploys it, with its own settings
  { source: "contracts/Federation.sol", viaIR: true, runs: 3_800 },
  { source: "contracts/federation/RoundJudge.sol", viaIR: true }, // libraries that the federation is linked with
  { source: "contracts/federation/RoundParts.sol", viaIR: true },
  { source: "contracts/KeyEscrow.sol" },
  { source: "contracts/NoteVault.sol" },
  { source: "poseidon-solidity/PoseidonT3.sol" },
  { source: "poseidon-solidity/PoseidonT5.sol" },
  { source: "contracts/test/OddToken.sol" },
  { source: "contracts/test/ProofHarness.sol" },
  { source: "contracts/test/SmallVault.sol" },
];

const EXPECTED_COMPILER = "0.8.37";

// The legacy code generator by default: with viaIR PoseidonT3 outgrows EIP-170. With it a round of the federation is
// cheaper by 10,000 gas, and the contract is smaller.
const settings = ({ runs = DEFAULT_RUNS, viaIR = false }) => ({
  optimizer: { enabled: true, runs },
  evmVersion: "cancun",
  viaIR,
  metadata: { bytecodeHash: "none", appendCBOR: false },
});

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const nameOf = (source) => source.split("/").at(-1).replace(/\.sol$/, "");

/** Where a source unit lies: our own under contracts/, everything else in node_modules. */
function locate(unit) {
  return unit.startsWith("contracts/") ? join(ROOT, unit) : join(ROOT, "node_modules", unit);
}

/** The whole text of each source unit that `entry` reaches, so that the compiler needs no callback. */
function gather(entry) {
  const sources = {};
  const pending = [entry];
  while (pending.length > 0) {
    const unit = pending.pop();
    if (unit in sources) continue;
    sources[unit] = { content: readFileSync(locate(unit), "utf8") };
    for (const [, target] of sources[unit].content.matchAll(/^import\s[^;]*?["']([^"']+)["'];/gms)) {
      pending.push(target.startsWith(".") ? join(dirname(unit), target) : target);
    }
  }
  return sources;
}

function compile(entry) {
  const { source } = entry;
  const name = nameOf(source);
  const sources = gather(source);
  const output = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: "Solidity",
        sources,
        settings: {
          ...settings(entry),
          outputSelection: { [source]: { [name]: ["abi", "evm.bytecode", "evm.deployedBytecode"] } },
        },
      }),
    ),
  );
  const complaints = (output.errors ?? [])
    .filter(({ errorCode }) => errorCode !== TRANSIENT_STORAGE)
    .map((error) => error.formattedMessage);
  if (complaints.length > 0) throw new Error(`${source}: the compiler complains\n${complaints.join("\n")}`);

  const contract = output.contracts[source][name];
  const deployedBytes = contract.evm.deployedBytecode.object.length / 2;
  if (deployedBytes === 0) throw new Error(`${source}: ${name} has no code to deploy`);
  if (deployedBytes > MAX_DEPLOYED_BYTES) {
    throw new Error(`${source}: ${name} has ${deployedBytes} bytes of code, the limit is ${MAX_DEPLOYED_BYTES}`);
  }
  const hashes = Object.fromEntries(
    Object.keys(sources)
      .sort()
      .map((unit) => [unit, sha256(sources[unit].content)]),
  );
  const ownAddress = ownAddressPlaces(contract.evm.deployedBytecode);
  const compiler = { version: EXPECTED_COMPILER, settings: settings(entry) };
  return {
    contractName: name,
    sourceName: source,
    compiler,
    sourceHash: sha256(JSON.stringify({ compiler, sources: hashes })),
    sources: hashes,
    deployedSize: deployedBytes,
    linkReferences: contract.evm.bytecode.linkReferences,
    deployedLinkReferences: contract.evm.deployedBytecode.linkReferences,
    ...(ownAddress.length > 0 && { ownAddress }),
    abi: contract.abi,
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
  };
}

/** Where the code of a library has its own address, once it is deployed: at its start, or with viaIR in an immutable. */
function ownAddressPlaces({ object, immutableReferences }) {
  const immutables = immutableReferences?.library_deploy_address ?? [];
  const atStart = object.startsWith(`73${"00".repeat(20)}30`) ? [1] : [];
  return [...atStart, ...immutables.map(({ start, length }) => start + length - 20)];
}

function artifactPath({ source }) {
  const folder = source.startsWith("contracts/test/") ? FOR_TESTS : SHIPPED;
  return join(folder, `${nameOf(source)}.json`);
}

/** Artifacts that no row of CONTRACTS makes any more. */
function leftovers() {
  const expected = new Set(CONTRACTS.map(artifactPath));
  return [SHIPPED, FOR_TESTS]
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) => readdirSync(join(ROOT, folder)).map((file) => join(folder, file)))
    .filter((path) => path.endsWith(".json") && !expected.has(path));
}

function main(words) {
  if (!solc.version().startsWith(`${EXPECTED_COMPILER}+`)) {
    throw new Error(`the compiler is ${solc.version()}, the artifacts are made with ${EXPECTED_COMPILER}: run npm ci`);
  }
  const check = words.includes("--check");
  const names = words.filter((word) => word !== "--check");
  const unknown = names.filter((name) => !CONTRACTS.some(({ source }) => nameOf(source) === name));
  if (unknown.length > 0) throw new Error(`no such contract: ${unknown.join(", ")}`);

  const wrong = names.length === 0 ? leftovers().map((path) => `${path} belongs to no contract: remove it`) : [];
  // to compile takes a minute: what shows without it is said first
  const entries = check && wrong.length > 0 ? [] : CONTRACTS;
  for (const entry of entries) {
    if (names.length > 0 && !names.includes(nameOf(entry.source))) continue;
    const artifact = compile(entry);
    const text = `${JSON.stringify(artifact, null, 1)}\n`;
    const path = join(ROOT, artifactPath(entry));
    if (check) {
      if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
        wrong.push(`${artifactPath(entry)} is not what the sources give: run node contracts/compile.mjs`);
      }
    } else {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      console.log(`${artifact.contractName}: ${artifact.deployedSize} bytes`);
    }
  }
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
