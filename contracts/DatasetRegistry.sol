// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

import {IDatasetRegistry} from "./IDatasetRegistry.sol";
import {INoteVault} from "./INoteVault.sol";
import {BN254} from "./proof/BN254.sol";
import {Groth16Verifier} from "./proof/Groth16Verifier.sol";
import {PairingGuard} from "./proof/PairingGuard.sol";
import {Transcript} from "./proof/Transcript.sol";
import {VerifyingKeys} from "./proof/VerifyingKeys.sol";

/// @title Datasets with a proven shape, and who may read which tier of them
/// @notice A dataset is an ERC-721 token; its holder is the provider. Listing one takes a proof that the committed
/// values are in range and that exactly `rows` of them are real. An update replaces a listing by its next version, with
/// a proof of its own. Access to a tier takes a proof of a locked balance that names neither the notes nor their owner,
/// and the tier's price, if it has one, which the holder of the token gets in the same transaction. What a proof is about
/// (scope, signal, threshold, epoch and the challenges) is computed here, never taken from the prover.
contract DatasetRegistry is IDatasetRegistry, ERC721, Ownable2Step, PairingGuard {
    using SafeERC20 for IERC20;

    /// @notice Tiers are 0 (free) to 5 (everything).
    uint8 public constant MAX_TIER = 5;

    /// @notice Base units in the unit of thresholds and prices; coarser than a base unit, so that ten of them take little
    /// storage.
    uint256 public constant UNIT = 1e9;

    uint256 private constant _FIRST_GRANT = 1;
    uint256 private constant _EXTENSION = 2;

    uint256 private constant _LISTING_INPUTS = 4;
    uint256 private constant _ELIGIBILITY_INPUTS = 6;

    /// @dev X25519, and the ML-KEM-768 + X25519 hybrid.
    uint256 private constant _SHORT_HPKE_KEY = 32;
    uint256 private constant _LONG_HPKE_KEY = 1216;
    /// @dev Far above a sealed tier key of either kind (80 and 1,168 bytes).
    uint256 private constant _MAX_SEALED_KEY = 2048;

    /// @dev Exact calldata of the functions that take a proof, so that nothing can ride along behind it.
    uint256 private constant _LISTING_WORDS = 21 + 16;
    uint256 private constant _MINT_CALLDATA = 4 + 32 * _LISTING_WORDS;
    uint256 private constant _UPDATE_CALLDATA = 4 + 32 * (1 + _LISTING_WORDS);
    uint256 private constant _BLOCK_CALLDATA = 4 + 32 * (1 + 16);
    uint256 private constant _ACCESS_CALLDATA = 4 + 32 * (8 + 8 + 1);

    /// @notice A shape of datasets with the keys of its statements.
    struct CapacityClass {
        address eligibilityKey; // shares its slot with all that a grant needs of the class
        uint32 rows;
        uint32 columns;
        bool closed;
        address listingKey;
    }

    /// @notice What a provider says about a dataset; its hash is part of the listing's transcript.
    struct Terms {
        uint32 classId;
        bytes32 schema; // content id (SHA-256) of the public schema blob
        bytes32 card; // content id of the public card: summary statistics, licence, files; 0 = none
        uint64[6] thresholds; // units to have locked for tiers 1 to 5, 0 = not offered; tier 0 is free: 0
        uint64[6] prices; // units that a grant costs; tier 0 is free, and a tier that is not offered has none
        bytes32[6] sealedFiles; // content ids of the sealed files by tier, 0 = none
    }

    /// @notice A listing's commitment and proof.
    struct Listing {
        uint256[2] commitment; // C_X
        uint32 rows; // n: real rows, padding not counted
        uint256[8] proof; // A, B, C
        uint256[2] d; // commitment to the committed segment
        uint256[2] q; // KZG opening of C_X at sigma
        uint256 y; // its value
    }

    /// @notice A dataset as `getDataset` gives it.
    struct Dataset {
        address provider;
        uint32 classId;
        uint32 rows; // of the first block
        uint32 blocks; // 1 unless the dataset is larger than its class
        uint16 version;
        bool retired;
        uint256[2] commitment; // of the first block
        bytes32 schema;
        uint64[6] thresholds; // in units
        uint64[6] prices; // in units
    }

    /// @dev Six slots. Card and sealed files are in the event alone: nothing on chain asks for them.
    struct Record {
        uint256 x;
        uint256 y;
        bytes32 schema;
        uint64 threshold1;
        uint64 threshold2;
        uint64 threshold3;
        uint64 threshold4;
        uint64 threshold5;
        uint64 price1;
        uint64 price2;
        uint64 price3;
        uint64 price4;
        uint64 price5;
        uint32 classId;
        uint32 rows;
        uint32 blocks;
        uint16 version;
        bool retired;
    }

    /// @dev One slot. 27 bytes of the key's hash are plenty: nobody finds a second key for them, and who looks for two
    /// keys of its own with one hash gains nothing.
    struct Grant {
        uint40 expiry;
        bytes27 hpkeKeyHash;
    }

    /// @notice Whose locked balances open tiers.
    INoteVault public immutable vault;
    /// @notice The vault's token, in which prices are paid.
    IERC20 public immutable token;
    /// @notice Seconds in an epoch of the vault, which never change.
    uint256 public immutable epochLength;
    /// @notice The farthest that a grant may reach into the future, in seconds.
    uint32 public immutable maxDuration;
    /// @notice Whether keys made by a single dealer are accepted: on development chains only.
    bool public immutable allowDevelopmentKeys;

    /// @notice Number of capacity classes; their ids are 1 to this.
    uint32 public classCount;
    /// @notice Number of datasets; their ids are 1 to this.
    uint256 public datasetCount;

    /// @notice Nullifiers that have been spent.
    mapping(uint256 nullifier => bool spent) public isSpent;

    mapping(uint32 classId => CapacityClass) private _classes;
    mapping(uint256 datasetId => Record) private _records;
    mapping(uint256 datasetId => mapping(address grantee => Grant[6] byTier)) private _grants;
    mapping(bytes32 point => bytes32 circuitId) private _trapdoors;

    /// @notice Datasets of this class can be listed from now on.
    event ClassRegistered(
        uint32 indexed classId,
        uint32 rows,
        uint32 columns,
        address listingKey,
        address eligibilityKey
    );
    /// @notice No new listing and no new grant in this class from now on.
    event ClassClosed(uint32 indexed classId);
    /// @notice A dataset was listed, as version 1.
    event DatasetMinted(
        uint256 indexed datasetId,
        address indexed provider,
        uint32 indexed classId,
        uint32 rows,
        uint256[2] commitment,
        Terms terms
    );
    /// @notice A dataset has a new version. The keys of its tiers are new, too; whoever holds a running grant gets them.
    event DatasetUpdated(
        uint256 indexed datasetId,
        address indexed provider,
        uint32 indexed classId,
        uint16 version,
        uint32 rows,
        uint256[2] commitment,
        Terms terms
    );
    /// @notice A dataset larger than its class got another block of rows, numbered from 1 (the listing's own).
    event BlockAdded(
        uint256 indexed datasetId,
        uint16 indexed version,
        uint32 number,
        uint32 rows,
        uint256[2] commitment
    );
    /// @notice No new grant for this dataset from now on; grants that exist run out by themselves.
    event DatasetRetired(uint256 indexed datasetId);
    /// @notice A grant began. The provider now seals the tier's key to `hpkeKey`.
    event AccessGranted(
        uint256 indexed datasetId,
        address indexed grantee,
        uint8 indexed tier,
        uint40 expiry,
        uint256 price,
        uint256 nullifier,
        bytes hpkeKey
    );
    /// @notice A grant was extended, before or after it had run out, for the same key.
    event AccessExtended(
        uint256 indexed datasetId,
        address indexed grantee,
        uint8 indexed tier,
        uint40 expiry,
        uint256 price,
        uint256 nullifier,
        bytes hpkeKey
    );
    /// @notice The provider has sealed the key of a tier and version to the grantee's HPKE key.
    event KeyDelivered(
        uint256 indexed datasetId,
        address indexed grantee,
        uint8 indexed tier,
        uint16 version,
        bytes sealedKey
    );

    /// @notice The address holds no vault.
    error NotAVault(address vault);
    /// @notice The largest duration must not be zero.
    error ZeroMaxDuration();
    /// @notice Rows must be a positive multiple of 32, columns at least 2 (a feature and the mask).
    error BadShape(uint32 rows, uint32 columns);
    /// @notice Delta or eta of this key belongs to another circuit's key: one could forge for the other.
    error SharedTrapdoor(address key, bytes32 otherCircuit);
    /// @notice There is no such class, or it is closed.
    error ClassNotOpen(uint32 classId);
    /// @notice There is no such dataset.
    error NoSuchDataset(uint256 datasetId);
    /// @notice The dataset takes no new grants.
    error DatasetIsRetired(uint256 datasetId);
    /// @notice A dataset has between one row and the rows of its class.
    error RowsOutOfRange(uint32 rows, uint32 capacity);
    /// @notice A dataset needs a public schema.
    error MissingSchema();
    /// @notice Tier 0 is free: its threshold and its price must be zero.
    error TierZeroIsFree();
    /// @notice A tier that is not offered has no price.
    error PriceWithoutTier(uint8 tier);
    /// @notice There is no such version of the dataset.
    error NoSuchVersion(uint256 datasetId, uint16 version);
    /// @notice The caller agreed to another price than the tier has.
    error WrongPrice(uint256 price);
    /// @notice The dataset has another version than the caller has seen.
    error WrongVersion(uint16 version);
    /// @notice A grant stays with the key that it was given for.
    error OtherHpkeKey(bytes27 expected);
    /// @notice Only the provider of the dataset may do this.
    error NotProvider(uint256 datasetId, address caller);
    /// @notice The dataset does not offer this tier.
    error TierNotOffered(uint256 datasetId, uint8 tier);
    /// @notice A duration must be positive, and the grant end within `maxDuration` from now.
    error DurationOutOfRange(uint32 duration, uint32 maxDuration);
    /// @notice An HPKE public key has 32 bytes (X25519) or 1,216 (ML-KEM-768 + X25519).
    error BadHpkeKey(uint256 length);
    /// @notice No tree of the vault ever had this root.
    error UnknownRoot(uint256 root);
    /// @notice This balance has had its grant in this epoch.
    error NullifierSpent(uint256 nullifier);
    /// @notice The calldata is not exactly as long as its arguments.
    error TrailingBytes(uint256 expected, uint256 found);
    /// @notice The proof does not hold for what this contract computed as its public inputs.
    error InvalidProof();
    /// @notice The grantee holds no running grant of exactly this tier.
    error NoGrant(uint256 datasetId, address grantee, uint8 tier);
    /// @notice A sealed key has between 1 and 2,048 bytes.
    error BadSealedKey(uint256 length);

    /// @notice Deploys an empty registry; the deployer owns it and registers its classes.
    /// @param vault_ the vault whose notes open tiers.
    /// @param maxDuration_ seconds that a grant may reach into the future.
    /// @param allowDevelopmentKeys_ accept keys made by a single dealer, who can forge any proof.
    constructor(
        INoteVault vault_,
        uint32 maxDuration_,
        bool allowDevelopmentKeys_
    ) ERC721("Fedproof Dataset", "FPD") Ownable(msg.sender) {
        if (address(vault_).code.length == 0) revert NotAVault(address(vault_));
        if (maxDuration_ == 0) revert ZeroMaxDuration();
        vault = vault_;
        token = vault_.token();
        address spendKey = vault_.spendKey();
        _claim(spendKey, VerifyingKeys.load(spendKey), VerifyingKeys.DELTA);
        epochLength = vault_.epochLength();
        maxDuration = maxDuration_;
        allowDevelopmentKeys = allowDevelopmentKeys_;
    }

    // -- capacity classes --

    /// @notice Registers a capacity class with the keys of its two statements. A class never changes: new keys make a
    /// new class. Both keys are checked in full here, once.
    /// @param rows capacity of a dataset, a multiple of 32.
    /// @param columns features and the mask column.
    /// @param listingKey data contract with the verifying key of the listing statement for this shape.
    /// @param eligibilityKey data contract with the verifying key of the eligibility statement.
    /// @return classId the id of the new class.
    function registerClass(
        uint32 rows,
        uint32 columns,
        address listingKey,
        address eligibilityKey
    ) external onlyOwner returns (uint32 classId) {
        if (rows == 0 || rows % 32 != 0 || columns < 2) revert BadShape(rows, columns);
        _checkKey(listingKey, _LISTING_INPUTS, true);
        _checkKey(eligibilityKey, _ELIGIBILITY_INPUTS, false);
        classId = ++classCount;
        _classes[classId] = CapacityClass(eligibilityKey, rows, columns, false, listingKey);
        emit ClassRegistered(classId, rows, columns, listingKey, eligibilityKey);
    }

    /// @notice Closes a class for good: for when one of its keys turns out to be bad. Grants that exist stay.
    function closeClass(uint32 classId) external onlyOwner {
        _openClass(classId).closed = true;
        emit ClassClosed(classId);
    }

    /// @notice A capacity class; all zero when there is none of this id.
    function getClass(uint32 classId) external view returns (CapacityClass memory) {
        return _classes[classId];
    }

    // -- datasets --

    /// @notice Lists a dataset and mints its token to the caller.
    /// @dev The transcript names the caller, so nobody can list another's dataset by copying the proof.
    /// @param terms class, schema, card, thresholds, prices and sealed files.
    /// @param listing commitment, number of rows, and the proof that both are sound.
    /// @return datasetId the id of the new dataset and token.
    function mintDataset(Terms calldata terms, Listing calldata listing) external returns (uint256 datasetId) {
        _requireLength(_MINT_CALLDATA);
        _checkListing(terms, listing);
        datasetId = ++datasetCount;
        _store(datasetId, 1, terms, listing);
        _mint(msg.sender, datasetId);
        emit DatasetMinted(datasetId, msg.sender, terms.classId, listing.rows, listing.commitment, terms);
    }

    /// @notice Replaces a dataset by its next version. Running grants stay, and open it; tasks keep what was enrolled.
    /// @param datasetId a dataset of the caller that is not retired.
    /// @param terms of the new version.
    /// @param listing of the new version.
    function updateDataset(uint256 datasetId, Terms calldata terms, Listing calldata listing) external {
        _requireLength(_UPDATE_CALLDATA);
        Record storage record = _live(datasetId);
        _checkListing(terms, listing);
        uint16 version = record.version + 1;
        _store(datasetId, version, terms, listing);
        emit DatasetUpdated(datasetId, msg.sender, terms.classId, version, listing.rows, listing.commitment, terms);
    }

    /// @notice Adds rows to a dataset that is larger than its class, with a proof of their own under the same schema.
    /// @dev The chain keeps their number; commitments and rows are in the events. Tasks enrol the first block.
    /// @param datasetId a dataset of the caller that is not retired.
    /// @param listing commitment, rows and proof of the block; its transcript has the hash of dataset, version and number
    /// in the place of that of the terms.
    function addBlock(uint256 datasetId, Listing calldata listing) external {
        _requireLength(_BLOCK_CALLDATA);
        Record storage record = _live(datasetId);
        uint32 number = ++record.blocks;
        uint16 version = record.version;
        _requireRows(record.classId, listing.rows);
        bytes32 place = keccak256(abi.encode(Transcript.BLOCK, datasetId, version, number));
        _verifyListing(_openClass(record.classId).listingKey, place, listing);
        emit BlockAdded(datasetId, version, number, listing.rows, listing.commitment);
    }

    /// @notice Ends new grants for a dataset, for good. Its token and the grants that exist stay.
    function retire(uint256 datasetId) external {
        _live(datasetId).retired = true;
        emit DatasetRetired(datasetId);
    }

    /// @notice Everything the chain keeps of a dataset; card and sealed files are in the event of its version.
    function getDataset(uint256 datasetId) external view returns (Dataset memory dataset) {
        Record storage record = _existing(datasetId);
        dataset.provider = ownerOf(datasetId);
        dataset.classId = record.classId;
        dataset.rows = record.rows;
        dataset.blocks = record.blocks;
        dataset.version = record.version;
        dataset.retired = record.retired;
        dataset.commitment = [record.x, record.y];
        dataset.schema = record.schema;
        dataset.thresholds = [
            0,
            record.threshold1,
            record.threshold2,
            record.threshold3,
            record.threshold4,
            record.threshold5
        ];
        dataset.prices = [0, record.price1, record.price2, record.price3, record.price4, record.price5];
    }

    /// @inheritdoc IDatasetRegistry
    function commitmentOf(uint256 datasetId) external view returns (uint256 x, uint256 y) {
        Record storage record = _existing(datasetId);
        return (record.x, record.y);
    }

    /// @inheritdoc IDatasetRegistry
    function shapeOf(uint256 datasetId) external view returns (uint32 classId, uint32 rows) {
        Record storage record = _existing(datasetId);
        return (record.classId, record.rows);
    }

    /// @inheritdoc IDatasetRegistry
    function versionOf(uint256 datasetId) external view returns (uint16) {
        return _existing(datasetId).version;
    }

    /// @inheritdoc IDatasetRegistry
    function isRetired(uint256 datasetId) external view returns (bool) {
        return _existing(datasetId).retired;
    }

    /// @inheritdoc IDatasetRegistry
    function ownerOf(uint256 datasetId) public view override(ERC721, IDatasetRegistry) returns (address) {
        return super.ownerOf(datasetId);
    }

    // -- grants --

    /// @notice Opens a tier of a dataset to the caller, or extends its grant of the same tier, by a proof that somebody
    /// has at least the tier's threshold locked beyond this epoch. One balance gives one first grant and one extension of
    /// a dataset per epoch. The price goes to the holder of the token; the caller must have allowed it.
    /// @param tier 1 to 5; a tier opens those below it.
    /// @param duration seconds from now, or from the end of a running grant. The end must be within `maxDuration`.
    /// @param hpkeKey the public key that the tier's key will be sealed to; an extension keeps that of the grant.
    /// @param price the tier's price in base units, as the caller knows it.
    /// @param version the dataset's version, as the caller has seen it: what it pays for is not exchanged under it.
    /// @param root a root that a tree of the vault has had.
    /// @param nullifier Poseidon(secret, scope).
    /// @param proof A, B, C of the eligibility statement.
    function accessDataset(
        uint256 datasetId,
        uint8 tier,
        uint32 duration,
        bytes calldata hpkeKey,
        uint256 price,
        uint16 version,
        uint256 root,
        uint256 nullifier,
        uint256[8] calldata proof
    ) external {
        _requireAccessCalldata(hpkeKey.length);
        if (isSpent[nullifier]) revert NullifierSpent(nullifier);
        isSpent[nullifier] = true;
        if (tier > MAX_TIER) revert TierNotOffered(datasetId, tier);
        bytes32 keyHash = keccak256(hpkeKey);
        Grant memory grant = _grants[datasetId][msg.sender][tier];
        bool extension = grant.expiry != 0;
        if (extension && grant.hpkeKeyHash != bytes27(keyHash)) revert OtherHpkeKey(grant.hpkeKeyHash);
        uint256[] memory inputs = new uint256[](_ELIGIBILITY_INPUTS);
        inputs[0] = root;
        inputs[2] = nullifier;
        inputs[4] = _signal(tier, duration, msg.sender, keyHash);
        _verifyEligibility(datasetId, tier, duration, price, version, extension, inputs, proof);
        grant = Grant(_end(grant.expiry, duration), bytes27(keyHash));
        _grants[datasetId][msg.sender][tier] = grant;
        if (extension) emit AccessExtended(datasetId, msg.sender, tier, grant.expiry, price, nullifier, hpkeKey);
        else emit AccessGranted(datasetId, msg.sender, tier, grant.expiry, price, nullifier, hpkeKey);
        if (price != 0) token.safeTransferFrom(msg.sender, ownerOf(datasetId), price);
    }

    /// @notice Publishes the key of a tier and version, sealed to the grantee. Only the provider, only for a running
    /// grant; it may be repeated.
    function deliverKey(
        uint256 datasetId,
        address grantee,
        uint8 tier,
        uint16 version,
        bytes calldata sealedKey
    ) external {
        _requireProvider(datasetId);
        if (version == 0 || version > _records[datasetId].version) revert NoSuchVersion(datasetId, version);
        if (_running(datasetId, grantee, tier) == 0) revert NoGrant(datasetId, grantee, tier);
        if (sealedKey.length == 0 || sealedKey.length > _MAX_SEALED_KEY) revert BadSealedKey(sealedKey.length);
        emit KeyDelivered(datasetId, grantee, tier, version, sealedKey);
    }

    /// @inheritdoc IDatasetRegistry
    function hasAccess(uint256 datasetId, address grantee, uint8 tier) external view returns (bool) {
        if (tier == 0) return _ownerOf(datasetId) != address(0);
        for (uint8 held = tier; held <= MAX_TIER; ++held) {
            if (_running(datasetId, grantee, held) != 0) return true;
        }
        return false;
    }

    /// @notice The last grant of exactly this tier, running or not.
    /// @return expiry the timestamp at which it ends, 0 when there was none.
    /// @return hpkeKeyHash the first 27 bytes of the keccak256 of the key that the tier's key is to be sealed to.
    function grantOf(
        uint256 datasetId,
        address grantee,
        uint8 tier
    ) external view returns (uint40 expiry, bytes27 hpkeKeyHash) {
        if (tier > MAX_TIER) return (0, 0);
        Grant storage grant = _grants[datasetId][grantee][tier];
        return (grant.expiry, grant.hpkeKeyHash);
    }

    /// @notice The public inputs, root and nullifier apart, that an eligibility proof of `grantee` needs in this block.
    /// @param hpkeKeyHash keccak256 of the grantee's HPKE public key.
    function eligibilityTerms(
        uint256 datasetId,
        address grantee,
        uint8 tier,
        uint32 duration,
        bytes32 hpkeKeyHash
    ) external view returns (uint256 scope, uint256 threshold, uint256 signal, uint256 epoch) {
        epoch = block.timestamp / epochLength;
        scope = _scope(datasetId, epoch, tier <= MAX_TIER && _grants[datasetId][grantee][tier].expiry != 0);
        (threshold, ) = _offer(_existing(datasetId), tier);
        signal = _signal(tier, duration, grantee, hpkeKeyHash);
    }

    // -- internals --

    /// @dev The new end of a grant that ends, or has ended, at `expiry`; 0 when there was none.
    function _end(uint40 expiry, uint32 duration) private view returns (uint40 end) {
        end = (expiry > block.timestamp ? expiry : uint40(block.timestamp)) + duration;
        if (end > block.timestamp + maxDuration) revert DurationOutOfRange(duration, maxDuration);
    }

    function _requireRows(uint32 classId, uint32 rows) private view {
        uint32 capacity = _openClass(classId).rows;
        if (rows == 0 || rows > capacity) revert RowsOutOfRange(rows, capacity);
    }

    function _checkListing(Terms calldata terms, Listing calldata listing) private view {
        _requireRows(terms.classId, listing.rows);
        if (terms.schema == 0) revert MissingSchema();
        if (terms.thresholds[0] != 0 || terms.prices[0] != 0) revert TierZeroIsFree();
        for (uint8 tier = 1; tier <= MAX_TIER; ++tier) {
            if (terms.prices[tier] != 0 && terms.thresholds[tier] == 0) revert PriceWithoutTier(tier);
        }
        _verifyListing(_openClass(terms.classId).listingKey, keccak256(abi.encode(terms)), listing);
    }

    function _store(uint256 datasetId, uint16 version, Terms calldata terms, Listing calldata listing) private {
        _records[datasetId] = Record({
            x: listing.commitment[0],
            y: listing.commitment[1],
            schema: terms.schema,
            threshold1: terms.thresholds[1],
            threshold2: terms.thresholds[2],
            threshold3: terms.thresholds[3],
            threshold4: terms.thresholds[4],
            threshold5: terms.thresholds[5],
            price1: terms.prices[1],
            price2: terms.prices[2],
            price3: terms.prices[3],
            price4: terms.prices[4],
            price5: terms.prices[5],
            classId: terms.classId,
            rows: listing.rows,
            blocks: 1,
            version: version,
            retired: false
        });
    }

    function _checkKey(address key, uint256 inputs, bool linked) private {
        uint256[] memory words = VerifyingKeys.check(
            key,
            VerifyingKeys.Expectation({
                publicInputs: inputs,
                committed: linked,
                linked: linked,
                masked: false,
                allowDevelopment: allowDevelopmentKeys
            })
        );
        _claim(key, words, VerifyingKeys.DELTA);
        if (linked) _claim(key, words, VerifyingKeys.ETA);
    }

    /// @dev Delta and eta belong to one circuit alone; only alpha, beta and tau come from a setup that circuits share.
    function _claim(address key, uint256[] memory words, uint256 g2) private {
        bytes32 point = keccak256(abi.encode(words[g2], words[g2 + 1]));
        bytes32 circuit = bytes32(words[VerifyingKeys.CIRCUIT_ID]);
        bytes32 claimed = _trapdoors[point];
        if (claimed != 0 && claimed != circuit) revert SharedTrapdoor(key, claimed);
        _trapdoors[point] = circuit;
    }

    function _verifyListing(address keyAddress, bytes32 metadata, Listing calldata listing) private view {
        BN254.requirePoint(listing.commitment[0], listing.commitment[1]);
        uint256[] memory key = VerifyingKeys.load(keyAddress);
        bytes32 pre = keccak256(
            abi.encode(
                Transcript.LISTING,
                Transcript.VERSION,
                block.chainid,
                address(this),
                msg.sender,
                key[VerifyingKeys.CIRCUIT_ID],
                listing.commitment,
                listing.d,
                listing.rows,
                metadata
            )
        );
        uint256[] memory inputs = new uint256[](_LISTING_INPUTS);
        inputs[0] = listing.rows;
        (inputs[1], inputs[2]) = Transcript.challenges(pre);
        inputs[3] = listing.y;
        Groth16Verifier.Link memory link = Groth16Verifier.Link({
            d: listing.d,
            f: listing.commitment,
            q: listing.q,
            y: listing.y,
            sigma: inputs[1]
        });
        if (!Groth16Verifier.verifyLinked(key, inputs, listing.proof, link)) revert InvalidProof();
    }

    /// @param inputs root, nullifier and signal are in; the rest is filled in.
    function _verifyEligibility(
        uint256 datasetId,
        uint8 tier,
        uint32 duration,
        uint256 price,
        uint16 version,
        bool extension,
        uint256[] memory inputs,
        uint256[8] calldata proof
    ) private view {
        Record storage record = _existing(datasetId);
        if (record.retired) revert DatasetIsRetired(datasetId);
        if (version != record.version) revert WrongVersion(record.version);
        if (duration == 0 || duration > maxDuration) revert DurationOutOfRange(duration, maxDuration);
        if (!vault.isKnownRoot(inputs[0])) revert UnknownRoot(inputs[0]);
        (uint256 threshold, uint256 asked) = _offer(record, tier);
        if (threshold == 0) revert TierNotOffered(datasetId, tier);
        if (price != asked) revert WrongPrice(asked);
        inputs[3] = threshold;
        inputs[5] = block.timestamp / epochLength;
        inputs[1] = _scope(datasetId, inputs[5], extension);
        uint256[] memory key = VerifyingKeys.load(_openClass(record.classId).eligibilityKey);
        if (!Groth16Verifier.verify(key, inputs, proof)) revert InvalidProof();
    }

    /// @dev The calldata is what these arguments encode to and not a byte more.
    function _requireAccessCalldata(uint256 hpkeKeyLength) private pure {
        if (hpkeKeyLength != _SHORT_HPKE_KEY && hpkeKeyLength != _LONG_HPKE_KEY) revert BadHpkeKey(hpkeKeyLength);
        _requireLength(_ACCESS_CALLDATA + hpkeKeyLength); // both lengths are whole words
    }

    function _requireLength(uint256 expected) private pure {
        if (msg.data.length != expected) revert TrailingBytes(expected, msg.data.length);
    }

    function _scope(uint256 datasetId, uint256 epoch, bool extension) private view returns (uint256) {
        uint256 purpose = extension ? _EXTENSION : _FIRST_GRANT;
        return
            Transcript.toScalar(
                keccak256(abi.encode(Transcript.SCOPE, block.chainid, address(this), datasetId, epoch, purpose))
            );
    }

    function _signal(uint8 tier, uint32 duration, address grantee, bytes32 hpkeKey) private pure returns (uint256) {
        return Transcript.toScalar(keccak256(abi.encode(Transcript.SIGNAL, tier, duration, grantee, hpkeKey)));
    }

    /// @dev The end of a grant that has not run out; 0 otherwise, and for tiers that do not exist.
    function _running(uint256 datasetId, address grantee, uint8 tier) private view returns (uint40) {
        if (tier > MAX_TIER) return 0;
        uint40 expiry = _grants[datasetId][grantee][tier].expiry;
        return expiry > block.timestamp ? expiry : 0;
    }

    /// @dev Threshold and price of a tier in base units; 0 for a tier that is not offered, for tier 0 and for tiers that
    /// do not exist.
    function _offer(Record storage record, uint8 tier) private view returns (uint256 threshold, uint256 price) {
        if (tier == 1) (threshold, price) = (record.threshold1, record.price1);
        else if (tier == 2) (threshold, price) = (record.threshold2, record.price2);
        else if (tier == 3) (threshold, price) = (record.threshold3, record.price3);
        else if (tier == 4) (threshold, price) = (record.threshold4, record.price4);
        else if (tier == 5) (threshold, price) = (record.threshold5, record.price5);
        return (threshold * UNIT, price * UNIT);
    }

    function _openClass(uint32 classId) private view returns (CapacityClass storage class) {
        class = _classes[classId];
        if (class.rows == 0 || class.closed) revert ClassNotOpen(classId);
    }

    function _existing(uint256 datasetId) private view returns (Record storage record) {
        record = _records[datasetId];
        if (record.classId == 0) revert NoSuchDataset(datasetId);
    }

    /// @dev A dataset of the caller that is not retired.
    function _live(uint256 datasetId) private view returns (Record storage record) {
        _requireProvider(datasetId);
        record = _records[datasetId];
        if (record.retired) revert DatasetIsRetired(datasetId);
    }

    function _requireProvider(uint256 datasetId) private view {
        if (ownerOf(datasetId) != msg.sender) revert NotProvider(datasetId, msg.sender);
    }
}
