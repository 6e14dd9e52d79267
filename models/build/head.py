"""The head: multinomial logistic regression, fitted with L-BFGS, and the temperature and thresholds behind it."""

import numpy as np

HISTORY = 12


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fit(x, y, sample_weight, classes, l2, iterations):
    """Weights [classes, features] and bias of the softmax head that minimises weighted loss + L2."""
    sample_weight = (sample_weight / sample_weight.sum()).astype(np.float32)
    mean = sample_weight @ x
    # One scale for all features: a scale each would give the noise of rare ones the say of common ones.
    scale = np.sqrt((sample_weight @ (x - mean) ** 2).mean())
    x = np.concatenate([(x - mean) / scale, np.ones((len(x), 1), np.float32)], 1)
    rows = np.arange(len(y))

    def loss(w):
        w = w.reshape(classes, -1).astype(np.float32)
        p = softmax(x @ w.T)
        value = -(sample_weight * np.log(np.maximum(p[rows, y], 1e-30))).sum(dtype=np.float64)
        p[rows, y] -= 1
        gradient = (p * sample_weight[:, None]).T @ x
        inner = w[:, :-1]
        gradient[:, :-1] += l2 * inner
        return value + l2 / 2 * (inner.astype(np.float64) ** 2).sum(), gradient.ravel().astype(np.float64)

    w = _lbfgs(loss, np.zeros(classes * x.shape[1]), iterations).reshape(classes, -1)
    weight = w[:, :-1] / scale
    return weight, w[:, -1] - weight @ mean


def _lbfgs(loss, w, iterations):
    value, gradient = loss(w)
    steps = []
    for _ in range(iterations):
        direction, alphas = -gradient, []
        for s, y, rho in reversed(steps):
            alphas.append(rho * (s @ direction))
            direction -= alphas[-1] * y
        if steps:
            s, y, rho = steps[-1]
            direction /= rho * (y @ y)
        else:
            direction /= np.abs(gradient).sum()
        for (s, y, rho), alpha in zip(steps, reversed(alphas)):
            direction += (alpha - rho * (y @ direction)) * s
        slope, step = gradient @ direction, 1.0
        while True:
            new_value, new_gradient = loss(w + step * direction)
            if new_value <= value + 1e-4 * step * slope or step < 1e-6:
                break
            step /= 2
        s, y = step * direction, new_gradient - gradient
        if s @ y > 1e-12:
            steps = (steps + [(s, y, 1 / (s @ y))])[-HISTORY:]
        w, done = w + s, abs(value - new_value) < 1e-7 * max(1, abs(value))
        value, gradient = new_value, new_gradient
        if done:
            break
    return w


def temperature(logits, y, classes):
    """The T that minimises the negative log likelihood of what the contract promises, to three places.

    That is one of the five or "none of them": which of the negatives it was is nobody's question, and a kind
    that was held out has no label of its own to find.
    """
    grid = np.arange(300, 5001) / 1000
    rows = np.arange(len(y))

    def nll(t):
        p = softmax(logits / t)
        right = np.where(y < classes, p[rows, y], p[:, classes:].sum(1))
        return -np.log(np.maximum(right, 1e-30)).mean()

    low, high = 0, len(grid) - 1
    while high - low > 2:  # the loss has one minimum in T
        a, b = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, b) if nll(grid[a]) <= nll(grid[b]) else (a, high)
    return float(min(grid[low : high + 1], key=nll))


def judge(logits, t, classes):
    """The contract: best of the five, its confidence among the five, and the probability of none of them."""
    p = softmax(logits.astype(np.float64) / t)
    ours = p[:, :classes]
    share = ours / ours.sum(1, keepdims=True)
    return share.argmax(1), share.max(1), p[:, classes:].sum(1)


def thresholds(best, confidence, unknown, y, studio, classes):
    """(accept, unknown), in hundredths, from pictures that the judged heads never saw.

    unknown: the lowest at which at most 2 % of the studio photos of the five are called unknown. Lower would
    turn good articles away; higher would let more strange ones through.
    accept: the lowest at which, counting one error more than was seen, at most 0.5 % of the accepted
    pictures of the five have the wrong class.
    """
    steps = np.arange(1, 100) / 100
    ours = y < classes
    at_unknown = next(u for u in steps if (unknown[studio & ours] >= u).mean() <= 0.02)

    def wrong_share(accept):
        accepted = ours & (unknown < at_unknown) & (confidence >= accept)
        return ((best != y)[accepted].sum() + 1) / (accepted.sum() + 1)

    at_accept = next(a for a in steps if a >= 1 / classes and wrong_share(a) <= 0.005)
    return float(at_accept), float(at_unknown)
