// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "./BN254.sol";

/// @title Verifying keys kept as the code of data contracts
/// @notice A key is one data contract with the runtime code `0x00 || words`. The first byte is STOP, so nothing ever
/// runs there and the key can neither change nor be destroyed. The layout of the words is on the project's
/// architecture page ("Verification-key blob"); the constants below name their places.
library VerifyingKeys {
    uint256 internal constant CIRCUIT_ID = 0;
    uint256 internal constant FLAGS = 1;
    uint256 internal constant PUBLIC_INPUTS = 2;
    uint256 internal constant ALPHA = 3;
    uint256 internal constant BETA = 5;
    uint256 internal constant DELTA = 9;
    uint256 internal constant ETA = 13;
    uint256 internal constant TAU = 17;
    uint256 internal constant TAU_MASK = 21;
    uint256 internal constant IC = 25;

    uint256 internal constant VERSION = 1;
    uint256 internal constant VERSION_MASK = 0xff;
    uint256 internal constant COMMITTED = 1 << 8;
    uint256 internal constant DEVELOPMENT = 1 << 9;

    /// @dev Far above any statement's need; it bounds the work of loading and checking a key.
    uint256 internal constant MAX_PUBLIC_INPUTS = 64;

    /// @dev What a registering contract asks of a key.
    struct Expectation {
        uint256 publicInputs;
        bool committed;
        bool linked; // needs [tau]_2 for the KZG link
        bool masked; // needs [tau^d]_2 for the masks of a task
        bool allowDevelopment;
    }

    /// @notice There is no key of this layout at the address.
    error NotAKey(address key);
    /// @notice The key's code has another length than its number of public inputs asks for.
    error WrongKeyLength(address key, uint256 words);
    /// @notice The key has another version, or flags that this contract does not know.
    error WrongKeyFlags(address key, uint256 flags);
    /// @notice The key belongs to a statement with another number of public inputs.
    error WrongPublicInputs(address key, uint256 expected, uint256 found);
    /// @notice The key has a committed segment and should not, or the other way round.
    error WrongCommittedSegment(address key, bool expected);
    /// @notice A development key was made by one dealer, who can forge; this contract was deployed without them.
    error DevelopmentKeyRefused(address key);
    /// @notice The point that starts at this word is missing, or is present and must not be.
    error WrongKeyPoint(address key, uint256 word);
    /// @notice The G2 points at these two words are equal up to sign: proofs without a witness would verify.
    error CoincidingKeyPoints(address key, uint256 first, uint256 second);

    /// @dev All words of a key that `check` has accepted before. Costs a copy; no point is checked again.
    function load(address key) internal view returns (uint256[] memory words) {
        uint256 size = key.code.length;
        if (size < 1 + (IC + 2) * 32 || (size - 1) % 32 != 0) revert NotAKey(key);
        words = new uint256[]((size - 1) / 32);
        uint256 first;
        assembly ("memory-safe") {
            extcodecopy(key, 0, 0, 1)
            first := byte(0, mload(0))
            extcodecopy(key, add(words, 0x20), 1, sub(size, 1))
        }
        if (first != 0) revert NotAKey(key);
    }

    /// @dev Reverts unless the key is sound in itself and what the contract expects. Meant for the one time a key is
    /// registered: it costs about half a million gas.
    function check(address key, Expectation memory expected) internal view returns (uint256[] memory words) {
        words = load(key);
        _checkHeader(key, words, expected);
        _checkPresence(key, words, expected);
        _checkG1(words);
        _checkG2(key, words);
    }

    /// @dev Whether a G2 point is there: an absent one is four zero words.
    function has(uint256[] memory words, uint256 g2) internal pure returns (bool) {
        return (words[g2] | words[g2 + 1] | words[g2 + 2] | words[g2 + 3]) != 0;
    }

    function _checkHeader(address key, uint256[] memory words, Expectation memory expected) private pure {
        uint256 flags = words[FLAGS];
        if (flags & VERSION_MASK != VERSION || flags >> 10 != 0) revert WrongKeyFlags(key, flags);
        if (words[CIRCUIT_ID] == 0) revert NotAKey(key);
        uint256 found = words[PUBLIC_INPUTS];
        if (found != expected.publicInputs) revert WrongPublicInputs(key, expected.publicInputs, found);
        if (found > MAX_PUBLIC_INPUTS || words.length != IC + 2 * (found + 1)) revert WrongKeyLength(key, words.length);
        if ((flags & COMMITTED != 0) != expected.committed) revert WrongCommittedSegment(key, expected.committed);
        if (flags & DEVELOPMENT != 0 && !expected.allowDevelopment) revert DevelopmentKeyRefused(key);
    }

    function _checkPresence(address key, uint256[] memory words, Expectation memory expected) private pure {
        if (!has(words, BETA)) revert WrongKeyPoint(key, BETA);
        if (!has(words, DELTA)) revert WrongKeyPoint(key, DELTA);
        if (has(words, ETA) != expected.committed) revert WrongKeyPoint(key, ETA);
        if (expected.linked && !has(words, TAU)) revert WrongKeyPoint(key, TAU);
        if (expected.masked && !has(words, TAU_MASK)) revert WrongKeyPoint(key, TAU_MASK);
    }

    /// @dev alpha and every IC point is a finite point: an infinite IC point would leave its public input unbound.
    function _checkG1(uint256[] memory words) private pure {
        BN254.requirePoint(words[ALPHA], words[ALPHA + 1]);
        for (uint256 start = IC; start < words.length; start += 2) BN254.requirePoint(words[start], words[start + 1]);
    }

    /// @dev The G2 points are canonical, on the curve, in the subgroup, and pairwise different up to sign, gamma (the
    /// generator) included. If delta, beta or eta were gamma, or two of them equal, C, A or D could cancel IC(x) and
    /// every public input would have a proof.
    function _checkG2(address key, uint256[] memory words) private view {
        uint256[5] memory offsets = [BETA, DELTA, ETA, TAU, TAU_MASK];
        uint256[] memory input = new uint256[](5 * BN254.WORDS_PER_PAIR);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 start = offsets[i];
            if (!has(words, start)) {
                BN254.setPairWithGenerator(input, i, 0, 0);
                continue;
            }
            for (uint256 k = 0; k < 4; ++k) BN254.requireCoordinate(words[start + k]);
            if (words[start] == BN254.G2_X_IMAG && words[start + 1] == BN254.G2_X_REAL) revert CoincidingKeyPoints(key, 0, start);
            for (uint256 j = 0; j < i; ++j) {
                uint256 other = offsets[j];
                if (words[start] == words[other] && words[start + 1] == words[other + 1]) {
                    revert CoincidingKeyPoints(key, other, start);
                }
            }
            BN254.setPair(input, i, BN254.G1_X, BN254.G1_Y, words, start);
        }
        // The precompile refuses a point outside curve or subgroup; what the product is does not matter.
        BN254.pairing(input);
    }
}
