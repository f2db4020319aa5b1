"""Each algorithm's objective of one sample as its paper prints it, in plain numbers."""


def clip(x, low, high):
    return low if x < low else high if x > high else x


def clip_range(r, eps1, eps2):
    """l, h and r~ of the clip range correction, r = r^{i−1}."""
    low = min(max(r, 1 / r) * (1 - eps1), 1 - eps2)
    high = max(min(r, 1 / r) * (1 + eps1), 1 + eps2)
    return low, high, clip(r, 1 - eps1, 1 + eps1)


def ratio_clips(ratios, eps):
    """A2PO's ε_i from the ratios of samples × agents: the share of ε that each agent has."""
    agents = len(ratios[0])
    means = []
    for i in range(agents):
        total = 0.0
        for sample in ratios:
            product = 1.0
            for j in range(i, agents):
                product *= 1 + abs(1 - sample[j])
            total += 1 / product
        means.append(total / len(ratios))
    return [eps * mean / max(means) for mean in means]


def opspo(own, r, omega, advantage, *, eps1, eps2):
    """Eq. 20: min( r^i r~ ω~ A, clip(r^i r~, l r~, h r~) ω~ A ), ω~ = min(ω, 1)."""
    low, high, near = clip_range(r, eps1, eps2)
    weight = min(omega, 1.0)
    return min(
        own * near * weight * advantage,
        clip(own * near, low * near, high * near) * weight * advantage,
    )


def mappo(own, advantage, eps):
    """min( r^i A, clip(r^i, 1 ± ε) A )."""
    return min(own * advantage, clip(own, 1 - eps, 1 + eps) * advantage)


def coppo(own, others, advantage, *, eps1, eps2):
    """g = clip(Π_{j≠i} r^j, 1 ± ε2); min( g r^i A, clip(g r^i, 1 ± ε1) A )."""
    product = 1.0
    for ratio in others:
        product *= ratio
    g = clip(product, 1 - eps2, 1 + eps2)
    return min(g * own * advantage, clip(g * own, 1 - eps1, 1 + eps1) * advantage)


def happo(own, r, advantage, eps):
    """M = r^{i−1} A; min( r^i M, clip(r^i, 1 ± ε) M )."""
    m = r * advantage
    return min(own * m, clip(own, 1 - eps, 1 + eps) * m)


def a2po(own, r, advantage, *, eps, position, num_agents):
    """g = clip(r^{i−1}, 1 ± ε/2), ε_i = ε (1/2 + 1/2 i/n), i = 1..n; as CoPPO from there."""
    g = clip(r, 1 - eps / 2, 1 + eps / 2)
    wide = eps * (0.5 + 0.5 * position / num_agents)
    return min(g * own * advantage, clip(g * own, 1 - wide, 1 + wide) * advantage)
