"""The program's random numbers in another language: `src/math/random.rs`, from its description."""

MASK = (1 << 64) - 1


def split_mix(state: int) -> tuple[int, int]:
    """The next state of a SplitMix64, and its number."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


class Stream:
    """The random numbers of draw `draw` made for `purpose`: a xoshiro256++."""

    def __init__(self, seed: int, purpose: str, draw: int):
        name = 0xCBF29CE484222325
        for byte in purpose.encode():
            name = ((name ^ byte) * 0x100000001B3) & MASK
        _, key = split_mix(seed)
        _, key = split_mix(key ^ name)
        key ^= draw
        self.state = []
        for _ in range(4):
            key, number = split_mix(key)
            self.state.append(number)

    def bits(self) -> int:
        s = self.state
        turned = (s[0] + s[3]) & MASK
        bits = ((((turned << 23) | (turned >> 41)) & MASK) + s[0]) & MASK
        shifted = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & MASK
        return bits

    def below(self, bound: int) -> int:
        """Lemire's unbiased whole number below `bound`."""
        product = self.bits() * bound
        if product & MASK < bound:
            while product & MASK < (-bound) % (1 << 64) % bound:
                product = self.bits() * bound
        return product >> 64

    def shuffled(self, n: int) -> list[int]:
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
