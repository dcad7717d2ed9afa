"""The token: a fixed supply, and permits."""

from __future__ import annotations

from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from fedproof.ledger import account_from_key
from tests.contracts.support import rejects
from tests.contracts.world import World

SUPPLY = 10**27


def test_the_deployer_gets_the_whole_supply_and_nobody_can_make_more(world: World) -> None:
    token = world.market.token
    assert world.chain.call(token.functions.totalSupply()) == SUPPLY
    assert world.chain.call(token.functions.balanceOf(world.owner.address)) == SUPPLY
    assert not {entry.get("name") for entry in token.abi} & {"mint", "burn", "pause", "owner"}


def test_nobody_spends_more_than_it_has(world: World) -> None:
    with rejects("ERC20InsufficientBalance"):
        world.chain.transact(world.market.token.functions.transfer(world.owner.address, 1), world.stranger)


def test_a_permit_works_once_and_only_for_its_signer(world: World) -> None:
    key = keccak(b"a holder that never sends a transaction")
    holder = account_from_key(key)
    token, chain = world.market.token, world.chain
    deadline = chain.timestamp() + 1000
    message = {
        "owner": holder.address,
        "spender": world.stranger.address,
        "value": 5,
        "nonce": 0,
        "deadline": deadline,
    }
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    types = {"Permit": [{"name": n, "type": t} for n, t in [*fields, ("deadline", "uint256")]]}
    domain = {
        "name": "Fedproof Access",
        "version": "1",
        "chainId": chain.chain_id,
        "verifyingContract": token.address,
    }
    signed = EthAccount.sign_message(encode_typed_data(domain, types, message), key)
    r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

    def permit(value: int) -> None:
        chain.transact(
            token.functions.permit(holder.address, world.stranger.address, value, deadline, signed.v, r, s),
            world.stranger,
        )

    with rejects("ERC2612InvalidSigner"):
        permit(6)
    permit(5)
    assert chain.call(token.functions.allowance(holder.address, world.stranger.address)) == 5
    with rejects("ERC2612InvalidSigner"):
        permit(5)
