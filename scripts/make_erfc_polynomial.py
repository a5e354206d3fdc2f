#!/usr/bin/env python3
"""Prints the constants with which kernels/vector/gelu.inl computes the tail of the normal distribution.

    pip install mpmath && python3 scripts/make_erfc_polynomial.py

With a = |x| and t = 1 / (1 + c*a),

    Phi(-a) = erfc(a / sqrt(2)) / 2 = exp(-a^2 / 2) * t * p(t - 1/2),

where p is the polynomial of the least maximum relative error on [0, TOP], found by Remez' exchange algorithm; powers
of t itself would cancel each other near t = 1. It is made for `float`: coefficients are rounded, the highest first, and
each time the lower ones are fitted anew, so that they make up for the rounding. What is printed beside them is the error
that is left when p is evaluated exactly.
"""

import struct

from mpmath import cos, erfc, exp, lu_solve, matrix, mp, mpf, pi, sqrt

mp.dps = 40

C = mpf("0.265625")  # 17/64: of the multiples of 1/128 near it, the one whose polynomial has the least error
TOP = mpf("13.25")  # beyond it exp(-a^2 / 2) is below the least normal float
DEGREE = 8
GRID = 600


def scaled_tail(t):
    """Phi(-a) * exp(a^2 / 2) / t at t = 1 / (1 + C*a)."""
    a = (1 / t - 1) / C
    return erfc(a / sqrt(2)) * exp(a * a / 2) / (2 * t)


LOW = 1 / (1 + C * TOP)
NODES = [LOW / 2 - (1 - LOW) / 2 * cos(pi * i / mpf(GRID)) for i in range(GRID + 1)]  # t - 1/2
VALUES = [scaled_tail(s + mpf(1) / 2) for s in NODES]


def polynomial(coefficients, s):
    return sum(coefficient * s**power for power, coefficient in coefficients.items())


def errors(coefficients):
    """Relative errors on the grid."""
    return [polynomial(coefficients, s) / value - 1 for s, value in zip(NODES, VALUES)]


def extrema(error, count):
    """The indices of `count` errors of alternating sign, each the largest of its run, the largest ones."""
    runs = []
    for i, e in enumerate(error):
        if runs and (error[runs[-1]] > 0) == (e > 0):
            if abs(e) > abs(error[runs[-1]]):
                runs[-1] = i
        else:
            runs.append(i)
    while len(runs) > count:
        runs.pop(0 if abs(error[runs[0]]) < abs(error[runs[-1]]) else -1)
    return runs


def fit(fixed):
    """The best coefficients of the powers that `fixed` lacks, together with those of `fixed`."""
    free = [power for power in range(DEGREE + 1) if power not in fixed]
    count = len(free) + 1
    chosen = [round(GRID * i / mpf(count - 1)) for i in range(count)]
    for _ in range(30):
        system, right = matrix(count, count), matrix(count, 1)
        for row, node in enumerate(chosen):
            s, value = NODES[node], VALUES[node]
            for column, power in enumerate(free):
                system[row, column] = s**power / value
            system[row, count - 1] = (-1) ** row
            right[row] = 1 - polynomial(fixed, s) / value
        solution = lu_solve(system, right)
        coefficients = dict(fixed) | {power: solution[column] for column, power in enumerate(free)}
        found = extrema(errors(coefficients), count)
        if len(found) < count or found == chosen:
            break
        chosen = found
    return coefficients


def to_float(value):
    return mpf(struct.unpack("f", struct.pack("f", float(value)))[0])


def main():
    best = fit({})
    print(f"// c = {mp.nstr(C, 9)}; relative error {mp.nstr(max(map(abs, errors(best))), 3)}", end="")
    fixed = {}
    for power in range(DEGREE, -1, -1):  # what is left to fit is a polynomial of its own
        fixed[power] = to_float(best[power])
        if power > 0:
            best = fit(fixed)
    print(f", with rounded coefficients {mp.nstr(max(map(abs, errors(fixed))), 3)}")
    for power in range(DEGREE, -1, -1):
        print(f"s^{power}: {mp.nstr(fixed[power], 9)}F")


if __name__ == "__main__":
    main()
