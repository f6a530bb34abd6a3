"""The printed formulas in plain Python loops on lists of floats: slow, and readable beside the papers."""

import math
from statistics import fmean


def rows(z):
    return z.detach().double().tolist()


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def unit(x):
    length = math.sqrt(dot(x, x))
    return [a / length for a in x] if length else list(x)


def units(z):
    return [unit(x) for x in rows(z)]


def distance(x, y):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def softmax_loss(positive, others):
    """-log( exp(positive) / (exp(positive) + sum exp(others)) )."""
    return -math.log(math.exp(positive) / (math.exp(positive) + sum(math.exp(x) for x in others)))


def two_views(z_a, z_b, temperature, negative_sum):
    """mean_i -log(pos / (pos + Ng)), Ng from ``negative_sum(pos, negatives, i)``."""
    u = units(z_a) + units(z_b)
    size, half = len(u), len(z_a)
    losses = []
    for i in range(size):
        partner = (i + half) % size
        positive = math.exp(dot(u[i], u[partner]) / temperature)
        negatives = [math.exp(dot(u[i], u[j]) / temperature) for j in range(size) if j not in (i, partner)]
        losses.append(-math.log(positive / (positive + negative_sum(positive, negatives, i))))
    return fmean(losses)


def nt_xent(z_a, z_b, temperature):
    return two_views(z_a, z_b, temperature, lambda positive, negatives, i: sum(negatives))


def hcl(z_a, z_b, temperature, tau_plus, beta, more_positives=None):
    u = units(z_a) + units(z_b)
    more = [units(v) for v in more_positives] if more_positives is not None else []

    def negative_sum(positive, negatives, i):
        n = len(negatives)
        importance = [x**beta for x in negatives]
        reweighted = sum(w * x for w, x in zip(importance, negatives, strict=True)) / fmean(importance)
        samples = [positive] + [math.exp(dot(u[i], v[i % len(v)]) / temperature) for v in more]
        debiased = (-tau_plus * n * fmean(samples) + reweighted) / (1 - tau_plus)
        return max(debiased, n * math.exp(-1 / temperature))

    return two_views(z_a, z_b, temperature, negative_sum)


def bcl(z_a, z_b, temperature, tau_plus, alpha, beta):
    def omega(u):
        a = (1 - 2 * alpha) * ((1 - tau_plus) - tau_plus) + 1e-3
        b = 2 * (alpha * (1 - tau_plus) + (1 - alpha) * tau_plus)
        phi = (-b + math.sqrt(b * b + 4 * a * u)) / (2 * a)
        phi_1, phi_2 = 2 * (1 - phi), 2 * phi
        true, false = alpha * phi_1 + (1 - alpha) * phi_2, (1 - alpha) * phi_1 + alpha * phi_2
        hard = alpha * (1 - beta) * phi_1 + (1 - alpha) * beta * phi_2
        return hard / (alpha * (1 - beta) + (1 - alpha) * beta + 1e-3) / ((1 - tau_plus) * true + tau_plus * false)

    def negative_sum(positive, negatives, i):
        return sum(omega(fmean(y <= x for y in negatives)) * x for x in negatives)

    return two_views(z_a, z_b, temperature, negative_sum)


def sup_con(z, labels, temperature):
    u, labels, losses = units(z), labels.tolist(), []
    for i in range(len(u)):
        others = [k for k in range(len(u)) if k != i]
        total = sum(math.exp(dot(u[i], u[a]) / temperature) for a in others)
        logs = [math.log(math.exp(dot(u[i], u[p]) / temperature) / total) for p in others if labels[p] == labels[i]]
        if logs:
            losses.append(-fmean(logs))
    return fmean(losses)


def drlim(x_a, x_b, different, margin):
    losses = []
    for x, y, other in zip(rows(x_a), rows(x_b), different.tolist(), strict=True):
        d, y_i = distance(x, y), float(other)
        losses.append((1 - y_i) / 2 * d**2 + y_i / 2 * max(0, margin - d) ** 2)
    return fmean(losses)


def two_margins(x_a, x_b, different, positive_margin, negative_margin, power):
    losses = []
    for x, y, other in zip(rows(x_a), rows(x_b), different.tolist(), strict=True):
        d = distance(x, y)
        losses.append(max(0, negative_margin - d if other else d - positive_margin) ** power)
    return fmean(losses)


def batch_triplet(z, labels, margin, mining):
    u, labels, losses = units(z), labels.tolist(), []
    for a in range(len(u)):
        negatives = [distance(u[a], u[n]) ** 2 for n in range(len(u)) if labels[n] != labels[a]]
        for p in range(len(u)):
            if p == a or labels[p] != labels[a] or not negatives:
                continue
            d = distance(u[a], u[p]) ** 2
            chosen = {
                "every": negatives,
                "hard": [min(negatives)],
                "easy": [max(negatives)],
                "semi_hard": [min(semi)] if (semi := [n for n in negatives if d < n < d + margin]) else [],
            }[mining]
            if chosen:
                losses.append(fmean(max(0, d - n + margin) for n in chosen))
    return fmean(losses) if losses else 0.0


def nce(data_scores, data_log_noise, noise_scores, noise_log_noise):
    def log_sigmoid(x):
        return -math.log1p(math.exp(-x))

    k = noise_scores.shape[1]
    losses = []
    for i in range(len(data_scores)):
        loss = -log_sigmoid(float(data_scores[i]) - math.log(k * math.exp(float(data_log_noise[i]))))
        for j in range(k):
            g = float(noise_scores[i, j]) - math.log(k * math.exp(float(noise_log_noise[i, j])))
            loss -= log_sigmoid(-g)
        losses.append(loss)
    return fmean(losses)


def info_nce(query, key, negatives, temperature):
    """``negatives``: None, [K, D] or [B, K, D]."""
    q, k, losses = units(query), units(key), []
    for i in range(len(q)):
        if negatives is None:
            others = [k[j] for j in range(len(k)) if j != i]
        else:
            others = units(negatives if negatives.ndim == 2 else negatives[i])
        losses.append(softmax_loss(dot(q[i], k[i]) / temperature, [dot(q[i], n) / temperature for n in others]))
    return fmean(losses)


def hard_info_nce(positive, negatives, tau_plus, beta, log_floor):
    losses = []
    for f, others in zip(positive.tolist(), negatives.tolist(), strict=True):
        n = len(others)
        weights = [math.exp(beta * x) for x in others]
        mean = fmean(w * math.exp(x) for w, x in zip(weights, others, strict=True)) / fmean(weights)
        total = n * max((mean - tau_plus * math.exp(f)) / (1 - tau_plus), math.exp(log_floor))
        losses.append(-math.log(math.exp(f) / (math.exp(f) + total)))
    return fmean(losses)


def alignment(z_a, z_b, exponent):
    return fmean(distance(x, y) ** exponent for x, y in zip(units(z_a), units(z_b), strict=True))


def uniformity(z, t):
    u = units(z)
    pairs = [(i, j) for i in range(len(u)) for j in range(i)]
    return math.log(fmean(math.exp(-t * distance(u[i], u[j]) ** 2) for i, j in pairs))


def proto_nce(query, key, queue, clusterings, temperature):
    q, terms = units(query), []
    for clustering in clusterings:
        c, phi = units(clustering.prototypes), clustering.concentration.tolist()
        losses = []
        for i, own in enumerate(clustering.assigned.tolist()):
            total = sum(math.exp(dot(q[i], c[j]) / phi[j]) for j in range(len(c)))
            losses.append(-math.log(math.exp(dot(q[i], c[own]) / phi[own]) / total))
        terms.append(fmean(losses))
    return info_nce(query, key, queue, temperature) + fmean(terms)


def ncl(query, key, queue, neighbours, temperature, positive_weight, hard_negatives, variant):
    q, k, m, losses = units(query), units(key), units(queue), []
    for i in range(len(q)):
        known = [dot(q[i], k[i]) / temperature] + [dot(q[i], x) / temperature for x in m]
        hard = [] if hard_negatives is None else [dot(q[i], x) / temperature for x in units(hard_negatives[i])]
        log_total = math.log(sum(math.exp(x) for x in known + hard))
        places = range(1 if variant == "as_paper" else 0, len(known))
        nearest = sorted(places, key=lambda j: -known[j])[:neighbours]
        loss = positive_weight * (log_total - known[0])
        for j in nearest:
            loss += (1 - positive_weight) / neighbours * (log_total - known[j]) if j else 0
        losses.append(loss)
    return fmean(losses)


def scl(query, key, labels, queue, queue_labels, temperature):
    q, k, m, losses = units(query), units(key), units(queue), []
    for i in range(len(q)):
        scores = [dot(q[i], k[i]) / temperature] + [dot(q[i], x) / temperature for x in m]
        log_total = math.log(sum(math.exp(x) for x in scores))
        positives = [0] + [j + 1 for j in range(len(m)) if queue_labels[j] == labels[i]]
        losses.append(fmean(log_total - scores[j] for j in positives))
    return fmean(losses)


def quick_thoughts(f, g, context, itself=True):
    f, g, losses = rows(f), rows(g), []
    for i in range(len(f)):
        scores = [0.0 if j == i else dot(f[i], g[j]) for j in range(len(g))]
        log_total = math.log(sum(math.exp(x) for j, x in enumerate(scores) if itself or j != i))
        near = [j for j in range(len(g)) if 0 < abs(i - j) <= context]
        losses.append(fmean(log_total - scores[j] for j in near))
    return fmean(losses)


def simcse_supervised(anchor, positive, hard_negative, temperature, hard_weight):
    h, plus, minus, losses = units(anchor), units(positive), units(hard_negative), []
    for i in range(len(h)):
        total = 0.0
        for j in range(len(h)):
            total += math.exp(dot(h[i], plus[j]) / temperature)
            total += (hard_weight if i == j else 1) * math.exp(dot(h[i], minus[j]) / temperature)
        losses.append(-math.log(math.exp(dot(h[i], plus[i]) / temperature) / total))
    return fmean(losses)
