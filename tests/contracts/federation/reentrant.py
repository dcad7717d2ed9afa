"""A token that calls back. Written in opcodes: it needs no compiler, and ten lines of them do."""

from __future__ import annotations

from eth_typing import ChecksumAddress
from web3.contract.contract import ContractFunction

from fedproof.ledger import Account, Artifact, Chain
from fedproof.ledger.abi import encode_call

# What it is told is 32 bytes, the address of a data contract: a length, and a call of this length. It is asked with no
# calldata, and says what the call returned (32 bytes), and 1 if it failed, 2 if it worked. Anything else it takes for
# a function of a token: it answers 1, after having called back its caller, once, if that is a contract.
_CODE = """
    36 15 60 {report} 57
    36 60 20 14 60 {told} 57
    33 3b 15 60 {answer} 57
    60 00 54 80 15 60 {drop} 57
    60 00 60 00 55
    80 3b 60 01 90 03
    60 01 60 00 83 3c 50
    60 20 60 00 60 00 51 60 20 60 00 33 5a f1
    60 01 01 60 02 55
    60 00 51 60 01 55
    60 00
    {drop:} 5b 50
    {answer:} 5b 60 01 60 00 52 60 20 60 00 f3
    {told:} 5b 60 00 35 60 00 55 00
    {report:} 5b 60 01 54 60 00 52 60 02 54 60 20 52 60 40 60 00 f3
"""


def _assemble() -> bytes:
    places: dict[str, int] = {}
    size = 0
    for word in _CODE.split():
        if word.endswith(":}"):
            places[word[1:-2]] = size
        else:
            size += 1
    words = [word for word in _CODE.split() if not word.endswith(":}")]
    return bytes(places[word[1:-1]] if word[0] == "{" else int(word, 16) for word in words)


class ReentrantToken:
    """Moves nothing and allows everything; before it answers, it does what it is told to."""

    def __init__(self, chain: Chain, owner: Account) -> None:
        code = _assemble()
        creation = bytes([0x60, len(code), 0x80, 0x60, 0x0B, 0x60, 0x00, 0x39, 0x60, 0x00, 0xF3]) + code
        self.chain, self.owner = chain, owner
        self.address: ChecksumAddress = chain.deploy(
            Artifact("Reentrant", (), creation.hex(), "", {}, ""), sender=owner
        ).address

    def tell(self, call: ContractFunction) -> None:
        """The next time that a contract calls the token, the token makes this call to it."""
        data = encode_call(call)
        words = len(data).to_bytes(32, "big") + data
        place = self.chain.deploy_data(words + bytes(-len(words) % 32), self.owner)
        self.chain.transact_raw(self.address, bytes(12) + bytes.fromhex(place[2:]), self.owner)

    def outcome(self) -> tuple[bytes, bool | None]:
        """First word that the call returned, and whether it worked; None before it was made."""
        answer = self.chain.call_raw(self.address, b"")
        return answer[:32], {0: None, 1: False, 2: True}[answer[63]]
